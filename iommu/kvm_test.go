package iommu_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
)

// Read finds out whether the processor can run VMs, from the processor's flags
// and from KVM's modules.
func TestVirtualizationThatIsOff(t *testing.T) {
	t.Parallel()
	const cpuinfo = `file proc/cpuinfo "vendor_id\t: GenuineIntel\nflags\t\t: fpu vme `
	for name, test := range map[string]struct {
		lines  []string
		answer proxstation.Answer
		fix    string
	}{
		"the flag is there":            {[]string{cpuinfo + `vmx\n"`}, proxstation.Yes, ""},
		"the firmware took it away":    {[]string{cpuinfo + `\n"`}, proxstation.No, "VT-x"},
		"the flag without its module":  {[]string{cpuinfo + `vmx\n"`, "module kvm"}, proxstation.No, "SVM Mode"},
		"both modules":                 {[]string{cpuinfo + `\n"`, "module kvm", "module kvm_intel"}, proxstation.Yes, ""},
		"no flags are known":           {[]string{`file proc/cpuinfo "vendor_id\t: GenuineIntel\n"`}, proxstation.Unknown, ""},
		"another kind of processor":    {[]string{`file proc/cpuinfo "Features\t: fp asimd\n"`}, proxstation.Unknown, ""},
		"in a virtual machine of QEMU": {[]string{cpuinfo + `hypervisor\n"`, "file sys/class/dmi/id/sys_vendor QEMU"}, proxstation.No, "qm set VMID --cpu host"},
		"in another virtual machine":   {[]string{cpuinfo + `hypervisor\n"`}, proxstation.No, "nested virtualization"},
	} {
		facts := read(t, "loader-grub-blank", test.lines...)
		if facts.KVM.Answer != test.answer {
			t.Errorf("%s: %+v, want %s", name, facts.KVM, test.answer)
		}
		found := slices.DeleteFunc(facts.Check(), func(f proxstation.Finding) bool { return f.ID != "iommu.no-virtualization" })
		if (len(found) > 0) != (test.answer == proxstation.No) || len(found) > 0 && !strings.Contains(found[0].Fix, test.fix) {
			t.Errorf("%s: %v", name, found)
		}
	}
}
