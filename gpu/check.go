package gpu

import (
	"fmt"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/iommu"
)

// Check judges a hostpci value for a guest against the node's devices: it
// reports what would keep the VM from starting, and what would be missing in
// the guest. slot is the key, such as "hostpci0". The IDs are gpu.no-device,
// gpu.console-display, gpu.partial-card, gpu.device-id, gpu.mdev-functions,
// gpu.igd-refused, gpu.igd-rom, gpu.igd-lpc, gpu.igd-qemu, gpu.igd-headless,
// gpu.rombar, gpu.no-rom, gpu.physical-taken and gpu.takes-along, and for a
// mapping the IDs of [Node.Drift]. [CheckRules] has the rules that are the same
// on every node.
func (n Node) Check(slot string, h HostPCI, guest Guest) []proxstation.Finding {
	var findings []proxstation.Finding
	if h.Mapping != "" {
		m, _ := n.Mapping(h.Mapping)
		m.ID = h.Mapping
		findings = n.Drift(m)
	}
	if h.NoROMBar && h.ROMFile != "" {
		findings = append(findings, proxstation.Finding{ID: "gpu.rombar", Severity: proxstation.Warning, Subject: slot, Seen: "rombar=0, romfile=" + h.ROMFile,
			Why: "rombar=0 hides the option ROM from the guest's firmware, so the romfile has no effect and the screen stays dark.", Fix: "Remove rombar=0."})
	}
	for _, d := range h.Devices {
		if len(n.Functions) > 0 && len(n.covered(d)) == 0 {
			findings = append(findings, proxstation.Finding{ID: "gpu.no-device", Severity: proxstation.Blocker, Subject: slot, Seen: fmt.Sprintf("no PCI device found for '%s'", d),
				Why: "The VM does not start.", Fix: "Choose a device that the node has. The address of a card may change when cards are moved."})
		}
	}
	for _, set := range n.Resolve(h) {
		for _, card := range displays(n.Functions) {
			if taken := card.taken(set); len(taken) > 0 {
				findings = append(findings, checkConsole(slot, card)...)
				if h.MDev == "" {
					findings = append(findings, checkPart(slot, card, taken)...)
				}
				findings = append(findings, checkDeviceID(slot, h, Judge(guest, card))...)
				findings = append(findings, checkIGD(slot, h, card)...)
				findings = append(findings, checkPhysical(slot, h, card, taken)...)
				findings = append(findings, checkROM(slot, h, card)...)
			}
		}
		findings = append(findings, n.checkAlong(slot, set)...)
		if h.MDev != "" && len(set) > 1 {
			findings = append(findings, proxstation.Finding{ID: "gpu.mdev-functions", Severity: proxstation.Blocker, Subject: slot, Seen: fmt.Sprint(h, " means ", set),
				Why: "The VM does not start: " + string(RuleMDevOneFunction) + ".", Fix: "Name the function that has the mediated devices."})
		}
		if h.LegacyIGD && len(n.Functions) > 0 && (len(set) != 1 || set[0] != igdAddress) {
			findings = append(findings, proxstation.Finding{ID: "gpu.igd-refused", Severity: proxstation.Blocker, Subject: slot, Seen: fmt.Sprint(h, " means ", set),
				Why: "The VM does not start: " + string(RuleIGDAlone) + ", " + string(RuleIGDAddress) + ".", Fix: "Pass 0000:00:02.0 alone."})
		}
	}
	return findings
}

// checkConsole reports a display that is not a graphics card.
func checkConsole(slot string, card Card) []proxstation.Finding {
	name := card.Display().Console()
	if name == "" {
		return nil
	}
	return []proxstation.Finding{{ID: "gpu.console-display", Severity: proxstation.Warning, Subject: slot, Seen: card.Address().String() + " is " + name,
		Why: "This display shows the node's own console and has no 3D, so the guest gains nothing and the node loses its console.", Fix: "Choose a graphics card."}}
}

// The method "taken" returns the functions of the card that are in a set.
func (c Card) taken(set []iommu.Address) []iommu.Function {
	var taken []iommu.Function
	for _, f := range c.Functions {
		for _, a := range set {
			if a == f.Address {
				taken = append(taken, f)
			}
		}
	}
	return taken
}

