package iommu_test

import (
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

func TestReadVirtual(t *testing.T) {
	t.Parallel()
	const cpu = `file proc/cpuinfo "vendor_id\t: GenuineIntel\nflags\t\t: fpu vme %\nflags\t\t: fpu vme hypervisor\n"`
	for name, test := range map[string]struct {
		flag, vendor string
		want         proxstation.Answer
		seen         string
	}{
		"bare metal":                 {"", "ASUSTeK COMPUTER INC.", proxstation.No, ""},
		"a VM of PVE":                {"hypervisor", "QEMU", proxstation.Yes, "/proc/cpuinfo: flag hypervisor"},
		"one that hides it":          {"", "QEMU", proxstation.Yes, "/sys/class/dmi/id/sys_vendor: QEMU"},
		"VirtualBox":                 {"hypervisor", "innotek GmbH", proxstation.Yes, "/proc/cpuinfo: flag hypervisor"},
		"a rented machine":           {"", "Amazon EC2", proxstation.No, ""},
		"a flag that only begins so": {"hypervisor2", "Dell Inc.", proxstation.No, ""},
	} {
		got := read(t, "reference", strings.Replace(cpu, "%", test.flag, 1), `file sys/class/dmi/id/sys_vendor "`+test.vendor+`\n"`).Virtual
		if want := (iommu.Virtual{Answer: test.want, Vendor: test.vendor, Seen: test.seen}); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if got := read(t, "reference", "remove proc/cpuinfo").Virtual; got.Answer != proxstation.Unknown {
		t.Errorf("without /proc/cpuinfo: %+v", got)
	}
}

// The firmware of a virtual machine has no switch for VT-d, so no advice names
// that switch.
func TestAdviceInsideVirtualMachines(t *testing.T) {
	t.Parallel()
	off := iommu.Facts{GroupsKnown: proxstation.Yes, UnitsKnown: proxstation.Yes}
	tables := func(dmar, ivrs proxstation.Answer) iommu.ACPI { return iommu.ACPI{DMAR: dmar, IVRS: ivrs} }
	groups, units := some()
	for name, test := range map[string]struct {
		facts   iommu.Facts
		vendor  string
		id, fix string
	}{
		"PVE outside":       {iommu.Facts{ACPI: tables(proxstation.No, proxstation.No)}, "QEMU", "iommu.vm-without-iommu", "qm set VMID --machine q35,viommu=intel"},
		"VMware outside":    {iommu.Facts{ACPI: tables(proxstation.No, proxstation.No)}, "VMware, Inc.", "iommu.vm-without-iommu", "Expose IOMMU to the guest OS"},
		"another outside":   {iommu.Facts{ACPI: tables(proxstation.No, proxstation.No)}, "Acme", "iommu.vm-without-iommu", "in the hypervisor outside"},
		"tables not known":  {iommu.Facts{}, "QEMU", "iommu.off", "viommu=intel"},
		"argument missing":  {iommu.Facts{ACPI: tables(proxstation.Yes, proxstation.No), Running: cmdline("iommu=pt")}, "QEMU", "iommu.off", "Add intel_iommu=on"},
		"argument in vain":  {iommu.Facts{ACPI: tables(proxstation.Yes, proxstation.No), Running: cmdline("intel_iommu=on")}, "QEMU", "iommu.off", "update the hypervisor"},
		"AMD's, broken":     {iommu.Facts{ACPI: tables(proxstation.No, proxstation.Yes)}, "QEMU", "iommu.off", "update the hypervisor"},
		"virtio's":          {iommu.Facts{Groups: groups, Units: units, Interrupts: iommu.Interrupts{Remapped: proxstation.No}}, "QEMU", "iommu.no-interrupt-remapping", "viommu=intel"},
		"told off in there": {iommu.Facts{ACPI: tables(proxstation.Yes, proxstation.No), Running: cmdline("intel_iommu=off")}, "QEMU", "iommu.off-by-argument", "Remove intel_iommu=off"},
	} {
		facts := test.facts
		facts.GroupsKnown, facts.UnitsKnown = off.GroupsKnown, off.UnitsKnown
		facts.Virtual = iommu.Virtual{Answer: proxstation.Yes, Vendor: test.vendor, Seen: "/proc/cpuinfo: flag hypervisor"}
		found := facts.Check()
		if len(found) == 0 || found[0].ID != test.id || !strings.Contains(found[0].Fix, test.fix) || strings.Contains(found[0].Fix, "firmware's set-up") {
			t.Errorf("%s: %v", name, found)
		}
	}
	found := read(t, "nested-vm").Check()
	if len(found) == 0 || found[0].ID != "iommu.vm-without-iommu" || !strings.Contains(found[0].Seen, "flag hypervisor") {
		t.Errorf("the described one: %v", found)
	}
	shared := read(t, "shared-group", `file sys/class/dmi/id/sys_vendor "QEMU\n"`).CheckDevice(address(t, "0000:04:00.0"))
	if len(shared) == 0 || shared[0].ID != "iommu.shared-group" || !strings.Contains(shared[0].Fix, "root port of its own") {
		t.Errorf("a group shared in a VM: %v", shared)
	}
}
