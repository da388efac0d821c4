package gpu

import (
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/iommu"
)

// CheckConfig judges the settings of a VM that matter to the cards that the VM
// takes. The map "config" holds the VM's keys and values (qm.conf). The IDs are
// gpu.cpu-flags, gpu.seabios, gpu.secure-boot and gpu.start-time. [Node.Check]
// judges each hostpci value by itself, and [CheckRules] reports the values that
// PVE refuses.
func (n Node) CheckConfig(config map[string]string) []proxstation.Finding {
	var findings []proxstation.Finding
	add := func(id string, severity proxstation.Severity, subject, seen, why, fix string) {
		findings = append(findings, proxstation.Finding{ID: id, Severity: severity, Subject: subject, Seen: seen, Why: printable.Sentence(why), Fix: printable.Sentence(fix)})
	}
	takes := false
	for i := range 16 {
		slot := "hostpci" + strconv.Itoa(i)
		value, set := config[slot]
		if !set {
			continue
		}
		h, err := ParseHostPCI(value)
		if err != nil {
			continue // another check reports the value
		}
		takes = true
		virtual, display := n.kinds(h)
		if hides := hidden(config); virtual && hides != "" {
			add("gpu.cpu-flags", proxstation.Warning, slot, hides, "Intel's driver for virtual functions stops with code 43 if the hypervisor is hidden from the guest", "remove the setting that hides the hypervisor, and set cpu: host")
		}
		if gop := h.LegacyIGD || strings.Contains(h.ROMFile, "GOP"); display && config["bios"] != "ovmf" {
			severity := proxstation.Info
			if gop {
				severity = proxstation.Warning
			}
			add("gpu.seabios", severity, slot, show("bios", config["bios"]), "SeaBIOS runs no UEFI option ROM: newer cards show no picture before the guest's driver has loaded, and some drivers stop with code 43",
				"set bios: ovmf with an efidisk0; a guest that was installed with SeaBIOS must be installed anew")
		}
		if h.ROMFile != "" && strings.Contains(config["efidisk0"], "pre-enrolled-keys=1") {
			add("gpu.secure-boot", proxstation.Info, slot, "romfile="+h.ROMFile+", efidisk0 with pre-enrolled-keys=1", "with Secure Boot on, the guest's firmware runs no option ROM without a signature that it trusts",
				"if the screen stays dark, turn Secure Boot off in the guest's firmware (Device Manager)")
		}
	}
	if memory, _ := strconv.Atoi(strings.TrimPrefix(config["memory"], "current=")); takes && memory > 64<<10 {
		add("gpu.start-time", proxstation.Info, "memory", "memory: "+config["memory"], "a VM with a card takes all of its memory when it starts, which can take longer than PVE's timeout",
			"if the start ends with a timeout, start the VM with qm start VMID --timeout 300, or set hugepages: 1024")
	}
	return findings
}

// The method "kinds" reports whether a value takes an Intel virtual function,
// and whether it takes a display.
func (n Node) kinds(h HostPCI) (virtual, display bool) {
	for _, a := range slices.Concat(n.Resolve(h)...) {
		i := slices.IndexFunc(n.Functions, func(f iommu.Function) bool { return f.Address == a })
		if i < 0 {
			continue
		}
		f := n.Functions[i]
		display = display || isDisplay(f)
		virtual = virtual || isDisplay(f) && f.Model.Vendor == Intel && a.SameSlot(igdAddress) && a.Function() > 0
	}
	return virtual, display
}

// The function "hidden" returns the setting that hides the hypervisor from a
// guest, or "".
func hidden(config map[string]string) string {
	for _, flag := range []string{"-hypervisor", "kvm=off"} {
		if strings.Contains(config["args"], flag) {
			return "args with " + flag
		}
	}
	if strings.Contains(config["cpu"], "hidden=1") {
		return "cpu: " + config["cpu"]
	}
	return ""
}
