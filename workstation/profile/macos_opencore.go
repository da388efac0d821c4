package profile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/opencore"
)

// Machine returns the VM for which an OpenCore image has to be configured. One
// image serves both stages, because Machine includes a known card even in the
// stage before the VM has the card. The parameter "have" is the VM's
// configuration, or nil for a new VM.
//
//	plan, err := opencore.PlanFile(file, mac.Machine(facts.VMs[130].Config), nil)
//	mac.OpenCore, mac.Image = "local:import/"+opencore.CopyName(file, plan), plan
func (p MacOS) Machine(have map[string]string) opencore.Machine {
	m := opencore.Machine{Release: p.release(), Card: p.Card, CardLater: p.Stage == MacInstall && len(p.Card.Functions) > 0}
	if m.CardLater {
		p.Stage = MacOnCard
	}
	if p.Stage == MacOffCard {
		m.Card = gpu.Card{}
	}
	vm := p.VM()
	if have == nil {
		vm = vm.AsNew()
	}
	m.VM = maps.Clone(have)
	if m.VM == nil {
		m.VM = map[string]string{}
	}
	for key, value := range vm.Config {
		switch {
		case m.VM[key] == "":
			m.VM[key] = value
		case key == "args":
			m.VM[key], _ = qmconf.MergeArgs(m.VM[key], value)
		default:
			m.VM[key], _ = qmconf.Merge(key, m.VM[key], value)
		}
	}
	for _, name := range vm.Absent {
		key, property := qmconf.CutAbsent(name)
		if property == "" {
			delete(m.VM, key)
		} else if m.VM[key] != "" {
			m.VM[key] = qmconf.Parse(key, m.VM[key]).Drop(property).Text(key)
		}
	}
	for _, disk := range vm.Disks {
		if m.VM[disk.Slot] == "" {
			m.VM[disk.Slot] = "new:0"
		}
	}
	return m
}

// loaderNotes returns the findings about OpenCore's image. If nobody has
// examined the image, a finding says so.
func (p MacOS) loaderNotes(vmid int) []proxstation.Finding {
	subject := fmt.Sprintf("VM %d OpenCore", vmid)
	if p.Image.Image != "" {
		return p.Image.NotesFor(subject)
	}
	if p.OpenCore == "" {
		return nil
	}
	model := ""
	if mac := gpu.MacModel(p.release(), p.Card); mac != "" {
		model = "Set SystemProductName to " + mac + " in PlatformInfo, Generic of its config.plist. "
	}
	return []proxstation.Finding{{ID: "opencore.unread", Severity: proxstation.Info, Subject: subject, Seen: p.OpenCore + " is taken as it is: nobody looked into it",
		Why: "Its config.plist decides which Mac macOS sees, and whether macOS draws with the card; the VM's smbios1 does not.",
		Fix: model + "Or have a copy configured: opencore: {image: FILE} on the page of homelab, or -opencore FILE of examples/macos (docs/macos.md)."}}
}

// BeforeLoader returns the profile for a VM that already has a boot loader. The
// image in the field OpenCore gets a new drive, which is first in the boot
// order. The drive from which the VM starts today comes next, as the way back.
// The parameter "have" is the VM's configuration.
func (p MacOS) BeforeLoader(have map[string]string) MacOS {
	p.loaderSlot = qmconf.FreeSlot("sata0", []string{"scsi"}, have)
	p.bootOrder = "order=" + strings.Join(append([]string{p.loaderSlot}, qmconf.BootOrder(have)...), ";")
	return p
}

// An IGPUChoice is the mode for an iGPU, with its reason and its drawbacks.
type IGPUChoice struct {
	Mode IGPUMode
	// The field Why names the facts behind the choice.
	Why string
	// Price describes the drawbacks of the mode, in comparison with the other
	// mode.
	Price string
}

