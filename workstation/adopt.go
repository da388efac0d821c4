package workstation

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

// Adopt returns the Spec of a VM as it is: its guest, its settings, its disks in
// their slots. A plan of it is empty. From then on the Spec is what the VM should
// be: change a value and plan, or plan later to see what somebody else changed.
// As JSON it is a text to keep; the key of a Mac and passwords are not in it.
//
// Left out is what belongs to PVE (lock, meta, vmgenid, unusedN), a lease in the
// description, and a value that this package cannot read, which stays as it is.
// The error matches [ErrNotFound].
func Adopt(facts Facts, vmid int) (Spec, error) {
	have, exists := facts.VMs[vmid]
	if !exists {
		return Spec{}, fmt.Errorf("workstation: VM %d on node %s: %w", vmid, facts.Node, ErrNotFound)
	}
	vm := VM{ID: vmid, Name: have.Name, Guest: guestOf(have), Config: map[string]string{}}
	for key, value := range have.Config {
		if value != "" && isSetting(key) {
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

// isSetting reports whether a Spec may set the key.
func isSetting(key string) bool {
	return !qmconf.IsSlot(key) && qmconf.Family(key) != "unused" && key != "name" && key != passwordKey && key != "vmgenid" && !slices.Contains(noSettings, key)
}

// adoptedDisk returns the disk that stands for a drive; ok is false if the
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
	case slot == systemDisk(config):
		disk.Purpose = storage.Boot
	}
	return disk, true
}

// appleRelease holds the names of macOS releases as people write them in the
// names of VMs and images.
var appleRelease = regexp.MustCompile(`(?i)high[-_ ]?sierra|mojave|catalina|big[-_ ]?sur|monterey|ventura|sonoma|sequoia|tahoe`)

// guestOf guesses the system in a VM from what was set up for it.
func guestOf(v VMFacts) gpu.Guest {
	words := []string{v.Name, v.Config["description"]}
	for _, slot := range qmconf.Slots(v.Config) {
		words = append(words, v.Config[slot])
	}
	text := strings.Join(words, " ")
	if strings.Contains(v.Config["args"], "isa-applesmc") || regexp.MustCompile(`(?i)opencore|clover|macos|hackintosh`).MatchString(text) {
		name := strings.ToLower(regexp.MustCompile(`[-_ ]`).ReplaceAllString(appleRelease.FindString(text), ""))
		for release := gpu.MacOSHighSierra; release <= gpu.MacOSTahoe; release++ {
			if name != "" && strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(release.String(), "macOS "), " ", "")) == name {
				return release
			}
		}
		return gpu.MacOSSequoia
	}
	switch v.Config["ostype"] {
	case "win11":
		return gpu.Windows11
	case "win10":
		return gpu.Windows10
	case "l26", "l24":
		return gpu.Linux
	}
	return gpu.AnyGuest
}
