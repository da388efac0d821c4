package gpu

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/iommu"
)

// Ready judges whether a card can be handed to a guest on a host. It says what
// is in the way and what to expect; a card is ready if no finding is a
// [Blocker]. What the facts do not hold, such as reset methods from the PVE
// API, is not judged and not guessed. Pure.
func Ready(card Card, guest Guest, facts iommu.Facts) []Finding {
	var findings []Finding
	for _, f := range card.Functions[:1] {
		findings = append(findings, facts.CheckDevice(f.Address)...)
	}
	compatibility, err := Judge(guest, card)
	findings = append(findings, compatibility...)
	var unsupported *UnsupportedError
	if errors.As(err, &unsupported) {
		findings = append(findings, Finding{ID: "gpu.unsupported", Severity: Blocker, Subject: card.Address().String(),
			Seen: card.Name() + " for " + guest.String(), Why: unsupported.Why + " (" + unsupported.Source + ")", Fix: unsupported.Instead})
	}
	findings = append(findings, checkDriver(card)...)
	findings = append(findings, checkReset(card)...)
	findings = append(findings, checkBAR(card)...)
	return append(findings, checkConsole(card, facts)...)
}

// checkDriver says who has the card now. PVE binds the whole group to vfio-pci
// when the VM starts and does not give it back (qemu-server PVE/QemuServer/PCI.pm).
func checkDriver(card Card) []Finding {
	var held []string
	for _, f := range card.Functions {
		if f.Driver != "" && f.Driver != "vfio-pci" {
			held = append(held, f.Address.String()+" by "+f.Driver)
		}
	}
	if len(held) == 0 {
		return nil
	}
	finding := Finding{
		ID: "gpu.host-driver", Severity: Warning, Subject: card.Address().String(), Seen: strings.Join(held, ", "),
		Why: "at the VM's start PVE takes the card from this driver, which for graphics drivers can hang the host",
		Fix: "keep the card from the host: let iommu's host plan bind it to vfio-pci at boot",
	}
	if card.Integrated() {
		finding.Severity, finding.Why = Info, "at the VM's start PVE takes the card from this driver, and the host's console goes dark until it is given back"
	}
	return []Finding{finding}
}

// checkReset advises on the reset method, which differs by chip.
func checkReset(card Card) []Finding {
	d := card.Display()
	make := func(severity iommu.Severity, seen, why, fix string) []Finding {
		return []Finding{{ID: "gpu.reset", Severity: severity, Subject: d.Address.String(), Seen: seen, Why: why, Fix: fix}}
	}
	seen := "reset_method: " + strings.Join(d.ResetMethods, " ")
	first := ""
	if len(d.ResetMethods) > 0 {
		first = d.ResetMethods[0]
	}
	switch chip, family := card.Chip(), card.Family(); {
	case d.ResetMethods == nil:
		return nil // not known from here
	case len(d.ResetMethods) == 0:
		return make(Warning, "reset_method is empty", "the kernel cannot reset this card: a second start may find it in the state the first left",
			"restart the host between guests if it does not come up")
	case chip == "GB203" && first != "flr":
		return make(Warning, seen, "on GB203 the bus reset is stale and can hang the host; FLR works",
			"write flr to the device's reset_method before the VM starts")
	case chip == "GB202" && first != "bus":
		return make(Warning, seen, "on GB202 FLR can hang the host; the bus reset works", "write bus to the device's reset_method before the VM starts")
	case family >= AMDPolaris && family <= AMDNavi14 && !slices.Contains(d.ResetMethods, "device_specific"):
		return make(Warning, seen, "AMD cards from Polaris to Navi 14 do not come back from a reset", "install vendor-reset on the host, or restart it between guests")
	}
	return nil
}

// checkBAR says whether the guest can reach the card's memory at once.
func checkBAR(card Card) []Finding {
	for _, bar := range card.Display().BARs {
		if len(bar.Resizable) == 0 {
			continue
		}
		if largest := slices.Max(bar.Resizable); largest > bar.Bytes {
			return []Finding{{
				ID: "gpu.small-bar", Severity: Info, Subject: card.Address().String(),
				Seen: fmt.Sprintf("BAR %d is %d MiB, and could be %d MiB", bar.Index, bar.Bytes>>20, largest>>20),
				Why:  "the guest sees the size that the host set; games and models gain some percent from a large one",
				Fix:  "turn on Above 4G Decoding and Resizable BAR in the firmware",
			}}
		}
	}
	return nil
}

// checkConsole says what holds the card's memory besides its driver.
func checkConsole(card Card, facts iommu.Facts) []Finding {
	for _, fb := range facts.Framebuffers {
		if fb.Firmware && fb.Address.SameSlot(card.Address()) {
			return []Finding{{
				ID: "gpu.framebuffer", Severity: Warning, Subject: card.Address().String(), Seen: fb.Name + " in " + fb.Seen,
				Why: "the firmware's picture holds the card's memory, so that the guest gets no display (BAR 0: can't reserve)",
				Fix: "make another card the firmware's primary display, or add initcall_blacklist=sysfb_init to the kernel's arguments",
			}}
		}
	}
	return nil
}
