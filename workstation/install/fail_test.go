package install_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/slow"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/firstboot"
	"github.com/proxstation/proxstation/workstation/install"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// h.only(i) keeps guest i of the homelab and removes the other guests.
func (h *homelab) only(i int) { h.guests, h.spec.VMs = h.guests[i:i+1], h.spec.VMs[i:i+1] }

// clean fails the test if a seed is left on the node, or if the node's own
// state is inconsistent.
func (h *homelab) clean() {
	h.t.Helper()
	if left := h.seeds(); len(left) != 0 {
		h.t.Errorf("seeds are left: %q", left)
	}
	if err := h.sim.Check(); err != nil {
		h.t.Error(err)
	}
}

func TestSetUpThatFailsIsToldAndRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHomelab(t)
		h.only(1)
		h.linux.says = []string{"phase=driver\nfailed=these packages could not be installed: x\n"}
		reports, err := h.apply(h.plan())
		var failed *install.SetupError
		if !errors.Is(err, install.ErrSetup) || !errors.As(err, &failed) || failed.VMID != 141 || !strings.Contains(failed.Log, "no such package") || len(reports) != 0 {
			t.Fatalf("%v", err)
		}
		if text := err.Error(); !strings.Contains(text, "packages could not be installed") || !strings.Contains(text, "its log ends: E: no such package") {
			t.Errorf("the error says %s", text)
		}
		h.clean()
		if again := h.plan(); len(again.SetUps) != 1 || !again.First.Empty() {
			t.Errorf("the set-up does not go on:\n%s", again)
		}
		h.linux.says = []string{"phase=done\nmodels=kept\n"}
		h.guests[0].Again = true
		again := h.plan()
		if len(again.SetUps) != 1 || again.SetUps[0].Seed != "" {
			t.Fatalf("a guest that runs needs no seed:\n%s", again)
		}
		reports, err = h.apply(again)
		if err != nil || len(reports) != 1 || reports[0].Found["models"] != "kept" {
			t.Errorf("reports %+v, %v", reports, err)
		}
		if vm, _ := h.sim.VM(141); !strings.Contains(vm.Config["hostpci0"], "rtx") {
			t.Errorf("the guest has no card: %v", vm.Config)
		}
		if ran := strings.Join(h.linux.ran, "\n"); !strings.Contains(ran, "systemctl --no-block restart proxstation-firstboot.service") {
			t.Errorf("ran %s", ran)
		}
		h.clean()
	})
}

// A set-up is cancelled in one of its phases, and the same page is planned and
// applied again. The second plan adds no card to a guest that is not set up.
// It goes on with the set-up, and leaves nothing of it in the VM.
func TestSetUpThatIsCancelledGoesOn(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		guest  int
		at     string // the text of the event at which the set-up is cancelled
		off    bool   // the guest is shut down before the second plan
		failed bool   // the guest's own set-up fails meanwhile
		seed   bool   // the second plan brings the seed again
	}{
		"before the agent answers":   {1, "no agent answers yet", false, false, false},
		"the agent answers":          {1, "the agent answers", false, false, false},
		"the agent answers, now off": {1, "the agent answers", true, false, true},
		"fails meanwhile":            {1, "the agent answers", false, true, false},
		"Windows is installed":       {0, "no agent answers yet", false, false, false},
		"before the card":            {1, "shutting the VM down to change it", false, false, false},
		"before Windows' card":       {0, "shutting the VM down to change it", false, false, false},
		"RustDesk":                   {1, "141 rustdesk", false, false, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHomelab(t)
				h.only(test.guest)
				vmid := h.guests[0].VMID
				if test.failed {
					h.linux.says, h.linux.then = []string{"phase=driver\nfailed=no network\n"}, []string{"phase=done\n"}
				}
				h.ctx = h.cancelledAt(test.at)
				if _, err := h.apply(h.plan()); !errors.Is(err, context.Canceled) {
					t.Fatalf("%v, want that it was cancelled", err)
				}
				h.clean()
				h.ctx = t.Context()
				if test.off {
					if err := h.sim.PowerOff(vmid); err != nil {
						t.Fatal(err)
					}
				}
				again := h.plan()
				if len(again.SetUps) != 1 || again.SetUps[0].Seed != "" != test.seed || strings.Contains(again.First.String(), "hostpci0") && test.at != "141 rustdesk" {
					t.Fatalf("the second plan does not go on:\n%s", again)
				}
				if reports, err := h.apply(again); err != nil || len(reports) != 1 {
					t.Fatalf("%+v, %v", reports, err)
				}
				vm, _ := h.sim.VM(vmid)
				if !strings.Contains(vm.Config["hostpci0"], "rtx") {
					t.Errorf("the guest has no card: %v", vm.Config)
				}
				if last := h.plan(); !last.Empty() {
					t.Errorf("the third plan is not empty:\n%s", last)
				}
				for key, value := range h.facts().VMs[vmid].Config {
					if strings.Contains(value, "serial=firstboot") {
						t.Errorf("%s is left: %s", key, value)
					}
				}
				h.clean()
			})
		})
	}
}

