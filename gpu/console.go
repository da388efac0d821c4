package gpu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/iommu"
)

// The method "console" judges whether the host's console still draws on the
// card. Since Linux 6.0, vfio-pci removes the firmware's picture when it binds
// a VGA function. A picture that is there after that was put back or made later
// by a driver of the console. It occupies the card's memory.
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
			Why: "The firmware has used the card and may have changed the card's option ROM: the guest then shows no picture.",
			Fix: printable.Sentence(j.otherDisplay() + "; or give the guest a copy of the card's ROM: put it in /usr/share/kvm, and add romfile=NAME to the hostpci value")})
	}
	module, _ := j.facts.Module("vfio_pci")
	if j.card.Model().Vendor == Intel && j.card.Integrated() && module.Parameters["disable_vga"] == "Y" {
		_, where := j.facts.Option("vfio_pci", "disable_vga")
		fix := "Remove disable_vga=1 (" + or(where, "in /etc/modprobe.d or among the kernel's arguments") + "), run update-initramfs -u -k all, and restart."
		if _, argument, ok := strings.Cut(where, "kernel arguments: "); ok {
			fix = printable.Sentence(j.facts.AdviseWithout(argument))
		}
		j.add(proxstation.Finding{ID: "gpu.disable-vga", Severity: proxstation.Warning, Seen: "/sys/module/vfio_pci/parameters/disable_vga: Y",
			Why: "legacy-igd does not work: the guest cannot reach the VGA registers.",
			Fix: fix})
	}
}

// otherDisplay says on which display the firmware can show its picture instead:
// on another display of the host, or on a second card that has to be added.
func (j *judgement) otherDisplay() string {
	for _, card := range Cards(j.facts.Functions) {
		if d := card.Display(); !d.Address.SameSlot(j.card.Address()) && d.VirtualOf == nil && d.Driver != "vfio-pci" {
			return "make " + d.Address.String() + " the primary display in the firmware's set-up, and plug the monitor in there"
		}
	}
	return "put a second graphics card in this host, and make it the firmware's primary display"
}

// evicts reports whether vfio-pci removes the firmware's picture from the card
// when it binds the display. It does so since Linux 6.0, and only for VGA
// functions (vfio_pci_vga_init in drivers/vfio/pci/vfio_pci_core.c).
func (j *judgement) evicts() bool {
	old := strings.HasPrefix(j.facts.Kernel, "5.") || strings.HasPrefix(j.facts.Kernel, "4.")
	return !old && j.card.Display().Class.Sub() == 0x0300
}

// The method "picture" judges a boot picture that the firmware left in the
// card's memory.
func (j *judgement) picture(fb iommu.Framebuffer) proxstation.Finding {
	f := proxstation.Finding{ID: "gpu.framebuffer", Seen: fb.Seen}
	d := j.card.Display()
	bar := "a BAR"
	if fb.BAR != nil {
		bar = fmt.Sprintf("BAR %d", *fb.BAR)
		f.Seen += ", " + bar
	}
	f.Fix = printable.Sentence(j.takeOff(fb) + "; or " + j.otherDisplay())
	switch {
	case d.Driver == "vfio-pci":
		f.Severity = proxstation.Blocker
		f.Why = "The firmware's picture holds the card's memory although vfio-pci has the card: the guest gets no display (" + bar + ": can't reserve)."
	case j.evicts():
		f.Severity, f.Fix = proxstation.Info, ""
		f.Why = "The host's console is the firmware's picture in the card's memory; vfio-pci removes the picture when it takes the card (Linux 6.0 and newer)."
	default:
		f.Severity = proxstation.Warning
		f.Why = fmt.Sprintf("The host's console is the firmware's picture in the card's memory, and vfio-pci does not take it off this function (class %s, kernel %s): the guest gets no display (%s: can't reserve).",
			d.Class, or(j.facts.Kernel, "unknown"), bar)
	}
	return f
}

