package iommu_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

func TestDeviceRules(t *testing.T) {
	t.Parallel()
	groups, units := some()
	base := iommu.Facts{Groups: groups, Units: units, GroupsKnown: proxstation.Yes, UnitsKnown: proxstation.Yes, Kernel: "6.8.12-4-pve"}
	for name, test := range map[string]struct {
		change func(*iommu.Facts, *iommu.Function)
		want   string // the ID and a part of the fix; "" if there is no finding
	}{
		"nothing":               {func(*iommu.Facts, *iommu.Function) {}, ""},
		"kept for vfio-pci":     {func(_ *iommu.Facts, fn *iommu.Function) { fn.Override = "vfio-pci" }, ""},
		"reserved for a driver": {func(_ *iommu.Facts, fn *iommu.Function) { fn.Override = "nouveau" }, "iommu.driver-override echo > /sys/bus/pci/devices/"},
		"no room for its memory": {func(_ *iommu.Facts, fn *iommu.Function) {
			fn.BARs = []iommu.BAR{{Index: 1, Bytes: 1 << 34, Unset: true}}
		}, "iommu.no-room Above 4G Decoding"},
		"no room for ports": {func(_ *iommu.Facts, fn *iommu.Function) {
			fn.BARs = []iommu.BAR{{Index: 5, Bytes: 256, IO: true, Unset: true}}
		}, ""},
		"QuickAssist": {func(_ *iommu.Facts, fn *iommu.Function) { fn.Model = iommu.Model{Vendor: 0x8086, Device: 0x37c8} }, "iommu.denylist disable_denylist=1"},
		"QuickAssist, allowed": {func(f *iommu.Facts, fn *iommu.Function) {
			fn.Model = iommu.Model{Vendor: 0x8086, Device: 0x37c8}
			f.Modules = []iommu.Module{{Name: "vfio_pci", Parameters: map[string]string{"disable_denylist": "Y"}}}
		}, ""},
		"memory that Intel's firmware keeps": {func(f *iommu.Facts, _ *iommu.Function) { f.Groups[0].Direct = "0x7b800000 0x7fffffff direct" }, "iommu.reserved-memory relax_rmrr"},
		"memory that AMD's firmware keeps": {func(f *iommu.Facts, _ *iommu.Function) {
			f.Groups[0].Direct, f.ACPI.IVRS = "0x7b800000 0x7fffffff direct", proxstation.Yes
		}, "iommu.reserved-memory Pre-boot DMA Protection"},
		"the keyboard": {func(f *iommu.Facts, fn *iommu.Function) {
			f.Uses = []iommu.Use{{Address: fn.Address, Kind: iommu.UseInput, Seen: "keyboard"}}
		}, "iommu.in-use another controller"},
	} {
		facts := base
		facts.Groups = slices.Clone(groups)
		fn := iommu.Function{Address: groups[0].Devices[0], Class: 0x030000, Group: iommu.Group(groups[0].ID), DriverKnown: proxstation.Yes}
		test.change(&facts, &fn)
		facts.Functions = []iommu.Function{fn}
		found := facts.CheckDevice(fn.Address)
		id, fix, _ := strings.Cut(test.want, " ")
		switch {
		case test.want == "" && len(found) == 0:
		case len(found) != 1 || found[0].ID != id || !strings.Contains(found[0].Fix, fix):
			t.Errorf("%s: %v", name, found)
		}
	}
}