// cancelledAt returns a context that ends when an event has a text.
func (h *homelab) cancelledAt(text string) context.Context {
	ctx, cancel := context.WithCancel(h.t.Context())
	h.progress = func(e workstation.Event) {
		line := fmt.Sprintf("%d %s: %s", e.VMID, e.Phase, e.Message)
		h.told = append(h.told, line)
		if strings.Contains(line, text) {
			cancel()
		}
	}
	return ctx
}

// The set-up of a guest has failed, and the guest is off. A second attempt
// gives the guest its seed again. It ignores the state that the first attempt
// left.
func TestSetUpIsRepeatedFromOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHomelab(t)
		h.only(1)
		h.linux.says = []string{"phase=driver\nfailed=no network\n"}
		if _, err := h.apply(h.plan()); !errors.Is(err, install.ErrSetup) {
			t.Fatal(err)
		}
		if err := h.sim.PowerOff(141); err != nil {
			t.Fatal(err)
		}
		h.guests[0].Again = true
		again := h.plan()
		if len(again.SetUps) != 1 || again.SetUps[0].Seed == "" {
			t.Fatalf("a guest that is off may not have read its seed:\n%s", again)
		}
		h.linux.then = []string{"phase=done\nmodels=kept\n"}
		if _, err := h.apply(again); err != nil {
			t.Error(err)
		}
		h.clean()
	})
}

// A login has only the privileges that a plan names, and may observe
// everything. This is enough for the plan. If one privilege of a set-up is
// missing, the plan is blocked.
func TestPlanNeedsWhatItSays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHomelab(t)
		plan := h.plan()
		need := map[workstation.Privilege]bool{}
		for _, change := range plan.First.Changes() {
			for _, p := range change.Needs {
				need[p] = true
			}
		}
		for _, s := range plan.SetUps {
			for _, p := range s.Needs {
				need[p] = true
			}
		}
		needs := plan.SetUps[0].Needs
		if testing.Short() {
			needs = needs[len(needs)-2:] // each privilege takes long, because it needs its own node and plan
		}
		for _, lacking := range needs {
			var own []workstation.Privilege
			for p := range need {
				if p != lacking {
					own = append(own, p)
				}
			}
			h := newHomelab(t, own...)
			blocked, err := install.Diff(h.spec, h.guests, h.facts())
			if err == nil && proxstation.Worst(blocked.First.Findings) != proxstation.Blocker && !slices.Contains(looks, lacking.Name) && !strings.Contains(lacking.Name, "|") {
				t.Errorf("without %s the plan is not blocked", lacking)
			}
		}
		h = newHomelab(t, slices.Collect(maps.Keys(need))...)
		if _, err := h.apply(h.plan()); err != nil {
			t.Errorf("with all that the plan needs: %v", err)
		}
		h.clean()
	})
}

