package iommu

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
)

// CheckDevice judges whether a device can leave the host. a is the address of
// any function of the device. Is the device isolated? Does it answer? Does the
// machine need it? Did the intended driver take it? The IDs are
// iommu.no-device, iommu.shared-group, iommu.no-group, iommu.igfx-off,
// iommu.group-unknown, iommu.reserved-memory, iommu.denylist, iommu.no-room,
// iommu.lost, iommu.in-use, iommu.only-console, iommu.server-console,
// iommu.emulated-display, iommu.driver-first and iommu.driver-override. If
// there is no IOMMU, CheckDevice returns the findings of [Facts.Check] about
// the missing IOMMU.
func (f Facts) CheckDevice(a Address) []proxstation.Finding {
	var passed []Address
	for _, fn := range f.Slot(a) {
		passed = append(passed, fn.Address)
	}
	if len(passed) == 0 {
		passed = []Address{a}
	}
	return f.CheckFunctions(passed...)
}

// CheckFunctions judges functions that are passed one by one, by the rules of
// [Facts.CheckDevice]. For example, these can be the display and the audio
// function of an integrated card whose slot also holds other devices of the
// board.
func (f Facts) CheckFunctions(passed ...Address) []proxstation.Finding {
	findings := f.checkIsolation(passed)
	for _, a := range passed {
		fn, ok := f.Function(a)
		if !ok {
			continue
		}
		if fn.Lost == proxstation.Yes {
			findings = append(findings, proxstation.Finding{ID: "iommu.lost", Severity: proxstation.Blocker, Subject: a.String(),
				Seen: "/sys/bus/pci/devices/" + a.String() + "/config: ffffffff",
				Why:  "The device no longer answers on the bus: the next start of a guest with it fails or hangs the host.",
				Fix:  "Switch the host off and on again; a warm restart may not be enough."})
		}
		findings = append(findings, fn.checkConsole()...)
		findings = append(findings, slices.Concat(fn.checkOverride(), fn.checkRoom(), f.checkDenied(fn))...)
		for _, use := range f.usesOf(a) {
			findings = append(findings, use.finding())
		}
	}
	findings = append(findings, f.checkReserved(passed)...)
	return append(findings, f.checkDriverFirst(f.modconf(false), passed)...)
}

// checkIsolation judges the groups of functions that are passed together.
func (f Facts) checkIsolation(passed []Address) []proxstation.Finding {
	err := f.IsolatedTogether(passed...)
	if err == nil {
		return nil
	}
	finding := proxstation.Finding{Severity: proxstation.Blocker, Subject: passed[0].Slot(), Seen: strings.TrimPrefix(err.Error(), "iommu: ")}
	shared, isShared := errors.AsType[*SharedError](err)
	switch {
	case isShared:
		return []proxstation.Finding{f.sharedGroup(passed, shared)}
	case errors.Is(err, ErrNoGroup):
		if machine := f.checkState(); len(machine) > 0 {
			return machine // the findings on the machine have the same cause, so only they are returned
		}
		finding.ID, finding.Why = "iommu.no-group", "No IOMMU stands between the device and the host's memory."
		finding.Fix = "Choose another device: the IOMMU does not cover this device."
		fn, _ := f.Function(passed[0])
		finding = f.checkGraphicsOff(fn, finding)
	case errors.Is(err, ErrNoDevice):
		finding.ID, finding.Why, finding.Fix = "iommu.no-device", "There is nothing to hand out.", "Choose one of the devices that the host has. The address of a card may change when cards are moved."
	default:
		finding.ID, finding.Severity = "iommu.group-unknown", proxstation.Warning
		finding.Why, finding.Fix = "It is not known whether other devices would go to the guest too.", "Look on the host: ls -l /sys/bus/pci/devices/*/iommu_group."
	}
	return []proxstation.Finding{finding}
}

