package workstation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// RestorePlan returns the plan that brings VMs back to the configurations of a
// snapshot, key by key: old values are set, and keys that were added since are
// deleted. It is pure. The plan is like any other plan: it prints as a diff,
// Apply refuses it when it is stale, Apply can be repeated, and the plan names
// the steps that only root@pam may do. For a running VM, most changes take
// effect at its next start. If nothing has changed since the snapshot, the plan
// is empty.
//
// Data always stays. A disk that was added since stays in its slot, and a disk
// that grew keeps its size. A disk that was detached comes back if PVE still
// has it among the unused disks. The findings name each of these disks. CD
// drives and the drive of cloud-init hold no data of their own, so they are
// added and removed. A boot order in PVE's old notation is not restored if it
// would now mean a disk that was added (restore.boot-kept).
//
// These keys stay as they are, because they are not settings or cannot be
// restored: unusedN, lock, meta, vmgenid, template, parent and all other keys
// of PVE's own snapshots. A password of cloud-init that was removed cannot be
// restored. Resource mappings stay too, because a mapping that no VM names has
// no effect.
//
// If a VM no longer exists, or another VM has its VMID, the plan has a blocker
// (restore.gone, restore.another). To restore only the other VMs, delete this
// VM from Snapshot.Configs. A VM that was made since the snapshot stays, but
// [DestroyPlan] can remove it. If the snapshot is of another node, the error
// matches [ErrInvalid]. If the configuration of a VM was not read, the error
// matches [ErrUnread].
func RestorePlan(before Snapshot, facts Facts) (Plan, error) {
	if before.Node != facts.Node {
		return Plan{}, fmt.Errorf("workstation: the snapshot is of node %q, the facts are of %q: %w", before.Node, facts.Node, ErrInvalid)
	}
	d := &differ{facts: facts, split: map[string]bool{}, plan: Plan{Node: facts.Node}, after: facts.Mappings}
	for _, id := range sortedIDs(before.Configs) {
		if facts.isUnread(id) {
			return Plan{}, facts.missing(id)
		}
		d.restore(id, before.Configs[id])
	}
	for _, id := range before.Missing {
		v, there := facts.VMs[id]
		if facts.isUnread(id) {
			v, there = VMFacts{ID: id, Name: facts.Unread[id]}, true
		}
		if there {
			d.find(proxstation.Finding{ID: "restore.made", Severity: proxstation.Info, Subject: v.String(), Seen: "it was made since the snapshot",
				Why: "Restoring destroys nothing.", Fix: "If you do not want the VM, remove it with a DestroyPlan."})
		}
	}
	d.conflicts(d.facts.applied(d.plan.Steps))
	d.privileges()
	return d.plan, nil
}

// keptKeys holds the keys that cannot be restored.
var keptKeys = append([]string{"vmgenid"}, qmconf.OwnKeys...)

