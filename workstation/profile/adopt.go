package profile

import (
	"maps"
	"slices"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// A Profile is a profile of this package with its fields: [Windows11], [LinuxAI],
// [MacOS] or [RustDeskServer].
type Profile interface {
	// VM returns the VM that the profile stands for.
	VM() workstation.VM
}

// An Adopted is a VM that exists, described by the profile that fits.
type Adopted struct {
	// Profile is a Windows11, a LinuxAI or a MacOS whose fields say how the VM
	// is. A plan of it is empty. It is nil if no profile fits, as for a system
	// that is neither Windows 10 or later, nor Linux, nor macOS.
	Profile Profile
	// Kept are the keys of the VM's configuration that say more than the
	// Profile's fields can, in order: other drives, arguments, options. Every
	// plan of the Profile leaves them as they are. [workstation.Adopt] returns
	// their values.
	Kept []string
}

// Adopt returns a VM as it is in the profile that fits its guest. A field is set
// only if the plan of the profile stays empty with it; what is not set stays as
// it is on the node. The OSK of a Mac and passwords are never among the fields.
// The error matches [workstation.ErrNotFound].
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
	vm     workstation.VM    // as workstation.Adopt describes it
	config map[string]string // as it is on the node
	kept   map[string]bool   // the keys that no field has expressed yet
}

// leaves reports whether a plan of the profile changes nothing.
func (a adoption) leaves(p Profile) bool {
	plan, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{p.VM()}}, a.facts)
	return err == nil && plan.Empty()
}

// set changes a profile, and takes the change back if the VM would no longer stay
// as it is. Otherwise the keys are expressed by the profile.
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

// ownWords takes those keys from the kept keys for which a new VM of the profile
// would get the same value, but for what PVE makes itself: MAC addresses and UUIDs.
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

// property returns a property of one of the VM's keys, "" if it has none.
func (a adoption) property(key, name string) string {
	value, _ := qmconf.Parse(key, a.config[key]).Get(name)
	return value
}