// These are the drawbacks of the modes.
const (
	legacyPrice = "The host's console goes dark, PVE's console shows nothing, and the machine type is pc (i440fx), which OpenCore has to start on. " +
		"A VM that was installed on q35 sees all its devices at other addresses."
	headlessPrice = "A monitor on the board stays dark; the picture comes over Screen Sharing or RustDesk, and PVE's console stays. " +
		"On macOS 15 and newer it is experimental: nobody has reported in public that macOS draws with an Intel iGPU in this way."
)

// Finding returns the choice as a finding for a person: the mode, its reason
// and its drawbacks. The parameter "vmid" is the ID of the VM.
func (c IGPUChoice) Finding(vmid int) proxstation.Finding {
	return proxstation.Finding{ID: "macos.mode", Severity: proxstation.Info, Subject: fmt.Sprintf("VM %d", vmid), Seen: fmt.Sprintf("the mode of the iGPU is %s. %s", c.Mode, c.Why),
		Why: c.Price, Fix: "For the other mode, set it yourself: mode: legacy or mode: headless on the page of homelab, -mode of examples/macos."}
}

// Choose returns the mode for the profile's iGPU on a node. A Mode that is set
// in the profile comes first. Then comes the mode in which the VM has its card
// now, and then the mode that suits the facts. For a card that is not an Intel
// iGPU, the mode is IGPUChosen.
func (p MacOS) Choose(facts workstation.Facts) IGPUChoice {
	name, mode := p.Card.Name(), p.mode()
	switch {
	case mode == noCard || mode == discreteCard:
		return IGPUChoice{Why: "The card is not an Intel iGPU."}
	case p.Mode == IGPULegacy:
		return IGPUChoice{IGPULegacy, "The mode legacy was asked for.", legacyPrice}
	case p.Mode == IGPUHeadless:
		return IGPUChoice{IGPUHeadless, "The mode headless was asked for.", headlessPrice}
	case p.has(facts) == IGPULegacy:
		return IGPUChoice{IGPULegacy, "The VM has its card in this mode already.", legacyPrice}
	case p.has(facts) == IGPUHeadless:
		return IGPUChoice{IGPUHeadless, "The VM has its card in this mode already.", headlessPrice}
	case mode == headlessIGPU:
		return IGPUChoice{IGPUHeadless, "No option ROM is known with which " + name + " is a guest's boot display.", headlessPrice}
	}
	address := p.Card.Address()
	if address.Slot() != "0000:00:02" {
		return IGPUChoice{IGPUHeadless, fmt.Sprintf("The iGPU is at %s; PVE gives only 0000:00:02.0 to a guest as its boot display.", address), headlessPrice}
	}
	for _, f := range facts.IOMMU.Functions {
		// Apple's drivers look at the LPC bridge. In legacy mode they see the
		// host's bridge, and with a bridge of the 500 series the connectors
		// stay dark (acidanthera/bugtracker 2360; QEMU docs/igd-assign.txt).
		if f.Address.String() == "0000:00:1f.0" && f.Model.Vendor == gpu.Intel && f.Model.Device >= 0x4380 && f.Model.Device <= 0x439f && p.Card.Family() != gpu.IntelIceLake {
			return IGPUChoice{IGPUHeadless, fmt.Sprintf("The board's chipset, %s at 0000:00:1f.0, is of the 500 series: the connectors stay dark in macOS there, but the iGPU may compute.", f.Model), headlessPrice}
		}
	}
	return IGPUChoice{IGPULegacy, name + " can be a guest's boot display, and it is the mode in which people report acceleration.", legacyPrice}
}

// The method "has" returns the mode in which the VM has its card on the node.
// It returns IGPUChosen if the VM does not have the card.
func (p MacOS) has(facts workstation.Facts) IGPUMode {
	h, err := gpu.ParseHostPCI(facts.VMs[p.VM().ID].Config["hostpci0"])
	same := func(d gpu.Device) bool { return d.Address.SameSlot(p.Card.Address()) }
	switch {
	case err != nil || (h.Mapping == "" || h.Mapping != p.Mapping) && !slices.ContainsFunc(h.Devices, same):
		return IGPUChosen
	case h.LegacyIGD:
		return IGPULegacy
	}
	return IGPUHeadless
}
