package iommu

import (
	"fmt"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// checkInterrupts judges interrupt remapping, and the parameter of vfio that
// allows guests without remapping. It returns one finding for both.
func (f Facts) checkInterrupts() []proxstation.Finding {
	state, _ := f.State()
	answer, seen := f.InterruptRemapping()
	module, _ := f.Module("vfio_iommu_type1")
	unsafe := module.Parameters["allow_unsafe_interrupts"] == "Y"
	chipset, broken := f.brokenRemapping()
	if broken && !strings.Contains(seen, chipset) {
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

// allowUnsafe is the instruction for a host without interrupt remapping.
const allowUnsafe = `write "options vfio_iommu_type1 allow_unsafe_interrupts=1" in /etc/modprobe.d/vfio.conf, run update-initramfs -u -k all, and restart`

// remapInterrupts says how to turn on interrupt remapping on this machine.
func (f Facts) remapInterrupts(broken bool) string {
	switch {
	case broken:
		why := "The IOMMU of this machine cannot remap interrupts, and no setting of the firmware changes that. "
		if _, _, erratum := f.byChipset(noRemapping); erratum {
			why = "The kernel turns interrupt remapping off on this chipset because of an erratum, and no setting of the firmware changes that. "
		}
		return why + "If all guests are trusted, " + allowUnsafe + "; else use another machine."
	case f.Running != nil && f.Running.Has("nointremap"):
		return printable.Sentence(f.AdviseWithout("nointremap"))
	case f.Running != nil && f.Running.Has("intremap=off"):
		return printable.Sentence(f.AdviseWithout("intremap=off"))
	case f.Virtual.Answer == proxstation.Yes:
		return f.Virtual.giveIOMMU()
	case f.ACPI.IVRS == proxstation.Yes:
		return f.nameIOAPIC()
	}
	return "Turn on x2APIC or interrupt remapping in the firmware's set-up and update the firmware. If it has no such setting and all guests are trusted, " + allowUnsafe + "."
}

// nameIOAPIC says how to turn on interrupt remapping on AMD's machines. The
// kernel needs an IVRS table that names every IOAPIC, among them the
// southbridge's IOAPIC at 00:14.0. On many boards with AMD 890 and 990
// chipsets, the firmware left out an IOAPIC. The argument ivrs_ioapic adds this
// IOAPIC (check_ioapic_information and parse_ivrs_ioapic in
// drivers/iommu/amd/init.c; amd/quirks.c does this for three laptops).
func (f Facts) nameIOAPIC() string {
	argument := ""
	if _, ok := f.Function(Address{device: 0x14}); ok {
		argument = " Then name it: " + f.Advise("ivrs_ioapic[NUMBER]=00:14.0") +
			", with the NUMBER of the line \"IOAPIC[NUMBER] not in IVRS table\" (00:14.0 is the southbridge's; the northbridge's is 00:00.1)."
	}
	return `Update the firmware, and see what is missing in its table: dmesg | grep -e "not in IVRS table" -e "No southbridge IOAPIC".` + argument +
		" If neither helps and all guests are trusted, " + allowUnsafe + "."
}

func (f Facts) unsafeInterrupts(answer proxstation.Answer, remapping string, broken bool) proxstation.Finding {
	_, lines := f.modconf(false).options("vfio_iommu_type1", "allow_unsafe_interrupts")
	remove := "remove allow_unsafe_interrupts=1 from /etc/modprobe.d and the kernel's arguments, run update-initramfs -u -k all, and restart"
	if last := len(lines) - 1; last >= 0 && lines[last].file == "" {
		remove = f.AdviseWithout(lines[last].text)
	} else if last >= 0 {
		remove = fmt.Sprintf("remove allow_unsafe_interrupts from line %d of /%s, run update-initramfs -u -k all, and restart", lines[last].number, lines[last].file)
	}
	finding := proxstation.Finding{ID: "iommu.unsafe-interrupts", Severity: proxstation.Warning, Subject: "vfio_iommu_type1",
		Seen: "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts: Y; " + strings.TrimPrefix(remapping, "; "),
		Why:  "The kernel hands out devices although a guest can raise any interrupt of the host.",
		Fix:  "Give devices only to guests that are trusted. " + f.remapInterrupts(false)}
	switch {
	case broken:
		finding.Fix = "Give devices only to guests that are trusted: this chipset cannot remap interrupts."
	case answer == proxstation.Yes:
		finding.Severity = proxstation.Info
		finding.Why = "Interrupts are remapped, so the parameter is not needed here. On a machine without remapping it would be a security hole."
		finding.Fix = printable.Sentence(remove)
	case answer == proxstation.Unknown:
		finding.Why = "The kernel hands out devices even if a guest can raise any interrupt of the host."
		finding.Fix = printable.Sentence(remove + "; put it back only if devices are then refused")
	}
	return finding
}
