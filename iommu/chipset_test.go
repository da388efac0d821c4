package iommu_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

func intelFunction(address string, device iommu.ID, class iommu.Class) iommu.Function {
	a, err := iommu.ParseAddress(address)
	if err != nil {
		panic(err)
	}
	return iommu.Function{Address: a, Class: class, Model: iommu.Model{Vendor: 0x8086, Device: device}, DriverKnown: proxstation.Yes}
}

// If integrated graphics have no group while the IOMMU is on for other devices,
// the finding names the cause: the chipset or an argument. If both could be the
// cause, the finding names the argument.
func TestGraphicsThatTheKernelKeepsFromTheIOMMU(t *testing.T) {
	t.Parallel()
	groups, units := some()
	vga := iommu.Class(0x030000)
	for name, test := range map[string]struct {
		hostBridge, graphics iommu.ID
		cmdline              string
		want, fix            string
	}{
		"GM45":                    {0x2a40, 0x2a42, "quiet", "iommu.igfx-off", "in a slot of this board"},
		"Q35":                     {0x29b0, 0x29b2, "quiet", "iommu.igfx-off", "in a slot of this board"},
		"QM57":                    {0x0044, 0x0046, "quiet", "iommu.igfx-off", "no kernel argument changes this"},
		"Ironlake":                {0x0040, 0x0042, "quiet", "iommu.igfx-off", "in a slot of this board"},
		"Broadwell":               {0x1604, 0x1616, "quiet", "iommu.igfx-off", "in a slot of this board"},
		"Broadwell, and igfx_off": {0x1604, 0x1616, "intel_iommu=on,igfx_off", "iommu.igfx-off", "Take igfx_off out"},
		"Coffee Lake":             {0x3ec2, 0x3e92, "quiet", "iommu.no-group", "Choose another device"},
	} {
		running := iommu.ParseCmdline(test.cmdline)
		iGPU := intelFunction("00:02.0", test.graphics, vga)
		facts := iommu.Facts{Groups: groups, Units: units, GroupsKnown: proxstation.Yes, UnitsKnown: proxstation.Yes, Running: &running,
			Functions: []iommu.Function{intelFunction("00:00.0", test.hostBridge, 0x060000), iGPU}}
		found := facts.CheckDevice(iGPU.Address)
		if len(found) != 1 || found[0].ID != test.want || found[0].Severity != proxstation.Blocker || !strings.Contains(found[0].Fix, test.fix) {
			t.Errorf("%s: %v", name, found)
		}
	}
	// A separate card is not judged by the rules for integrated graphics.
	card := intelFunction("01:00.0", 0x56a0, vga)
	card.Parent = &iommu.Address{}
	facts := iommu.Facts{Groups: groups, Units: units, GroupsKnown: proxstation.Yes, UnitsKnown: proxstation.Yes,
		Functions: []iommu.Function{intelFunction("00:00.0", 0x0044, 0x060000), card}}
	if found := facts.CheckDevice(card.Address); len(found) != 1 || found[0].ID != "iommu.no-group" {
		t.Errorf("a card below a port: %v", found)
	}
}

// The advice for a machine without interrupt remapping depends on the reason
// why remapping is missing.
func TestInterruptRemappingThatThisMachineCanHave(t *testing.T) {
	t.Parallel()
	groups, _ := some()
	without, with := uint64(0xc9008020e30260), uint64(0xf050da)
	flags := uint8(0)
	for name, test := range map[string]struct {
		unit       iommu.Unit
		acpi       iommu.ACPI
		functions  []iommu.Function
		fix, never string
	}{
		"an IOMMU that cannot":     {iommu.Unit{Name: "dmar0", Extended: &without}, iommu.ACPI{DMAR: proxstation.Yes}, nil, "cannot remap interrupts, and no setting of the firmware", "x2APIC"},
		"a firmware that does not": {iommu.Unit{Name: "dmar0", Extended: &with}, iommu.ACPI{DMAR: proxstation.Yes, Flags: &flags}, nil, "Turn on x2APIC or interrupt remapping", "no switch"},
		"AMD":                      {iommu.Unit{Name: "ivhd0"}, iommu.ACPI{IVRS: proxstation.Yes}, nil, "not in IVRS table", "ivrs_ioapic"},
		"AMD with its southbridge": {iommu.Unit{Name: "ivhd0"}, iommu.ACPI{IVRS: proxstation.Yes}, []iommu.Function{intelFunction("00:14.0", 0x4385, 0x0c0500)}, "add ivrs_ioapic[NUMBER]=00:14.0 to ", "x2APIC"},
	} {
		facts := iommu.Facts{Groups: groups, Units: []iommu.Unit{test.unit}, GroupsKnown: proxstation.Yes, UnitsKnown: proxstation.Yes, ACPI: test.acpi,
			Functions: test.functions, Interrupts: iommu.Interrupts{Remapped: proxstation.No, Seen: "0: IO-APIC"}}
		found := slices.DeleteFunc(facts.Check(), func(f proxstation.Finding) bool { return f.ID != "iommu.no-interrupt-remapping" })
		if len(found) != 1 || !strings.Contains(found[0].Fix, test.fix) || strings.Contains(found[0].Fix, test.never) {
			t.Errorf("%s: %v", name, found)
		}
	}
}

