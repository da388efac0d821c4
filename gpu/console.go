package gpu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

// console judges whether the host's console still draws on the card. vfio-pci
// takes the firmware's picture off a VGA function that it binds (vfio_pci_core
// since Linux 6.0). A picture that is still there was put back by a driver of
// the console, or came later, and it holds the card's memory.
func (j *judgement) console() {
	d := j.card.Display()
	firmware := slices.IndexFunc(j.facts.Framebuffers, func(fb iommu.Framebuffer) bool {
		return fb.Firmware && fb.Address.SameSlot(d.Address)
	})
	switch {
	case firmware >= 0:
		j.add(j.picture(j.facts.Framebuffers[firmware]))
	case d.BootVGA == proxstation.Yes && !j.card.Integrated():
		j.add(proxstation.Finding{ID: "gpu.boot-vga", Severity: proxstation.Info, Seen: "boot_vga: 1",
			Why: "the firmware has used the card: the guest may find its option ROM changed and show no picture",
			Fix: "make another card the firmware's primary display, or give the guest a copy of the ROM (romfile)"})
	}
	module, _ := j.facts.Module("vfio_pci")
	if j.card.Model().Vendor == Intel && j.card.Integrated() && module.Parameters["disable_vga"] == "Y" {
		_, where := j.facts.Option("vfio_pci", "disable_vga")
		j.add(proxstation.Finding{ID: "gpu.disable-vga", Severity: proxstation.Warning, Seen: "/sys/module/vfio_pci/parameters/disable_vga: Y",
			Why: "legacy-igd does not work: the guest cannot reach the VGA registers",
			Fix: "remove disable_vga=1 (" + or(where, "in /etc/modprobe.d or among the kernel's arguments") + "), run update-initramfs -u -k all, and restart"})
	}
}

// picture judges a picture of the firmware that lies in the card's memory.
func (j *judgement) picture(fb iommu.Framebuffer) proxstation.Finding {
	f := proxstation.Finding{ID: "gpu.framebuffer", Seen: fb.Seen}
	bar := "a BAR"
	if fb.BAR != nil {
		bar = fmt.Sprintf("BAR %d", *fb.BAR)
		f.Seen += ", " + bar
	}
	if held := j.card.Display().Driver == "vfio-pci"; held {
		f.Severity = proxstation.Blocker
		f.Why = "the firmware's picture holds the card's memory although vfio-pci has the card: the guest gets no display (" + bar + ": can't reserve)"
		f.Fix = j.takeOff(fb) + "; or make another card the firmware's primary display"
		return f
	}
	if old := strings.HasPrefix(j.facts.Kernel, "5.") || strings.HasPrefix(j.facts.Kernel, "4."); old {
		f.Severity = proxstation.Warning
		f.Why = "the host's console is the firmware's picture in the card's memory, and this kernel (" + j.facts.Kernel + ") does not take it off for vfio-pci: the guest gets no display (" + bar + ": can't reserve)"
		f.Fix = j.takeOff(fb) + "; or make another card the firmware's primary display"
		return f
	}
	f.Severity = proxstation.Info
	f.Why = "the host's console is the firmware's picture in the card's memory; vfio-pci removes it when it takes the card (Linux 6.0 and newer)"
	return f
}

// The initcalls that make a device of the firmware's picture, and that bind
// simpledrm to such a device (drivers/firmware/sysfb.c, drivers/gpu/drm/sysfb).
const (
	sysfb     = "sysfb_init"
	simpledrm = "simpledrm_platform_driver_init"
)

// takeOff returns the kernel arguments that keep the picture out of the card's
// memory, for the driver that shows it. Arguments that are in force already are
// left out. video=efifb:off only reaches efifb, and only on kernels before
// 5.15.
func (j *judgement) takeOff(fb iommu.Framebuffer) string {
	var listed []string
	if j.facts.Running != nil {
		listed = j.facts.Running.Options("initcall_blacklist")
	}
	driver, device := "efi-framebuffer", "efi-framebuffer.0"
	switch name := strings.ToLower(fb.Name); {
	case strings.Contains(name, "simple"), name == "bootfb":
		driver, device = "simple-framebuffer", "simple-framebuffer.0"
	case strings.Contains(name, "vesa"):
		driver, device = "vesa-framebuffer", "vesa-framebuffer.0"
	}
	now := fmt.Sprintf("before the VM starts, as root: for c in /sys/class/vtconsole/vtcon*/bind; do echo 0 > $c; done; echo %s > /sys/bus/platform/drivers/%s/unbind", device, driver)
	missing := sysfb
	if slices.Contains(listed, sysfb) {
		now = "initcall_blacklist=" + sysfb + " is in force and does not help on this kernel (" + j.facts.Kernel + "): " + now
		missing = simpledrm
	}
	if slices.Contains(listed, missing) {
		return now
	}
	if missing == simpledrm && strings.Contains(j.facts.Kernel, "pve") { // a module in PVE's kernels since 5.15.19-2
		return now + "; or for good, " + j.facts.Advise("module_blacklist=simpledrm")
	}
	return now + "; or for good, " + j.facts.Advise("initcall_blacklist="+strings.Join(append(listed, missing), ","))
}

// primary reports an Intel iGPU that is not the firmware's display: legacy-igd
// shows no picture then.
func (j *judgement) primary() {
	d := j.card.Display()
	if j.card.Model().Vendor != Intel || !j.card.Integrated() || j.card.virtual() || d.Class.Sub() == 0x0300 && d.BootVGA != proxstation.No {
		return
	}
	j.add(proxstation.Finding{ID: "gpu.not-primary", Severity: proxstation.Info, Seen: fmt.Sprintf("class %s, boot_vga %s", d.Class, d.BootVGA),
		Why: "the iGPU is not the firmware's primary display: with legacy-igd the guest shows no picture on its connectors, though its driver can compute and draw",
		Fix: "for a picture from the start on, set the primary display to IGFX (iGPU) in the firmware's set-up, with UEFI and without CSM"})
}
