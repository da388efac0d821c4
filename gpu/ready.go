package gpu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

// Ready judges whether a card can be handed to a guest on a host. It says what
// is in the way and what to expect; a card is ready if no finding is a
// [proxstation.Blocker]. What the facts do not hold, such as reset methods in what the PVE
// API tells, is not guessed: gpu.host-only names it.
//
// The IDs are those of [iommu.Facts.CheckDevice], and gpu.unsupported,
// gpu.conditions, gpu.unknown-card, gpu.not-a-card, gpu.host-driver,
// gpu.foreign-functions, gpu.virtual-functions, gpu.virtual-function,
// gpu.separate-audio, gpu.external, gpu.boot-vga, gpu.framebuffer, gpu.disable-vga,
// gpu.reset, gpu.small-bar and gpu.host-only.
func Ready(card Card, guest Guest, facts iommu.Facts) []proxstation.Finding {
	if len(card.Functions) == 0 {
		return []proxstation.Finding{{ID: "gpu.not-a-card", Severity: proxstation.Blocker, Subject: "card", Seen: "no PCI functions",
			Why: "there is nothing to hand over", Fix: "choose one of the host's cards"}}
	}
	j := judgement{card: card, facts: facts}
	j.findings = facts.CheckDevice(card.Address())
	if card.Display().Console() != "" {
		return j.findings // no card: whether it would be ready is not the question
	}
	j.guest(Judge(guest, card))
	j.driver()
	j.slot()
	j.virtual()
	j.audio()
	j.external()
	j.console()
	j.reset()
	j.bar()
	j.hostOnly()
	return j.findings
}

// A judgement is a card on its host and what was found so far.
type judgement struct {
	card     Card
	facts    iommu.Facts
	findings []proxstation.Finding
}

func (j *judgement) add(f proxstation.Finding) {
	if f.Subject == "" {
		f.Subject = j.card.Address().String()
	}
	j.findings = append(j.findings, f)
}

func (j *judgement) guest(v Verdict) {
	seen := v.Card + " for " + v.Guest.String()
	source := " (" + v.Source + ")"
	switch {
	case v.Support == Unsupported:
		j.add(proxstation.Finding{ID: "gpu.unsupported", Severity: proxstation.Blocker, Seen: seen, Why: v.Why + source, Fix: v.Instead})
	case v.Support == Conditional:
		j.add(proxstation.Finding{ID: "gpu.conditions", Severity: proxstation.Warning, Seen: seen, Why: v.Why + source,
			Fix: "it takes " + strings.Join(v.Conditions, "; and ")})
	case v.Support == SupportUnknown && v.Guest != AnyGuest:
		j.add(proxstation.Finding{ID: "gpu.unknown-card", Severity: proxstation.Warning, Seen: seen, Why: "whether the guest can use it is not known: " + v.Why,
			Fix: "look for the card's drivers"})
	}
}

// driver says who has the card now. When the VM starts, PVE takes all functions
// of the card's groups from their drivers, binds them to vfio-pci and leaves
// them there (pci_dev_group_bind_to_vfio in pve-common PVE/SysFSTools.pm).
func (j *judgement) driver() {
	var held []string
	kept, prepared := j.facts.Kept(), true
	for _, f := range j.card.Functions {
		if f.Driver != "" && f.Driver != "vfio-pci" {
			held = append(held, f.Address.String()+" by "+f.Driver)
			prepared = prepared && slices.Contains(kept, f.Address)
		}
	}
	if len(held) == 0 {
		return
	}
	f := proxstation.Finding{ID: "gpu.host-driver", Severity: proxstation.Warning, Seen: strings.Join(held, ", "),
		Why: "PVE takes the card from this driver when the VM starts, which can hang the host if something uses it, and does not give it back when the VM stops",
		Fix: "keep the card from the host: let iommu's host plan bind it to vfio-pci from the next start on"}
	if prepared {
		f.Fix = "restart the host, which keeps the card for guests from then on"
	}
	switch {
	case j.card.virtual():
		f.Severity, f.Why, f.Fix = proxstation.Info, "PVE takes the virtual function from this driver when the VM starts; the host draws with the physical one", ""
	case j.card.Integrated():
		f.Severity = proxstation.Info
		f.Why = "PVE takes the iGPU from this driver when the VM starts: the host's console goes dark, and comes back only when the card is bound to the driver again"
		f.Fix = "bind it to the driver again after the VM has stopped, if the console is wanted"
	}
	j.add(f)
}