// The finding explains that Linux leaves AMD's IOMMU off on machines with
// Stoney Ridge's graphics.
func TestIOMMUThatTheKernelLeavesOff(t *testing.T) {
	t.Parallel()
	for device, fix := range map[iommu.ID]string{0x98e4: "amd_iommu=force_enable", 0x15d8: "AMD-Vi errors"} {
		facts := iommu.Facts{GroupsKnown: proxstation.Yes, UnitsKnown: proxstation.Yes, ACPI: iommu.ACPI{IVRS: proxstation.Yes},
			Functions: []iommu.Function{{Class: 0x030000, Model: iommu.Model{Vendor: 0x1002, Device: device}}}}
		found := facts.Check()
		if len(found) != 1 || found[0].ID != "iommu.off" || !strings.Contains(found[0].Fix, fix) {
			t.Errorf("%s: %v", device, found)
		}
	}
}

// If the firmware reserves memory of a device, the severity and the remedy
// depend on the kernel and on the machine.
func TestMemoryThatTheFirmwareKeeps(t *testing.T) {
	t.Parallel()
	_, units := some()
	for name, test := range map[string]struct {
		kernel, cmdline string
		subsystem       iommu.ID
		ivrs            proxstation.Answer
		severity        proxstation.Severity
		says, never     string
	}{
		"Intel, PVE 9":            {"6.14.8-2-pve", "quiet", 0x1028, proxstation.No, proxstation.Blocker, "add intel_iommu=on,relax_rmrr to ", "HPE"},
		"Intel, an HPE server":    {"6.14.8-2-pve", "quiet", 0x103c, proxstation.No, proxstation.Blocker, "HP Shared Memory", "ineligible"},
		"Intel, before 6.6":       {"6.2.16-15-pve", "quiet", 0x1590, proxstation.No, proxstation.Blocker, "ineligible for IOMMU domain attach", "1:1"},
		"Intel, not PVE":          {"6.12.1-amd64", "quiet", 0x1028, proxstation.No, proxstation.Blocker, "another slot", "relax_rmrr"},
		"Intel, relaxed in vain":  {"5.15.30-2-pve", "intel_iommu=on,relax_rmrr", 0x1028, proxstation.No, proxstation.Blocker, "does not help on this kernel", "add intel"},
		"AMD, the kernel refuses": {"6.8.12-4-pve", "quiet", 0x1043, proxstation.Yes, proxstation.Blocker, "Pre-boot DMA Protection", "relax_rmrr"},
		"AMD, before 6.6":         {"6.5.13-5-pve", "quiet", 0x1043, proxstation.Yes, proxstation.Warning, "kernels from 6.6 on", "relax_rmrr"},
	} {
		running := iommu.ParseCmdline(test.cmdline)
		fn := iommu.Function{Group: iommu.Group(0), Class: 0x010700, DriverKnown: proxstation.Yes, Subsystem: iommu.Model{Vendor: test.subsystem}}
		facts := iommu.Facts{Functions: []iommu.Function{fn}, Groups: []iommu.GroupFacts{{Devices: []iommu.Address{fn.Address}, Direct: "0xbdf6f000 0xbdf6ffff direct"}}, Units: units,
			GroupsKnown: proxstation.Yes, UnitsKnown: proxstation.Yes, Kernel: test.kernel, Running: &running, ACPI: iommu.ACPI{IVRS: test.ivrs}}
		found := facts.CheckDevice(fn.Address)
		if len(found) != 1 || found[0].ID != "iommu.reserved-memory" || found[0].Severity != test.severity {
			t.Errorf("%s: %v", name, found)
			continue
		}
		machine := slices.DeleteFunc(facts.Check(), func(f proxstation.Finding) bool { return f.ID != "iommu.reserved-memory" })
		if len(machine) != 1 || machine[0].Severity != proxstation.Info || !strings.Contains(machine[0].Seen, "0000:00:00.0 (SAS controller") {
			t.Errorf("%s: of the machine %v", name, machine)
		}
		if text := found[0].Why + found[0].Fix; !strings.Contains(text, test.says) || strings.Contains(text, test.never) {
			t.Errorf("%s: %v", name, found)
		}
	}
}
