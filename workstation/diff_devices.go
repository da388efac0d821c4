package workstation

import (
	"maps"
	"slices"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// checkDevices judges the host's devices that a VM will get through its keys or
// its args. When the VM starts, the host loses the whole IOMMU group of each
// device. If the VM has a device already, checkDevices only warns.
func (d *differ) checkDevices(vm VM, have, will map[string]string) {
	facts := d.facts
	facts.Mappings = d.after
	before := facts.handovers(VMFacts{ID: vm.ID, Name: vm.Name, Config: have})
	for _, f := range facts.handovers(VMFacts{ID: vm.ID, Name: vm.Name, Config: will}) {
		if f.Severity == proxstation.Blocker && slices.Contains(before, f) {
			f.Severity, f.Why = proxstation.Warning, "This is so today already. "+f.Why
		}
		d.find(f)
	}
}

// handovers judges every device that a VM takes from the host.
func (f Facts) handovers(v VMFacts) []proxstation.Finding {
	var findings []proxstation.Finding
	host := f.host(v.ID)
	for _, key := range slices.Sorted(maps.Keys(v.Config)) {
		h, err := gpu.ParseHostPCI(v.Config[key])
		if qmconf.Family(key) != "hostpci" || err != nil {
			continue
		}
		if _, known := f.PCI().Mapping(h.Mapping); h.Mapping != "" && !known {
			findings = append(findings, proxstation.Finding{ID: "workstation.mapping-unknown", Severity: proxstation.Warning, Subject: v.String(), Seen: key + ": " + v.Config[key],
				Why: "The login sees no mapping " + h.Mapping + ", so it is not known which device this is, or whether the VM gets the device twice.",
				Fix: "Give the login Mapping.Audit on /mapping/pci/" + h.Mapping + ", or look at it on the node: pvesh get /cluster/mapping/pci/" + h.Mapping + "."})
			continue
		}
		findings = append(findings, host.Check(v.takes(), key, h)...)
	}
	for _, h := range v.claim(v.Config).ByArgs {
		findings = append(findings, host.Check(v.takes(), "args", h)...)
	}
	return findings
}
