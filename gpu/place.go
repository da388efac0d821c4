package gpu

import (
	"errors"
	"fmt"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

// The method "slot" reports functions in the card's slot that do not belong to
// the card. It skips functions in the card's IOMMU groups, which
// iommu.shared-group reports.
func (j *judgement) slot() {
	groups := map[iommu.GroupID]bool{}
	var own []string
	for _, a := range j.card.Own() {
		f, _ := j.facts.Function(a)
		groups[f.Group] = true
		own = append(own, a.String())
	}
	var others []string
	for _, f := range j.card.foreign() {
		if _, known := f.Group.Int(); !known || !groups[f.Group] {
			others = append(others, fmt.Sprintf("%s (class %04x)", f.Address, f.Class.Sub()))
		}
	}
	if len(others) > 0 {
		j.add(proxstation.Finding{ID: "gpu.foreign-functions", Severity: proxstation.Info, Seen: "in the card's slot, in other groups: " + strings.Join(others, ", "),
			Why: "These functions belong to the host, which would lose them if the whole slot were passed.",
			Fix: "Pass the card's own functions one by one (hostpci0: " + strings.Join(own, ", hostpci1: ") + "), never " + j.card.Address().Slot() + "."})
	}
}

// The method "virtual" reports what SR-IOV means for the card, which may be a
// physical or a virtual function (Documentation/PCI/pci-iov-howto.rst).
func (j *judgement) virtual() {
	if of := j.card.Display().VirtualOf; of != nil {
		j.add(proxstation.Finding{ID: "gpu.virtual-function", Severity: proxstation.Info, Seen: "physfn: " + of.String(),
			Why: "It is a virtual function of " + of.String() + ", which stays with the host. It exists only after sriov_numvfs has been written.",
			Fix: "Set sriov_numvfs at each start of the host before the VM starts, and pass " + j.card.Address().String() + " alone, not the slot."})
		return
	}
	if parts := j.parts(); parts != "" {
		j.add(proxstation.Finding{ID: "gpu.virtual-functions", Severity: proxstation.Warning, Seen: "virtual functions: " + parts,
			Why: "The virtual functions are gone as soon as the host's driver releases the card, so no guest can have a virtual function while another guest has the card.",
			Fix: "Pass the virtual functions instead, or write 0 to sriov_numvfs before."})
	}
}

// The method "audio" finds the sound function of a card whose audio controller is
// in another slot. Intel's discrete cards hold a PCIe switch: the display is
// behind one port, and the audio controller (8086:4f90 and others) is behind
// the next port.
func (j *judgement) audio() {
	if j.card.Model().Vendor == Intel && j.card.Integrated() && j.card.Display().Driver == "vfio-pci" {
		j.boardAudio()
	}
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
			Why: "The sound of the card's connectors is a separate device, without which the guest has no sound.", Fix: "Pass " + f.Address.Slot() + " too."})
	}
}

// boardAudio reports a sound function of the board that shares the connectors
// of the iGPU but cannot go to the guest with the iGPU.
func (j *judgement) boardAudio() {
	for _, f := range j.facts.Functions {
		var shared *iommu.SharedError
		audio := f.Class.Sub() == 0x0403 || f.Class.Sub() == 0x0401
		if !audio || f.Parent != nil || f.Model.Vendor != Intel || !errors.As(j.facts.IsolatedTogether(f.Address), &shared) {
			continue
		}
		var others []string
		for _, o := range shared.Others {
			others = append(others, o.Address.String())
		}
		j.add(proxstation.Finding{ID: "gpu.board-audio", Severity: proxstation.Info, Subject: f.Address.String(),
			Seen: fmt.Sprintf("group %s holds %s and %s", f.Group, f.Address, strings.Join(others, ", ")),
			Why:  "The board's sound, which the iGPU's connectors use too, cannot go to a guest without the other devices of its group, and PVE would take these from the host.",
			Fix:  "Leave it to the host, and give the guest emulated sound (audio0) or a USB sound card."})
	}
}

// The method "upstream" returns the bridge above the port to which a function is
// connected. It returns nil if there is no such bridge, or if the bridge is not
// known.
func (j *judgement) upstream(a iommu.Address) *iommu.Address {
	f, _ := j.facts.Function(a)
	if f.Parent == nil {
		return nil
	}
	port, _ := j.facts.Function(*f.Parent)
	return port.Parent
}

// The method "external" says what else a card needs if it is in an enclosure
// behind Thunderbolt or USB4.
func (j *judgement) external() {
	if j.card.Display().Removable != proxstation.Yes {
		return
	}
	j.add(proxstation.Finding{ID: "gpu.external", Severity: proxstation.Warning, Seen: "removable: removable",
		Why: "The card is behind Thunderbolt or USB4: it appears only once it is authorized, perhaps at another address, and unplugging it while a guest has it can hang the host.",
		Fix: "Have it authorized at each start of the host (boltctl enroll), start the VM with a delay, and switch the VM off before unplugging."})
}
