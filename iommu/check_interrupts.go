package iommu

import (
	"fmt"
	"strings"

	"github.com/proxstation/proxstation"
)

// brokenRemapping names the chipset whose interrupt remapping the kernel turns
// off because of an erratum: Intel's 5500, 5520 and X58 up to stepping 13, and
// the 5520 in stepping 22 (intel_remapping_check in Linux
// arch/x86/kernel/early-quirks.c; Intel specification update 322808, erratum
// 47 and 53).
func (f Facts) brokenRemapping() (string, bool) {
	for _, fn := range f.Functions {
		names := map[ID]string{0x3403: "Intel 5500", 0x3405: "Intel 5500/5520", 0x3406: "Intel 5520/X58"}
		name, listed := names[fn.Model.Device]
		if fn.Model.Vendor != 0x8086 || !listed || fn.Revision == nil {
			continue
		}
		if *fn.Revision <= 0x13 || fn.Model.Device == 0x3405 && *fn.Revision == 0x22 {
			return fmt.Sprintf("%s is the chipset %s, revision %02x", fn.Address, name, *fn.Revision), true
		}
	}
	return "", false
}

// checkInterrupts judges interrupt remapping and the parameter that lets vfio
// do without it: one finding for both.
func (f Facts) checkInterrupts() []proxstation.Finding {
	state, _ := f.State()
	answer, seen := f.InterruptRemapping()
	module, _ := f.Module("vfio_iommu_type1")
	unsafe := module.Parameters["allow_unsafe_interrupts"] == "Y"
	chipset, broken := f.brokenRemapping()
	if broken {
		seen += "; " + chipset
	}
	switch {
	case unsafe:
		return []proxstation.Finding{f.unsafeInterrupts(answer, seen, broken)}
	case state == On && answer == proxstation.No:
		return []proxstation.Finding{{ID: "iommu.no-interrupt-remapping", Severity: proxstation.Blocker, Subject: "interrupt remapping", Seen: seen,
			Why: "vfio refuses to hand out devices, because a guest could raise any interrupt of the host.", Fix: f.remapInterrupts(broken)}}
	}
	return nil
}

// allowUnsafe says how to do without interrupt remapping.
const allowUnsafe = `write "options vfio_iommu_type1 allow_unsafe_interrupts=1" in /etc/modprobe.d/vfio.conf, run update-initramfs -u -k all, and restart`

// remapInterrupts says how to turn on interrupt remapping on this machine.
func (f Facts) remapInterrupts(broken bool) string {
	switch {
	case broken:
		return "The kernel turns interrupt remapping off on this chipset because of an erratum, and no switch of the firmware changes that. " +
			"If all guests are trusted, " + allowUnsafe + "; else use another machine."
	case f.Running != nil && f.Running.Has("nointremap"):
		return sentence(f.removing("nointremap"))
	case f.Running != nil && f.Running.Has("intremap=off"):
		return sentence(f.removing("intremap=off"))
	case f.Virtual.Answer == proxstation.Yes:
		return f.Virtual.giveIOMMU()
	case f.ACPI.IVRS == proxstation.Yes:
		return `Look for "not in IVRS table" in the kernel log, and update the firmware. If it has no newer version and all guests are trusted, ` + allowUnsafe + "."
	}
	return "Turn on x2APIC or interrupt remapping in the firmware's set-up and update the firmware. If it has no such switch and all guests are trusted, " + allowUnsafe + "."
}

func (f Facts) unsafeInterrupts(answer proxstation.Answer, remapping string, broken bool) proxstation.Finding {
	_, lines := f.modconf(false).options("vfio_iommu_type1", "allow_unsafe_interrupts")
	remove := "remove allow_unsafe_interrupts=1 from /etc/modprobe.d and the kernel's arguments, run update-initramfs -u -k all, and restart"
	if last := len(lines) - 1; last >= 0 && lines[last].file == "" {
		remove = f.removing(lines[last].text)
	} else if last >= 0 {
		remove = fmt.Sprintf("remove allow_unsafe_interrupts from line %d of /%s, run update-initramfs -u -k all, and restart", lines[last].number, lines[last].file)
	}
	finding := proxstation.Finding{ID: "iommu.unsafe-interrupts", Severity: proxstation.Warning, Subject: "vfio_iommu_type1",
		Seen: "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts: Y; " + strings.TrimPrefix(remapping, "; "),
		Why:  "vfio hands out devices although a guest can raise any interrupt of the host.",
		Fix:  "Give devices only to guests that are trusted. " + f.remapInterrupts(false)}
	switch {
	case broken:
		finding.Fix = "Give devices only to guests that are trusted: this chipset cannot remap interrupts."
	case answer == proxstation.Yes:
		finding.Severity = proxstation.Info
		finding.Why = "Interrupts are remapped, so that the parameter is not needed here. On a machine without remapping it would be a hole."
		finding.Fix = sentence(remove)
	case answer == proxstation.Unknown:
		finding.Why = "vfio hands out devices even where a guest can raise any interrupt of the host."
		finding.Fix = sentence("unless devices are refused without it, " + remove)
	}
	return finding
}
