package guest_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/lab/guest"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/install"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

const (
	vmid = 141 // the VM with the real guest
	mac  = "BC:24:11:6A:00:2F"
)

// image returns the directory that image.sh has filled. If this directory or
// QEMU is missing, image skips the test, or fails it if the lab is required.
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

// A house is an embedded node that has a VM with a real guest. While the VM
// runs on the node, the guest runs in QEMU.
type house struct {
	*testing.T
	ctx   context.Context
	sim   *pvetest.Node
	node  *workstation.Node
	agent workstation.Agent
	dir   string // holds the VM's drives and sockets
	disk  string // the guest's disk, made by image.sh
	began time.Time
	cd    []byte // the image of the seed

	real    *pvetest.SocketAgent
	on      atomic.Bool // set while QEMU runs the VM
	console guest.Transcript
}

// newHouse returns an embedded node that does not have the VM yet.
func newHouse(t *testing.T) *house {
	t.Helper()
	cached := image(t)
	dir, err := os.MkdirTemp("", "vm") //nolint:usetesting // sockets want short paths, QEMU none with a comma
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	h := &house{T: t, ctx: ctx, dir: dir, disk: filepath.Join(cached, "disk.raw"), began: time.Now(),
		real: &pvetest.SocketAgent{Path: filepath.Join(dir, "qga"), Patience: 20 * time.Second}}
	host := pvetest.Reference()
	h.sim = pvetest.New(host, &pvetest.Options{Agents: map[int]pvetest.Agent{vmid: h}}).Start()
	t.Cleanup(h.sim.Close)
	h.node, err = workstation.Connect(ctx, workstation.Endpoint{
		URL: h.sim.URL(), Token: "root@pam!lab=" + host.RootTokens[0].Secret, Fingerprint: h.sim.Fingerprint(),
	}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	h.agent = h.node.Agent(vmid)
	done := make(chan error)
	go func() { done <- h.host() }()
	t.Cleanup(func() { // this runs before the node closes and the directory is removed
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the guest's console ends with\n%s", h.console.Tail())
		}
	})
	return h
}

// Execute implements [pvetest.Agent]. It returns an error while the guest is
// off, because a guest that is shutting down must not answer for the guest that
// starts next.
func (h *house) Execute(ctx context.Context, command string, arguments json.RawMessage) (json.RawMessage, error) {
	if !h.on.Load() {
		return nil, pvetest.ErrNoAgent
	}
	return h.real.Execute(ctx, command, arguments)
}

// The method "host" runs QEMU whenever the VM runs on the node.
func (h *house) host() error {
	for {
		err := h.await(true)
		if err == nil {
			err = h.power()
		}
		if h.ctx.Err() != nil {
			return nil // the test is over
		}
		if err != nil {
			return err
		}
	}
}

// If running is true, await waits until the VM runs on the node. Otherwise it
// waits until the VM no longer runs. It returns an error only if the context
// ends.
func (h *house) await(running bool) error {
	for slices.Contains(h.sim.Running(), vmid) != running {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-h.ctx.Done():
			return h.ctx.Err()
		}
	}
	return nil
}

// power runs QEMU until the node shuts the VM down.
func (h *house) power() error {
	system := filepath.Join(h.dir, "scsi0")
	if _, err := os.Stat(system); err != nil { // PVE would import the image at this point
		if out, err := exec.CommandContext(h.ctx, "cp", "--sparse=always", "--reflink=auto", h.disk, system).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
	}
	state, _ := h.sim.VM(vmid)
	for key, value := range state.Config {
		if strings.Contains(value, ":iso/firstboot-") { // this is the seed that was uploaded
			if err := os.WriteFile(filepath.Join(h.dir, key), h.cd, 0o600); err != nil {
				return err
			}
		}
	}
	arguments, err := guest.Arguments(state.Config, h.dir, "user")
	if err != nil {
		return err
	}
	var said guest.Transcript
	qemu := exec.CommandContext(h.ctx, "qemu-system-x86_64", arguments...)
	qemu.Stdout, qemu.Stderr = &said, &said
	if err := qemu.Start(); err != nil {
		return err
	}
	h.on.Store(true)
	ended := make(chan error, 1)
	go func() { ended <- qemu.Wait() }()
	go h.listen()
	off := make(chan error, 1)
	go func() { off <- h.await(false) }()
	select {
	case <-off:
		h.on.Store(false)
		go func() { _, _ = h.real.Execute(h.ctx, "guest-shutdown", nil) }() // this command gets no answer from an agent
		if err := <-ended; h.ctx.Err() == nil {
			return err
		}
		return nil
	case err := <-ended:
		h.on.Store(false)
		if h.ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("QEMU ended by itself: %w: %s", err, said.Text())
	}
}

// listen stores the output of the guest's serial port.
func (h *house) listen() {
	for h.ctx.Err() == nil {
		serial, err := new(net.Dialer).DialContext(h.ctx, "unix", filepath.Join(h.dir, "serial"))
		if err == nil {
			_, _ = io.Copy(&h.console, serial) // the copying ends when QEMU ends
			_ = serial.Close()
			return
		}
		time.Sleep(50 * time.Millisecond) // QEMU creates the socket shortly after it starts
	}
}

// install makes the VM, sets up its guest and checks the guest.
func (h *house) install(wanted install.Guest) (install.Report, error) {
	h.Helper()
	seed, err := wanted.Linux.Seed()
	if err != nil {
		h.Fatal(err)
	}
	if h.cd, err = seed.Image(); err != nil {
		h.Fatal(err)
	}
	facts, err := h.node.Observe(h.ctx)
	if err != nil {
		h.Fatal(err)
	}
	wanted.VMID = vmid
	card, err := iommu.ParseAddress("0000:01:00.0")
	if err != nil {
		h.Fatal(err)
	}
	spec := workstation.Spec{VMs: []workstation.VM{vm()}, Mappings: []workstation.CardMapping{{ID: "rtx5070ti", Card: card}}}
	plan, err := install.Diff(spec, []install.Guest{wanted}, facts)
	if err != nil {
		h.Fatal(err)
	}
	reports, err := install.Apply(h.ctx, h.node, plan, &install.Options{Progress: h.tell})
	if err != nil || len(reports) == 0 {
		return install.Report{}, err
	}
	return reports[0], nil
}

// vm returns the profile's VM with small disks, a card and one core.
func vm() workstation.VM {
	// There is only one core, because under emulation the timer of a second
	// core sometimes stops.
	return profile.LinuxAI{Cores: 1, Memory: 2 * storage.GiB, System: 8 * storage.GiB, Models: storage.GiB, Card: "rtx5070ti",
		Image: "local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2"}.VM()
}

// tell writes the progress of a set-up to the test's log.
func (h *house) tell(e workstation.Event) {
	h.Logf("guest: %s %s: %s", time.Since(h.began).Round(time.Second), e.Phase, e.Message)
}

// run runs a shell command in the guest and returns its output.
func (h *house) run(command string) string {
	h.Helper()
	out, err := h.agent.Run(h.ctx, proxstation.GuestCommand{Argv: []string{"/bin/sh", "-c", command}})
	if err != nil {
		h.Fatalf("%s: %v", command, err)
	}
	return strings.TrimSpace(out.Stdout + out.Stderr)
}
