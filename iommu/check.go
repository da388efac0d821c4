package iommu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// Check judges the machine as a whole. Is the IOMMU on? Are interrupts
// remapped? Do the lines of modprobe.d and the kernel arguments have their
// intended effect? Is the configuration in force? A finding also names each
// file that could not be read. In a virtual machine, the findings name the
// settings of its hypervisor. The IDs are iommu.off, iommu.firmware-off,
// iommu.no-virtualization, iommu.vm-without-iommu, iommu.off-by-argument,
// iommu.unknown, iommu.no-interrupt-remapping, iommu.unsafe-interrupts,
// iommu.acs-override, iommu.unknown-argument, iommu.other-loader,
// iommu.modprobe-ignored, iommu.modprobe-unread, iommu.ids-bad,
// iommu.ids-nobody, iommu.ids-lost, iommu.ids-beyond, iommu.identical-model,
// iommu.ids-in-use, iommu.driver-first, iommu.vfio-forbidden,
// iommu.options-unread, iommu.options-not-applied, iommu.initramfs-old,
// iommu.modules-load, iommu.virqfd-gone, iommu.shared-group, iommu.nic-renamed,
// iommu.kernel-known-bad, iommu.kernel-gone, iommu.address-width,
// iommu.reserved-memory, iommu.not-refreshed, iommu.not-booted,
// iommu.not-configured, iommu.not-bound, iommu.loader-unknown,
// iommu.server-console, iommu.emulated-display, iommu.uses-unknown and
// iommu.unread.
func (f Facts) Check() []proxstation.Finding {
	findings := slices.Concat(f.checkState(), f.checkKVM(), f.checkInterrupts(), f.checkOverride(), f.checkArguments(), f.checkElsewhere(),
		f.checkModprobe(), f.checkIDs(), f.checkDrivers(), f.checkModules(), f.checkOptions(), f.checkTaken(),
		f.checkNetwork(), f.checkKernel(), f.checkWidth(), f.checkReservedDevices(), f.checkDrift(), f.checkKept())
	for _, fn := range f.Functions {
		for _, finding := range fn.checkConsole() {
			finding.Severity = proxstation.Info // only matters if somebody wants to pass the display through
			findings = append(findings, finding)
		}
	}
	for _, finding := range f.Findings {
		lost := finding.ID == "iommu.uses-unknown" && finding.Subject == "default route"
		if !lost || len(f.checkNetwork()) == 0 { // iommu.nic-renamed already explains the missing default route
			findings = append(findings, finding)
		}
	}
	return findings
}

func (f Facts) checkState() []proxstation.Finding {
	state, seen := f.State()
	finding := proxstation.Finding{Severity: proxstation.Blocker, Subject: "IOMMU", Seen: seen,
		Why: "Without an IOMMU no device can be handed to a guest."}
	switch {
	case state == On:
		return nil
	case state == StateUnknown:
		finding.ID, finding.Severity = "iommu.unknown", proxstation.Warning
		finding.Why = "It is not known whether devices can be handed to guests."
		finding.Fix = "Look on the host: ls /sys/class/iommu /sys/kernel/iommu_groups."
	case f.ACPI.DMAR == proxstation.No && f.ACPI.IVRS == proxstation.No && f.Virtual.Answer == proxstation.Yes:
		finding.ID = "iommu.vm-without-iommu"
		finding.Seen = f.Virtual.Seen + "; /sys/firmware/acpi/tables has neither DMAR nor IVRS; " + seen
		finding.Fix = f.Virtual.giveIOMMU()
	case f.ACPI.DMAR == proxstation.No && f.ACPI.IVRS == proxstation.No:
		finding.ID = "iommu.firmware-off"
		finding.Seen = "/sys/firmware/acpi/tables has neither DMAR nor IVRS; " + seen
		finding.Fix = "Turn on VT-d (Intel) or IOMMU (AMD) in the firmware's set-up. Kernel arguments cannot replace it."
	case f.offArgument() != "":
		finding.ID = "iommu.off-by-argument"
		finding.Seen = "/proc/cmdline: " + f.offArgument() + "; " + seen
		finding.Fix = printable.Sentence(f.AdviseWithout(f.offArgument()))
	default:
		finding.ID = "iommu.off"
		finding.Seen, finding.Fix = f.turnOn(seen)
	}
	return []proxstation.Finding{finding}
}

// offArgument returns the kernel argument that turns the IOMMU off
// (Documentation/admin-guide/kernel-parameters.txt).
func (f Facts) offArgument() string {
	if f.Running == nil {
		return ""
	}
	for _, name := range []string{"iommu", "intel_iommu", "amd_iommu"} {
		if slices.Contains(f.Running.Options(name), "off") {
			return name + "=off"
		}
	}
	return ""
}

