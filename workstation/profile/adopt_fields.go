package profile

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/macos"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// fields points to the fields that all profiles of workstations have. dataSlots
// holds the slots in which a VM may have its second disk.
type fields struct {
	cores                *int
	memory, system, data *storage.Size
	dataSlots            []string
	bridge               *string
	tuning               *Tuning
}

// The function "common" sets the fields that all profiles have.
func common[P Profile](a adoption, p *P, of func(*P) fields) {
	if n, err := strconv.Atoi(a.config["cores"]); err == nil {
		set(a, p, func(p *P) { *of(p).cores = n }, "cores")
	}
	if size, err := storage.ParseSize(a.property("memory", "current") + "M"); err == nil {
		set(a, p, func(p *P) { *of(p).memory = size }, "memory")
	}
	for _, disk := range a.vm.Disks {
		switch {
		case disk.Size == 0:
		case disk.Purpose == storage.Boot:
			set(a, p, func(p *P) { *of(p).system = disk.Size }, disk.Slot)
		case disk.Purpose == storage.Data && slices.Contains(of(p).dataSlots, disk.Slot):
			set(a, p, func(p *P) { *of(p).data = disk.Size }, disk.Slot)
		}
	}
	if bridge := a.property("net0", "bridge"); bridge != "" {
		set(a, p, func(p *P) { *of(p).bridge = bridge })
	}
	a.tuning(func(change func(*Tuning), keys ...string) {
		set(a, p, func(p *P) { change(of(p).tuning) }, keys...)
	})
}

// windows returns the Windows11 that fits the VM.
func (a adoption) windows() Windows11 {
	p := Windows11{ID: a.vm.ID, Name: a.vm.Name}
	if card := a.property("hostpci0", "mapping"); card != "" {
		only := a.property("hostpci0", "x-vga") == "1" && a.config["vga"] == "none"
		set(a, &p, func(p *Windows11) { p.Card, p.OnlyDisplay = card, only }, "hostpci0")
	}
	common(a, &p, func(p *Windows11) fields {
		return fields{&p.Cores, &p.Memory, &p.System, &p.Games, []string{"scsi1"}, &p.Bridge, &p.Tuning}
	})
	for _, disk := range a.installers() {
		field := func(p *Windows11) *string { return &p.Install }
		if strings.Contains(strings.ToLower(disk.Volume), "virtio") {
			field = func(p *Windows11) *string { return &p.Drivers }
		}
		set(a, &p, func(p *Windows11) { *field(p) = disk.Volume }, disk.Slot)
	}
	return p
}

// linux returns the LinuxAI that fits the VM.
func (a adoption) linux() LinuxAI {
	p := LinuxAI{ID: a.vm.ID, Name: a.vm.Name}
	if card := a.property("hostpci0", "mapping"); card != "" {
		set(a, &p, func(p *LinuxAI) { p.Card = card }, "hostpci0")
	}
	common(a, &p, func(p *LinuxAI) fields {
		return fields{&p.Cores, &p.Memory, &p.System, &p.Models, []string{"scsi1"}, &p.Bridge, &p.Tuning}
	})
	for _, disk := range a.installers() {
		set(a, &p, func(p *LinuxAI) { p.Install = disk.Volume }, disk.Slot)
	}
	for _, disk := range a.vm.Disks {
		if disk.Volume == qmconf.CloudInitDrive {
			set(a, &p, func(p *LinuxAI) { p.CloudInit = a.cloudInit() }, disk.Slot, "ciuser", "sshkeys", "ipconfig0", "nameserver", "searchdomain")
		}
	}
	return p
}

// macOS returns the MacOS that fits the VM.
func (a adoption) macOS() MacOS {
	p := MacOS{ID: a.vm.ID, Name: a.vm.Name, Release: a.vm.Guest, HostCPU: a.facts.CPU}
	a.macOSCard(&p)
	common(a, &p, func(p *MacOS) fields {
		return fields{&p.Cores, &p.Memory, &p.System, &p.Data, []string{"virtio1", "sata1"}, &p.Bridge, &p.Tuning}
	})
	if model := MacNetwork(a.property("net0", "model")); model == VMXNET3 || model == VirtIONetwork {
		set(a, &p, func(p *MacOS) { p.Network = model })
	}
	if screen := MacScreen(a.config["vga"]); screen == VMwareSVGA || screen == VirtIOGPU {
		set(a, &p, func(p *MacOS) { p.Screen = screen }, "vga")
	}
	for _, slot := range qmconf.Disks(a.config) {
		drive, _ := storage.ParseDrive(a.config[slot]) // an invalid value has no volume
		switch name := strings.ToLower(drive.Volume); {
		case slot == macos.OpenCoreSlot, strings.Contains(name, "opencore"):
			set(a, &p, func(p *MacOS) { p.OpenCore = drive.Volume }, slot)
		case slot == macos.RecoverySlot, strings.Contains(name, "recovery"):
			set(a, &p, func(p *MacOS) { p.Recovery = drive.Volume }, slot)
		}
	}
	return p
}