// This plans the way of one VM back to its snapshot.
func (d *differ) restore(id int, old map[string]string) {
	v, there := d.facts.VMs[id]
	switch {
	case !there:
		d.find(proxstation.Finding{ID: "restore.gone", Severity: proxstation.Blocker, Subject: fmt.Sprintf("VM %d %s", id, old["name"]), Seen: "there is no such VM",
			Why: "A configuration is of no use without its disks.", Fix: "Restore the VM from a backup, or leave it out of the snapshot."})
		return
	case old["meta"] != "" && v.Config["meta"] != "" && old["meta"] != v.Config["meta"]:
		d.find(proxstation.Finding{ID: "restore.another", Severity: proxstation.Blocker, Subject: v.String(), Seen: fmt.Sprintf("meta: %s, in the snapshot %s", v.Config["meta"], old["meta"]),
			Why: "The VM was destroyed and made again, and has other disks now.", Fix: "Leave it out of the snapshot."})
		return
	}
	d.checkLock(v)
	r := &restoring{differ: d, vm: v, old: old, step: ChangeVM{VMID: id, Name: v.Name, Digest: v.Digest, Exact: true,
		Set: map[string]string{}, Have: map[string]string{}, Notes: map[string]string{}}}
	keys := slices.Sorted(maps.Keys(old))
	for key := range v.Config {
		if _, had := old[key]; !had {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		switch {
		case slices.Contains(keptKeys, key), key == "boot", qmconf.Family(key) == "unused":
		case key == passwordKey:
			r.password()
		case qmconf.IsSlot(key):
			r.drive(key)
		default:
			r.key(key)
		}
	}
	d.changes(r.withOldBoot(), v)
}

// A restoring collects the steps that restore one VM.
type restoring struct {
	*differ
	vm   VMFacts
	old  map[string]string
	step ChangeVM
}

func (r *restoring) set(key, value string) {
	r.step.Set[key], r.step.Have[key] = value, r.vm.Config[key]
}

func (r *restoring) remove(key string) {
	r.step.Delete, r.step.Have[key] = append(r.step.Delete, key), r.vm.Config[key]
}

func (r *restoring) tell(id string, f proxstation.Finding) {
	f.ID = id
	f.Subject = r.vm.String()
	r.find(f)
}

// This restores a key that holds no drive.
func (r *restoring) key(key string) {
	old, had := r.old[key]
	have, has := r.vm.Config[key]
	if key == "description" {
		// If a controller has a lease now, the description keeps this lease.
		lease := leaseLine.FindString(have)
		have = withoutLease(have)
		had, has = withoutLease(old) != "", have != ""
		if old = withoutLease(old); lease != "" && old != have {
			old, had = old+lease, true
		}
	}
	switch {
	case had && has && qmconf.Same(key, have, old), !had && !has:
	case !had:
		r.remove(key)
	default:
		r.set(key, old)
		if h, err := gpu.ParseHostPCI(old); qmconf.Family(key) == "hostpci" && err == nil {
			r.plan.Findings = append(r.plan.Findings, r.facts.PCI().Check(key, h, gpu.AnyGuest)...)
		}
	}
}

// This deletes a password that was added since the snapshot. PVE does not say
// whether a password was changed.
func (r *restoring) password() {
	_, had := r.old[passwordKey]
	_, has := r.vm.Config[passwordKey]
	switch {
	case !had:
		r.remove(passwordKey)
	case !has:
		r.tell("restore.password", proxstation.Finding{Severity: proxstation.Warning, Seen: "the password of cloud-init is gone",
			Why: "PVE never shows the password, so it is not in the snapshot.", Fix: "Set cipassword again."})
	}
}

// startsElsewhere reports whether a boot order of PVE's old notation would now
// mean another disk, because a disk was added. Such an order names no disk.
func (r *restoring) startsElsewhere(boot string) bool {
	if strings.HasPrefix(boot, "order=") {
		return false
	}
	after := maps.Clone(r.vm.Config)
	maps.Copy(after, r.step.Set)
	for _, key := range r.step.Delete {
		delete(after, key)
	}
	setOrDelete(after, "boot", boot)
	return !slices.Equal(qmconf.BootOrder(after), qmconf.BootOrder(r.old))
}

// withOldBoot returns the steps that set the old boot order, without devices
// that are gone.
func (r *restoring) withOldBoot() []ChangeVM {
	boot := r.old["boot"]
	if list, ordered := strings.CutPrefix(boot, "order="); ordered {
		devices := strings.Split(list, ";")
		there := slices.DeleteFunc(slices.Clone(devices), func(device string) bool {
			_, has := r.vm.Config[device]
			_, comes := r.step.Set[device]
			return device == "" || !comes && (!has || slices.Contains(r.step.Delete, device))
		})
		boot = "order=" + strings.Join(there, ";")
	}
	have, has := r.vm.Config["boot"]
	if has && r.startsElsewhere(boot) {
		r.tell("restore.boot-kept", proxstation.Finding{Severity: proxstation.Warning, Seen: fmt.Sprintf("boot: %s, in the snapshot %q", have, r.old["boot"]),
			Why: "With the old notation the VM would start from a disk that was added since.", Fix: fmt.Sprintf("Detach that disk, then qm set %d --boot '%s'.", r.vm.ID, r.old["boot"])})
		return r.step.withBoot(have, have)
	}
	if _, had := r.old["boot"]; !had && has {
		r.remove("boot")
		return r.step.unlessEmpty()
	}
	return r.step.withBoot(boot, have)
}
