package workstation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// preflightNoCard reports a target without any PCI device, which PVE starts
// without the card. It is no blocker: a guest may be installed before it gets
// its card. There is no finding about VMs that take turns with USB devices
// alone. The finding about a running target is about the configuration with
// which the target runs.
func preflightNoCard(db DualBoot, target VMFacts, facts Facts) []proxstation.Finding {
	f := proxstation.Finding{ID: "switch.no-card", Severity: proxstation.Warning, Subject: target.String(), Seen: "its configuration has no hostpci key",
		Why: "PVE starts the VM, but without the card.",
		Fix: fmt.Sprintf("If a plan for the VM was interrupted, apply it again; or give the VM the card: qm set %d --hostpci0 mapping=NAME,pcie=1.", target.ID)}
	config := target.Config
	if target.Running {
		config = target.now()
		f.Seen, f.Why = "the configuration with which it runs has no hostpci key", "The VM runs without the card."
		if target.takesPCI(target.Config) {
			f.Fix = "Shut the VM down and start it again: its next start gives it the card."
		}
	}
	shares := func(id int) bool { return facts.VMs[id].takesPCI(facts.VMs[id].Config) }
	byUSB := func(key string) bool {
		return qmconf.Family(key) == "usb" && !strings.HasPrefix(config[key], "spice")
	}
	switch {
	case target.takesPCI(config):
		return nil
	case slices.ContainsFunc(db.Members, shares):
	case slices.ContainsFunc(slices.Collect(maps.Keys(config)), byUSB):
		return nil
	default:
		f.Severity = proxstation.Info // perhaps no member is to have a card
	}
	return []proxstation.Finding{f}
}

// takesPCI reports whether the VM takes a PCI device with a configuration. A
// value that cannot be read counts as a device.
func (v VMFacts) takesPCI(config map[string]string) bool {
	claim := v.claim(config)
	return len(claim.Values)+len(claim.ByArgs)+len(claim.Unread) > 0
}
