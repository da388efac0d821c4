package guest_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/lab/guest"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/firstboot"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// vmid is the VM with the real guest.
const vmid = 141

// image returns the directory that image.sh filled. Without it, or without what
// boots it, the test skips, or fails where the lab is required.
func image(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("boots a guest for minutes")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := cmp.Or(os.Getenv("PROXSTATION_LAB_GUEST"), filepath.Join(cache, "proxstation", "guest"))
	made, err := os.ReadFile(filepath.Join(dir, "made-by"))
	script, scriptErr := os.ReadFile("image.sh")
	if err == nil && string(made) != string(script) {
		err = errors.New("the guest's disk was made by another image.sh")
	}
	_, qemu := exec.LookPath("qemu-system-x86_64")
	_, dpkg := exec.LookPath("dpkg-deb")
	_, firmware := os.Stat(filepath.Join(guest.OVMF, "OVMF_CODE_4M.secboot.fd"))
	if err = errors.Join(err, scriptErr, qemu, dpkg, firmware); err != nil {
		if os.Getenv("PROXSTATION_LAB") == "required" {
			t.Fatal(err)
		}
		t.Skip("no guest is booted: ", err)
	}
	return dir
}

// A house is an embedded node with a VM whose guest is real.
type house struct {
	*testing.T
	ctx   context.Context
	sim   *pvetest.Node
	node  *workstation.Node
	agent workstation.Agent
	dir   string // of the VM's drives and sockets
	disk  string // of the guest's disk as image.sh made it

	console transcript
	ended   chan struct{} // closed when QEMU has ended
}

// newHouse returns a node with the profile's VM, which has no guest yet.
func newHouse(t *testing.T) *house {
	t.Helper()
	cached := image(t)
	dir, err := os.MkdirTemp("", "vm") //nolint:usetesting // sockets want short paths, QEMU none with a comma
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ctx, cancel := context.WithTimeout(t.Context(), 14*time.Minute)
	t.Cleanup(cancel)
	real := &pvetest.SocketAgent{Path: filepath.Join(dir, "qga"), Patience: 20 * time.Second}
	host := pvetest.Reference()
	sim := pvetest.New(host, &pvetest.Options{Agents: map[int]pvetest.Agent{vmid: real}}).Start()
	t.Cleanup(sim.Close)
	node, err := workstation.Connect(ctx, workstation.Endpoint{
		URL: sim.URL(), Token: "root@pam!lab=" + host.RootTokens[0].Secret, Fingerprint: sim.Fingerprint(),
	}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return &house{T: t, ctx: ctx, sim: sim, node: node, agent: node.Agent(vmid), dir: dir, disk: filepath.Join(cached, "disk.raw")}
}

// apply makes the node have the VM.
func (h *house) apply(vm workstation.VM) {
	h.Helper()
	facts, err := h.node.Observe(h.ctx)
	if err != nil {
		h.Fatal(err)
	}
	plan, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, facts)
	if err == nil {
		err = h.node.Apply(h.ctx, plan, nil)
	}
	if err != nil {
		h.Fatal(err)
	}
}

// vm is the profile with small disks.
func vm() workstation.VM {
	return profile.LinuxAI{Cores: 2, Memory: 2 * storage.GiB, System: 8 * storage.GiB, Models: storage.GiB}.VM()
}

// mac returns the hardware address that the node gave the VM's network card.
func (h *house) mac() net.HardwareAddr {
	h.Helper()
	state, _ := h.sim.VM(vmid)
	value, _, _ := strings.Cut(strings.TrimPrefix(state.Config["net0"], "virtio="), ",")
	mac, err := net.ParseMAC(value)
	if err != nil {
		h.Fatal(err)
	}
	return mac
}

// insert puts a seed into the VM's drive for CDs.
func (h *house) insert(seed firstboot.LinuxAI) {
	h.Helper()
	cd, err := seed.Seed()
	if err != nil {
		h.Fatal(err)
	}
	data, err := cd.Image()
	if err == nil {
		err = os.WriteFile(filepath.Join(h.dir, "scsi2"), data, 0o600)
	}
	if err != nil {
		h.Fatal(err)
	}
	volume := "local:iso/" + cd.Name()
	if err := h.node.Upload(h.ctx, volume, strings.NewReader(string(data)), nil); err != nil {
		h.Fatal(err)
	}
	with := vm()
	with.Disks = append(with.Disks, workstation.Disk{Slot: "scsi2", Purpose: storage.Image, Volume: volume, Options: map[string]string{"media": "cdrom"}})
	h.apply(with)
}

// start starts the VM, and its guest with it.
func (h *house) start() {
	h.Helper()
	if err := h.node.Start(h.ctx, vmid); err != nil {
		h.Fatal(err)
	}
	h.boot()
}

