package workstation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/internal/rules"
	"github.com/proxstation/proxstation/storage"
)

// A Disk is one drive of a VM.
type Disk struct {
	// Slot is the configuration key: "scsi0", "efidisk0", "tpmstate0", "ide2".
	// An existing VM may have the disk in another slot: a disk of purpose boot
	// means the disk from which the VM starts, and a volume of the VM stays in
	// its slot. If the slot is taken, the disk gets a free slot.
	Slot string `json:"slot"`
	// Purpose says what is on the disk, which decides the tier. If it is unset,
	// it is firmware for efidisk0 and tpmstate0, and data for all other slots.
	// A drive of purpose firmware in another slot holds a boot loader, which
	// the firmware has to start first.
	Purpose storage.Purpose `json:"purpose,omitempty"`
	// Size is the minimum size. A smaller disk grows, and a larger disk stays
	// as it is. Size is ignored if Volume is set.
	Size storage.Size `json:"size,omitempty"`
	// NewSize is the size of the disk in a new VM if Size is not set. An
	// existing VM keeps its disk as it is; if it lacks the disk, no disk is
	// made.
	NewSize storage.Size `json:"newSize,omitempty"`
	// Tier is the slowest allowed tier. If it is unset, the Purpose decides.
	Tier storage.Tier `json:"tier,omitempty"`
	// Storage is the storage for the disk. If it is empty, Diff chooses a
	// storage.
	Storage string `json:"storage,omitempty"`
	// Volume is an existing volume to attach instead of a new disk, such as
	// "local:iso/virtio-win.iso". "none" is an empty CD drive. "cloudinit" is the
	// drive of cloud-init: PVE makes it, 4 MiB on a storage for disks, and writes
	// it anew from the configuration at every start (PVE manual, Cloud-Init
	// Support). Volume may replace another CD, never a disk.
	Volume string `json:"volume,omitempty"`
	// Import is the volume whose content a new disk gets, such as
	// "local:import/recovery.raw". The disk then grows to Size. Import and
	// Volume exclude each other.
	Import string `json:"import,omitempty"`
	// Options holds drive options that the disk must have ("cache=writeback").
	// Other options are chosen for the media when the disk is made, and are not
	// changed later.
	Options map[string]string `json:"options,omitempty"`
}

// isDefault reports whether the disk is a default: the Spec does not ask for
// it, and only a new VM gets it.
func (d Disk) isDefault() bool { return d.Size == 0 && d.NewSize > 0 }

// allocates reports whether PVE makes a new volume for the disk.
func (d Disk) allocates() bool { return d.Volume == "" }

// isCD reports whether PVE accepts the volume only as a CD: an ISO image, the
// host's own drive, or an empty drive (qemu-server PVE/API2/Qemu.pm).
func (d Disk) isCD() bool {
	return d.Volume == "none" || d.Volume == "cdrom" || strings.Contains(d.Volume, ":iso/")
}

// Every disk of a VM is larger than this size. A smaller size in a Spec most
// likely lacks its unit.
const smallest = 64 * storage.KiB

// check reports fields of the disk that contradict each other.
func (d Disk) check(vm VM, problems *problems) {
	prefer, _ := d.Purpose.Tiers()
	switch media := d.Options["media"]; {
	case d.Purpose != "" && prefer == storage.TierUnknown:
		problems.add(vm, d.Slot, string(d.Purpose), "no such purpose")
	case strings.Contains(d.Volume, ","):
		problems.add(vm, d.Slot, d.Volume, "options belong in Options")
	case d.Volume != "" && d.Import != "":
		problems.add(vm, d.Slot, d.Import, "Import makes a new disk, and Volume is an existing disk: set only one of them")
	case strings.Contains(d.Import, ":iso/"):
		problems.add(vm, d.Slot, d.Import, "PVE makes a disk only from a volume of content type import, not iso: upload the file under Import, with a name that ends in .raw, or name its path on the node (root@pam with a password only)")
	case d.Volume == "" && (d.Size > 0 && d.Size < smallest || d.NewSize > 0 && d.NewSize < smallest):
		problems.add(vm, d.Slot, fmt.Sprintf("%d bytes", int64(max(d.Size, d.NewSize))), "a disk cannot be that small"+rules.UnitMeant)
	case d.isCD() && media != "" && media != "cdrom":
		problems.add(vm, d.Slot, d.Volume, "the volume can only be a CD")
	}
}

// withPurposes returns the Spec with the purpose of every disk filled in.
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

func (d Disk) cloudInit() bool { return d.Volume == qmconf.CloudInitDrive }

// isLoader reports whether the disk holds a boot loader.
func (d Disk) isLoader() bool {
	return d.Purpose == storage.Firmware && !qmconf.IsFirmware(d.Slot) && !d.cloudInit()
}
