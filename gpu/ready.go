package gpu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/iommu"
)

// Ready judges whether a host can hand a card to a guest. It reports what is in
// the way and what to expect. The card is ready if no finding is a
// [proxstation.Blocker]. Ready does not guess missing facts, such as the reset
// methods, which PVE's API does not return. The finding gpu.host-only names the
// missing facts.
//
// The IDs are all IDs of [iommu.Facts.CheckDevice], and gpu.unsupported,
// gpu.conditions, gpu.unknown-card, gpu.not-a-card, gpu.host-driver,
// gpu.foreign-functions, gpu.virtual-functions, gpu.virtual-function,
// gpu.physical-taken, gpu.sriov-driver, gpu.gvt-gone, gpu.separate-audio,
// gpu.board-audio, gpu.external, gpu.boot-vga, gpu.not-primary,
// gpu.framebuffer, gpu.disable-vga, gpu.reset, gpu.reset-hang, gpu.power,
// gpu.small-bar, gpu.rebar, gpu.large-bar and gpu.host-only.
func Ready(card Card, guest Guest, facts iommu.Facts) []proxstation.Finding {
	if len(card.Functions) == 0 {
		return []proxstation.Finding{{ID: "gpu.not-a-card", Severity: proxstation.Blocker, Subject: "card", Seen: "no PCI functions",
			Why: "There is nothing to hand over.", Fix: "Choose one of the host's cards."}}
	}
	j := judgement{card: card, facts: facts}
	j.findings = facts.CheckFunctions(card.Own()...)
	if card.Display().Console() != "" {
		return j.findings // a device that is not a card needs no other finding
	}
	j.guest(Judge(guest, card))
	j.resized(guest)
	j.driver()
	j.slot()
	j.virtual()
	j.sriov()
	j.audio()
	j.external()
	j.console()
	j.primary()
	j.reset()
	j.power()
	j.bar()
	j.hostOnly()
	return j.findings
}

// A judgement holds a card, the facts about its host, and the findings so far.
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
		j.add(proxstation.Finding{ID: "gpu.unsupported", Severity: proxstation.Blocker, Seen: seen, Why: printable.Sentence(v.Why + source), Fix: printable.Sentence(v.Instead)})
	case v.Support == Conditional:
		j.add(proxstation.Finding{ID: "gpu.conditions", Severity: proxstation.Warning, Seen: seen, Why: printable.Sentence(v.Why + source),
			Fix: "It takes " + strings.Join(v.Conditions, "; and ") + "."})
	case v.Support == SupportUnknown && v.Guest != AnyGuest:
		j.add(proxstation.Finding{ID: "gpu.unknown-card", Severity: proxstation.Warning, Seen: seen, Why: "It is not known whether the guest can use the card: " + v.Why + ".",
			Fix: "Look for the card's drivers."})
	}
}

// The method "driver" reports which driver of the host has the card now. When
// the VM starts, PVE takes all functions of the card's groups from their
// drivers and binds them to vfio-pci. They stay there
// (pci_dev_group_bind_to_vfio in pve-common PVE/SysFSTools.pm). There is no
// finding if the IOMMU is off, or if the finding iommu.driver-first already
// names the driver.
func (j *judgement) driver() {
	state, _ := j.facts.State()
	told := slices.ContainsFunc(j.findings, func(f proxstation.Finding) bool { return f.ID == "iommu.driver-first" })
	if state == iommu.Off || told {
		return
	}
	var held []string
	kept, prepared := j.facts.Kept(), true
	own := j.card.Own()
	for _, f := range j.card.Functions {
		if f.Driver != "" && f.Driver != "vfio-pci" && slices.Contains(own, f.Address) {
			held = append(held, f.Address.String()+" by "+f.Driver)
			prepared = prepared && slices.Contains(kept, f.Address)
		}
	}
	if len(held) == 0 {
		return
	}
	f := proxstation.Finding{ID: "gpu.host-driver", Severity: proxstation.Warning, Seen: strings.Join(held, ", "),
		Why: "When the VM starts, PVE takes the card from this driver, which can hang the host if something uses the card. PVE does not give the card back when the VM stops.",
		Fix: "Keep the card from the host from its next start on: go run ./examples/host -keep " + j.card.Address().String() + " -apply."}
	if j.busy() {
		f.Why = "Programs use the card's driver (nvidia-persistenced, a desktop, a container): PVE waits for these programs when it takes the card, so the start of the VM hangs."
		f.Fix += " Or stop the programs first: systemctl disable --now nvidia-persistenced, and take /dev/nvidia* and /dev/dri out of the containers."
	}
	if _, where := j.facts.Option("vfio_pci", "ids"); where != "" && j.card.Display().Driver == "vfio-pci" {
		f.Fix = "Add the models of these functions to the ids too (" + where + "), run update-initramfs -u -k all, and restart."
	}
	if prepared {
		f.Fix = "Restart the host. From then on it keeps the card for guests."
	}
	switch {
	case j.card.virtual():
		f.Severity, f.Why, f.Fix = proxstation.Info, "PVE takes the virtual function from this driver when the VM starts; the host draws with the physical function.", ""
	case j.card.Integrated():
		f.Severity = proxstation.Info
		f.Why = "PVE takes the iGPU from this driver when the VM starts: the host's console goes dark, and comes back only when the card is bound to the driver again."
		d := j.card.Display()
		f.Fix = fmt.Sprintf("To get the console back after the VM has stopped, bind the iGPU to its driver again: cd /sys/bus/pci/drivers && echo %s > vfio-pci/unbind && echo %s > %s/bind.", d.Address, d.Address, d.Driver)
		if d.Driver == "" {
			f.Fix = ""
		}
	}
	j.add(f)
}

