package workstation

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// scriptPaths are where a set-up script lies in a guest: where only an
// administrator can write, because it runs as one.
var scriptPaths = map[rustdesk.OS]string{
	rustdesk.Linux:   "/root/.proxstation-rustdesk.sh",
	rustdesk.Windows: `C:\Windows\proxstation-rustdesk.ps1`,
	rustdesk.MacOS:   "/var/root/.proxstation-rustdesk.sh",
}

// SetUpRustDesk installs and configures RustDesk in a guest through its agent
// and returns what it found, the guest's ID among it. It can be repeated: what
// is as wanted is left alone. The password and the key go over the command's
// input, and are in no file, event or error. It needs what [Agent.Run] does.
//
// The error is a [rustdesk.SetupError] if the script stopped, beside what is
// known so far. A macOS guest asks a human for its permissions: see
// [rustdesk.MacOSTasks].
func (n *Node) SetUpRustDesk(ctx context.Context, vmid int, setup rustdesk.Setup, progress func(Event)) (rustdesk.Report, error) {
	script, err := setup.Script()
	if err != nil {
		return rustdesk.Report{}, err
	}
	report := reporter{report: progress}
	output, err := n.runScript(ctx, vmid, script, report)
	if err != nil {
		return rustdesk.Report{}, err
	}
	result, err := rustdesk.ParseReport(output)
	if err == nil {
		state := "runs"
		if !result.Running {
			state = "is there and does not run"
		}
		report.enter(PhaseDone, vmid, "RustDesk "+state+"; its ID is "+string(result.ID))
	}
	return result, err
}

// SetUpRustDeskServer makes a guest an own RustDesk server through its agent
// and returns it, ready for [rustdesk.Unattended] and [Node.PlanRustDesk]. It
// can be repeated: what is as wanted is left alone. The last event says what
// changed. For the VM see [RustDeskServer]. It needs what [Agent.Run] does.
//
// The error is a [rustdesk.SetupError] if the script stopped.
func (n *Node) SetUpRustDeskServer(ctx context.Context, vmid int, setup rustdesk.ServerSetup, progress func(Event)) (rustdesk.Server, error) {
	script, err := setup.Script()
	if err != nil {
		return rustdesk.Server{}, err
	}
	report := reporter{report: progress}
	output, err := n.runScript(ctx, vmid, script, report)
	if err != nil {
		return rustdesk.Server{}, err
	}
	result, err := setup.ParseReport(output)
	if err != nil {
		return rustdesk.Server{}, err
	}
	report.enter(PhaseDone, vmid, "RustDesk's server runs; changed: "+cmp.Or(strings.Join(result.Changed, ", "), "nothing"))
	return result.Server, nil
}

// runScript runs a set-up script in a guest and returns what it printed.
func (n *Node) runScript(ctx context.Context, vmid int, script rustdesk.Script, report reporter) (string, error) {
	agent := n.Agent(vmid)
	if err := agent.Wait(ctx, 5*time.Minute, report.report); err != nil {
		return "", err
	}
	path, known := scriptPaths[script.OS]
	if !known {
		return "", fmt.Errorf("workstation: VM %d: no way to run a script on %q: %w", vmid, script.OS, ErrInvalid)
	}
	report.enter(PhaseApply, vmid, "setting RustDesk up in the guest, which may take minutes")
	if err := agent.placeScript(ctx, path, script); err != nil {
		return "", err
	}
	out, err := agent.Run(ctx, Command{Argv: script.Command(path), Input: script.Stdin.Reveal(), Timeout: 20 * time.Minute})
	return out.Stdout, err
}

// placeScript writes a script where [scriptPaths] says. The agent itself makes
// files that everybody may write (qemu qga/commands-posix.c,
// safe_open_or_create), and this one runs as root.
func (a Agent) placeScript(ctx context.Context, path string, script rustdesk.Script) error {
	if script.OS == rustdesk.Windows { // files there have the rights of their directory
		return a.WriteFile(ctx, path, []byte(script.Body))
	}
	write := []string{"/bin/sh", "-c", `umask 077 && rm -f "$1" && cat >"$1"`, "sh", path}
	out, err := a.Run(ctx, Command{Argv: write, Input: script.Body})
	if err == nil && out.Code != 0 {
		err = &rustdesk.SetupError{Stage: "script", Reason: "cannot write " + path + ": " + strings.TrimSpace(out.Stderr)}
	}
	return err
}
