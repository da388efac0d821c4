package iommu

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/sysfs"
)

// Virtual says whether the machine is a virtual machine itself. If so, its
// features are turned on in the hypervisor rather than in the firmware's
// set-up.
type Virtual struct {
	Answer proxstation.Answer `json:"answer"`
	// Vendor is the maker that the firmware names, such as "QEMU" or "VMware,
	// Inc." (/sys/class/dmi/id/sys_vendor). It is empty if it is not known.
	Vendor string `json:"vendor,omitempty"`
	Seen   string `json:"seen,omitempty"` // a file and its content
}

// virtualVendors holds the beginnings of the maker's name in firmwares of
// virtual machines (dmi_vendor_table in systemd's src/basic/virt.c). Amazon and
// Google are left out, because they also rent out whole machines.
var virtualVendors = []string{"QEMU", "KVM", "VMware", "VMW", "innotek GmbH", "Xen", "Parallels", "BHYVE", "Bochs"}

// The method "virtual" looks for the flag "hypervisor" in /proc/cpuinfo (CPUID
// leaf 1, ECX bit 31), which no real processor sets. It also looks at the
// firmware, because a hypervisor can hide the flag from the guest.
func (r *reader) virtual() {
	r.Virtual.Vendor, _, _ = sysfs.Optional(r.Sys, "class/dmi/id/sys_vendor")
	flags, known := r.processor("flags")
	isVendor := func(prefix string) bool { return strings.HasPrefix(r.Virtual.Vendor, prefix) }
	switch {
	case slices.Contains(strings.Fields(flags), "hypervisor"):
		r.Virtual.Answer, r.Virtual.Seen = proxstation.Yes, "/proc/cpuinfo: flag hypervisor"
	case slices.ContainsFunc(virtualVendors, isVendor):
		r.Virtual.Answer, r.Virtual.Seen = proxstation.Yes, "/sys/class/dmi/id/sys_vendor: "+r.Virtual.Vendor
	case known:
		r.Virtual.Answer = proxstation.No
	}
}

// The method "processor" returns the value of a key for the first processor in
// /proc/cpuinfo.
func (r *reader) processor(key string) (value string, ok bool) {
	data, _ := fs.ReadFile(r.Proc, "cpuinfo")
	for line := range strings.Lines(string(data)) {
		if have, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(have) == key {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

// The method "firmware" returns one of two texts: on a real machine the advice
// about the firmware's set-up, and on a virtual machine the advice about the
// hypervisor.
func (f Facts) firmware(machine, hypervisor string) string {
	if f.Virtual.Answer == proxstation.Yes {
		return hypervisor
	}
	return machine
}

// giveIOMMU says how to give a virtual machine an IOMMU with interrupt
// remapping (PVE Administration Guide, vIOMMU; qemu-server PVE/QemuServer.pm
// for PVE's implementation). PVE's other virtual IOMMU, virtio, remaps no
// interrupts.
func (v Virtual) giveIOMMU() string {
	const inside = " Then start it anew, with intel_iommu=on among the kernel's arguments in here, whatever the processor."
	switch {
	case strings.HasPrefix(v.Vendor, "VMware"):
		return `This is a virtual machine: shut it down and turn on "Expose IOMMU to the guest OS" in its settings (vvtd.enable = "TRUE").` + inside
	case v.Vendor == "QEMU":
		return "This is a virtual machine: shut it down and run, on the Proxmox VE node outside, qm set VMID --machine q35,viommu=intel " +
			"(QEMU: -machine q35,kernel-irqchip=split -device intel-iommu,intremap=on,caching-mode=on)." + inside
	}
	return fmt.Sprintf("This is a virtual machine (%s): turn on an IOMMU with interrupt remapping for it in the hypervisor outside, if that hypervisor has such an IOMMU.", v.Seen)
}