func TestSetUpEnds(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		guest  int
		change func(h *homelab)
		want   error
		says   string
	}{
		"Windows refuses the disk": {0, func(h *homelab) { h.windows.off = true }, workstation.ErrNotRunning, "more than one disk, or if the disk is not empty"},
		"no agent comes":           {1, func(h *homelab) { h.linux.installs = 1000 * time.Hour }, workstation.ErrTimeout, "look at PVE's console"},
		"the start fails":          {1, func(h *homelab) { h.sim.Inject(pvetest.Fault{Task: "qmstart", Kind: pvetest.TaskFails}) }, install.ErrSetup, "the VM does not start"},
		"no key can be pressed":    {0, func(h *homelab) { h.sim.Inject(pvetest.Fault{Path: ".*/sendkey", Kind: pvetest.Forbid}) }, workstation.ErrPermission, "VM.Console"},
		"the VM is not made":       {1, func(h *homelab) { h.sim.Inject(pvetest.Fault{Task: "qmcreate", Kind: pvetest.TaskFails}) }, nil, "step 2 of 3"},
		"cancelled": {0, func(h *homelab) {
			ctx, cancel := context.WithCancel(h.t.Context())
			h.ctx = ctx
			go func() { time.Sleep(10 * time.Minute); cancel() }()
		}, context.Canceled, "cancelled"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHomelab(t)
				h.only(test.guest)
				plan := h.plan()
				test.change(h)
				_, err := h.apply(plan)
				if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("%v, want %v with %q", err, test.want, test.says)
				}
				var left *install.SeedError
				if errors.As(err, &left) {
					t.Errorf("the seed could not be removed: %v", left)
				}
				if told := strings.Join(h.told, "\n"); !strings.Contains(told, "the seed is deleted, with the secrets on it") {
					t.Errorf("nobody was told of the seed:\n%s", told)
				}
				h.clean()
			})
		})
	}
}

// A seed cannot be deleted. The error names it, because it holds a password.
// The next plan continues with this seed.
func TestSeedThatStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHomelab(t)
		h.only(1)
		h.sim.Inject(pvetest.Fault{Method: "POST", Path: ".*/141/config", Times: -1, Kind: pvetest.Forbid})
		h.sim.Inject(pvetest.Fault{Method: "DELETE", Path: ".*/content/.*", Times: -1, Kind: pvetest.Forbid})
		plan := h.plan()
		_, err := h.apply(plan)
		var left *install.SeedError
		if !errors.As(err, &left) || left.Volume != plan.SetUps[0].Seed || !strings.Contains(err.Error(), "pvesm free "+left.Volume) {
			t.Fatalf("%v", err)
		}
		h.sim.ClearFaults()
		again := h.plan()
		if len(again.SetUps) != 1 || again.SetUps[0].Seed != left.Volume || !again.First.Empty() {
			t.Fatalf("the second plan does not go on:\n%s", again)
		}
		if _, err := h.apply(again); err != nil {
			t.Error(err)
		}
		h.clean()
	})
}

func TestRefusedWithNothingChanged(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(h *homelab)
		want   error
		says   string
	}{
		"a key with shell characters": {func(h *homelab) { h.guests[1].Linux.Keys = []string{"ssh-ed25519 $(reboot)"} }, firstboot.ErrField, "Keys[0]"},
		"a disk that may hold data": {func(h *homelab) {
			h.spec.VMs[0].Disks[0] = workstation.Disk{Slot: "scsi0", Purpose: storage.Boot, Volume: "local-lvm:vm-140-disk-9"}
		}, install.ErrGuest, "may hold data"},
		"no room for the seed":      {func(h *homelab) { h.sim.FillStorage("local", 75_599_990_000) }, install.ErrGuest, "left"},
		"no storage for the seed":   {func(h *homelab) { h.guests[0].Storage = "elsewhere" }, install.ErrGuest, "no storage elsewhere"},
		"a storage for disks":       {func(h *homelab) { h.guests[0].Storage = "local-lvm" }, install.ErrGuest, "pvesm set local-lvm --content"},
		"no VM":                     {func(h *homelab) { h.guests[0].VMID = 199 }, install.ErrGuest, "no such VM"},
		"both systems":              {func(h *homelab) { h.guests[0].Linux = h.guests[1].Linux }, install.ErrGuest, "one of"},
		"the wrong system":          {func(h *homelab) { h.guests[0].Linux, h.guests[0].Windows = h.guests[1].Linux, nil }, install.ErrGuest, "same kind"},
		"no CD of virtio-win":       {func(h *homelab) { h.spec.VMs[0].Disks = h.spec.VMs[0].Disks[:len(h.spec.VMs[0].Disks)-1] }, install.ErrGuest, "virtio-win"},
		"a CD on virtio-scsi":       {func(h *homelab) { h.spec.VMs[0].Disks[len(h.spec.VMs[0].Disks)-1].Slot = "scsi9" }, install.ErrGuest, "IDE and SATA"},
		"no cloud image":            {func(h *homelab) { h.spec.VMs[1].Disks[0].Import = "" }, install.ErrGuest, "cloud image"},
		"no disk for games":         {func(h *homelab) { h.guests[0].Windows.Games.Slot = "scsi7" }, install.ErrGuest, "no disk in scsi7"},
		"two sources for the guest": {func(h *homelab) { h.spec.VMs[1].Config["ciuser"] = "me" }, install.ErrGuest, "ciuser"},
		"PVE's password":            {func(h *homelab) { h.spec.VMs[1].Password = proxstation.NewSecret("x") }, install.ErrGuest, "cipassword"},
		"no free drive": {func(h *homelab) {
			for i := range 6 {
				h.spec.VMs[0].Disks = append(h.spec.VMs[0].Disks, workstation.Disk{Slot: fmt.Sprintf("sata%d", i), Volume: "none"})
			}
		}, install.ErrGuest, "no free sata"},
		"no room for the games": {func(h *homelab) { h.spec.VMs[0].Disks[3].Size = 100 * storage.TiB }, nil, "scsi1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHomelab(t)
				test.change(h)
				plan, err := install.Diff(h.spec, h.guests, h.facts())
				if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) || !plan.Empty() {
					t.Errorf("%v, want %v with %q\n%s", err, test.want, test.says, plan)
				}
				if writes := h.sim.Writes(); len(writes) != 0 {
					t.Errorf("something was changed: %v", writes)
				}
			})
		})
	}
}

