package gpu

import (
	"fmt"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

// slot says what else is in the card's slot.
func (j *judgement) slot() {
	var others []string
	for _, f := range j.card.foreign() {
		others = append(others, fmt.Sprintf("%s (class %04x)", f.Address, f.Class.Sub()))
	}
	if len(others) > 0 {
		j.add(proxstation.Finding{ID: "gpu.foreign-functions", Severity: proxstation.Warning, Seen: "in the card's slot: " + strings.Join(others, ", "),
			Why: "passing the whole device takes these from the host too", Fix: "pass the card's own functions one by one, each by a mapping of its own: " + j.card.Address().String()})
	}
}

// virtual says what SR-IOV makes of the card (Documentation/PCI/pci-iov-howto.rst).
func (j *judgement) virtual() {
	if of := j.card.Display().VirtualOf; of != nil {
		j.add(proxstation.Finding{ID: "gpu.virtual-function", Severity: proxstation.Info, Seen: "physfn: " + of.String(),
			Why: "it is a part of " + of.String() + ", which stays with the host; it is there only after something has written sriov_numvfs",
			Fix: "set sriov_numvfs at each start of the host before the VM starts, and pass " + j.card.Address().String() + " alone, not the slot"})
		return
	}
	var parts []string
	for _, f := range j.facts.Functions {
		if f.VirtualOf != nil && contains(j.card.Functions, *f.VirtualOf) {
			parts = append(parts, f.Address.String())
		}
	}
	if len(parts) > 0 {
		j.add(proxstation.Finding{ID: "gpu.virtual-functions", Severity: proxstation.Warning, Seen: "virtual functions: " + strings.Join(parts, ", "),
			Why: "they are gone as soon as the host's driver lets go of the card: no guest can have one while another has the card",
			Fix: "pass the virtual functions instead, or write 0 to sriov_numvfs before"})
	}
}

// audio finds the sound of a card that has it in another slot: Intel's discrete
// cards are a switch of their own with the display behind one port and the
// audio controller (8086:4f90 and others) behind the next.
func (j *judgement) audio() {
	if j.card.Model().Vendor != Intel || j.card.Integrated() {
		return
	}
	above := j.upstream(j.card.Address())
	for _, f := range j.facts.Functions {
		port := j.upstream(f.Address)
		if f.Class.Sub() != 0x0403 || f.Model.Vendor != Intel || above == nil || port == nil || *above != *port || contains(j.card.Functions, f.Address) {
			continue
		}
		j.add(proxstation.Finding{ID: "gpu.separate-audio", Severity: proxstation.Info, Seen: f.Address.String() + " (" + f.Model.String() + ") is below the card's own switch " + above.String(),
			Why: "the sound of the card's connectors is a device of its own: the guest has none without it", Fix: "pass " + f.Address.Slot() + " too"})
	}
}

// upstream returns the bridge above the port that a function is below, nil if
// there is none or it is not known.
func (j *judgement) upstream(a iommu.Address) *iommu.Address {
	f, _ := j.facts.Function(a)
	if f.Parent == nil {
		return nil
	}
	port, _ := j.facts.Function(*f.Parent)
	return port.Parent
}

// external says what a card in an enclosure behind Thunderbolt or USB4 takes.
func (j *judgement) external() {
	if j.card.Display().Removable != proxstation.Yes {
		return
	}
	j.add(proxstation.Finding{ID: "gpu.external", Severity: proxstation.Warning, Seen: "removable: removable",
		Why: "the card is outside, behind Thunderbolt or USB4: it is there only once it is authorized, perhaps at another address, and pulling it while a guest has it can hang the host",
		Fix: "have it authorized at each start of the host (boltctl enroll), start the VM with a delay, and switch the VM off before unplugging"})
}
