package workstation_test

import (
	"maps"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// If the answer to a shutdown is lost, the shutdown may take longer than the
// time that the guest has for it. The lease lasts for the whole shutdown, and
// no other controller begins meanwhile.
func TestALeaseOutlastsALostAnswer(t *testing.T) {
	t.Parallel()
	host := pair()
	third := pvetest.VM{ID: 142, Config: maps.Clone(host.VMs[1].Config)}
	third.Config["name"], third.Config["scsi0"] = "steamos", "local-lvm:vm-142-disk-0,size=64G"
	delete(third.Config, "hostpci0")
	host.VMs = append(host.VMs, third)
	scenario(t, host, func(t *testing.T, sim *pvetest.Node, _ *workstation.Node) {
		time.Sleep(time.Minute)
		sim.SetGuest(140, pvetest.Guest{Shutdown: 285 * time.Second})
		sim.Inject(pvetest.Fault{Path: "/nodes/pve/qemu/140/status/shutdown", Kind: pvetest.HangAfter})
		var group errgroup.Group
		for owner, to := range map[string]int{"one": 141, "two": 142} {
			group.Go(func() error {
				if owner == "two" {
					time.Sleep(5 * time.Second)
				}
				db := workstation.DualBoot{Members: []int{140, 141, 142}, Owner: owner, Grace: 239 * time.Second}
				return open(sim).Switch(t.Context(), db, to, nil)
			})
		}
		if err := group.Wait(); err != nil {
			t.Error(err)
		}
		if len(sim.Running()) != 1 {
			t.Errorf("running: %v", sim.Running())
		}
	})
}

// A controller that lost its lease to another controller starts nothing.
func TestAControllerThatWasOvertakenStartsNothing(t *testing.T) {
	t.Parallel()
	scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		time.Sleep(time.Minute)
		err := node.Switch(t.Context(), both, 141, func(e workstation.Event) {
			if e.Phase == workstation.PhaseFree {
				_ = sim.Edit(140, "description", "<!-- proxstation-lease {\"owner\":\"other\",\"id\":\"x\",\"to\":140,\"phase\":\"check\",\"ttl\":60000000000} -->")
			}
		})
		if err == nil || len(sim.Running()) != 0 {
			t.Errorf("%v, running: %v", err, sim.Running())
		}
		if err := sim.Edit(140, "description", "made by hand"); err != nil {
			t.Fatal(err)
		}
	})
}