// boot has QEMU run what the node runs.
func (h *house) boot() {
	h.Helper()
	system := filepath.Join(h.dir, "scsi0")
	if _, err := os.Stat(system); err != nil { // PVE imports the image
		if out, err := exec.CommandContext(h.ctx, "cp", "--sparse=always", "--reflink=auto", h.disk, system).CombinedOutput(); err != nil {
			h.Fatalf("%v: %s", err, out)
		}
	}
	state, _ := h.sim.VM(vmid)
	delete(state.Config, "digest")
	arguments, err := guest.Arguments(state.Config, h.dir, "user")
	if err != nil {
		h.Fatal(err)
	}
	arguments = append(arguments, "-no-reboot")
	var said transcript
	qemu := exec.CommandContext(h.ctx, "qemu-system-x86_64", arguments...)
	qemu.Stdout, qemu.Stderr = &said, &said
	if err := qemu.Start(); err != nil {
		h.Fatal(err)
	}
	h.ended = make(chan struct{})
	go func() { defer close(h.ended); _ = qemu.Wait() }()
	h.Cleanup(func() {
		_ = qemu.Process.Kill()
		<-h.ended
		if h.Failed() {
			h.Logf("QEMU said %q, the guest's console\n%s", said.text(), h.console.tail())
		}
	})
	serial := h.dial("serial", &said)
	go func() { _, _ = io.Copy(&h.console, serial) }()
}

// dial connects to a socket of QEMU, which is there a moment after QEMU starts.
func (h *house) dial(socket string, said *transcript) net.Conn {
	h.Helper()
	for range 600 {
		connection, err := new(net.Dialer).DialContext(h.ctx, "unix", filepath.Join(h.dir, socket))
		if err == nil {
			h.Cleanup(func() { _ = connection.Close() })
			return connection
		}
		h.pause(50 * time.Millisecond)
	}
	h.Fatalf("QEMU has no socket %s and said %q", socket, said.text())
	return nil
}

// pause waits for something that only the guest's own time brings.
func (h *house) pause(d time.Duration) {
	h.Helper()
	select {
	case <-time.After(d):
	case <-h.ctx.Done():
		h.Fatal("the guest took too long")
	}
}

// setUp waits until the set-up in the guest has come to an end, and returns its
// last word.
func (h *house) setUp() firstboot.State {
	h.Helper()
	began := time.Now()
	for limit := began.Add(12 * time.Minute); ; {
		err := h.agent.Wait(h.ctx, 10*time.Second)
		if err == nil {
			break
		}
		select {
		case <-h.ended:
			h.Fatal("QEMU has ended")
		default:
		}
		switch {
		case time.Now().After(limit) || h.ctx.Err() != nil:
			h.Fatal(err)
		case strings.Contains(h.console.text(), " login: ") && !strings.Contains(h.console.text(), "loud-init"):
			h.Fatal("the guest is up, and cloud-init has not run")
		}
	}
	h.Logf("guest: the agent answers after %s", time.Since(began).Round(time.Second))
	var phase firstboot.Phase
	for {
		text, err := h.agent.ReadFile(h.ctx, firstboot.LinuxState)
		if err == nil {
			state, err := firstboot.ParseState(string(text))
			if err != nil {
				h.Fatal(err)
			}
			if state.Phase != phase {
				phase = state.Phase
				h.Logf("guest: %s after %s", state, time.Since(began).Round(time.Second))
			}
			if state.Phase == firstboot.PhaseDone || state.Failed != "" {
				return state
			}
		}
		h.pause(time.Second)
	}
}

// again has the set-up run once more, and returns its last word.
func (h *house) again() firstboot.State {
	h.Helper()
	h.run("rm " + firstboot.LinuxState)
	if out, err := h.agent.Run(h.ctx, proxstation.GuestCommand{Argv: firstboot.LinuxAgain()}); err != nil || out.Code != 0 {
		h.Fatalf("%+v, %v", out, err)
	}
	return h.setUp()
}

// run runs a shell's command line in the guest and returns what it printed.
func (h *house) run(command string) string {
	h.Helper()
	out, err := h.agent.Run(h.ctx, proxstation.GuestCommand{Argv: []string{"/bin/sh", "-c", command}})
	if err != nil {
		h.Fatalf("%s: %v", command, err)
	}
	return strings.TrimSpace(out.Stdout + out.Stderr)
}

// A transcript is what somebody said.
type transcript struct {
	mu    sync.Mutex
	bytes []byte
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes = append(s.bytes, p...)
	return len(p), nil
}

func (s *transcript) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.bytes)
}

// tail returns the last lines.
func (s *transcript) tail() string {
	lines := strings.Split(strings.ReplaceAll(s.text(), "\r", ""), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}
