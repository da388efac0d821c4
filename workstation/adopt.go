package workstation

import (
	"errors"
	"strings"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/boot"
	"github.com/proxstation/proxstation/internal/macos"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

// Adopt returns the Spec of a VM as it is: its guest, its settings, and its
// disks in their slots. A plan for this Spec is empty. To change the VM, change
// a value in the Spec and plan again. To see what other people changed, plan
// the same Spec later. The Spec can be stored as JSON. The JSON holds
// neither passwords nor the key of a Mac.
//
// Adopt leaves out the keys that belong to PVE (lock, meta, vmgenid, unusedN),
// the [Lease] that a switch may keep in the VM's description, and values that
// this package cannot read. A plan for the Spec does not change any of them. If
// the VM does not exist, the error matches [ErrNotFound]. If its configuration
// was not read, the error matches [ErrUnread].
func Adopt(facts Facts, vmid int) (Spec, error) {
	have, exists := facts.VMs[vmid]
	if !exists {
		return Spec{}, facts.missing(vmid)
	}
	vm := VM{ID: vmid, Name: have.Name, Guest: guestOf(have), Config: map[string]string{}}
	for key, value := range have.Config {
		if value != "" && qmconf.Describes(key) {
			vm.Config[key] = shown(key, value)
		}
	}
	if description := vm.Config["description"]; withoutLease(description) != description {
		delete(vm.Config, "description")
	}
	for _, slot := range qmconf.Slots(have.Config) {
		if disk, ok := adoptedDisk(have.Config, slot); ok {
			vm.Disks = append(vm.Disks, disk)
		}
	}
	for _, p := range vm.checkForm() {
		if invalid, ok := errors.AsType[*InvalidError](p); ok {
			key, _, _ := strings.Cut(invalid.Field, ",") // "sshkeys, key 1"
			delete(vm.Config, key)
		}
	}
	return Spec{VMs: []VM{vm}}, nil
}

// adoptedDisk returns the Disk that describes a drive, and false if the drive's
// value cannot be read.
func adoptedDisk(config map[string]string, slot string) (disk Disk, ok bool) {
	drive, err := storage.ParseDrive(config[slot])
	if err != nil {
		return Disk{}, false
	}
	pool, pooled := drive.Pool()
	size, sized := drive.Size()
	disk = Disk{Slot: slot, Purpose: storage.Data, Size: size, Storage: pool}
	switch {
	case qmconf.IsFirmware(slot):
		disk.Purpose, disk.Size = storage.Firmware, 0
	case qmconf.IsCloudInit(config[slot]):
		return Disk{Slot: slot, Purpose: storage.Firmware, Volume: qmconf.CloudInitDrive}, true
	case drive.IsCDROM():
		return Disk{Slot: slot, Purpose: storage.Image, Volume: drive.Volume, Options: map[string]string{"media": "cdrom"}}, true
	case !pooled || !sized || strings.Contains(drive.Volume, ":iso/"):
		disk.Volume, disk.Size, disk.Storage = drive.Volume, 0, ""
	case slot == boot.SystemDisk(config):
		disk.Purpose = storage.Boot
	}
	return disk, true
}

// guestOf guesses the system in a VM. Package macos recognizes a macOS guest.
// Any other system follows from the key ostype.
func guestOf(v VMFacts) gpu.Guest {
	if release, is := macos.GuestOf(v.Name, v.Config); is {
		return release
	}
	return map[string]gpu.Guest{"win11": gpu.Windows11, "win10": gpu.Windows10, "l26": gpu.Linux, "l24": gpu.Linux}[v.Config["ostype"]] // AnyGuest if no profile fits
}
