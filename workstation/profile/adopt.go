package profile

import (
	"maps"
	"slices"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// A Profile is a profile of this package with its fields: [Windows11],
// [LinuxAI], [MacOS] or [RustDeskServer].
type Profile interface {
	// VM returns the VM that the profile describes.
	VM() workstation.VM
}

// An Adopted describes an existing VM by the profile that fits it.
type Adopted struct {
	// Profile is a Windows11, a LinuxAI or a MacOS whose fields describe the
	// VM. A plan of this Profile is empty. Profile is nil if no profile fits:
	// only Windows 10 or later, Linux and macOS have profiles.
	Profile Profile
	// The field Kept holds, in order, the keys of the VM's configuration that
	// the Profile's fields cannot express: other drives, arguments, options.
	// Every plan of the Profile leaves these keys as they are.
	// [workstation.Adopt] returns their values.
	Kept []string
}

// Adopt describes an existing VM by the profile that fits its guest. It sets a
// field only if the plan of the profile stays empty with this field set.
// Settings that no field describes stay as they are on the node. Adopt never
// sets the OSK of a Mac or a password. The error matches
// [workstation.ErrNotFound].
func Adopt(facts workstation.Facts, vmid int) (Adopted, error) {
	spec, err := workstation.Adopt(facts, vmid)
	if err != nil {
		return Adopted{}, err
	}
	facts.VMs = map[int]workstation.VMFacts{vmid: facts.VMs[vmid]}
	a := adoption{facts: facts, vm: spec.VMs[0], config: facts.VMs[vmid].Config, kept: map[string]bool{}}
	for key := range a.config {
		if qmconf.Describes(key) {
			a.kept[key] = true
		}
	}
	for _, disk := range a.vm.Disks {
		a.kept[disk.Slot] = true
	}
	var p Profile
	switch guest := a.vm.Guest; {
	case guest.IsWindows():
		p = a.windows()
	case guest == gpu.Linux:
		p = a.linux()
	case guest.IsMacOS():
		p = a.macOS()
	}
	if p != nil {
		a.ownWords(p.VM().AsNew())
	}
	return Adopted{Profile: p, Kept: slices.Sorted(maps.Keys(a.kept))}, nil
}

// An adoption finds the fields of a profile for a VM.
type adoption struct {
	facts  workstation.Facts
	vm     workstation.VM    // the VM as workstation.Adopt describes it
	config map[string]string // the VM's configuration on the node
	kept   map[string]bool   // the keys that no field expresses so far
}

// The method "leaves" reports whether a plan of the profile changes nothing.
func (a adoption) leaves(p Profile) bool {
	plan, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{p.VM()}}, a.facts)
	return err == nil && plan.Empty()
}

// The function "set" tries a change of a profile. If the plan of the changed
// profile is not empty, set takes the change back. Otherwise the profile now
// expresses the given keys, and set removes them from the kept keys.
func set[P Profile](a adoption, p *P, change func(*P), keys ...string) {
	changed := *p
	if change(&changed); !a.leaves(changed) {
		return
	}
	*p = changed
	for _, key := range keys {
		delete(a.kept, key)
	}
}

// ownWords removes a key from the kept keys if a new VM of the profile would
// get the same value. It ignores MAC addresses and UUIDs, which PVE makes
// itself.
func (a adoption) ownWords(fresh workstation.VM) {
	for key, value := range fresh.Config {
		have := qmconf.Parse(key, a.vm.Config[key]).Drop("macaddr").Text(key)
		if have != "" && (qmconf.Same(key, have, value) || qmconf.PinsMachine(key, have, value)) {
			delete(a.kept, key)
		}
	}
	if len(qmconf.Parse("smbios1", a.config["smbios1"]).Drop("uuid")) == 0 {
		delete(a.kept, "smbios1")
	}
	for _, disk := range fresh.Disks {
		drive, err := storage.ParseDrive(a.config[disk.Slot])
		lacks := func(key string) bool { return qmconf.Normal(drive.Get(key)) != qmconf.Normal(disk.Options[key]) }
		if qmconf.IsFirmware(disk.Slot) && err == nil && !slices.ContainsFunc(slices.Collect(maps.Keys(disk.Options)), lacks) {
			delete(a.kept, disk.Slot)
		}
	}
}

// The method "property" returns a property of one of the VM's keys, or "" if
// the key lacks the property.
func (a adoption) property(key, name string) string {
	value, _ := qmconf.Parse(key, a.config[key]).Get(name)
	return value
}
