package workstation

import (
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

// A Disk is one drive of a VM.
type Disk struct {
	// Slot is the configuration key: "scsi0", "efidisk0", "tpmstate0", "ide2". On
	// a VM that exists, a disk of purpose boot is the one that the VM starts
	// from, a volume that the VM has is meant where it is, and what needs a slot
	// that is taken gets a free one.
	Slot string `json:"slot"`
	// Purpose says what is on it; it decides the tier. Unset, it is data, and
	// firmware for efidisk0 and tpmstate0. A drive of purpose firmware in another
	// slot holds a boot loader, which the firmware has to start first.
	Purpose storage.Purpose `json:"purpose,omitempty"`
	// Size is the least size. A disk that is larger stays as it is, a smaller
	// one grows, none shrinks. Ignored with Volume.
	Size storage.Size `json:"size,omitempty"`
	// NewSize is the size that a new VM's disk has where Size is not set. A VM
	// that exists has the disk in whatever size, or stays without it.
	NewSize storage.Size `json:"newSize,omitempty"`
	// Tier is the least tier; unset, the Purpose decides.
	Tier storage.Tier `json:"tier,omitempty"`
	// Storage is where the disk goes; empty, it is placed.
	Storage string `json:"storage,omitempty"`
	// Volume is an existing volume to attach instead of a new disk, such as
	// "local:iso/virtio-win.iso", or "none" for an empty CD drive, or
	// [CloudInitDrive]. It takes the place of another CD, never that of a disk.
	Volume string `json:"volume,omitempty"`
	// Import is a volume whose content the new disk gets, such as
	// "local:import/recovery.raw". It grows to Size afterwards. Not beside
	// Volume.
	Import string `json:"import,omitempty"`
	// Options are drive options that must be so ("cache=writeback"); the rest
	// is chosen for the media when the disk is made and left alone later.
	Options map[string]string `json:"options,omitempty"`
}

// isDefault reports whether nobody asked for the disk: only a new VM gets it.
func (d Disk) isDefault() bool { return d.Size == 0 && d.NewSize > 0 }

// allocates reports whether the disk is one that PVE makes.
func (d Disk) allocates() bool { return d.Volume == "" }

// isCD reports whether the volume is one that PVE takes for a CD only: an ISO
// image, the host's own drive, or none (qemu-server PVE/API2/Qemu.pm).
func (d Disk) isCD() bool {
	return d.Volume == "none" || d.Volume == "cdrom" || strings.Contains(d.Volume, ":iso/")
}

// check reports what contradicts itself.
func (d Disk) check(vm VM, problems *problems) {
	prefer, _ := d.Purpose.Tiers()
	switch media := d.Options["media"]; {
	case d.Purpose != "" && prefer == storage.TierUnknown:
		problems.add(vm, d.Slot, string(d.Purpose), "no such purpose")
	case strings.Contains(d.Volume, ","):
		problems.add(vm, d.Slot, d.Volume, "options belong in Options")
	case d.Volume != "" && d.Import != "":
		problems.add(vm, d.Slot, d.Import, "a new disk is made from Import, and Volume is one that is there: want one of them")
	case strings.Contains(d.Import, ":iso/"):
		problems.add(vm, d.Slot, d.Import, "PVE makes disks of volumes of content type import, not iso: bring the file there as .raw, or name its path on the node, as root@pam with a password")
	case d.isCD() && media != "" && media != "cdrom":
		problems.add(vm, d.Slot, d.Volume, "it is a CD, and no other medium")
	}
}

// withPurposes returns the Spec with the purpose of every disk said.
func (s Spec) withPurposes() Spec {
	s.VMs = slices.Clone(s.VMs)
	for i, vm := range s.VMs {
		s.VMs[i].Disks = slices.Clone(vm.Disks)
		for j, disk := range vm.Disks {
			switch {
			case disk.Purpose != "":
			case qmconf.IsFirmware(disk.Slot):
				s.VMs[i].Disks[j].Purpose = storage.Firmware
			default:
				s.VMs[i].Disks[j].Purpose = storage.Data
			}
		}
	}
	return s
}

// CloudInitDrive is the Volume of a [Disk] that is the drive of cloud-init: PVE
// makes it, 4 MiB on a storage for disks, and writes it anew from the
// configuration at every start (PVE manual, Cloud-Init Support).
const CloudInitDrive = "cloudinit"

func (d Disk) cloudInit() bool { return d.Volume == CloudInitDrive }
