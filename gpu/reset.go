package gpu

import (
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
)

// reset advises on how the card is reset between two guests, which differs by
// chip. The kernel tries the methods of reset_method in their order
// (Documentation/ABI/testing/sysfs-bus-pci); a failed reset is only a warning
// in PVE's task log.
func (j *judgement) reset() {
	methods := j.card.Display().ResetMethods
	if methods == nil {
		return // not known from here
	}
	has := func(method string) bool { return slices.Contains(methods, method) }
	f := proxstation.Finding{ID: "gpu.reset", Severity: proxstation.Warning, Seen: "reset_method: " + strings.Join(methods, " ")}
	file := "/sys/bus/pci/devices/" + j.card.Address().String() + "/reset_method"
	vendorReset := j.card.is(AMDPolaris, AMDVega10, AMDVega20, AMDNavi10, AMDNavi12, AMDNavi14)
	switch chip := j.card.Chip(); {
	case chip == "GB203" && !has("flr"):
		// github.com/NVIDIA/open-gpu-kernel-modules issue 1353: the kernel lists
		// bus because it looked before the audio function was there.
		f.Why = "FLR is what resets a GB203; the bus reset that the kernel lists does not work beside the audio function, and a failed reset can hang the host"
		f.Fix = "write default to " + file + " and see whether flr is there; else restart the host between guests"
	case chip == "GB203" && methods[0] != "flr":
		f.Why = "FLR is what resets a GB203; the bus reset that the kernel lists does not work beside the audio function, and a failed reset can hang the host"
		f.Fix = "write flr to " + file + " before the VM starts"
	case chip == "GB202" && has("flr"):
		// Newer kernels know this (quirk_no_flr in drivers/pci/quirks.c).
		f.Why = "a GB202 may not come back from FLR: its configuration space then reads ff until the host is switched off and on"
		f.Fix = "write bus to " + file + " before the VM starts, or use a kernel that does not offer flr for this card"
	case vendorReset && !has("device_specific"):
		// github.com/gnif/vendor-reset README, supported devices.
		f.Why = j.card.Family().String() + " does not come back from a bus reset: the second start of a VM fails or hangs the host"
		f.Fix = "install the module vendor-reset on the host and write device_specific to " + file + ", or restart the host between guests"
	case vendorReset && methods[0] != "device_specific":
		f.Why = "the kernel tries another reset before the one that works for " + j.card.Family().String()
		f.Fix = "write device_specific to " + file
	case j.card.is(AMDNavi3x, AMDNavi4x):
		f.Severity = proxstation.Info
		f.Why = "some of these cards do not come back from a reset, depending on firmware and kernel, and vendor-reset does not know them"
		f.Fix = "try a second start of the VM before relying on it"
	case len(methods) == 0:
		f.Why = "the kernel cannot reset this card: a second start finds it as the first left it"
		f.Fix = "restart the host between guests if it does not come up"
	default:
		return
	}
	j.add(f)
}
