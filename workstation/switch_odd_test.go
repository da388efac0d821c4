package workstation_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// An error occurs between two requests of a switch. The switch must then report
// the true state of the VMs.
func TestSwitchIsTruthful(t *testing.T) {
	t.Parallel()
	const shutdown = "/nodes/pve/qemu/140/status/shutdown"
	for name, test := range map[string]struct {
		fault   pvetest.Fault
		inPhase func(phase workstation.Phase, sim *pvetest.Node, cancel func())
		phase   workstation.Phase // the phase of the SwitchError; "" if the switch succeeds
		running int
		anew    bool // whether the VM that ran before was started again
		says    string
		within  time.Duration
	}{
		"cancelled when the guest has shut down": {
			inPhase: func(phase workstation.Phase, _ *pvetest.Node, cancel func()) {
				if phase == workstation.PhaseFree {
					cancel()
				}
			}, phase: workstation.PhaseFree, running: 140, anew: true, says: "VM 140 runs again", within: time.Minute},
		"cancelled before it has": {
			inPhase: func(phase workstation.Phase, _ *pvetest.Node, cancel func()) {
				if phase == workstation.PhaseStop {
					cancel()
				}
			}, phase: workstation.PhaseStop, running: 140, says: "VM 140 is running", within: time.Minute},
		"the target is destroyed": {
			inPhase: func(phase workstation.Phase, sim *pvetest.Node, _ func()) {
				if _, there := sim.VM(141); phase == workstation.PhaseFree && there {
					_ = sim.DestroyVM(141)
				}
			}, phase: workstation.PhaseStart, running: 140, anew: true, says: "does not exist", within: 2 * time.Minute},
		"a shutdown that is never answered":   {fault: pvetest.Fault{Path: shutdown, Kind: pvetest.HangAfter}, running: 141, within: 3 * time.Minute},
		"a shutdown that does not arrive":     {fault: pvetest.Fault{Path: shutdown, Kind: pvetest.DropBefore}, running: 141, within: 2 * time.Minute},
		"a shutdown that cannot be passed on": {fault: pvetest.Fault{Path: shutdown, Kind: pvetest.ProxyDown, Times: 2}, running: 141, within: 2 * time.Minute},
		"a shutdown that never arrives":       {fault: pvetest.Fault{Path: shutdown, Kind: pvetest.DropBefore, Times: -1}, phase: workstation.PhaseStop, running: 140, says: "EOF", within: 5 * time.Minute},
		"a target that powers off as it boots": {inPhase: func(_ workstation.Phase, sim *pvetest.Node, _ func()) {
			sim.SetGuest(141, pvetest.Guest{Panic: true, NoAgent: true})
		}, phase: workstation.PhaseUp, running: 140, anew: true, says: "not running any more", within: 2 * time.Minute},
		"tickets that are void in every moment": {inPhase: func(_ workstation.Phase, sim *pvetest.Node, _ func()) { sim.Logout() }, running: 141, within: 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, _ *workstation.Node) {
				node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: sim.URL(), Username: "root@pam", Password: "secret", Transport: sim.Transport()}, "", nil)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if test.fault.Path != "" {
					sim.Inject(test.fault)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				began := time.Now()
				err = node.Switch(ctx, both, 141, func(e workstation.Event) {
					if test.inPhase != nil {
						test.inPhase(e.Phase, sim, cancel)
					}
				})
				if took := time.Since(began); took > test.within {
					t.Errorf("it took %s", took)
				}
				wantRunning(t, sim, test.running)
				var failed *workstation.SwitchError
				switch {
				case test.phase == "":
					if err != nil {
						t.Error(err)
					}
				case !errors.As(err, &failed) || failed.Phase != test.phase || failed.Running != test.running || failed.Returned != test.anew || !strings.Contains(err.Error(), test.says):
					t.Errorf("%v: %+v", err, failed)
				}
				if state, _ := sim.VM(test.running); test.running == 140 && state.Since.After(began) != test.anew {
					t.Errorf("VM 140 was started again: %v", !test.anew)
				}
			})
		})
	}
}

// If the running member is locked, the switch reports that immediately,
// although it cannot write the lease into that member's description.
func TestSwitchFromALockedVM(t *testing.T) {
	t.Parallel()
	scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		time.Sleep(time.Minute)
		if err := sim.Lock(140, "backup"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var blocked *workstation.BlockedError
		err := node.Switch(t.Context(), both, 141, nil)
		if !errors.As(err, &blocked) || ids(blocked.Findings) != "switch.holder-locked" || time.Since(began) > 30*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// If two callers ask one Node for switches in opposite directions, the Node
// performs one switch after the other.
func TestSwitchesOfOneProgram(t *testing.T) {
	t.Parallel()
	for _, owner := range []string{"", "the same"} {
		scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
			time.Sleep(time.Minute)
			var group errgroup.Group
			for i := range 6 {
				group.Go(func() error {
					return node.Switch(t.Context(), workstation.DualBoot{Members: both.Members, Owner: owner}, 140+i%2, nil)
				})
			}
			if err := group.Wait(); err != nil {
				t.Errorf("owner %q: %v", owner, err)
			}
			if len(sim.Running()) != 1 {
				t.Errorf("running: %v", sim.Running())
			}
		})
	}
}

// If a status request is not answered, Watch yields an error and then the next
// status.
func TestWatchGoesOn(t *testing.T) {
	t.Parallel()
	scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		time.Sleep(time.Minute)
		seen := ""
		for _, err := range node.Watch(t.Context(), both, time.Second) {
			if seen += map[bool]string{true: "+", false: "-"}[err == nil]; seen == "+" {
				sim.Inject(pvetest.Fault{Method: "GET", Path: "/nodes/pve/qemu", Kind: pvetest.HangAfter})
			}
			if len(seen) == 3 {
				break
			}
		}
		if seen != "+-+" {
			t.Errorf("statuses %s", seen)
		}
	})
}

// While the first member is hibernated, the lease is in the description of
// another member. There, too, other controllers respect the lease.
func TestALeaseBesideAHibernatedVM(t *testing.T) {
	t.Parallel()
	for _, other := range []bool{false, true} {
		host := pair()
		host.VMs[0].Running, host.VMs[0].Config["lock"] = false, "suspended"
		scenario(t, host, func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
			began := time.Now()
			if other {
				if err := sim.Edit(141, "description", leaseOf("other", "x", 0, 140, time.Minute)); err != nil {
					t.Fatal(err)
				}
			}
			held := false
			if err := node.Switch(t.Context(), both, 140, func(workstation.Event) {
				state, _ := sim.VM(141)
				held = held || strings.Contains(state.Config["description"], `"owner":"test"`)
			}); err != nil {
				t.Fatal(err)
			}
			if !held || (time.Since(began) > time.Minute) != other {
				t.Errorf("beside another %v: it held the lease: %v, and took %s", other, held, time.Since(began))
			}
			if status, err := node.Status(t.Context(), both); err != nil || status.Running != 140 || status.Lease != nil {
				t.Errorf("%+v, %v", status, err)
			}
		})
	}
}