// The initcall sysfb makes a device for the firmware's picture, and the
// initcall simpledrm binds a driver to this device. Sources:
// drivers/firmware/sysfb.c, drivers/gpu/drm/sysfb.
const (
	sysfb     = "sysfb_init"
	simpledrm = "simpledrm_platform_driver_init"
)

// takeOff returns the kernel arguments that keep the firmware's picture out of
// the card's memory. They depend on the driver that shows the picture.
// Arguments that are already in force are left out. video=efifb:off only has an
// effect on efifb, and only on kernels before 5.15.
func (j *judgement) takeOff(fb iommu.Framebuffer) string {
	var listed []string
	if j.facts.Running != nil {
		listed = j.facts.Running.Options("initcall_blacklist")
	}
	now, missing := j.takeOffNow(fb), sysfb
	if slices.Contains(listed, sysfb) {
		now = "initcall_blacklist=" + sysfb + " is in force but does not help on this kernel (" + j.facts.Kernel + "): " + now
		missing = simpledrm
	}
	if slices.Contains(listed, missing) {
		return now
	}
	if missing == simpledrm && strings.Contains(j.facts.Kernel, "pve") { // simpledrm is a module since PVE's kernel 5.15.19-2
		return now + "; or for good, " + j.facts.Advise("module_blacklist=simpledrm")
	}
	return now + "; or for good, " + j.facts.Advise("initcall_blacklist="+strings.Join(append(listed, missing), ","))
}

// takeOffNow says how to remove the picture from the memory without a restart.
// Unbinding efifb or vesafb frees the driver's memory.
//
// Unbinding simpledrm is not enough. The memory BOOTFB then stays reserved,
// because it belongs to the device simple-framebuffer.0 (sysfb_create_simplefb
// in drivers/firmware/sysfb_simplefb.c). A request for the whole BAR still
// conflicts with BOOTFB (__request_region in kernel/resource.c). Binding
// vfio-pci to the function helps: it removes simple-framebuffer.0, because the
// memory of that device is in the function's BARs (drivers/video/aperture.c).
func (j *judgement) takeOffNow(fb iommu.Framebuffer) string {
	driver, a := "efi-framebuffer", j.card.Display().Address
	switch name := strings.ToLower(fb.Name); {
	case strings.Contains(name, "simple"), name == "bootfb":
		driver = "simple-framebuffer"
	case strings.Contains(name, "vesa"):
		driver = "vesa-framebuffer"
	}
	switch {
	case j.evicts():
		text := fmt.Sprintf("before the VM starts, as root, let vfio-pci take the card anew, which removes the picture: cd /sys/bus/pci/drivers/vfio-pci && echo %s > unbind && echo %s > bind", a, a)
		if driver == "simple-framebuffer" {
			text += " (unbinding simple-framebuffer.0 alone is not enough: its memory BOOTFB stays reserved)"
		}
		return text
	case driver == "simple-framebuffer":
		return "no command of this kernel frees the memory of simple-framebuffer.0 (BOOTFB), which stays reserved even without simpledrm"
	}
	return fmt.Sprintf("before the VM starts, as root: for c in /sys/class/vtconsole/vtcon*/bind; do echo 0 > $c; done; echo %s.0 > /sys/bus/platform/drivers/%s/unbind", driver, driver)
}

// The method "primary" reports an Intel iGPU on which legacy-igd shows no
// picture, because the firmware uses another display.
func (j *judgement) primary() {
	d := j.card.Display()
	if j.card.Model().Vendor != Intel || !j.card.Integrated() || j.card.virtual() || d.Class.Sub() == 0x0300 && d.BootVGA != proxstation.No {
		return
	}
	j.add(proxstation.Finding{ID: "gpu.not-primary", Severity: proxstation.Info, Seen: fmt.Sprintf("class %s, boot_vga %s", d.Class, d.BootVGA),
		Why: "The iGPU is not the firmware's primary display: with legacy-igd the guest shows no picture on its connectors, though its driver can compute and draw.",
		Fix: "For a picture from the start on, set the primary display to IGFX (iGPU) in the firmware's set-up, with UEFI and without CSM."})
}
