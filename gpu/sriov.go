package gpu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

// The method "wanted" returns the module and the argument by which somebody
// asked for virtual functions, or "".
func (j *judgement) wanted() (module, argument string) {
	for _, module := range []string{"i915", "xe"} {
		if value, where := j.facts.Option(module, "max_vfs"); where != "" && value != "0" {
			return module, where
		}
	}
	return "", ""
}

// The method "sriov" reports requested virtual functions that do not exist, and
// the reason. The kernel's own i915 makes no virtual functions on any
// processor. The module i915-sriov-dkms, which has the parameter max_vfs, makes
// virtual functions. The module xe makes them from Linux 6.8 on, for newer
// processors.
func (j *judgement) sriov() {
	d := j.card.Display()
	if d.Model.Vendor != Intel || !j.card.Integrated() || j.card.virtual() {
		return
	}
	j.gvt()
	module, argument := j.wanted()
	if module == "" || j.parts() != "" {
		return
	}
	m, loaded := j.facts.Module(module)
	_, takes := m.Parameters["max_vfs"]
	alone := strings.TrimSuffix(d.Address.String(), "0") + "1"
	switch {
	case d.Driver == "vfio-pci":
		j.add(proxstation.Finding{ID: "gpu.physical-taken", Severity: proxstation.Blocker, Seen: argument + "; " + d.Address.String() + " has the driver vfio-pci" + count(d.SRIOV),
			Why: "The physical function itself was given to a guest (hostpci with " + d.Address.Slot() + " or " + d.Address.String() + "), which takes away all virtual functions, so no guest finds a virtual function.",
			Fix: "Write the virtual function alone in the VM's configuration (hostpci0: " + alone + "), leave " + d.Address.String() + " to " + module + ", and restart the host; " +
				"or bind it to " + module + " again and write their number to /sys/bus/pci/devices/" + d.Address.String() + "/sriov_numvfs."})
	case loaded && d.Driver == module && !takes && d.SRIOV == nil:
		j.add(proxstation.Finding{ID: "gpu.sriov-driver", Severity: proxstation.Warning, Seen: argument + "; /sys/module/" + module + "/parameters has no max_vfs; no sriov_totalvfs",
			Why: "The driver in force is the kernel's own " + module + ", which ignores the option and makes no virtual functions. The module of i915-sriov-dkms was not built for this kernel, is not in the initramfs, or Secure Boot refuses it.",
			Fix: "Look at dkms status and dmesg | grep -i " + module + "; then apt install " + j.headers() + ", install the module for this kernel (dkms autoinstall), run update-initramfs -u -k all, and restart; " +
				"with Secure Boot also mokutil --import /var/lib/dkms/mok.pub."})
	case d.SRIOV != nil && d.SRIOV.Now == 0:
		j.add(proxstation.Finding{ID: "gpu.sriov-driver", Severity: proxstation.Warning, Seen: argument + "; /sys/bus/pci/devices/" + d.Address.String() + "/sriov_numvfs: 0 of " + fmt.Sprint(d.SRIOV.Total),
			Why: "Nothing has made the virtual functions, so a guest with a virtual function does not start.",
			Fix: fmt.Sprintf("Write \"w /sys/bus/pci/devices/%s/sriov_numvfs - - - - %d\" in /etc/tmpfiles.d/sriov.conf and run systemd-tmpfiles --create.", d.Address, d.SRIOV.Total)})
	}
}

// The method "headers" returns the name of the package with the kernel's
// headers, which are needed to build a module. Since PVE's kernel 6.5, the name
// begins with proxmox-headers.
func (j *judgement) headers() string {
	old := strings.HasPrefix(j.facts.Kernel, "5.") || strings.HasPrefix(j.facts.Kernel, "6.2.")
	if old {
		return "pve-headers-" + j.facts.Kernel
	}
	return "proxmox-headers-" + or(j.facts.Kernel, "$(uname -r)")
}

// gvt reports that somebody asked for GVT-g on a processor that does not
// support it. Only Broadwell to Comet Lake support GVT-g (Linux
// drivers/gpu/drm/i915/gvt).
func (j *judgement) gvt() {
	value, where := j.facts.Option("i915", "enable_gvt")
	capable := j.card.is(IntelBroadwell, IntelSkylake, IntelKabyLake, IntelCoffeeLake, IntelCometLake, UnknownFamily)
	if where == "" || value == "0" || capable {
		return
	}
	j.add(proxstation.Finding{ID: "gpu.gvt-gone", Severity: proxstation.Warning, Seen: where + "; " + j.card.Name(),
		Why: "GVT-g is for Broadwell to Comet Lake: this iGPU offers no mediated devices (mdev).", Fix: "Remove enable_gvt, and pass the whole iGPU or its virtual functions (SR-IOV)."})
}

// The function "count" returns the number of virtual functions in words.
func count(s *iommu.SRIOV) string {
	if s == nil {
		return ""
	}
	return fmt.Sprintf("; sriov_numvfs %d of %d", s.Now, s.Total)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// The method "parts" returns the card's virtual functions.
func (j *judgement) parts() string {
	var parts []string
	for _, own := range j.card.Functions {
		for _, f := range j.facts.VirtualFunctions(own.Address) {
			parts = append(parts, f.Address.String())
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