// Apply uploads no seed if the plan has a blocker.
func TestBlockedPlanBringsNoSeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHomelab(t)
		h.spec.VMs[0].Disks[len(h.spec.VMs[0].Disks)-1].Volume = "local:iso/none.iso"
		if _, err := h.apply(h.plan()); !errors.Is(err, workstation.ErrBlocked) {
			t.Error(err)
		}
		if writes := h.sim.Writes(); len(writes) != 0 {
			t.Errorf("something was changed: %v", writes)
		}
	})
}

// In each case, another request to the node fails. The error must name every
// seed that is left. A second attempt must succeed.
func TestFaultsOfASetUp(t *testing.T) {
	t.Parallel()
	share := uint32(6)
	if testing.Short() {
		share = 24
	}
	t.Logf("sampled: one in %d of 72 cases runs; PROXSTATION_WHOLE=1 runs all", share)
	for _, kind := range []pvetest.FaultKind{pvetest.Refuse, pvetest.DropAfter} {
		for _, method := range []string{"POST", "PUT", "DELETE"} {
			for skip := range 12 {
				if !slow.Drawn(fmt.Sprint(kind, method, skip), share) {
					continue
				}
				synctest.Test(t, func(t *testing.T) {
					h := newHomelab(t)
					h.only(1)
					plan := h.plan()
					h.sim.Inject(pvetest.Fault{Method: method, Path: "/(nodes|cluster)/.*", Skip: skip, Kind: kind})
					_, err := h.apply(plan)
					h.sim.ClearFaults()
					var left *install.SeedError
					if seeds := h.seeds(); len(seeds) != 0 && !errors.As(err, &left) {
						t.Fatalf("%s %s %d: %q are left, and nobody says so: %v", kind, method, skip, seeds, err)
					}
					if err == nil {
						return
					}
					h.guests[0].Again = true
					if _, err2 := h.apply(h.plan()); err2 != nil {
						t.Errorf("%s %s %d: %v\nand again: %v", kind, method, skip, err, err2)
					}
					h.clean()
				})
			}
		}
	}
}

// The node does not answer for a while when Apply asks whether the VM is off.
// Apply asks again, and then starts the guest.
func TestOffIsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, kind := range []pvetest.FaultKind{pvetest.DropBefore, pvetest.ProxyDown, pvetest.ProxyTimeout, pvetest.Refuse} {
		for only := range 2 {
			synctest.Test(t, func(t *testing.T) {
				h := newHomelab(t)
				h.only(only)
				plan := h.plan()
				h.sim.Inject(pvetest.Fault{Method: "GET", Path: "/nodes/pve/qemu/.*/agent/file-read", Times: 6, Kind: kind})
				if _, err := h.apply(plan); err != nil {
					t.Errorf("%s: %v", kind, err)
				}
				if n := h.windows.keys(); only == 0 && n != 15 {
					t.Errorf("%s: a key was pressed %d times", kind, n)
				}
				h.clean()
			})
		}
	}
}