// checkPart reports functions of a card that the value leaves out. The
// functions beside an iGPU belong to the processor, so an iGPU always counts as
// complete.
func checkPart(slot string, card Card, taken []iommu.Function) []proxstation.Finding {
	if len(taken) == len(card.Functions) || card.Integrated() {
		return nil
	}
	var left []string
	for _, f := range card.Functions {
		if !contains(taken, f.Address) {
			left = append(left, f.Address.String())
		}
	}
	return []proxstation.Finding{{ID: "gpu.partial-card", Severity: proxstation.Warning, Subject: slot,
		Seen: fmt.Sprintf("%d of the %d functions of %s; left: %s", len(taken), len(card.Functions), card.Address().Slot(), strings.Join(left, ", ")),
		Why:  "Nobody else can use the functions that are left, the guest has no sound over the card's connectors, and the card's functions cannot be reset together.",
		Fix:  "Pass the whole device: " + card.Address().Slot() + "."}}
}

func contains(functions []iommu.Function, a iommu.Address) bool {
	for _, f := range functions {
		if f.Address == a {
			return true
		}
	}
	return false
}

func checkDeviceID(slot string, h HostPCI, v Verdict) []proxstation.Finding {
	if v.DeviceID == nil || h.DeviceID != nil && *h.DeviceID == *v.DeviceID {
		return nil
	}
	seen := "no device-id"
	if h.DeviceID != nil {
		seen = "device-id=0x" + h.DeviceID.String()
	}
	return []proxstation.Finding{{ID: "gpu.device-id", Severity: proxstation.Warning, Subject: slot, Seen: seen + " for " + v.Card,
		Why: v.Guest.String() + " does not know this device number (" + v.Source + ").", Fix: "Set device-id=0x" + v.DeviceID.String() + "."}}
}

// checkIGD judges a value that passes Intel's integrated graphics through. It
// reports what legacy mode, or headless use, still needs.
func checkIGD(slot string, h HostPCI, card Card) []proxstation.Finding {
	igd, ok := card.Family().IGD()
	if !ok || !card.Integrated() || card.virtual() || h.MDev != "" {
		return nil
	}
	var findings []proxstation.Finding
	add := func(id string, severity proxstation.Severity, seen, why, fix string) {
		findings = append(findings, proxstation.Finding{ID: id, Severity: severity, Subject: slot, Seen: seen, Why: printable.Sentence(why), Fix: printable.Sentence(fix)})
	}
	if wish := h.PrimaryVGA || strings.Contains(h.ROMFile, "GOP"); !h.LegacyIGD && wish {
		add("gpu.igd-headless", proxstation.Warning, h.String(), "x-vga=1 and a ROM with a display driver do not make the iGPU a guest's boot display: the monitor stays dark until the guest's driver has loaded",
			"set legacy-igd=1 in place of x-vga=1, with romfile="+igd.ROM+", machine: pc (i440fx) and vga: none")
		return findings
	}
	if !h.LegacyIGD {
		add("gpu.igd-headless", proxstation.Info, "no legacy-igd", "the iGPU computes and draws, but its connectors stay dark until the guest's driver has loaded",
			"see the guest by screen sharing, or set legacy-igd=1 with romfile="+igd.ROM+" on machine: pc with vga: none")
		return findings
	}
	if h.ROMFile == "" {
		add("gpu.igd-rom", proxstation.Warning, "no romfile", "without an option ROM with a display driver, OVMF shows no picture",
			"put "+igd.ROM+" in /usr/share/kvm and set romfile="+igd.ROM)
	} else if h.ROMFile != igd.ROM {
		add("gpu.igd-rom", proxstation.Info, "romfile="+h.ROMFile, "the known option ROM for "+card.Family().String()+" is "+igd.ROM, "if the screen stays dark, set romfile="+igd.ROM)
	}
	if igd.LPC {
		add("gpu.igd-lpc", proxstation.Warning, card.Family().String()+" with legacy-igd", "from Ice Lake on, QEMU 10.1 and newer uses legacy mode only with this argument",
			"set args: "+igd.LPCArgument(slot))
	}
	if igd.QEMU != "" {
		add("gpu.igd-qemu", proxstation.Warning, card.Family().String()+" with legacy-igd", "QEMU before "+igd.QEMU+" does not support this generation", "use QEMU "+igd.QEMU+" or newer")
	}
	return findings
}
