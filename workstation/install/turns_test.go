package install_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/install"
)

// Another member of the guest's set runs. Apply then changes nothing. If the
// other member starts during Apply, the guest is not started.
func TestAnotherMemberOfTheSetRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHomelab(t)
		set := workstation.DualBoot{Members: []int{140, 141}}
		windows, linux, vms := h.guests[:1], h.guests[1:], h.spec.VMs
		windows[0].Set, linux[0].Set = set, set
		h.guests, h.spec.VMs = windows, vms[:1]
		if _, err := h.apply(h.plan()); err != nil {
			t.Fatal(err)
		}
		h.guests, h.spec.VMs = linux, vms
		plan := h.plan()
		if findings, err := plan.Turns(t.Context(), h.node); err != nil || len(findings) != 1 || findings[0].ID != "install.member-runs" {
			t.Fatalf("%v, %v: VM 140 runs", findings, err)
		}
		if findings, err := plan.Turns(t.Context(), h.node, 140); err != nil || len(findings) != 0 {
			t.Errorf("%v, %v: VM 140 will be shut down", findings, err)
		}
		var blocked *workstation.BlockedError
		if _, err := h.apply(plan); !errors.As(err, &blocked) || !slices.Equal(h.sim.VMs(), []int{140}) {
			t.Fatalf("%v, VMs %v: want a refusal, and no change", err, h.sim.VMs())
		}
		if err := h.node.Shutdown(t.Context(), 140, 0); err != nil {
			t.Fatal(err)
		}
		h.progress = func(e workstation.Event) {
			if e.VMID == 141 && e.Phase == install.PhaseInstall && e.Message == "starting" {
				if err := h.node.Start(t.Context(), 140); err != nil {
					t.Error(err)
				}
			}
		}
		_, err := h.apply(plan)
		if !errors.Is(err, install.ErrSetup) || !errors.As(err, &blocked) || !strings.Contains(err.Error(), "VM 140") {
			t.Errorf("%v: want the member that runs", err)
		}
		if running := h.sim.Running(); !slices.Equal(running, []int{140}) {
			t.Errorf("%d run: want the member that ran before", running)
		}
		h.clean()
	})
}

// One plan sets up two members of a set, which have no card in common. Apply
// shuts the first member down before it starts the second.
func TestSetUpsOfOneSetTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHomelab(t)
		for i := range h.guests {
			h.guests[i].Set = workstation.DualBoot{Members: []int{140, 141}}
		}
		delete(h.spec.VMs[0].Config, "hostpci0")
		delete(h.spec.VMs[0].Defaults, "hostpci0")
		reports, err := h.apply(h.plan())
		if err != nil || len(reports) != 2 {
			t.Fatalf("%d reports, %v", len(reports), err)
		}
		if running := h.sim.Running(); !slices.Equal(running, []int{141}) {
			t.Errorf("%d run: want the last", running)
		}
	})
}
