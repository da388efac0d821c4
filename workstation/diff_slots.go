package workstation

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/boot"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

// The disks of an existing VM may be in any slots. If a Spec says "the system
// disk, 256 GiB", it means the disk from which the VM starts today, in any
// slot. It never asks for a second disk.

// inItsSlots returns the Spec's VM with its disks in the slots where the
// existing VM has them. Default disks that the existing VM lacks are left out.
// The boot order in Config then names the new slots.
func (d *differ) inItsSlots(vm VM, have VMFacts) VM {
	m := matching{vm: vm, have: have.Config, system: boot.SystemDisk(have.Config), slots: map[int]string{}}
	for _, match := range []func(Disk) string{m.byVolume, m.byPurpose, m.byDriver, m.bySlot, m.byRoom} {
		for i, disk := range vm.Disks {
			if _, found := m.slots[i]; found {
				continue
			}
			if slot := match(disk); slot != "" && !m.taken(slot) {
				m.slots[i] = slot
			}
		}
	}
	var disks []Disk
	renamed := map[string]string{}
	for i, disk := range vm.Disks {
		slot, found := m.slots[i]
		value, there := have.Config[slot]
		switch {
		case disk.isDefault() && !there:
			continue
		case found && there:
			disk = disk.asItIs(value)
		}
		if found && slot != disk.Slot {
			d.tellSlot(have, disk, slot)
			renamed[disk.Slot], disk.Slot = slot, slot
		}
		disks = append(disks, disk)
	}
	vm.Disks = disks
	if order, ordered := strings.CutPrefix(vm.Config["boot"], "order="); ordered {
		devices := strings.Split(order, ";")
		for i, device := range devices {
			if slot, moved := renamed[device]; moved {
				devices[i] = slot
			}
		}
		vm.Config["boot"] = "order=" + strings.Join(devices, ";")
	}
	return d.withLoaderFirst(vm.inItsOrder(have), have)
}

// inItsOrder adds the VM's present boot order to the Spec if a new drive would
// change that order. In PVE's old notation, every CD drive is in the order, so
// a new CD drive changes it. An empty order is not added: with an empty order,
// the firmware also tries disks that the order does not name.
func (vm VM) inItsOrder(have VMFacts) VM {
	config, order := maps.Clone(have.Config), qmconf.BootOrder(have.Config)
	for _, disk := range vm.Disks {
		switch {
		case config[disk.Slot] != "":
		case disk.allocates():
			config[disk.Slot] = storage.NewDrive("storage", disk.Size).String()
		default:
			config[disk.Slot] = existing(disk)
		}
	}
	if vm.Config["boot"] == "" && len(order) > 0 && !slices.Equal(order, qmconf.BootOrder(config)) {
		vm.Config["boot"] = "order=" + strings.Join(order, ";")
	}
	return vm
}

// tellSlot adds a finding about a disk that gets another slot than the Spec
// names. Either the VM already has this disk as the drive in that other slot,
// or Windows has no driver for the controller of the slot that the Spec names.
func (d *differ) tellSlot(have VMFacts, disk Disk, slot string) {
	if _, there := have.Config[slot]; !there && qmconf.Family(disk.Slot) == "scsi" && qmconf.Family(slot) != "scsi" {
		d.find(proxstation.Finding{ID: "workstation.slot", Severity: proxstation.Info, Subject: have.String(), Seen: "scsihw: " + cmp.Or(have.Config["scsihw"], "lsi, PVE's default"),
			Why: "Windows has no driver for that controller, so the Spec's " + disk.Slot + " is made as " + slot + ".", Fix: "Name a virtio-scsi controller as scsihw in the Spec to have it at " + disk.Slot + "."})
	}
	if value, there := have.Config[slot]; there && !disk.isDefault() {
		d.find(proxstation.Finding{ID: "workstation.slot", Severity: proxstation.Info, Subject: have.String(), Seen: slot + ": " + value,
			Why: "The Spec's " + disk.Slot + " stands for this drive, which the VM has already.", Fix: "If you mean another drive, name its slot in the Spec."})
	}
}

// asItIs returns the disk of the Spec in the form in which it is compared with
// the drive that the VM has. If the drive already has the volume to import,
// this volume is not imported again. If the drive is a disk with the volume of
// the Spec, it stays a disk: the option media=cdrom of the Spec is ignored.
func (d Disk) asItIs(value string) Disk {
	drive, err := storage.ParseDrive(value)
	if err != nil {
		return d
	}
	if d.Import != "" && d.Import == drive.Volume {
		d.Volume, d.Import = d.Import, ""
	}
	if d.isIn(value) && d.Options["media"] != "" || !drive.IsCDROM() && d.Options["media"] == "disk" {
		d.Options = maps.Clone(d.Options)
		delete(d.Options, "media")
	}
	return d
}

// A matching finds the slots of a Spec's disks on a VM that exists.
type matching struct {
	vm     VM
	have   map[string]string
	system string         // the slot of the system disk, if there is one
	slots  map[int]string // the slots that were found, by the index of the disk in the Spec
}

func (m matching) taken(slot string) bool {
	return slices.Contains(slices.Collect(maps.Values(m.slots)), slot)
}

