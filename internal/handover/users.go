package handover

import (
	"fmt"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
)

// CheckUsers reports other users of a VM's cards: containers, and the host's own
// driver.
func (h Host) CheckUsers(vm VM, containers []gpu.Container) []proxstation.Finding {
	var findings []proxstation.Finding
	var named []gpu.Card
	for _, value := range vm.Values {
		for _, fn := range h.named(value) {
			if card, is := gpu.CardAt(h.PCI.Functions, fn.Address); is && fn.Address == card.Address() {
				named = append(named, card)
			}
		}
	}
	for _, card := range named {
		if driver := card.Display().Driver; driver != "" && driver != "vfio-pci" && driver != "pci-stub" {
			findings = append(findings, proxstation.Finding{ID: "switch.host-driver", Severity: proxstation.Info, Subject: vm.Name, Seen: fmt.Sprintf("the host's driver %s has %s", driver, card.Address()),
				Why: "When the VM starts, PVE takes the card from the driver. The start hangs if a program on the host uses the card.", Fix: "Stop the programs that use it (fuser -v /dev/dri/* /dev/nvidia*), or keep the card from the driver" + comesBack(card) + "."})
		}
		for _, user := range containers {
			if device, uses := user.Uses(card, gpu.Cards(h.PCI.Functions)); uses {
				findings = append(findings, proxstation.Finding{ID: "switch.container", Severity: proxstation.Warning, Subject: fmt.Sprintf("container %d %s", user.VMID, user.Name), Seen: "it runs, and is given " + device,
					Why: fmt.Sprintf("If this device belongs to %s, which %s takes, the container loses the card, and the start may hang until the container releases the card.", card.Address(), vm.Name), Fix: fmt.Sprintf("Shut the container down before the switch (pct shutdown %d), or give the container another card", user.VMID) + comesBack(card) + "."})
			}
		}
	}
	return findings
}

// comesBack returns a text about how the host gets a card back.
func comesBack(card gpu.Card) string {
	return fmt.Sprintf("; after the VM the card stays with vfio-pci, and comes back to the host with: for f in /sys/bus/pci/devices/%s.*; do echo ${f##*/} > $f/driver/unbind; echo ${f##*/} > /sys/bus/pci/drivers_probe; done",
		card.Address().Slot())
}