// console says what the host's console has to do with the card. vfio-pci takes
// the firmware's picture off a VGA function that it binds (vfio_pci_core since
// Linux 6.0); one that is still there came after it, or the kernel is older.
func (j *judgement) console() {
	d := j.card.Display()
	firmware := slices.IndexFunc(j.facts.Framebuffers, func(fb iommu.Framebuffer) bool {
		return fb.Firmware && fb.Address.SameSlot(d.Address)
	})
	switch {
	case firmware >= 0 && d.Driver == "vfio-pci":
		j.add(proxstation.Finding{ID: "gpu.framebuffer", Severity: proxstation.Warning, Seen: j.facts.Framebuffers[firmware].Seen,
			Why: "the firmware's picture holds the card's memory although vfio-pci has the card: the guest gets no display (BAR 0: can't reserve)",
			Fix: "make another card the firmware's primary display, or add initcall_blacklist=sysfb_init to the kernel's arguments"})
	case firmware >= 0:
		j.add(proxstation.Finding{ID: "gpu.framebuffer", Severity: proxstation.Info, Seen: j.facts.Framebuffers[firmware].Seen,
			Why: "the host's console is the firmware's picture in the card's memory; vfio-pci removes it when it takes the card (Linux 6.0 and newer)"})
	case d.BootVGA == proxstation.Yes && !j.card.Integrated():
		j.add(proxstation.Finding{ID: "gpu.boot-vga", Severity: proxstation.Info, Seen: "boot_vga: 1",
			Why: "the firmware has used the card: the guest may find its option ROM changed and show no picture",
			Fix: "make another card the firmware's primary display, or give the guest a copy of the ROM (romfile)"})
	}
	module, _ := j.facts.Module("vfio_pci")
	if j.card.Model().Vendor == Intel && j.card.Integrated() && module.Parameters["disable_vga"] == "Y" {
		j.add(proxstation.Finding{ID: "gpu.disable-vga", Severity: proxstation.Warning, Seen: "/sys/module/vfio_pci/parameters/disable_vga: Y",
			Why: "legacy-igd does not work: the guest cannot reach the VGA registers", Fix: "remove disable_vga=1 from /etc/modprobe.d and the kernel's arguments, and restart"})
	}
}

// bar says whether the guest can reach the card's memory at once. QEMU does not
// resize; the guest sees the size that the host set.
func (j *judgement) bar() {
	where := "the firmware's set-up"
	if j.facts.Virtual.Answer == proxstation.Yes {
		where += " of the machine that this VM runs on"
	}
	for _, bar := range j.card.Display().BARs {
		if len(bar.Resizable) == 0 || slices.Max(bar.Resizable) <= bar.Bytes {
			continue
		}
		j.add(proxstation.Finding{ID: "gpu.small-bar", Severity: proxstation.Info,
			Seen: fmt.Sprintf("BAR %d is %d MiB and could be %d MiB", bar.Index, bar.Bytes>>20, slices.Max(bar.Resizable)>>20),
			Why:  "the guest reaches the card's memory through this window; games gain from a large one",
			Fix:  "turn on Above 4G Decoding and Resizable BAR in " + where})
	}
}

// hostOnly names what is not known of the card.
func (j *judgement) hostOnly() {
	var missing []string
	for _, part := range []struct {
		name   string
		absent func(iommu.Function) bool
	}{
		{"driver", func(f iommu.Function) bool { return f.Driver == "" && f.DriverKnown != proxstation.Yes }},
		{"reset methods", func(f iommu.Function) bool { return f.ResetMethods == nil }},
		{"whether it answers", func(f iommu.Function) bool { return f.Lost == proxstation.Unknown }},
		{"BAR sizes", func(f iommu.Function) bool { return f.BARs == nil }},
	} {
		if part.absent(j.card.Display()) {
			missing = append(missing, part.name)
		}
	}
	if len(missing) > 0 {
		j.add(proxstation.Finding{ID: "gpu.host-only", Severity: proxstation.Info, Seen: "not known: " + strings.Join(missing, ", "),
			Why: "the judgement is of the rest only", Fix: "judge it on the host itself, as root"})
	}
}