func TestKernelRules(t *testing.T) {
	t.Parallel()
	iGPU := iommu.Function{Class: 0x030000, Model: iommu.Model{Vendor: 0x8086, Device: 0x9bc8}}
	virtual := iommu.Function{VirtualOf: &iommu.Address{}}
	amdgpu := iommu.Function{Class: 0x030000, Driver: "amdgpu"}
	for name, test := range map[string]struct {
		facts iommu.Facts
		want  string // the ID and a part of the fix; "" if there is no finding
	}{
		"a virtual function":      {iommu.Facts{Kernel: "6.8.12-12-pve", Functions: []iommu.Function{virtual}}, "iommu.kernel-known-bad kernel pin 6.8.12-11-pve"},
		"on another release":      {iommu.Facts{Kernel: "6.8.12-13-pve", Functions: []iommu.Function{virtual}}, ""},
		"none on that release":    {iommu.Facts{Kernel: "6.8.12-12-pve", Functions: []iommu.Function{iGPU}}, ""},
		"virtual functions asked": {iommu.Facts{Kernel: "6.14.8-1-pve", Functions: []iommu.Function{{SRIOV: &iommu.SRIOV{Total: 7, Now: 2}}}}, "iommu.kernel-known-bad 6.14.8-2-pve"},
		"an iGPU":                 {iommu.Facts{Kernel: "6.11.0-1-pve", Functions: []iommu.Function{iGPU}}, "iommu.kernel-known-bad 6.11.0-2-pve"},
		"a card on amdgpu":        {iommu.Facts{Kernel: "7.0.14-2-pve", Functions: []iommu.Function{amdgpu}}, "iommu.kernel-known-bad 7.0.14-3-pve"},
		"modules that are gone":   {iommu.Facts{Kernel: "6.8.12-4-pve", KernelModules: proxstation.No}, "iommu.kernel-gone Restart"},
		"a narrow IOMMU":          {iommu.Facts{AddressBits: 46, Units: []iommu.Unit{{Name: "dmar0", AddressBits: 39}}}, "iommu.address-width phys-bits=39"},
		"one that is wide enough": {iommu.Facts{AddressBits: 39, Units: []iommu.Unit{{Name: "dmar0", AddressBits: 39}}}, ""},
	} {
		found := slices.DeleteFunc(test.facts.Check(), func(f proxstation.Finding) bool { return f.ID == "iommu.unknown" })
		id, fix, _ := strings.Cut(test.want, " ")
		switch {
		case test.want == "" && len(found) == 0:
		case len(found) != 1 || found[0].ID != id || !strings.Contains(found[0].Fix, fix):
			t.Errorf("%s: %v", name, found)
		}
	}
}

// The fix only names a setting of the firmware if the setting can help on this
// chipset.
func TestInterruptRemappingByChipset(t *testing.T) {
	t.Parallel()
	groups, units := some()
	for name, test := range map[string]struct {
		device   iommu.ID
		revision uint8
		unsafe   string
		want     string // the finding's ID and a part of its fix
	}{
		"5520 stepping 13":             {0x3406, 0x13, "N", "iommu.no-interrupt-remapping no setting of the firmware"},
		"5520 stepping 22":             {0x3406, 0x22, "N", "iommu.no-interrupt-remapping x2APIC"},
		"the other 5520 stepping 22":   {0x3405, 0x22, "N", "iommu.no-interrupt-remapping no setting of the firmware"},
		"another chipset":              {0x3ec2, 0x07, "N", "iommu.no-interrupt-remapping x2APIC"},
		"allowed, and nothing refuses": {0x3406, 0x13, "Y", "iommu.unsafe-interrupts this chipset cannot remap"},
	} {
		facts := iommu.Facts{Groups: groups, Units: units, GroupsKnown: proxstation.Yes, UnitsKnown: proxstation.Yes, Interrupts: iommu.Interrupts{Remapped: proxstation.No},
			Functions: []iommu.Function{{Model: iommu.Model{Vendor: 0x8086, Device: test.device}, Revision: &test.revision}},
			Modules:   []iommu.Module{{Name: "vfio_iommu_type1", Parameters: map[string]string{"allow_unsafe_interrupts": test.unsafe}}}}
		found := facts.Check()
		id, fix, _ := strings.Cut(test.want, " ")
		if len(found) != 1 || found[0].ID != id || !strings.Contains(found[0].Fix, fix) {
			t.Errorf("%s: %v", name, found)
		}
	}
}
