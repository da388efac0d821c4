// Package restore finds the change with which a VM gets an earlier
// configuration back. The change takes no disk from the VM. The package judges
// two configurations and asks no node.
package restore

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// A VM describes a VM that should get its old configuration back.
type VM struct {
	ID        int
	Title     string            // the VM as people know it: "VM 140 windows"
	Old, Have map[string]string // the earlier and the present configuration
	PCI       gpu.Node          // the node's devices
}

// A Way is the change that restores a configuration.
type Way struct {
	Set    map[string]string
	Delete []string
	// Boot is the boot order after the change. If Delete contains the key boot,
	// the VM has no boot order after the change.
	Boot     string
	Findings []proxstation.Finding
}

// Way returns the way back, key by key: old values are set, and keys that were
// added since are deleted. Keys that belong to PVE stay.
func (v VM) Way() Way {
	r := &restoring{VM: v, Way: Way{Set: map[string]string{}}}
	keys := slices.AppendSeq(slices.Collect(maps.Keys(v.Old)), maps.Keys(v.Have))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		switch {
		case slices.Contains(keptKeys, key), key == "boot", qmconf.Family(key) == "unused":
		case key == qmconf.PasswordKey:
			r.password()
		case qmconf.IsSlot(key):
			r.drive(key)
		default:
			r.key(key)
		}
	}
	r.boot()
	return r.Way
}

// keptKeys holds the keys that cannot be restored.
var keptKeys = append([]string{"vmgenid"}, qmconf.OwnKeys...)

// A restoring collects the way of one VM.
type restoring struct {
	VM
	Way
}

func (r *restoring) set(key, value string) { r.Set[key] = value }

func (r *restoring) remove(key string) { r.Delete = append(r.Delete, key) }

func (r *restoring) tell(id string, f proxstation.Finding) {
	f.ID, f.Subject = id, r.Title
	r.Findings = append(r.Findings, f)
}

// The method "key" restores a key that holds no drive.
func (r *restoring) key(key string) {
	old, had := r.Old[key]
	have, has := r.Have[key]
	switch {
	case had && has && qmconf.Same(key, have, old), !had && !has:
	case !had:
		r.remove(key)
	default:
		r.set(key, old)
		if h, err := gpu.ParseHostPCI(old); qmconf.Family(key) == "hostpci" && err == nil {
			r.Findings = append(r.Findings, r.PCI.Check(key, h, gpu.AnyGuest)...)
		}
	}
}

// password deletes a password that was added since the snapshot. PVE does not
// say whether a password was changed.
func (r *restoring) password() {
	_, had := r.Old[qmconf.PasswordKey]
	_, has := r.Have[qmconf.PasswordKey]
	switch {
	case !had:
		r.remove(qmconf.PasswordKey)
	case !has:
		r.tell("restore.password", proxstation.Finding{Severity: proxstation.Warning, Seen: "the password of cloud-init is gone",
			Why: "PVE never shows the password, so it is not in the snapshot.", Fix: "Set cipassword again."})
	}
}

// startsElsewhere reports whether the VM would now start from another disk with
// a boot order in PVE's old notation. This notation names no disk, so an added
// disk can change its meaning.
func (r *restoring) startsElsewhere(boot string) bool {
	if strings.HasPrefix(boot, "order=") {
		return false
	}
	after := maps.Clone(r.Have)
	maps.Copy(after, r.Set)
	for _, key := range r.Delete {
		delete(after, key)
	}
	if after["boot"] = boot; boot == "" {
		delete(after, "boot")
	}
	return !slices.Equal(qmconf.BootOrder(after), qmconf.BootOrder(r.Old))
}

// boot finds the old boot order, without devices that are gone.
func (r *restoring) boot() {
	old, had := r.Old["boot"]
	have, has := r.Have["boot"]
	r.Boot = old
	if list, ordered := strings.CutPrefix(old, "order="); ordered {
		there := slices.DeleteFunc(strings.Split(list, ";"), func(device string) bool {
			_, has := r.Have[device]
			_, comes := r.Set[device]
			return device == "" || !comes && (!has || slices.Contains(r.Delete, device))
		})
		r.Boot = "order=" + strings.Join(there, ";")
	}
	switch {
	case has && r.startsElsewhere(r.Boot):
		r.Boot = have
		r.tell("restore.boot-kept", proxstation.Finding{Severity: proxstation.Warning, Seen: fmt.Sprintf("boot: %s, in the snapshot %q", have, old),
			Why: "With the old notation the VM would start from a disk that was added since.", Fix: fmt.Sprintf("Detach that disk, then qm set %d --boot '%s'.", r.ID, old)})
	case !had && has:
		r.remove("boot")
	}
}