// macOSCard sets the fields about the card, if the Mac has a card.
func (a adoption) macOSCard(p *MacOS) {
	h, err := gpu.ParseHostPCI(a.config["hostpci0"])
	cards := a.cards("hostpci0")
	if err != nil || len(cards) == 0 {
		return
	}
	mode := IGPUChosen
	switch {
	case h.LegacyIGD:
		mode = IGPULegacy
	case cards[0].Integrated():
		mode = IGPUHeadless
	}
	set(a, p, func(p *MacOS) {
		p.Stage, p.Card, p.Mapping, p.Mode, p.ROM = MacOnCard, cards[0], h.Mapping, mode, h.ROMFile
	}, "hostpci0", "vga")
}

// The method "cards" returns the graphics cards that a hostpci key passes
// through, in whole or in part.
func (a adoption) cards(key string) []gpu.Card {
	h, err := gpu.ParseHostPCI(a.config[key])
	if err != nil {
		return nil
	}
	var cards []gpu.Card
	for _, address := range slices.Concat(a.facts.PCI().Resolve(h)...) {
		if card, ok := gpu.CardAt(a.facts.IOMMU.Functions, address); ok {
			cards = append(cards, card)
		}
	}
	return cards
}

// The method "installers" returns the CD drives with an image in them.
func (a adoption) installers() []workstation.Disk {
	return slices.DeleteFunc(slices.Clone(a.vm.Disks), func(d workstation.Disk) bool {
		return d.Purpose != storage.Image || !strings.Contains(d.Volume, ":iso/")
	})
}

// cloudInit returns the VM's settings for cloud-init, without the password.
func (a adoption) cloudInit() CloudInit {
	c := CloudInit{User: a.config["ciuser"], SSHKeys: qmconf.SSHKeys(a.config["sshkeys"]), Domain: a.config["searchdomain"]}
	for _, names := range [][2]string{{"ip", "gw"}, {"ip6", "gw6"}} {
		address, errAddress := netip.ParsePrefix(a.property("ipconfig0", names[0]))
		gateway, errGateway := netip.ParseAddr(a.property("ipconfig0", names[1]))
		if errAddress == nil && !c.Address.IsValid() {
			c.Address = address
			if errGateway == nil {
				c.Gateway = gateway
			}
		}
	}
	for field := range strings.FieldsSeq(a.config["nameserver"]) {
		if server, err := netip.ParseAddr(field); err == nil {
			c.DNS = append(c.DNS, server)
		}
	}
	return c
}

// The method "tuning" tries each field of a Tuning, together with the keys that
// the field expresses.
func (a adoption) tuning(try func(change func(*Tuning), keys ...string)) {
	if pin := a.config["affinity"]; pin != "" {
		try(func(t *Tuning) { t.Pin = pin }, "affinity")
	}
	if pages, err := strconv.Atoi(a.config["hugepages"]); err == nil {
		try(func(t *Tuning) { t.HugePages = storage.Size(pages) * storage.MiB }, "hugepages", "numa")
	}
	if a.config["audio0"] != "" {
		try(func(t *Tuning) { t.Audio = true }, "audio0")
	}
	for _, key := range slices.Sorted(maps.Keys(a.vm.Config)) {
		device := a.property(key, "host")
		if device == "" {
			device = a.property(key, "mapping")
		}
		switch qmconf.Family(key) {
		case "usb":
			try(func(t *Tuning) { t.USB = append(slices.Clip(t.USB), device) }, key)
		case "hostpci":
			if len(a.cards(key)) == 0 {
				try(func(t *Tuning) { t.Devices = append(slices.Clip(t.Devices), device) }, key)
			}
		case "virtiofs":
			share := a.property(key, "dirid")
			try(func(t *Tuning) { t.Shares = append(slices.Clip(t.Shares), share) }, key)
		}
	}
}
