package gpu

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

// checkAlong names the functions that PVE takes from the host although the
// value does not name them. PVE takes them because they share an IOMMU group
// with functions of the value. checkAlong skips functions of the same card,
// which the finding gpu.partial-card reports.
func (n Node) checkAlong(slot string, set []iommu.Address) []proxstation.Finding {
	facts := iommu.Facts{Functions: n.Functions, GroupsKnown: proxstation.Unknown}
	known := slices.DeleteFunc(slices.Clone(set), func(a iommu.Address) bool { _, ok := facts.Function(a); return !ok })
	var shared *iommu.SharedError
	if !errors.As(facts.IsolatedTogether(known...), &shared) {
		return nil
	}
	var along []string
	for _, f := range shared.Others {
		card, isCard := CardAt(n.Functions, f.Address)
		if isCard && !card.Integrated() && len(card.taken(set)) > 0 {
			continue
		}
		along = append(along, f.Address.String()+" ("+f.Kind()+")")
	}
	if len(along) == 0 {
		return nil
	}
	return []proxstation.Finding{{ID: "gpu.takes-along", Severity: proxstation.Warning, Subject: slot,
		Seen: "the same IOMMU group holds " + strings.Join(along, ", "),
		Why:  "When the VM starts, PVE takes all devices of the group from the host, with everything that the host has on them.",
		Fix:  "Look on the host which of them are in use (lsblk, ip -br link, lsusb -t), and choose a device with its own group, or a slot in another group."}}
}

// checkROM reports that an AMD iGPU has no option ROM of its own: the firmware
// keeps the ROM in the ACPI table VFCT, and the guest gets it as a file
// (github.com/isc30/ryzen-gpu-passthrough-proxmox).
func checkROM(slot string, h HostPCI, card Card) []proxstation.Finding {
	if !card.is(AMDIntegrated) || h.ROMFile != "" || h.MDev != "" {
		return nil
	}
	return []proxstation.Finding{{ID: "gpu.no-rom", Severity: proxstation.Warning, Subject: slot, Seen: h.String() + " without romfile",
		Why: "AMD's iGPUs have no option ROM of their own, and without an option ROM the guest's driver stops (code 43, \"Unable to locate a BIOS ROM\").",
		Fix: "Take the ROM from the ACPI table VFCT (/sys/firmware/acpi/tables/VFCT without its head, as the guide isc30/ryzen-gpu-passthrough-proxmox shows), " +
			"put it in /usr/share/kvm and set romfile=NAME."}}
}

// checkPhysical reports a hostpci value that takes the physical function of an
// Intel iGPU with virtual functions. The virtual functions vanish when vfio-pci
// binds the physical function. PVE's API does not say which functions are
// virtual, so checkPhysical recognises them: they are displays of the same slot
// and the same model as the physical function, which is function 0.
func checkPhysical(slot string, h HostPCI, card Card, taken []iommu.Function) []proxstation.Finding {
	if !card.Integrated() || card.Model().Vendor != Intel || card.virtual() {
		return nil
	}
	var parts []string
	for _, f := range card.Functions {
		if f.Address.Function() != 0 && isDisplay(f) && f.Model == card.Model() {
			parts = append(parts, f.Address.String())
		}
	}
	first := slices.ContainsFunc(taken, func(f iommu.Function) bool { return f.Address.Function() == 0 })
	if len(parts) == 0 || !first {
		return nil
	}
	return []proxstation.Finding{{ID: "gpu.physical-taken", Severity: proxstation.Blocker, Subject: slot, Seen: fmt.Sprintf("%s takes %s, and the node has %s", h, card.Address(), strings.Join(parts, ", ")),
		Why: "Once the VM has the physical function, the virtual functions are gone until the host restarts.", Fix: "Pass one virtual function alone: hostpci with " + parts[0] + "."}}
}
