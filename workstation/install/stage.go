package install

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// systemSlot is the slot of the system's disk in Linux and in Windows guests.
const systemSlot = "scsi0"

var cardKey = regexp.MustCompile(`^hostpci\d+$`)

// isDisk reports whether the guest sees a drive as a disk.
func isDisk(d workstation.Disk) bool {
	return !qmconf.IsFirmware(d.Slot) && d.Volume != qmconf.CloudInitDrive && !isCD(d)
}

func isCD(d workstation.Disk) bool {
	return d.Options["media"] == "cdrom" || d.Volume == "none" || strings.Contains(d.Volume, ":iso/")
}

// check returns an error if the guest cannot be set up in the VM.
func (g Guest) check(vm workstation.VM) error {
	data, system, cds := false, workstation.Disk{}, 0
	for _, d := range vm.Disks {
		switch {
		case d.Slot == systemSlot:
			system = d
		case isCD(d):
			cds++
			if g.Windows != nil && !strings.HasPrefix(d.Slot, "ide") && !strings.HasPrefix(d.Slot, "sata") {
				return g.problem("%s has a CD: Windows' installer reads CDs of IDE and SATA only", d.Slot)
			}
		case d.Slot == g.dataSlot():
			data = true
		}
	}
	switch {
	case g.Windows != nil && !vm.Guest.IsWindows(), g.Linux != nil && (vm.Guest.IsWindows() || vm.Guest.IsMacOS()):
		return g.problem("it is a VM for %s: want a guest of the same kind", vm.Guest)
	case system.Slot == "":
		return g.problem("it has no disk in %s for the system", systemSlot)
	case system.Volume != "":
		return g.problem("%s is the volume %s, which may hold data: a guest is set up on a new disk only", systemSlot, system.Volume)
	case g.Windows != nil && system.Import != "":
		return g.problem("%s is made from %s: Windows' installer wants an empty disk", systemSlot, system.Import)
	case g.Windows != nil && cds < 2:
		return g.problem("it has %d CDs: want the CD of Windows and the CD of virtio-win (Install and Drivers of the profile)", cds)
	case g.Linux != nil && system.Import == "":
		return g.problem("%s is an empty disk: want a cloud image (Image of the profile)", systemSlot)
	case g.dataSlot() != "" && !data:
		return g.problem("it has no disk in %s that the guest could format", g.dataSlot())
	}
	return nil
}

// checkCloudInit refuses a VM with settings for PVE's own cloud-init drive,
// because they could contradict the seed.
func (g Guest) checkCloudInit(vm workstation.VM) error {
	for _, key := range []string{"ciuser", "cipassword", "sshkeys", "ipconfig0", "nameserver", "searchdomain", "cicustom"} {
		if vm.Config[key] != "" || key == "cipassword" && !vm.Password.IsZero() {
			return g.problem("%s is set: the profile's CloudInit and the fields here may contradict each other; set only one of them", key)
		}
	}
	return nil
}

// This returns the VM as it will be after the set-up.
func (g Guest) last(vm workstation.VM) workstation.VM {
	vm = copyOf(vm)
	vm.Disks = slices.DeleteFunc(vm.Disks, func(d workstation.Disk) bool { return d.Volume == qmconf.CloudInitDrive })
	delete(vm.Defaults, "ipconfig0") // this setting belongs to the cloud-init drive
	return vm
}

// This returns the VM as it is at the start of the set-up. A Windows VM gets
// only the disk of the system, because Windows' installer tells disks apart
// only by their numbers. It gets no network, because the installer would fetch
// updates for hours (unattend-generator issues 54 and 190). If "volume" is
// empty, the guest exists and needs no seed. Its missing devices are then added
// while the VM is off.
func (g Guest) first(vm workstation.VM, slot, volume string) workstation.VM {
	vm = g.last(vm)
	if g.Windows != nil {
		vm.Disks = slices.DeleteFunc(vm.Disks, func(d workstation.Disk) bool { return isDisk(d) && d.Slot != systemSlot })
	}
	if mac := g.mac(); mac != nil && volume != "" {
		address := strings.ToUpper(mac.String())
		if card := vm.Config["net0"]; card != "" {
			vm.Config["net0"] = qmconf.Parse("net0", card).Set("macaddr", address).Text("net0")
		} else {
			vm.Config["net0"] = "macaddr=" + address
		}
	}
	if g.Windows != nil && volume != "" {
		vm.Config["net0"] = joined(vm.Config["net0"], "link_down=1")
	}
	if g.Card == CardLater {
		card := func(key, _ string) bool { return cardKey.MatchString(key) }
		maps.DeleteFunc(vm.Config, card)
		maps.DeleteFunc(vm.Defaults, card)
		vm.Absent = slices.DeleteFunc(vm.Absent, func(key string) bool { return strings.HasPrefix(key, "hostpci") })
		if vm.Config["vga"] == "none" {
			delete(vm.Config, "vga")
		}
		if vm.Defaults["vga"] == "none" {
			vm.Defaults["vga"] = "std"
		}
	}
	if volume != "" {
		vm.Disks = append(vm.Disks, workstation.Disk{Slot: slot, Purpose: storage.Image, Volume: volume, Options: map[string]string{"media": "cdrom"}})
	}
	return vm
}

func joined(value, more string) string {
	if value == "" {
		return more
	}
	return value + "," + more
}

func copyOf(vm workstation.VM) workstation.VM {
	vm.Config, vm.Defaults = maps.Clone(vm.Config), maps.Clone(vm.Defaults)
	if vm.Config == nil {
		vm.Config = map[string]string{}
	}
	vm.Disks, vm.Absent = slices.Clone(vm.Disks), slices.Clone(vm.Absent)
	return vm
}

// freeSlot returns a free drive for the seed. Linux gets a virtio-scsi drive,
// because cloud-init looks for the seed before slower drives appear (cloud-init
// issue 3897). Windows gets a SATA drive.
func (g Guest) freeSlot(vm workstation.VM, have map[string]string) (string, error) {
	family, most := "scsi", 30
	if g.Windows != nil {
		family, most = "sata", 5
	}
	for i := range most + 1 {
		slot := fmt.Sprintf("%s%d", family, i)
		_, taken := have[slot]
		if !taken && !slices.ContainsFunc(vm.Disks, func(d workstation.Disk) bool { return d.Slot == slot }) {
			return slot, nil
		}
	}
	return "", g.problem("it has no free %s drive for the seed", family)
}

// seedIn returns the drive that holds a seed of this package, and the seed's
// volume. Both are "" if the VM has no seed.
func seedIn(config map[string]string) (slot, volume string) {
	for _, key := range slices.Sorted(maps.Keys(config)) {
		if pool, file, _ := qmconf.CutVolume(config[key]); qmconf.IsSlot(key) && strings.HasPrefix(file, "iso/firstboot-") {
			return key, pool + ":" + file
		}
	}
	return "", ""
}
