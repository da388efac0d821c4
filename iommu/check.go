package iommu

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
)

// Check judges the machine as a whole: is the IOMMU on, are interrupts
// remapped, does what was configured apply. What could not be read is among
// the findings. In a virtual machine they name what its hypervisor is to do.
// The IDs are iommu.off, iommu.firmware-off, iommu.vm-without-iommu,
// iommu.off-by-argument, iommu.unknown, iommu.no-interrupt-remapping,
// iommu.unsafe-interrupts, iommu.acs-override, iommu.virqfd-gone,
// iommu.options-unread, iommu.not-refreshed, iommu.not-booted,
// iommu.not-configured, iommu.not-bound, iommu.loader-unknown,
// iommu.server-console, iommu.emulated-display, iommu.uses-unknown and
// iommu.unread.
func (f Facts) Check() []proxstation.Finding {
	var findings []proxstation.Finding
	findings = append(findings, f.checkState()...)
	findings = append(findings, f.checkInterrupts()...)
	findings = append(findings, f.checkOverride()...)
	findings = append(findings, f.checkModules()...)
	findings = append(findings, f.checkOptions()...)
	findings = append(findings, f.checkDrift()...)
	findings = append(findings, f.checkKept()...)
	for _, fn := range f.Functions {
		for _, finding := range fn.checkConsole() {
			finding.Severity = proxstation.Info // nothing is asked of it
			findings = append(findings, finding)
		}
	}
	return append(findings, f.Findings...)
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
		finding.Why = "Whether devices can be handed to guests is not known."
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
		finding.Fix = "Remove " + f.offArgument() + " from the kernel's arguments and restart."
	default:
		finding.ID = "iommu.off"
		finding.Fix = f.turnOn()
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

// turnOn says how: the kernel argument is for Intel alone, AMD's needs none.
func (f Facts) turnOn() string {
	intel := "add intel_iommu=on to the kernel's arguments and restart (PVE kernels from 6.8 need no argument)"
	switch {
	case f.ACPI.DMAR == proxstation.Yes && f.Running != nil && slices.Contains(f.Running.Options("intel_iommu"), "on"):
		return "The tables and the kernel's arguments are right; look for DMAR errors in the kernel log and update the " +
			f.firmware("firmware", "hypervisor") + "."
	case f.ACPI.DMAR == proxstation.Yes:
		return strings.ToUpper(intel[:1]) + intel[1:] + "."
	case f.ACPI.IVRS == proxstation.Yes:
		return "Look for AMD-Vi errors in the kernel log and update the " + f.firmware("firmware", "hypervisor") + "."
	}
	return f.firmware("Turn on VT-d (Intel) or IOMMU (AMD) in the firmware's set-up; for Intel "+intel+".", f.Virtual.giveIOMMU())
}

func (f Facts) checkInterrupts() []proxstation.Finding {
	var findings []proxstation.Finding
	state, _ := f.State()
	answer, seen := f.InterruptRemapping()
	if state == On && answer == proxstation.No {
		findings = append(findings, proxstation.Finding{ID: "iommu.no-interrupt-remapping", Severity: proxstation.Blocker, Subject: "interrupt remapping", Seen: seen,
			Why: "vfio refuses to hand out devices: a guest could raise any interrupt of the host.",
			Fix: f.firmware("Turn on x2APIC or interrupt remapping in the firmware's set-up and update it.", f.Virtual.giveIOMMU()) +
				" allow_unsafe_interrupts only hides the hole."})
	}
	module, _ := f.Module("vfio_iommu_type1")
	if module.Parameters["allow_unsafe_interrupts"] == "Y" {
		severity := proxstation.Warning
		if answer == proxstation.Yes {
			severity = proxstation.Info
		}
		findings = append(findings, proxstation.Finding{ID: "iommu.unsafe-interrupts", Severity: severity, Subject: "vfio_iommu_type1",
			Seen: "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts: Y",
			Why:  "vfio would hand out devices even where a guest can raise any interrupt of the host.",
			Fix:  "Remove allow_unsafe_interrupts=1 from /etc/modprobe.d and the kernel's arguments, and run update-initramfs -u -k all."})
	}
	return findings
}

func (f Facts) checkOverride() []proxstation.Finding {
	if f.Running == nil || len(f.Running.Values("pcie_acs_override")) == 0 {
		return nil
	}
	value := strings.Join(f.Running.Values("pcie_acs_override"), ",")
	return []proxstation.Finding{{ID: "iommu.acs-override", Severity: proxstation.Warning, Subject: "IOMMU groups",
		Seen: "/proc/cmdline: pcie_acs_override=" + value,
		Why:  "The groups are what the argument says, not what the hardware keeps apart: a guest's device may reach others' memory.",
		Fix:  "Use a slot that hangs off the processor, and remove the argument."}}
}

// checkDrift compares the arguments in force with those for the next boot.
func (f Facts) checkDrift() []proxstation.Finding {
	if f.Running == nil {
		return nil
	}
	configured, err := f.Configured()
	if err != nil {
		fix := "See \"Determine which Bootloader is Used\" in the PVE Administration Guide."
		if f.Loader.Stub != "" {
			fix = "Give the arguments to what builds the image (/etc/kernel/cmdline for kernel-install and ukify), and build it anew."
		}
		return []proxstation.Finding{{ID: "iommu.loader-unknown", Severity: proxstation.Info, Subject: "kernel arguments", Seen: strings.TrimPrefix(err.Error(), "iommu: "),
			Why: "Whether the arguments in force will be there after a restart is not known, and none can be added.", Fix: fix}}
	}
	missing, extra := argumentDrift(*f.Running, configured)
	var findings []proxstation.Finding
	restart := "Run " + f.refresh() + " and restart."
	if loader, _ := f.BootLoader(); loader == GRUB && f.Loader.Menu != nil {
		restart = "Restart."
		if stale, _ := argumentDrift(*f.Loader.Menu, configured); len(stale) > 0 {
			restart = "Run update-grub and restart."
			findings = append(findings, proxstation.Finding{ID: "iommu.not-refreshed", Severity: proxstation.Warning, Subject: "kernel arguments",
				Seen: "configured, but not in /boot/grub/grub.cfg: " + strings.Join(stale, " "),
				Why:  "They will not be there after the next restart either.", Fix: "Run update-grub."})
		}
	}
	if len(missing) > 0 {
		findings = append(findings, proxstation.Finding{ID: "iommu.not-booted", Severity: proxstation.Warning, Subject: "kernel arguments",
			Seen: "configured, but not on /proc/cmdline: " + strings.Join(missing, " "),
			Why:  "They do nothing yet.", Fix: restart})
	}
	if len(extra) > 0 {
		findings = append(findings, proxstation.Finding{ID: "iommu.not-configured", Severity: proxstation.Warning, Subject: "kernel arguments",
			Seen: "on /proc/cmdline, but not configured: " + strings.Join(extra, " "),
			Why:  "They are gone after the next restart.", Fix: "Configure them, or restart to see the machine as it will be."})
	}
	return findings
}

// checkKept says that functions that a host plan keeps are still the host's.
func (f Facts) checkKept() []proxstation.Finding {
	var found []proxstation.Finding
	for _, a := range f.Kept() {
		if fn, ok := f.Function(a); ok && fn.DriverKnown == proxstation.Yes && fn.Driver != vfioPCI {
			found = append(found, proxstation.Finding{ID: "iommu.not-bound", Severity: proxstation.Info, Subject: a.String(),
				Seen: fmt.Sprintf("/%s keeps it for guests; its driver is %q", modprobeFile, fn.Driver),
				Why:  "The host plan was applied, and the host has not been started since, or a driver was faster.",
				Fix:  "Restart the host. If it says so after that too: update-initramfs -u -k all, and restart."})
		}
	}
	return found
}

func (f Facts) refresh() string {
	if loader, _ := f.BootLoader(); loader == GRUB {
		return "update-grub"
	}
	return "proxmox-boot-tool refresh"
}

// argumentDrift returns the configured arguments that are not in force, and those in
// force that are not configured. What the boot loader adds does not count.
func argumentDrift(running, configured Cmdline) (missing, extra []string) {
	for _, arg := range configured.Args() {
		if !running.Has(arg) && !byLoader(arg) {
			missing = append(missing, arg)
		}
	}
	for _, arg := range running.Args() {
		if !configured.Has(arg) && !byLoader(arg) {
			extra = append(extra, arg)
		}
	}
	return missing, extra
}

func byLoader(arg string) bool {
	key, _, _ := strings.Cut(arg, "=")
	return slices.Contains([]string{"BOOT_IMAGE", "initrd", "root", "ro", "rw", "recovery", "--"}, key)
}

// CheckDevice judges whether the device that a is a function of can leave the
// host: is it isolated, does it answer, does the machine live on it. The IDs
// are iommu.no-device, iommu.shared-group, iommu.no-group,
// iommu.group-unknown, iommu.lost, iommu.in-use, iommu.only-console,
// iommu.server-console and iommu.emulated-display.
func (f Facts) CheckDevice(a Address) []proxstation.Finding {
	var findings []proxstation.Finding
	if finding, ok := f.checkIsolation(a); ok {
		findings = append(findings, finding)
	}
	for _, fn := range f.Slot(a) {
		if fn.Lost == proxstation.Yes {
			findings = append(findings, proxstation.Finding{ID: "iommu.lost", Severity: proxstation.Blocker, Subject: fn.Address.String(),
				Seen: "/sys/bus/pci/devices/" + fn.Address.String() + "/config: ffffffff",
				Why:  "The device no longer answers on the bus: the next start of a guest with it fails or hangs the host.",
				Fix:  "Switch the host off and on again; a warm restart may not be enough."})
		}
		findings = append(findings, fn.checkConsole()...)
		for _, use := range f.usesOf(fn.Address) {
			findings = append(findings, use.finding())
		}
	}
	return findings
}

func (f Facts) checkIsolation(a Address) (proxstation.Finding, bool) {
	err := f.Isolated(a)
	finding := proxstation.Finding{Severity: proxstation.Blocker, Subject: a.Slot()}
	if err == nil {
		return finding, false
	}
	finding.Seen = strings.TrimPrefix(err.Error(), "iommu: ")
	shared, isShared := errors.AsType[*SharedError](err)
	switch {
	case isShared:
		finding.ID = "iommu.shared-group"
		finding.Why = "A group goes to one guest as a whole: PVE takes all these devices from the host when the guest starts."
		finding.Fix = f.firmware("Put the card in a slot that hangs off the processor",
			"This is a virtual machine: outside, give the device a PCIe root port of its own (pcie=1 on q35)") + f.cause(shared) + "."
		if slices.ContainsFunc(shared.Others, func(fn Function) bool { return fn.Driver == "vmd" }) {
			// The devices of such a domain do DMA as their controller (drivers/pci/controller/vmd.c).
			finding.Fix = "Turn VMD off in the firmware's set-up, if the disks are no Intel RAID: all that is behind its controller is one group with it."
		}
	case errors.Is(err, ErrNoGroup):
		finding.ID, finding.Why, finding.Fix = "iommu.no-group", "No IOMMU stands between the device and the host's memory.", "Turn on the IOMMU."
		if state, _ := f.State(); state == On {
			finding.Fix = "Choose another device: the IOMMU does not cover this one."
		}
	case errors.Is(err, ErrNoDevice):
		finding.ID, finding.Why, finding.Fix = "iommu.no-device", "There is nothing to hand out.", "Choose one of the devices that the host has; addresses move when cards do."
	default:
		finding.ID, finding.Severity = "iommu.group-unknown", proxstation.Warning
		finding.Why, finding.Fix = "Whether other devices would go with it is not known.", "Look on the host: ls -l /sys/bus/pci/devices/*/iommu_group."
	}
	return finding, true
}

// cause says where the devices come together and what is known of Access
// Control Services there.
func (f Facts) cause(e *SharedError) string {
	if e.Above == nil {
		return f.firmware(", or turn on ACS in the firmware's set-up", "")
	}
	bridge, _ := f.Function(*e.Above)
	acs := map[proxstation.Answer]string{proxstation.Yes: "has ACS, so one below it lacks it", proxstation.No: "lacks ACS", proxstation.Unknown: "lacks ACS, or one below it does"}[bridge.ACS]
	return fmt.Sprintf("; these come together below the bridge %s, which %s", *e.Above, acs)
}

func (u Use) finding() proxstation.Finding {
	finding := proxstation.Finding{ID: "iommu.in-use", Severity: proxstation.Blocker, Subject: u.Address.String(), Seen: u.Seen,
		Why: "The host lives on it: it would lose its " + string(u.Kind) + ".", Fix: "Leave it to the host, or move what the host has on it."}
	switch u.Kind {
	case UseConsole:
		finding.ID, finding.Severity = "iommu.only-console", proxstation.Warning
		finding.Why = "The host has no picture any more while a guest has it."
		finding.Fix = "Make sure that the host is reached over the network, or give it another display."
	case UseStorage:
		finding.Why = "The host has a file system on it, which would be cut off."
	}
	return finding
}
