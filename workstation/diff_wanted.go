package workstation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

// This returns the keys that a VM should have, with their values: the keys of
// vm.Config, the new drives, and the drives whose options the Spec sets. The
// second map holds, by key, the reason for a value that the Spec leaves open.
func (d *differ) wanted(vm VM, have map[string]string) (config, notes map[string]string) {
	config, notes = maps.Clone(vm.Config), map[string]string{}
	if config == nil {
		config = map[string]string{}
	}
	fresh := "" // the first slot that gets a new disk
	for _, disk := range vm.Disks {
		value, there := have[disk.Slot]
		switch {
		case disk.cloudInit() && qmconf.IsCloudInit(value):
		case disk.cloudInit():
			d.checkNewCloudInit(vm, disk.Slot, have)
			config[disk.Slot], notes[disk.Slot] = d.newDisk(vm, disk)
		case !disk.allocates() && disk.isIn(value):
			if options := optionText(disk); options != "" {
				config[disk.Slot] = options
			}
		case !disk.allocates():
			config[disk.Slot] = existing(disk)
			d.checkReplaced(vm, disk, value)
		case there:
			d.checkMedium(vm, disk, value)
			if options := optionText(d.changeable(vm, disk, value)); options != "" {
				config[disk.Slot] = options
			}
		default:
			config[disk.Slot], notes[disk.Slot] = d.newDisk(vm, disk)
			if disk.Purpose != storage.Firmware && fresh == "" {
				fresh = disk.Slot
				d.checkUnused(vm, fresh, have)
			}
		}
	}
	return config, notes
}

// isIn reports whether the value of an existing drive names the volume of this
// disk. A CD drive with that volume does not count.
func (d Disk) isIn(value string) bool {
	drive, err := storage.ParseDrive(value)
	return err == nil && drive.Volume == d.Volume && !drive.IsCDROM()
}

// checkUnused warns of detached disks if the plan makes a new disk.
func (d *differ) checkUnused(vm VM, slot string, have map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(have)) {
		if qmconf.Family(key) == "unused" {
			d.find(proxstation.Finding{ID: "workstation.unused", Severity: proxstation.Warning, Subject: fmt.Sprintf("VM %d %s", vm.ID, vm.Name), Seen: key + ": " + have[key],
				Why: "A detached disk keeps its data, and " + slot + " would be a new, empty one.", Fix: "To use the detached disk again, attach it by hand or name it as the Disk's Volume."})
		}
	}
}

// checkReplaced refuses to put a volume in place of a disk. PVE would keep the
// disk as unused, but the guest would have lost it.
func (d *differ) checkReplaced(vm VM, disk Disk, value string) {
	have, err := storage.ParseDrive(value)
	if err == nil && !have.IsCDROM() && have.Volume != disk.Volume {
		d.problems.add(vm, disk.Slot, value, "a disk is there, and "+disk.Volume+" would take its place: choose another slot, or detach the disk by hand")
	}
}

// This returns the drive value for an existing volume.
func existing(disk Disk) string {
	drive := storage.Drive{Volume: disk.Volume}
	if disk.isCD() {
		drive = drive.With("media", "cdrom") // PVE requires media=cdrom
	}
	for _, key := range slices.Sorted(maps.Keys(disk.Options)) {
		drive = drive.With(key, disk.Options[key])
	}
	return drive.String()
}

// This returns the disk without the options that take effect only when a volume
// is made. If the existing volume was made with another value of such an
// option, a finding says so.
func (d *differ) changeable(vm VM, disk Disk, value string) Disk {
	if !qmconf.IsFirmware(disk.Slot) {
		return disk
	}
	have, _ := storage.ParseDrive(value) // an invalid value has no options
	disk.Options = maps.Clone(disk.Options)
	for _, key := range slices.Sorted(maps.Keys(disk.Options)) {
		without, made := qmconf.BuiltWith[key]
		if !made {
			continue
		}
		if is := cmp.Or(have.Get(key), without); qmconf.Normal(is) != qmconf.Normal(disk.Options[key]) {
			if key == "pre-enrolled-keys" && qmconf.Normal(is) == "1" && d.checkSecureBoot(vm, value) {
				delete(disk.Options, key)
				continue
			}
			d.find(proxstation.Finding{ID: "workstation.firmware", Severity: proxstation.Warning, Subject: fmt.Sprintf("VM %d %s", vm.ID, vm.Name), Seen: fmt.Sprintf("%s was made with %s %s, not %s", disk.Slot, key, is, disk.Options[key]),
				Why: "An existing volume stays as it is.", Fix: "To have it made anew, remove it while the VM is off. Secure Boot and BitLocker then start from the beginning."})
		}
		delete(disk.Options, key)
	}
	return disk
}

