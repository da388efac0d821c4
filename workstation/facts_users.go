package workstation

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/pve"
)

// readGuests reads the cluster's guests, and the graphics cards that the node's
// containers use.
func (o *observation) readGuests(ctx context.Context, n *Node) (err error) {
	o.guests, err = n.pve.Guests(ctx)
	o.incomplete(err)
	o.early.Done()
	o.containers(ctx, n, o.guests)
	return err
}

// This reads which running containers use a graphics card of the host. A
// container that could not be read becomes a finding.
func (o *observation) containers(ctx context.Context, n *Node, guests []pve.Guest) {
	var group errgroup.Group
	group.SetLimit(8)
	for _, g := range guests {
		if !g.Container || !g.Running || g.Node != n.name {
			continue
		}
		group.Go(func() error {
			devices, err := n.pve.ContainerCards(ctx, g.VMID)
			switch {
			case err != nil:
				o.note(unread(fmt.Sprintf("container %d %s", g.VMID, g.Name), err, "the container may use the card", fmt.Sprintf("see whether it has a dev key: pct config %d", g.VMID)))
			case len(devices) > 0:
				o.mu.Lock()
				o.facts.CardUsers = append(o.facts.CardUsers, gpu.Container{VMID: g.VMID, Name: g.Name, Devices: devices})
				o.mu.Unlock()
			}
			return nil
		})
	}
	_ = group.Wait() // the findings already report every error
	slices.SortFunc(o.facts.CardUsers, func(a, b gpu.Container) int { return a.VMID - b.VMID })
}

// cardUsers reports other users of a member's card: containers, a hookscript of
// the VM, the host's own driver.
func (f Facts) cardUsers(v VMFacts) []proxstation.Finding {
	var findings []proxstation.Finding
	if hook := v.Config["hookscript"]; hook != "" {
		findings = append(findings, proxstation.Finding{ID: "switch.hookscript", Severity: proxstation.Info, Subject: v.String(), Seen: "hookscript: " + hook,
			Why: "The script runs before the start and after the stop of the VM. If it gives the card back to the host's driver after the stop, it does so while the other VM starts.",
			Fix: fmt.Sprintf("Read it (pvesm path %s), and let it bind the card to the host only if no other VM is about to get the card.", hook)})
	}
	return append(findings, f.host(v.ID).CheckUsers(v.takes(), f.CardUsers)...)
}
