package boot

import (
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

var (
	loaderName   = regexp.MustCompile(`(?i)opencore|clover|refind|efi[-_.]?boot`)
	recoveryName = regexp.MustCompile(`(?i)recovery|basesystem`)
)

// Loader returns the slot of the disk that holds a boot loader such as
// OpenCore. This is a disk with the name of a boot loader, or the only small
// disk in the boot order of a VM that also has a large disk. Loader returns ""
// if there is no such disk.
func Loader(config map[string]string) string {
	var small []string
	for _, slot := range qmconf.Disks(config) {
		drive, _ := storage.ParseDrive(config[slot])
		size, known := drive.Size()
		switch {
		case loaderName.MatchString(drive.Volume):
			return slot
		case known && size <= 2*storage.GiB && !recoveryName.MatchString(drive.Volume) && slices.Contains(qmconf.BootOrder(config), slot):
			small = append(small, slot)
		}
	}
	if len(small) == 1 && len(qmconf.Disks(config)) > 1 {
		return small[0]
	}
	return ""
}

// SystemDisk returns the slot of the disk that holds the guest's system. This
// is the first disk in the boot order that holds neither a boot loader nor an
// installer. If the boot order has no such disk, SystemDisk looks at all disks
// of the VM and chooses the largest disk that holds neither. It returns "" if
// there is no such disk, or if the VM starts from a passed-through controller.
func SystemDisk(config map[string]string) string {
	order, loader := qmconf.BootOrder(config), Loader(config)
	if len(order) > 0 && qmconf.Family(order[0]) == "hostpci" {
		return ""
	}
	holds := func(slot string) bool {
		return qmconf.IsDisk(slot, config[slot]) && slot != loader && !strings.Contains(config[slot], ":iso/") && !recoveryName.MatchString(config[slot])
	}
	candidates := slices.DeleteFunc(slices.Clone(order), func(slot string) bool { return !holds(slot) })
	if loader == "" && len(candidates) > 0 {
		return candidates[0]
	}
	// If there is a boot loader, the first disk may be a recovery system.
	if len(candidates) == 0 {
		candidates = slices.DeleteFunc(qmconf.Disks(config), func(slot string) bool { return !holds(slot) })
	}
	system, largest := "", storage.Size(-1)
	for _, slot := range candidates {
		drive, _ := storage.ParseDrive(config[slot])
		if size, _ := drive.Size(); size > largest {
			system, largest = slot, size
		}
	}
	return system
}

// Order returns the devices from which a VM may be able to start, in the order
// in which the firmware tries them.
func Order(config map[string]string) []string {
	return slices.DeleteFunc(qmconf.BootOrder(config), func(device string) bool { return !startsFrom(config, device) })
}

// startsFrom reports whether a VM may be able to start from the device, which
// is a disk, a CD with a medium, or a device of the host.
func startsFrom(config map[string]string, device string) bool {
	value := config[device]
	drive, err := storage.ParseDrive(value)
	switch {
	case value == "" || qmconf.Family(device) == "net":
		return false
	case qmconf.IsSlot(device) && err == nil:
		return drive.Volume != "none" && !qmconf.IsCloudInit(value)
	}
	return true
}
