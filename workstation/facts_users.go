package workstation

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/pve"
)

// guests reads the cluster's guests, and the graphics cards that the node's
// containers use.
func (o *observation) guests(ctx context.Context, n *Node) ([]pve.Guest, error) {
	guests, err := n.pve.Guests(ctx)
	o.containers(ctx, n, guests)
	return guests, err
}

// containers reads which running containers use a graphics card of the host. A
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
				o.facts.CardUsers = append(o.facts.CardUsers, CardUser{VMID: g.VMID, Name: g.Name, Devices: devices})
				o.mu.Unlock()
			}
			return nil
		})
	}
	_ = group.Wait() // the findings already report every error
	slices.SortFunc(o.facts.CardUsers, func(a, b CardUser) int { return a.VMID - b.VMID })
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
	var named []gpu.Card
	for _, h := range v.devices() {
		for _, fn := range f.functionsOf(h) {
			if card, is := gpu.CardAt(f.IOMMU.Functions, fn.Address); is && fn.Address == card.Address() {
				named = append(named, card)
			}
		}
	}
	for _, card := range named {
		if driver := card.Display().Driver; driver != "" && driver != "vfio-pci" && driver != "pci-stub" {
			findings = append(findings, proxstation.Finding{ID: "switch.host-driver", Severity: proxstation.Info, Subject: v.String(), Seen: fmt.Sprintf("the host's driver %s has %s", driver, card.Address()),
				Why: "PVE takes the card from the driver when the VM starts, which hangs if a program on the host uses the card.", Fix: "Stop the programs that use it (fuser -v /dev/dri/* /dev/nvidia*), or keep the card from the driver" + comesBack(card) + "."})
		}
		for _, user := range f.CardUsers {
			if device, uses := user.uses(card, f.Cards()); uses {
				findings = append(findings, proxstation.Finding{ID: "switch.container", Severity: proxstation.Warning, Subject: fmt.Sprintf("container %d %s", user.VMID, user.Name), Seen: "it runs, and is given " + device,
					Why: fmt.Sprintf("If that is %s, which %s takes, the container loses it, and the start may hang until the container releases the card.", card.Address(), v), Fix: fmt.Sprintf("Shut it down before the switch (pct shutdown %d), or give it another card", user.VMID) + comesBack(card) + "."})
			}
		}
	}
	return findings
}

// uses returns the device node by which a container may use a card. A node
// below /dev/dri does not show to which card it belongs. For an NVIDIA card it
// counts only if every card of the host is an NVIDIA card.
func (u CardUser) uses(card gpu.Card, cards []gpu.Card) (device string, uses bool) {
	isNVIDIA := func(c gpu.Card) bool { return c.Model().Vendor == gpu.NVIDIA }
	onlyNVIDIA := !slices.ContainsFunc(cards, func(c gpu.Card) bool { return !isNVIDIA(c) })
	for _, device := range u.Devices {
		nvidia := strings.HasPrefix(device, "/dev/nvidia")
		if nvidia == isNVIDIA(card) || !nvidia && onlyNVIDIA {
			return device, true
		}
	}
	return "", false
}

// comesBack returns a text about how the host gets a card back.
func comesBack(card gpu.Card) string {
	return fmt.Sprintf("; after the VM the card stays with vfio-pci, and comes back to the host with: for f in /sys/bus/pci/devices/%s.*; do echo ${f##*/} > $f/driver/unbind; echo ${f##*/} > /sys/bus/pci/drivers_probe; done",
		card.Address().Slot())
}