// checkOverride reports a function that driver_override reserves for a driver
// other than vfio-pci. PVE does not change driver_override.
func (fn Function) checkOverride() []proxstation.Finding {
	if fn.Override == "" || fn.Override == vfioPCI {
		return nil
	}
	file := "/sys/bus/pci/devices/" + fn.Address.String() + "/driver_override"
	return []proxstation.Finding{{ID: "iommu.driver-override", Severity: proxstation.Blocker, Subject: fn.Address.String(), Seen: file + ": " + fn.Override,
		Why: "The kernel binds the function to that driver alone: a start ends with \"Cannot bind " + fn.Address.String() + " to vfio\".",
		Fix: "Run echo > " + file + ", and remove the program or rule that writes it at each start of the host."}}
}

// checkReserved reports memory that the firmware keeps for a device. The kernel
// refuses to give such a device to a guest (reserved_regions in
// Documentation/ABI/testing/sysfs-kernel-iommu_groups; VT-d's RMRR).
func (f Facts) checkReserved(passed []Address) []proxstation.Finding {
	var found []proxstation.Finding
	told := map[int]bool{}
	for _, a := range passed {
		fn, _ := f.Function(a)
		for _, g := range f.Groups {
			if n, ok := fn.Group.Int(); !ok || n != g.ID || g.Direct == "" || told[n] {
				continue
			}
			told[g.ID] = true
			found = append(found, f.reservedMemory(a, g))
		}
	}
	return found
}

// reservedMemory judges memory that the firmware keeps for a group. Linux 6.6
// and newer refuse devices with such memory on every IOMMU (require_direct in
// drivers/iommu/iommu.c). Before 6.6, only Intel's driver refused them
// (device_is_rmrr_locked in drivers/iommu/intel/iommu.c).
func (f Facts) reservedMemory(a Address, g GroupFacts) proxstation.Finding {
	finding := proxstation.Finding{ID: "iommu.reserved-memory", Severity: proxstation.Blocker, Subject: a.Slot(),
		Seen: fmt.Sprintf("/sys/kernel/iommu_groups/%d/reserved_regions: %s", g.ID, g.Direct),
		Why:  "The firmware demands that the device keeps this memory (Intel RMRR, AMD IVMD), and the kernel gives no guest such a device: ",
		Fix:  f.freeMemory()}
	older := f.Kernel != "" && !f.atLeast(6, 6)
	switch {
	case older && f.ACPI.IVRS == proxstation.Yes:
		finding.Severity, finding.Seen = proxstation.Warning, finding.Seen+"; kernel "+f.Kernel
		finding.Why = "The firmware demands that the device keeps this memory (AMD IVMD): kernels from 6.6 on give no guest such a device."
	case older:
		finding.Why += "\"Device is ineligible for IOMMU domain attach due to platform RMRR requirement\"."
	default:
		finding.Why += "\"Firmware has requested this device have a 1:1 IOMMU mapping\"."
	}
	return finding
}

// checkReservedDevices reports devices that no guest can have, because the
// firmware keeps memory for them. It leaves out graphics cards. The finding
// only matters once a VM needs such a device.
func (f Facts) checkReservedDevices() []proxstation.Finding {
	var kept []string
	var first GroupFacts
	for _, fn := range f.Functions {
		for _, g := range f.Groups {
			n, ok := fn.Group.Int()
			if !ok || n != g.ID || g.Direct == "" || fn.Class.IsBridge() || fn.Class.IsDisplay() {
				continue
			}
			if len(kept) == 0 {
				first = g
			}
			kept = append(kept, f.describe(fn))
		}
	}
	if len(kept) == 0 {
		return nil
	}
	finding := f.reservedMemory(Address{}, first)
	finding.Severity, finding.Subject = proxstation.Info, "devices with reserved memory"
	finding.Seen = list(kept) + "; " + finding.Seen
	return []proxstation.Finding{finding}
}