// The method "busy" reports whether something uses the driver of an NVIDIA card.
// The reference count of nvidia is then larger than the number of modules that
// build on it (/sys/module/nvidia/refcnt).
func (j *judgement) busy() bool {
	nvidia, loaded := j.facts.Module("nvidia")
	return loaded && j.card.Display().Driver == "nvidia" && nvidia.Users > 0
}

// The method "bar" reports a card if the guest can only reach a part of the
// card's memory at a time. QEMU does not resize BARs: the guest sees the size
// that the host has set.
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
			Why:  "The guest reaches the card's memory through this window; games gain from a large window.",
			Fix:  "Turn on Above 4G Decoding and Resizable BAR in " + where + "."})
	}
}

// The method "resized" reports large BARs with which a guest has problems. macOS
// does not start with a large BAR 0 of an AMD card (OpenCore's
// ResizeAppleGpuBars; Dortania's GPU guide). OVMF needs enough address space
// for very large BARs. It sizes its 64-bit window by the processor's address
// width, which the VM only gets with cpu: host.
func (j *judgement) resized(guest Guest) {
	var sum uint64
	for _, bar := range j.card.Display().BARs {
		sum += bar.Bytes
		resized := j.card.Model().Vendor == AMD && bar.Index == 0 && bar.Bytes > 256<<20
		if resized && !guest.IsMacOS() && !j.card.Integrated() {
			j.add(proxstation.Finding{ID: "gpu.rebar", Severity: proxstation.Info, Seen: fmt.Sprintf("BAR 0 is %d MiB", bar.Bytes>>20),
				Why: "With a resized BAR, some AMD cards show a black screen or code 43 once the guest's driver loads.",
				Fix: "If that happens, turn off Resizable BAR (Smart Access Memory) in the firmware's set-up."})
		}
		if resized && guest.IsMacOS() {
			j.add(proxstation.Finding{ID: "gpu.rebar", Severity: proxstation.Warning, Seen: fmt.Sprintf("BAR 0 is %d MiB", bar.Bytes>>20),
				Why: "macOS hangs at its logo with a resized BAR.", Fix: "Turn off Resizable BAR in the firmware's set-up, or set ResizeAppleGpuBars to 0 in OpenCore's config.plist."})
		}
	}
	if sum >= 32<<30 {
		j.add(proxstation.Finding{ID: "gpu.large-bar", Severity: proxstation.Info, Seen: fmt.Sprintf("the BARs are %d GiB together", sum>>30),
			Why: "With another processor type than host, OVMF has no room for the BARs, and the guest finds the card without its memory.",
			Fix: "Set cpu: host; if the memory is missing all the same, args: -fw_cfg name=opt/ovmf/X-PciMmio64Mb,string=131072."})
	}
}

// hostOnly names the facts of the card that only the host can read.
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
			Why: "Everything else was judged.", Fix: "Judge the card on the host itself, as root."})
	}
}