// checkSecureBoot judges a VM whose firmware has Secure Boot's keys enrolled.
// If Secure Boot stops programs that the guest needs, it adds a finding and
// returns true. For a Windows guest it returns false.
func (d *differ) checkSecureBoot(vm VM, value string) (told bool) {
	f := proxstation.Finding{ID: "workstation.secure-boot", Severity: proxstation.Warning, Subject: fmt.Sprintf("VM %d %s", vm.ID, vm.Name), Seen: "efidisk0: " + value}
	const off = "in the VM's firmware (Esc when it starts), Device Manager, Secure Boot Configuration: take the tick from Attempt Secure Boot"
	switch {
	case vm.Guest == gpu.Linux:
		f.Why = "Secure Boot is on with Microsoft's keys: the kernel refuses modules that nobody signed, NVIDIA's driver among them (Key was rejected by service)."
		f.Fix = off + "; or sign the modules with a key of your own and enroll it in the guest: mokutil --import."
	case vm.Guest.IsMacOS():
		f.Why, f.Fix = "Secure Boot is on with Microsoft's keys: the firmware does not start OpenCore, which they did not sign.", off+"."
	default:
		return false
	}
	d.find(f)
	return true
}

// checkMedium refuses a CD in the place of a disk.
func (d *differ) checkMedium(vm VM, disk Disk, value string) {
	if qmconf.IsCD(value) {
		d.problems.add(vm, disk.Slot, value, "the slot has a CD drive, and the Spec has a disk there: choose another slot")
	}
}

// optionText returns the options that the Spec sets for a disk, in PVE's
// notation. An existing disk keeps its other options.
func optionText(disk Disk) string {
	var fields []string
	for _, key := range slices.Sorted(maps.Keys(disk.Options)) {
		fields = append(fields, key+"="+disk.Options[key])
	}
	return strings.Join(fields, ",")
}

// newDisk returns the value that makes a disk on the storage chosen for it.
func (d *differ) newDisk(vm VM, disk Disk) (value, note string) {
	choice, ok := d.chosen[diskName(vm.ID, disk.Slot)]
	if !ok {
		return "", "" // no storage was found for the disk: Diff returns that error
	}
	size := disk.Size
	if disk.Purpose == storage.Firmware {
		size = storage.GiB // PVE decides the size of the EFI disk and the TPM state
	}
	drive := storage.NewDrive(choice.Pool, size)
	switch {
	case disk.cloudInit():
		drive = storage.Drive{Volume: choice.Pool + ":" + qmconf.CloudInitDrive}.With("media", "cdrom")
	case disk.Import != "":
		drive = storage.Drive{Volume: choice.Pool + ":0"}.With("import-from", disk.Import)
	}
	for _, key := range slices.Sorted(maps.Keys(disk.Options)) {
		drive = drive.With(key, disk.Options[key])
	}
	pool, _ := d.facts.pool(choice.Pool)
	drive, why := drive.Suit(disk.Slot, cmp.Or(vm.Config["scsihw"], d.facts.VMs[vm.ID].Config["scsihw"]), pool)
	return drive.String(), strings.Join(slices.DeleteFunc([]string{choice.Why, why}, func(s string) bool { return s == "" }), "; ")
}

// This makes the step remove the keys and the properties that must be absent.
func (s *ChangeVM) drop(absent []string, config map[string]string) {
	for _, name := range absent {
		key, property := qmconf.CutAbsent(name)
		value, changes := s.Set[key]
		if !changes {
			value = config[key]
		}
		switch {
		case !qmconf.Holds(map[string]string{key: value}, name) || value == "":
		case property == "":
			s.Delete, s.Have[key] = append(s.Delete, key), value
		default:
			s.Set[key], s.Have[key] = qmconf.Parse(key, value).Drop(property).Text(key), config[key]
			s.Dropped = append(s.Dropped, name)
		}
	}
}

// checkNewCloudInit refuses a cloud-init drive in place of a disk. It also
// refuses a second cloud-init drive, as PVE does.
func (d *differ) checkNewCloudInit(vm VM, slot string, have map[string]string) {
	d.checkReplaced(vm, Disk{Slot: slot, Volume: qmconf.CloudInitDrive}, have[slot])
	for _, key := range slices.Sorted(maps.Keys(have)) {
		if qmconf.IsSlot(key) && qmconf.IsCloudInit(have[key]) {
			d.problems.add(vm, slot, "", "the VM has its drive of cloud-init at "+key)
		}
	}
}