// freeMemory says how to make the firmware release reserved memory on this
// machine. HPE's customer advisory c04781229 describes HPE's tool conrep. The
// argument relax_rmrr comes from a patch in Proxmox VE's kernels since 6.2
// (patches/kernel/0009-allow-opt-in-to-allow-pass-through-on-broken-hardwar.patch,
// September 2023).
func (f Facts) freeMemory() string {
	fix := "Update the firmware, or put the card in another slot."
	switch hpe := slices.ContainsFunc(f.Functions, func(fn Function) bool { return fn.Subsystem.Vendor == 0x103c || fn.Subsystem.Vendor == 0x1590 }); {
	case f.ACPI.IVRS == proxstation.Yes:
		return "Turn off Pre-boot DMA Protection (Kernel DMA Protection) in the firmware's set-up, which some boards show only with IOMMU set to Enabled, and update the firmware."
	case hpe:
		fix = "This is HPE hardware: exclude the slot from HP Shared Memory (HPE advisory c04781229: in the System Configuration of a network card, or with conrep; " +
			"some servers ignore it), update the firmware, or put the card in another slot."
	}
	if !strings.Contains(f.Kernel, "pve") {
		return fix
	}
	if f.Running != nil && slices.Contains(f.Running.Options("intel_iommu"), "relax_rmrr") {
		return fix + " intel_iommu=relax_rmrr is in force but does not help on this kernel (" + f.Kernel + "): start a kernel of Proxmox VE that supports it (6.2 or newer)."
	}
	return fix + " Proxmox VE's kernels also take intel_iommu=on,relax_rmrr; then the firmware may write into the guest's memory: " + f.Advise("intel_iommu=on,relax_rmrr") + "."
}

// The list "denied" holds the models that vfio-pci refuses unless a parameter
// allows them: Intel's QuickAssist DH895XCC, C3XXX and C62X
// (vfio_pci_is_denylisted in drivers/vfio/pci/vfio_pci.c).
var denied = []ID{0x0435, 0x0443, 0x19e2, 0x19e3, 0x37c8, 0x37c9}

// checkDenied reports a function that vfio-pci only takes with a parameter.
func (f Facts) checkDenied(fn Function) []proxstation.Finding {
	module, _ := f.Module("vfio_pci")
	if fn.Model.Vendor != 0x8086 || !slices.Contains(denied, fn.Model.Device) || module.Parameters["disable_denylist"] == "Y" {
		return nil
	}
	return []proxstation.Finding{{ID: "iommu.denylist", Severity: proxstation.Blocker, Subject: fn.Address.String(), Seen: fn.Model.String() + " is in vfio-pci's list of denied devices",
		Why: "vfio-pci does not take the device, because a guest could use the device's errata to harm the host.",
		Fix: "Pass another device. Or accept that risk and write \"options vfio-pci disable_denylist=1\" in /etc/modprobe.d/vfio.conf, run update-initramfs -u -k all, and restart."}}
}

// checkRoom reports a function if the kernel found no address for the
// function's memory.
func (fn Function) checkRoom() []proxstation.Finding {
	for _, bar := range fn.BARs {
		if bar.Unset && !bar.IO {
			return []proxstation.Finding{{ID: "iommu.no-room", Severity: proxstation.Blocker, Subject: fn.Address.String(),
				Seen: fmt.Sprintf("/sys/bus/pci/devices/%s/resource: BAR %d (%d MiB) has no address", fn.Address, bar.Index, bar.Bytes>>20),
				Why:  "The firmware left no room for the card's memory, so the guest cannot use the card (Windows: code 12).",
				Fix:  "Turn on Above 4G Decoding in the firmware's set-up, with UEFI and without CSM. If that does not help, add pci=realloc to the kernel's arguments."}}
		}
	}
	return nil
}

func (u Use) finding() proxstation.Finding {
	finding := proxstation.Finding{ID: "iommu.in-use", Severity: proxstation.Blocker, Subject: u.Address.String(), Seen: u.Seen,
		Why: "The host depends on it and would lose its " + string(u.Kind) + ".", Fix: "Leave it to the host, or move the host's data or connection to another device first."}
	switch u.Kind {
	case UseConsole:
		finding.ID, finding.Severity = "iommu.only-console", proxstation.Warning
		finding.Why = "The host has no picture while a guest has this display."
		finding.Fix = "Make sure that the host is reached over the network, or give it another display."
	case UseStorage:
		finding.Why = "The host has a file system on it and would lose that file system."
	case UseInput:
		finding.Severity = proxstation.Warning
		finding.Why = "The host has no keyboard while a guest has this controller."
		finding.Fix = "Make sure that the host is reached over the network, or plug the keyboard into a port of another controller."
	}
	return finding
}
