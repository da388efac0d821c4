package iommu

import (
	"fmt"

	"github.com/proxstation/proxstation"
)

// A badKernel is a release with a fault that keeps guests from starting.
type badKernel struct {
	release string
	what    string // what fails
	instead string // the release before the fault
	source  string // who says so, with the date
}

// badKernels have a fault that is known. Both came with the same change to
// VFIO's check of a virtual function's physical one, and the next releases have
// it no more.
var badKernels = []badKernel{
	{"6.8.12-12-pve", "virtual functions (SR-IOV)", "6.8.12-11-pve", "github.com/strongtz/i915-sriov-dkms issues 321 and 322, July 2025"},
	{"6.14.8-1-pve", "virtual functions (SR-IOV)", "6.14.5-1-bpo12-pve", "github.com/strongtz/i915-sriov-dkms issue 322, July 2025"},
}

// checkKernel finds a release that is known not to start guests with what this
// host has for them.
func (f Facts) checkKernel() []proxstation.Finding {
	for _, bad := range badKernels {
		for _, fn := range f.Functions {
			wanted := fn.VirtualOf != nil || fn.SRIOV != nil && fn.SRIOV.Now > 0
			if f.Kernel != bad.release || !wanted {
				continue
			}
			return []proxstation.Finding{{ID: "iommu.kernel-known-bad", Severity: proxstation.Blocker, Subject: "kernel " + f.Kernel,
				Seen: fmt.Sprintf("/proc/sys/kernel/osrelease: %s; %s has to do with %s", f.Kernel, fn.Address, bad.what),
				Why: "This release has a fault with " + bad.what + ": a start ends with \"error getting device from group: Permission denied\" (" + bad.source + ")." +
					" Nothing on the host is set wrong.",
				Fix: "Run proxmox-boot-tool kernel pin " + bad.instead + ", or install a newer kernel, and restart."}}
		}
	}
	return nil
}