// turnOn says why the IOMMU is off and how to turn it on. An Intel IOMMU needs
// a kernel argument. An AMD IOMMU needs no argument.
func (f Facts) turnOn(evidence string) (seen, fix string) {
	const argument = "intel_iommu=on"
	log := " in the kernel log (dmesg | grep -i -e DMAR -e AMD-Vi) and update the " + f.firmware("firmware", "hypervisor") + "."
	chipset, rule, forced := f.byChipset(noIOMMU)
	switch {
	case f.ACPI.IVRS == proxstation.Yes && forced:
		return evidence + "; " + chipset, printable.Sentence(f.Advise("amd_iommu=force_enable")) + " The kernel leaves the IOMMU off on a machine with these graphics, because they fail behind an IOMMU (" +
			rule.source + "): expect no picture from them, and reach the host over the network."
	case f.ACPI.IVRS == proxstation.Yes:
		return evidence, "Look for AMD-Vi errors" + log
	case f.ACPI.DMAR != proxstation.Yes:
		return evidence, f.firmware("Turn on VT-d (Intel) or IOMMU (AMD) in the firmware's set-up; for Intel, "+f.Advise(argument)+".", f.Virtual.giveIOMMU())
	case f.Running != nil && slices.Contains(f.Running.Options("intel_iommu"), "on"):
		return evidence, "The tables and the kernel's arguments are right; look for DMAR errors" + log
	}
	add := []string{argument}
	for _, line := range f.elsewhere() {
		if slices.Contains(line.args, argument) {
			evidence += fmt.Sprintf("; %s has %s, which does nothing: %s", line.where, strings.Join(line.args, " "), line.why)
			add = append(add, line.args...)
		}
	}
	for _, wrong := range f.misspelt() {
		if right := ParseCmdline(wrong.right); right.Has(argument) || slices.Contains(right.Options("intel_iommu"), "on") {
			return evidence + "; " + wrong.seen + ": " + wrong.why, wrong.fix
		}
	}
	note := ""
	if f.Running != nil && len(f.Running.Values("amd_iommu")) > 0 {
		note = " amd_iommu is for AMD processors; this one is Intel's."
	}
	return evidence, printable.Sentence(f.Advise(slices.Compact(unique(add))...)) + note
}

// checkWidth reports an IOMMU that translates fewer address bits than the
// processor has. A guest that sees all bits of the processor puts memory where
// the IOMMU cannot reach it (VFIO_MAP_DMA: Invalid argument).
func (f Facts) checkWidth() []proxstation.Finding {
	for _, unit := range f.Units {
		if unit.AddressBits == 0 || unit.AddressBits >= f.AddressBits {
			continue
		}
		return []proxstation.Finding{{ID: "iommu.address-width", Severity: proxstation.Info, Subject: unit.Name,
			Seen: fmt.Sprintf("/sys/class/iommu/%s/intel-iommu/cap: %d bits; /proc/cpuinfo: %d bits physical", unit.Name, unit.AddressBits, f.AddressBits),
			Why:  "A guest with cpu: host may place its devices' memory where the IOMMU does not reach. Its start then ends with \"VFIO_MAP_DMA failed: Invalid argument\".",
			Fix:  fmt.Sprintf("If a start fails like this, set the guest's address width: qm set VMID --cpu host,phys-bits=%d.", unit.AddressBits)}}
	}
	return nil
}

func (f Facts) checkOverride() []proxstation.Finding {
	if f.Running == nil || len(f.Running.Values("pcie_acs_override")) == 0 {
		return nil
	}
	value := strings.Join(f.Running.Values("pcie_acs_override"), ",")
	finding := proxstation.Finding{ID: "iommu.acs-override", Severity: proxstation.Warning, Subject: "IOMMU groups",
		Seen: "/proc/cmdline: pcie_acs_override=" + value,
		Why:  "The groups show what the argument claims, not what the hardware isolates: a guest's device may reach the memory of other guests and of the host.",
		Fix:  "Keep the argument if all guests are trusted. To do without it, put the card in a slot whose group holds nothing else, and then " + f.AdviseWithout("pcie_acs_override="+value) + "."}
	if !f.hasOverride() {
		finding.Seen += "; kernel " + f.Kernel
		finding.Why = "The argument needs a patch that Proxmox VE's kernels have. It is not known whether this kernel has the patch; without the patch the argument has no effect."
	}
	return []proxstation.Finding{finding}
}

// hasOverride reports whether the running kernel is known to have the patch for
// pcie_acs_override, as the kernels of PVE, zen, liquorix and xanmod have.
func (f Facts) hasOverride() bool {
	return slices.ContainsFunc([]string{"pve", "zen", "liquorix", "xanmod"}, func(flavour string) bool { return strings.Contains(f.Kernel, flavour) })
}
