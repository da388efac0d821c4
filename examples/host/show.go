package main

import (
	"slices"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
)

// verdict shows the host's state, and the findings that speak against giving
// the functions to a guest.
func (m *machine) verdict(facts iommu.Facts, addresses []iommu.Address) {
	state, why := facts.State()
	m.say("IOMMU:        %s (%s)", state, why)
	loader, why := facts.BootLoader()
	m.say("boot loader:  %s (%s)", loader, why)
	if facts.Running != nil {
		m.say("kernel:       %s, arguments %s", facts.Kernel, facts.Running)
	}
	for _, a := range addresses {
		fn, _ := facts.Function(a)
		m.say("to be kept:   %s %s, %s", a, fn.Model, driver(fn))
	}
	m.say("")
	for _, finding := range judge(facts, addresses) {
		m.say("%s\n", finding)
	}
}

// judge returns the findings that require an action. They are about the host
// and about the given functions. Each finding is returned once.
func judge(facts iommu.Facts, addresses []iommu.Address) []proxstation.Finding {
	found := facts.Check()
	for _, card := range gpu.Cards(facts.Functions) {
		if slices.Contains(addresses, card.Address()) {
			found = append(found, gpu.Ready(card, gpu.AnyGuest, facts)...)
		}
	}
	for _, a := range addresses {
		found = append(found, facts.CheckDevice(a)...)
	}
	var told []proxstation.Finding
	for _, finding := range found {
		if finding.Severity >= proxstation.Warning && !slices.Contains(told, finding) {
			told = append(told, finding)
		}
	}
	return told
}

// restart shows the changes that the host's next start will make.
func (m *machine) restart(before, after iommu.Facts) {
	m.say("\nWhat the next start of the host changes:")
	configured, err := after.Configured()
	if err == nil && after.Running != nil {
		for _, arg := range configured.Args() {
			if !after.Running.Has(arg) {
				m.say("  kernel argument  + %s", arg)
			}
		}
	}
	for _, a := range after.Kept() {
		fn, _ := before.Function(a)
		m.say("  %s     %s -> driver vfio-pci", a, driver(fn))
	}
	if state, _ := before.State(); state == iommu.Off {
		m.say("  IOMMU            off -> on, if the firmware offers it; go run ./examples/inventory says so then")
	}
}

func driver(fn iommu.Function) string {
	if fn.Driver == "" {
		return "no driver"
	}
	return "driver " + fn.Driver
}
