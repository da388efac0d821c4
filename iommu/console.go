package iommu

import (
	"fmt"

	"github.com/proxstation/proxstation"
)

// managementDisplays holds the displays of servers' management controllers
// (BMC). They are the devices of the drivers ast, mgag200 (except its two
// desktop cards) and hisilicon/hibmc in Linux' drivers/gpu/drm, and the ES1000
// and the Volari of older boards from pci.ids.
var managementDisplays = map[Model]string{
	{0x1a03, 0x2000}: "ASPEED",
	{0x102b, 0x0522}: "Matrox G200SE", {0x102b, 0x0524}: "Matrox G200SE", {0x102b, 0x0530}: "Matrox G200EV",
	{0x102b, 0x0532}: "Matrox G200eW", {0x102b, 0x0533}: "Matrox G200EH", {0x102b, 0x0534}: "Matrox G200eR",
	{0x102b, 0x0536}: "Matrox G200eW3", {0x102b, 0x0538}: "Matrox G200eH3", {0x102b, 0x053a}: "Matrox G200eH5",
	{0x19e5, 0x1711}: "HiSilicon Hibmc", {0x1002, 0x515e}: "ATI ES1000",
	{0x18ca, 0x0020}: "XGI Volari Z7", {0x18ca, 0x0021}: "XGI Volari Z9",
}

// emulatedDisplays holds the displays that hypervisors emulate for a virtual
// machine (drivers tiny, virtio, qxl, vmwgfx, vboxvideo and hyperv in
// drivers/gpu/drm).
var emulatedDisplays = map[Model]string{
	{0x1234, 0x1111}: "QEMU standard VGA", {0x1013, 0x00b8}: "QEMU Cirrus VGA", {0x1af4, 0x1050}: "virtio-gpu", {0x1b36, 0x0100}: "QXL",
	{0x15ad, 0x0405}: "VMware SVGA", {0x80ee, 0xbeef}: "VirtualBox VGA", {0x1414, 0x5353}: "Hyper-V video",
}

// Console returns the name of a display that only shows the machine's own
// picture: the display of a server's management controller (BMC, whose remote
// console shows it), or a display that a hypervisor emulates. Such a display is
// of no use to a guest. For all other functions it returns "".
func (fn Function) Console() string {
	if name, ok := managementDisplays[fn.Model]; ok {
		return name
	}
	return emulatedDisplays[fn.Model]
}

// checkConsole reports a display that is not a graphics card.
func (fn Function) checkConsole() []proxstation.Finding {
	finding := proxstation.Finding{ID: "iommu.server-console", Severity: proxstation.Blocker, Subject: fn.Address.String(),
		Seen: fmt.Sprintf("%s is %s, the display of the server's management controller (BMC)", fn.Model, fn.Console()),
		Why:  "It shows the host's console, also over the remote management. It has no 3D, so it is of no use to a guest.",
		Fix:  "Leave it to the host and choose a graphics card."}
	if _, emulated := emulatedDisplays[fn.Model]; emulated {
		finding.ID, finding.Severity = "iommu.emulated-display", proxstation.Warning
		finding.Seen = fmt.Sprintf("%s is %s, which the hypervisor emulates for this virtual machine", fn.Model, fn.Console())
		finding.Why = "It shows this machine's console. There is no card behind it, so it is of no use to a guest."
		finding.Fix = "Leave it to this machine, and first pass a graphics card to this virtual machine."
	}
	if fn.Console() == "" {
		return nil
	}
	return []proxstation.Finding{finding}
}

// The method "draws" reports whether a display may show the machine's console. It
// returns false for displays on vfio-pci or pci-stub, for virtual functions,
// and for 3D controllers (class 0302), which have no connectors. It also
// returns false for displays that have no driver and that the firmware did not
// use.
func (fn Function) draws() bool {
	switch {
	case !fn.Class.IsDisplay(), fn.Class.Sub() == 0x0302, fn.Lost == proxstation.Yes, fn.VirtualOf != nil, fn.Driver == vfioPCI, fn.Driver == "pci-stub":
		return false
	case fn.Driver != "":
		return true
	}
	return fn.BootVGA == proxstation.Yes || fn.BootVGA == proxstation.Unknown && fn.Class.Sub() == 0x0300
}

// consoleUses records the machine's only display as in use.
func (r *reader) consoleUses() {
	var displays []Function
	for _, fn := range r.Functions {
		if fn.draws() {
			displays = append(displays, fn)
		}
	}
	if len(displays) == 1 {
		fn := displays[0]
		seen := fmt.Sprintf("the only display that shows the host's console; driver %q, boot_vga %s", fn.Driver, fn.BootVGA)
		r.Uses = append(r.Uses, Use{Address: fn.Address, Kind: UseConsole, Seen: seen})
	}
}