// byVolume finds the slot of a volume that the VM already has, so that the
// volume is not attached twice.
func (m matching) byVolume(disk Disk) string {
	for _, slot := range qmconf.Slots(m.have) {
		drive, err := storage.ParseDrive(m.have[slot])
		switch {
		case err != nil:
		case disk.cloudInit() && qmconf.IsCloudInit(m.have[slot]):
			return slot
		case drive.Volume != "none" && drive.Volume != "cdrom" && (drive.Volume == disk.Volume || drive.Volume == disk.Import):
			return slot
		}
	}
	return ""
}

// byPurpose finds the slot of the system disk or of the boot loader's disk.
func (m matching) byPurpose(disk Disk) string {
	switch {
	case disk.Volume != "" || qmconf.IsFirmware(disk.Slot):
		return ""
	case disk.Purpose == storage.Boot && (m.system == "" || slices.Contains(qmconf.BootOrder(m.have), disk.Slot)):
		return ""
	case disk.Purpose == storage.Boot && !m.named(m.system):
		return m.system
	case disk.isLoader() && m.have[disk.Slot] == "":
		return boot.Loader(m.have)
	}
	return ""
}

// This reports whether the Spec has a disk of purpose boot in the slot.
func (m matching) named(slot string) bool {
	return slices.ContainsFunc(m.vm.Disks, func(disk Disk) bool { return disk.Slot == slot && disk.Purpose == storage.Boot })
}

// bySlot returns the slot that the Spec names. It returns "" if the VM's drive
// in that slot cannot be this disk. For example, the drive is a disk, but the
// Spec has a CD there. Or the drive is the system disk, but the Spec has its
// system disk in another slot.
func (m matching) bySlot(disk Disk) string {
	value := m.have[disk.Slot]
	switch {
	case disk.isCD() && disk.Purpose == storage.Image && qmconf.IsDisk(disk.Slot, value),
		disk.cloudInit() && value != "" && (!qmconf.IsCD(value) || m.startsFrom(disk.Slot)),
		disk.Purpose != "" && disk.allocates() && qmconf.IsCD(value),
		m.another(disk, storage.Boot) && disk.Slot == m.system,
		m.another(disk, storage.Firmware) && disk.Slot == boot.Loader(m.have):
		return ""
	}
	return disk.Slot
}

// byDriver finds a slot on the system disk's bus for a new disk that Windows
// would not see in the slot of the Spec. PVE gives a VM without scsihw an LSI
// controller, and Windows has no driver for this controller.
func (m matching) byDriver(disk Disk) string {
	hardware := cmp.Or(m.vm.Config["scsihw"], m.have["scsihw"], "lsi")
	if !m.vm.Guest.IsWindows() || !strings.HasPrefix(hardware, "lsi") || !disk.allocates() || disk.isDefault() ||
		qmconf.Family(disk.Slot) != "scsi" || m.have[disk.Slot] != "" || qmconf.Family(m.system) == "scsi" {
		return ""
	}
	disk.Slot = cmp.Or(m.system, "sata0") // without a system disk, the VM starts from a controller that the host gave it
	return m.byRoom(disk)
}

// startsFrom reports whether a drive comes first in the VM's boot order.
func (m matching) startsFrom(slot string) bool {
	order := boot.Order(m.have)
	return len(order) > 0 && order[0] == slot
}

// This reports whether another disk of the Spec, and not this new disk, has the
// given purpose. The drive that the VM already has for that purpose then
// belongs to that other disk.
func (m matching) another(disk Disk, purpose storage.Purpose) bool {
	return disk.allocates() && disk.Purpose != purpose &&
		slices.ContainsFunc(m.vm.Disks, func(d Disk) bool { return d.Purpose == purpose && !qmconf.IsFirmware(d.Slot) })
}

// byRoom first looks for a drive that an earlier plan made for this disk: a
// drive on the same bus that belongs to no other disk of the Spec. If there is
// no such drive, byRoom returns a free slot.
func (m matching) byRoom(disk Disk) string {
	for _, slot := range qmconf.Disks(m.have) {
		named := slices.ContainsFunc(m.vm.Disks, func(other Disk) bool { return other.Slot == slot })
		if disk.allocates() && disk.Import == "" && disk.Purpose != storage.Boot && qmconf.Family(slot) == qmconf.Family(disk.Slot) &&
			slot != m.system && slot != boot.Loader(m.have) && !m.taken(slot) && !named && !strings.Contains(m.have[slot], ":iso/") {
			return slot
		}
	}
	used := map[string]string{}
	for _, other := range m.vm.Disks {
		used[other.Slot] = ""
	}
	for _, slot := range m.slots {
		used[slot] = ""
	}
	var others []string
	if disk.isCD() || disk.cloudInit() {
		others = []string{"ide", "sata"}
	}
	return qmconf.FreeSlot(disk.Slot, others, m.have, used)
}

// withLoaderFirst adds the drive of a boot loader to the VM's boot order, as
// the first device, if the order does not contain this drive. OVMF never tries
// a drive that is not in the order. If the Spec sets a new boot order,
// withLoaderFirst leaves that order alone.
func (d *differ) withLoaderFirst(vm VM, have VMFacts) VM {
	order := qmconf.BootOrder(have.Config)
	if now := vm.Config["boot"]; now != "" && now != "order="+strings.Join(order, ";") {
		return vm
	}
	for _, disk := range vm.Disks {
		if disk.isLoader() && !slices.Contains(order, disk.Slot) {
			order = append([]string{disk.Slot}, order...)
			vm.Config["boot"] = "order=" + strings.Join(order, ";")
		}
	}
	return vm
}
