package workstation_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// pair returns a host with two workstations: Windows, which runs, and Linux.
func pair() pvetest.Host {
	host := pvetest.Reference()
	host.Mappings = []pvetest.Mapping{{ID: "rtx5070ti", Map: []string{"node=pve,path=0000:01:00,id=10de:2c05,iommugroup=12,subsystem-id=1462:5315"}}}
	for id, name := range map[int]string{140: "windows", 141: "linux-ai"} {
		host.VMs = append(host.VMs, pvetest.VM{ID: id, Running: id == 140, Config: map[string]string{
			"name": name, "memory": "16384", "machine": "q35", "bios": "ovmf", "agent": "enabled=1", "hostpci0": "mapping=rtx5070ti,pcie=1",
			"scsi0":       map[int]string{140: "local-lvm:vm-140-disk-0,size=64G", 141: "local-lvm:vm-141-disk-0,size=64G"}[id],
			"description": "made by hand",
		}})
	}
	slices.SortFunc(host.VMs, func(a, b pvetest.VM) int { return a.ID - b.ID })
	return host
}

var both = workstation.DualBoot{Members: []int{140, 141}, Owner: "test"}

// returning is the same set as "both", but with ReturnIfNotUp: a switch goes
// back if the target is not up in time.
var returning = workstation.DualBoot{Members: both.Members, Owner: both.Owner, ReturnIfNotUp: true}

// scenario runs a test against a fresh node of the host, in its own synctest
// bubble.
func scenario(t *testing.T, host pvetest.Host, play func(t *testing.T, sim *pvetest.Node, node *workstation.Node)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(host, nil)
		play(t, sim, open(sim))
		if err := sim.Check(); err != nil {
			t.Error(err)
		}
		for _, id := range []int{140, 141} {
			if state, ok := sim.VM(id); ok && state.Config["description"] != "made by hand" {
				t.Errorf("VM %d is left with the description %q", id, state.Config["description"])
			}
		}
	})
}

func wantRunning(t *testing.T, sim *pvetest.Node, want ...int) {
	t.Helper()
	if got := sim.Running(); !slices.Equal(got, want) {
		t.Errorf("running: %v, want %v", got, want)
	}
}

func TestSwitchHandsTheCardOver(t *testing.T) {
	t.Parallel()
	scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		time.Sleep(time.Minute) // by then Windows has booted
		var phases []workstation.Phase
		limits := map[workstation.Phase]time.Duration{workstation.PhaseStop: 3 * time.Minute, workstation.PhaseFree: 3 * time.Minute,
			workstation.PhaseStart: 5 * time.Minute, workstation.PhaseUp: 5 * time.Minute}
		err := node.Switch(t.Context(), both, 141, func(e workstation.Event) {
			if e.Limit != limits[e.Phase] || e.Limit > 0 && e.Elapsed > e.Limit {
				t.Errorf("phase %s after %s: the limit is %s, want %s", e.Phase, e.Elapsed, e.Limit, limits[e.Phase])
			}
			if len(phases) == 0 || phases[len(phases)-1] != e.Phase {
				phases = append(phases, e.Phase)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		wantRunning(t, sim, 141)
		want := []workstation.Phase{workstation.PhaseCheck, workstation.PhaseStop, workstation.PhaseFree, workstation.PhaseStart,
			workstation.PhaseUp, workstation.PhaseDone}
		if !slices.Equal(phases, want) {
			t.Errorf("phases %v, want %v", phases, want)
		}
	})
}

func TestSwitchToWhatRunsWritesNothing(t *testing.T) {
	t.Parallel()
	scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		time.Sleep(time.Minute)
		if err := node.Switch(t.Context(), both, 140, nil); err != nil {
			t.Fatal(err)
		}
		for _, request := range sim.Trace() {
			if request.Method != "GET" && !strings.HasSuffix(request.Path, "/agent/ping") {
				t.Errorf("it writes: %s", request)
			}
		}
	})
}

func TestSwitchFromNothingStartsTheTarget(t *testing.T) {
	t.Parallel()
	host := pair()
	host.VMs[0].Running = false
	scenario(t, host, func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		if err := node.Switch(t.Context(), both, 141, nil); err != nil {
			t.Fatal(err)
		}
		wantRunning(t, sim, 141)
	})
}

func TestSwitchFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		prepare  func(sim *pvetest.Node)
		phase    workstation.Phase
		running  int
		returned bool
		cause    error
		says     string
	}{
		{"a guest that does not shut down", func(sim *pvetest.Node) { sim.SetGuest(140, pvetest.Guest{Hang: true}) },
			workstation.PhaseStop, 140, false, nil, "got timeout"},
		{"a start task that fails late", func(sim *pvetest.Node) {
			sim.Inject(pvetest.Fault{Task: "qmstart", VMID: 141, Kind: pvetest.TaskFails, Message: "start failed: QEMU exited with code 1"})
		}, workstation.PhaseStart, 140, true, nil, "QEMU exited"},
		{"a start that is refused", func(sim *pvetest.Node) {
			sim.Inject(pvetest.Fault{Method: "POST", Path: "/nodes/pve/qemu/141/status/start", Kind: pvetest.Refuse, Message: "no quorum"})
		}, workstation.PhaseStart, 140, true, nil, "no quorum"},
		{"a guest that never comes up", func(sim *pvetest.Node) { sim.SetGuest(141, pvetest.Guest{NoAgent: true}) },
			workstation.PhaseUp, 140, true, workstation.ErrAgent, "not up in time"},
		{"a guest that powers off as it boots", func(sim *pvetest.Node) { sim.SetGuest(141, pvetest.Guest{NoAgent: true, Panic: true}) },
			workstation.PhaseUp, 140, true, nil, "not running any more"},
		{"a card that fell off the bus", func(sim *pvetest.Node) { sim.LoseCard("0000:01:00") },
			workstation.PhaseStart, 0, false, nil, "stuck in D3"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
				time.Sleep(time.Minute)
				test.prepare(sim)
				err := node.Switch(t.Context(), returning, 141, nil)
				var failed *workstation.SwitchError
				if !errors.As(err, &failed) {
					t.Fatalf("error %v, want a SwitchError", err)
				}
				if failed.Phase != test.phase || failed.Running != test.running || failed.Returned != test.returned {
					t.Errorf("%v: phase %s, running %d, returned %v; want %s, %d, %v", err, failed.Phase, failed.Running, failed.Returned,
						test.phase, test.running, test.returned)
				}
				if test.cause != nil && !errors.Is(err, test.cause) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("error %q, want %v and %q", err, test.cause, test.says)
				}
				if test.running == 0 {
					wantRunning(t, sim)
				} else {
					wantRunning(t, sim, test.running)
				}
			})
		})
	}
}

func TestSwitchIsBlockedBeforeAnybodyLosesTheirDesktop(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(sim *pvetest.Node) error
		id      string
	}{
		{"a backup has the target", func(sim *pvetest.Node) error { return sim.Lock(141, "backup") }, "switch.locked"},
		{"a backup has the VM that runs", func(sim *pvetest.Node) error { return sim.Lock(140, "backup") }, "switch.holder-locked"},
		{"the card moved", func(sim *pvetest.Node) error { sim.MoveCard("0000:01:00", "0000:03:00", 12); return nil }, "gpu.mapping-gone"},
		{"the card's group changed", func(sim *pvetest.Node) error { sim.MoveCard("0000:01:00", "0000:01:00", 17); return nil }, "gpu.mapping-group"},
		{"the target wants more memory than there is", func(sim *pvetest.Node) error { return sim.Edit(141, "memory", "99999") }, "switch.memory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sim := pvetest.New(pair(), nil)
				if err := test.prepare(sim); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				db := both
				db.NoLease = true // a locked member cannot hold a lease
				err := open(sim).Switch(ctx, db, 141, nil)
				var blocked *workstation.BlockedError
				if !errors.As(err, &blocked) {
					t.Fatalf("error %v, want a BlockedError", err)
				}
				if !slices.ContainsFunc(blocked.Findings, func(f proxstation.Finding) bool { return f.ID == test.id }) {
					t.Errorf("findings %v, want %s", blocked.Findings, test.id)
				}
				wantRunning(t, sim, 140)
			})
		})
	}
}

func TestSwitchThatIsCancelledLeavesADefinedState(t *testing.T) {
	t.Parallel()
	scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		time.Sleep(time.Minute)
		sim.SetGuest(140, pvetest.Guest{Shutdown: time.Minute})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		err := node.Switch(ctx, both, 141, nil)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the context's", err)
		}
		wantRunning(t, sim, 140)
	})
}

func TestTwoControllersDoNotFight(t *testing.T) {
	t.Parallel()
	scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		time.Sleep(time.Minute)
		done := make(chan error, 2)
		for i, to := range []int{141, 140} {
			db := both
			db.Owner = []string{"sofa", "desk"}[i]
			go func() { done <- open(sim).Switch(t.Context(), db, to, nil) }()
			time.Sleep(2 * time.Second) // the second call comes while the first is at work
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestALeaseOfADeadControllerIsTakenOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(pair(), nil)
		dead := `made by hand
<!-- proxstation-lease {"owner":"dead","id":"x","to":141,"from":140,"phase":"stop","ttl":60000000000} -->`
		if err := sim.Edit(140, "description", dead); err != nil {
			t.Fatal(err)
		}
		if err := sim.PowerOff(140); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := open(sim).Switch(t.Context(), both, 141, nil); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(begin); waited < time.Minute || waited > 3*time.Minute {
			t.Errorf("it took the lease over after %s, want its TTL of a minute and the boot", waited)
		}
		wantRunning(t, sim, 141)
	})
}

// A set may have more than two members. The running member hands the card to
// the requested member, and later gets it back.
func TestSwitchAmongThree(t *testing.T) {
	t.Parallel()
	host := pair()
	third := pvetest.VM{ID: 142, Config: maps.Clone(host.VMs[1].Config)}
	third.Config["name"], third.Config["scsi0"] = "steamos", "local-lvm:vm-142-disk-0,size=64G"
	host.VMs = append(host.VMs, third)
	three := workstation.DualBoot{Members: []int{142, 140, 141}, Owner: "test", ReturnIfNotUp: true}
	scenario(t, host, func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		time.Sleep(time.Minute)
		for _, to := range []int{142, 141, 140, 142} {
			if err := node.Switch(t.Context(), three, to, nil); err != nil {
				t.Fatal(err)
			}
			wantRunning(t, sim, to)
		}
		sim.SetGuest(141, pvetest.Guest{NoAgent: true})
		var failed *workstation.SwitchError
		if err := node.Switch(t.Context(), three, 141, nil); !errors.As(err, &failed) || !failed.Returned || failed.Running != 142 {
			t.Errorf("a switch to a guest that does not come up: %v", err)
		}
		wantRunning(t, sim, 142)
	})
}
