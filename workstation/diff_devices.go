package workstation

import (
	"slices"
	"sync"

	"github.com/proxstation/proxstation"
)

// checkDevices judges the host's devices that a VM will get through its keys or
// its args. When the VM starts, the host loses the whole IOMMU group of each
// device. If the VM has a device already, checkDevices only warns.
func (d *differ) checkDevices(vm VM, have, will map[string]string) {
	facts := d.facts
	facts.Mappings = d.after
	before := sync.OnceValue(func() []proxstation.Finding { return facts.handovers(VMFacts{ID: vm.ID, Name: vm.Name, Config: have}) })
	for _, f := range facts.handovers(VMFacts{ID: vm.ID, Name: vm.Name, Config: will}) {
		if f.Severity == proxstation.Blocker && slices.Contains(before(), f) {
			f.Severity, f.Why = proxstation.Warning, "This is so today already. "+f.Why
		}
		d.find(f)
	}
}

// handovers judges every device that a VM takes from the host.
func (f Facts) handovers(v VMFacts) []proxstation.Finding {
	claim, takes := v.claim(v.Config), v.takes()
	if len(takes.Values) == 0 {
		return nil
	}
	var findings []proxstation.Finding
	host := f.host(v.ID)
	for i, h := range claim.Values {
		key := claim.Keys[i]
		if _, known := f.PCI().Mapping(h.Mapping); h.Mapping != "" && !known {
			findings = append(findings, proxstation.Finding{ID: "workstation.mapping-unknown", Severity: proxstation.Warning, Subject: v.String(), Seen: key + ": " + v.Config[key],
				Why: "The login sees no mapping " + h.Mapping + ", so it is not known which device this is, or whether the VM gets the device twice.",
				Fix: "Give the login Mapping.Audit on /mapping/pci/" + h.Mapping + ", or look at it on the node: pvesh get /cluster/mapping/pci/" + h.Mapping + "."})
			continue
		}
		findings = append(findings, host.Check(takes, key, h)...)
	}
	for _, h := range claim.ByArgs {
		findings = append(findings, host.Check(takes, "args", h)...)
	}
	return findings
}
