package iommu

import (
	"fmt"

	"github.com/proxstation/proxstation"
)

// A badKernel is a release with a fault that keeps guests from starting.
type badKernel struct {
	release string
	meets   func(Function) bool // reports whether a function is affected by the fault
	what    string              // the operation that fails
	instead string              // a release without the fault
	source  string              // the report of the fault, with its date
}

// isVirtual reports whether a function is an SR-IOV virtual function or has
// virtual functions.
func isVirtual(fn Function) bool { return fn.VirtualOf != nil || fn.SRIOV != nil && fn.SRIOV.Now > 0 }

// isOldIGD reports whether a function is an iGPU of Skylake to Comet Lake.
func isOldIGD(fn Function) bool {
	d := fn.Model.Device
	return fn.Model.Vendor == 0x8086 && fn.Parent == nil && fn.Class.IsDisplay() &&
		(d >= 0x1902 && d <= 0x193d || d >= 0x5902 && d <= 0x593b || d >= 0x3e90 && d <= 0x3ea9 || d >= 0x9b21 && d <= 0x9bf6)
}

// badKernels lists releases with a known fault. PVE's changelogs name the
// release that fixes each fault.
var badKernels = []badKernel{
	{"6.8.12-12-pve", isVirtual, "virtual functions (SR-IOV): a start ends with \"error getting device from group: Permission denied\"", "6.8.12-11-pve",
		"github.com/strongtz/i915-sriov-dkms issues 321 and 322, July 2025"},
	{"6.14.8-1-pve", isVirtual, "virtual functions (SR-IOV): a start ends with \"error getting device from group: Permission denied\"", "6.14.8-2-pve",
		"changelog of proxmox-kernel-6.14.8-2, 22 July 2025"},
	{"6.11.0-1-pve", isOldIGD, "integrated graphics of Skylake to Comet Lake: the IOMMU is off for them", "6.11.0-2-pve",
		"changelog of proxmox-kernel-6.11.0-2, 2024"},
	{"7.0.14-1-pve", func(fn Function) bool { return fn.Driver == "amdgpu" }, "amdgpu: it never releases a card, so the VM's start hangs", "7.0.14-3-pve",
		"changelog of proxmox-kernel-7.0.14-3, 3 July 2026"},
	{"7.0.14-2-pve", func(fn Function) bool { return fn.Driver == "amdgpu" }, "amdgpu: it never releases a card, so the VM's start hangs", "7.0.14-3-pve",
		"changelog of proxmox-kernel-7.0.14-3, 3 July 2026"},
}

// checkKernel reports a kernel release that is known to fail with the devices
// that this host has for guests. It also reports a running kernel whose modules
// were removed by an update.
func (f Facts) checkKernel() []proxstation.Finding {
	var found []proxstation.Finding
	if _, loaded := f.Module("vfio_pci"); f.KernelModules == proxstation.No && !loaded {
		found = append(found, proxstation.Finding{ID: "iommu.kernel-gone", Severity: proxstation.Blocker, Subject: "kernel " + f.Kernel,
			Seen: "/usr/lib/modules has no " + f.Kernel, Why: "An update removed the running kernel's modules: vfio-pci cannot be loaded until the host runs a kernel that is installed.",
			Fix: "Restart the host."})
	}
	for _, bad := range badKernels {
		for _, fn := range f.Functions {
			if f.Kernel != bad.release || !bad.meets(fn) {
				continue
			}
			return append(found, proxstation.Finding{ID: "iommu.kernel-known-bad", Severity: proxstation.Blocker, Subject: "kernel " + f.Kernel,
				Seen: fmt.Sprintf("/proc/sys/kernel/osrelease: %s; %s (%s %s)", f.Kernel, fn.Address, fn.Kind(), fn.Model),
				Why:  "This release has a fault with " + bad.what + " (" + bad.source + "). No setting of the host is wrong.",
				Fix:  "Install a newer kernel (apt update && apt full-upgrade), or run proxmox-boot-tool kernel pin " + bad.instead + "; then restart."})
		}
	}
	return found
}
