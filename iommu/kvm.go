package iommu

import (
	"io/fs"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
)

// KVM says whether the processor can run virtual machines by itself, with
// Intel's VMX or AMD's SVM. Without KVM, PVE starts no VM ("KVM virtualisation
// configured, but not available").
type KVM struct {
	Answer proxstation.Answer `json:"answer"`
	Seen   string             `json:"seen,omitempty"` // a file and its content
}

// kvm reads the flags in /proc/cpuinfo. If the firmware turned VMX off, the
// kernel removes the flag (init_ia32_feat_ctl in
// arch/x86/kernel/cpu/feat_ctl.c, since Linux 5.6). With older kernels and on
// AMD's processors, the flag may stay, and only the KVM module for the
// processor is missing.
func (r *reader) kvm() {
	flags, known := r.processor("flags")
	have := strings.Fields(flags)
	vendor := r.Vendor == "GenuineIntel" || r.Vendor == "AuthenticAMD"
	switch here := func(module string) bool { _, err := fs.Stat(r.Sys, "module/"+module); return err == nil }; {
	case here("kvm_intel"), here("kvm_amd"):
		r.KVM = KVM{proxstation.Yes, "/sys/module has kvm_intel or kvm_amd"}
	case here("kvm"):
		r.KVM = KVM{proxstation.No, "/sys/module has kvm, and neither kvm_intel nor kvm_amd"}
	case known && vendor && slices.Contains(have, "fpu") && !slices.Contains(have, "vmx") && !slices.Contains(have, "svm"):
		r.KVM = KVM{proxstation.No, "/proc/cpuinfo: neither flag vmx nor svm"}
	case slices.Contains(have, "vmx"), slices.Contains(have, "svm"):
		r.KVM = KVM{proxstation.Yes, "/proc/cpuinfo: flag vmx or svm"}
	}
}

// checkKVM reports a processor that cannot run virtual machines.
func (f Facts) checkKVM() []proxstation.Finding {
	if f.KVM.Answer != proxstation.No {
		return nil
	}
	fix := "Turn on virtualization in the firmware's set-up (Intel: VT-x or Virtualization Technology, AMD: SVM Mode), and switch the machine off and on."
	switch {
	case f.Virtual.Answer == proxstation.Yes && f.Virtual.Vendor == "QEMU":
		fix = "This is a virtual machine: on the Proxmox VE node outside, run qm set VMID --cpu host, check that /sys/module/kvm_intel/parameters/nested (or kvm_amd) is Y or 1 there, and start this machine again."
	case f.Virtual.Answer == proxstation.Yes:
		fix = "This is a virtual machine: turn on nested virtualization for it in the hypervisor outside."
	}
	return []proxstation.Finding{{ID: "iommu.no-virtualization", Severity: proxstation.Blocker, Subject: "processor", Seen: f.KVM.Seen,
		Why: "No VM starts, with or without a card: \"KVM virtualisation configured, but not available\".", Fix: fix}}
}
