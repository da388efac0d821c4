package workstation

import (
	"fmt"
	"maps"
	"slices"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/restore"
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

// This plans the restore of one VM.
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
	way := restore.VM{ID: id, Title: v.String(), Old: withLeaseOf(v.Config, old), Have: v.Config, PCI: d.facts.PCI()}.Way()
	d.plan.Findings = append(d.plan.Findings, way.Findings...)
	step := ChangeVM{VMID: id, Name: v.Name, Digest: v.Digest, Exact: true, Set: way.Set, Delete: way.Delete, Have: map[string]string{}, Notes: map[string]string{}}
	for _, key := range slices.AppendSeq(slices.Clone(way.Delete), maps.Keys(way.Set)) {
		step.Have[key] = v.Config[key]
	}
	if slices.Contains(way.Delete, "boot") {
		d.changes(step.unlessEmpty(), v)
		return
	}
	d.changes(step.withBoot(way.Boot, v.Config["boot"]), v)
}

// withLeaseOf returns the old configuration with the lease that the present
// configuration may have in its description. A restore does not remove the
// lease of a controller. If the two descriptions differ only by a lease, the
// restore does not change the description.
func withLeaseOf(have, old map[string]string) map[string]string {
	old = cloned(old)
	description := withoutLease(old["description"])
	if description == withoutLease(have["description"]) {
		description = have["description"]
	} else {
		description += leaseLine.FindString(have["description"])
	}
	setOrDelete(old, "description", description)
	return old
}
