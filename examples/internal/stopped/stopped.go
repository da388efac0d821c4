// Package stopped lets a test stop an example in the middle of its work, as a
// service manager or a closed terminal does.
package stopped

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

const asProgram = "PROXSTATION_RUN_AS_PROGRAM"

// Main replaces TestMain in a package whose test binary also runs as the
// example program.
func Main(m *testing.M, main func()) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	if signal.Ignored(syscall.SIGHUP) { // true under nohup; without this, the programs would ignore the signal too
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	os.Exit(m.Run())
}

// A Program is an example that runs against an embedded node.
type Program struct {
	Node *pvetest.Node
	// Lines yields the lines that the program prints.
	Lines *bufio.Scanner

	cmd  *exec.Cmd
	said strings.Builder
}

// Start starts the program against an embedded node of its own. The node's
// clock runs ten times as fast.
func Start(t *testing.T, host pvetest.Host, args ...string) *Program {
	t.Helper()
	p := &Program{Node: pvetest.New(host, &pvetest.Options{Speed: 10}).Start()}
	t.Cleanup(p.Node.Close)
	p.cmd = exec.CommandContext(t.Context(), os.Args[0], append(args, "-fingerprint", p.Node.Fingerprint())...) //nolint:gosec // it is the test itself
	p.cmd.Env = append(os.Environ(), asProgram+"=1", "PROXMOX_VE_USERNAME=", "PROXMOX_VE_ENDPOINT="+p.Node.URL(),
		"PROXMOX_VE_API_TOKEN=root@pam!"+host.RootTokens[0].ID+"="+host.RootTokens[0].Secret)
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		p.cmd.Stderr = p.cmd.Stdout
		err = p.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	p.Lines = bufio.NewScanner(io.TeeReader(out, &p.said))
	return p
}

// Until reads the program's output until a line contains a text, and returns
// that line.
func (p *Program) Until(t *testing.T, text string) string {
	t.Helper()
	for p.Lines.Scan() {
		if strings.Contains(p.Lines.Text(), text) {
			return p.Lines.Text()
		}
	}
	t.Fatalf("the program does not say %q:\n%s", text, p.said.String())
	return ""
}

// End sends a signal and checks how the program ends: the program prints one of
// the texts, only the given VM runs, and no lease is left.
func (p *Program) End(t *testing.T, with syscall.Signal, running int, says ...string) {
	t.Helper()
	if err := p.cmd.Process.Signal(with); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(5*time.Minute, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	for p.Lines.Scan() {
	}
	_ = p.cmd.Wait()                                           // the exit code is ignored, because the output shows whether the program ended well
	said := strings.Join(strings.Fields(p.said.String()), " ") // the output breaks lines between words
	if !slices.ContainsFunc(says, func(text string) bool { return strings.Contains(said, text) }) {
		t.Errorf("it says none of %q:\n%s", says, said)
	}
	// A request that was already sent when the signal came cannot be taken
	// back. The program then reports that the VM may be off later.
	closing := strings.Contains(said, "may be off later")
	if got := p.Node.Running(); !slices.Equal(got, []int{running}) && (!closing || len(got) > 0) {
		t.Errorf("running: %v, want VM %d:\n%s", got, running, said)
	}
	for _, id := range p.Node.VMs() {
		if state, _ := p.Node.VM(id); strings.Contains(state.Config["description"], "lease") {
			t.Errorf("VM %d is left with %q", id, state.Config["description"])
		}
	}
	if err := p.Node.Check(); err != nil {
		t.Error(err)
	}
}
