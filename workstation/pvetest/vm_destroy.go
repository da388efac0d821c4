package pvetest

import (
	"cmp"
	"slices"
	"strings"
)

// destroy serves DELETE qemu/{vmid}.
func (n *Node) destroy(c *call, v *vm) (any, error) {
	purge := c.get("purge") == "1"
	refusal := func() error {
		switch {
		case n.vms[v.id] != v:
			return n.noConfig(v.id)
		case v.config["protection"] == "1":
			return refuse("can't remove VM %d - protection mode enabled", v.id)
		case n.ha.configured(v.id) && !purge:
			return refuse("unable to remove VM %d - used in HA resources and purge parameter not set.", v.id)
		case len(n.jobsOf(v.id)) > 0 && !purge:
			return refuse("There is a replication job '%s' for guest '%d' - Please remove that first.", n.jobsOf(v.id)[0].id, v.id)
		case v.running:
			return refuse("VM %d is running - destroy failed", v.id)
		}
		return nil
	}
	if err := refusal(); err != nil {
		return nil, err
	}
	return n.do(c, job{kind: "qmdestroy", vmid: v.id, takes: n.taskTime(), work: func(*task) error {
		if err := cmp.Or(refusal(), c.locked(v), n.usedBases(v)); err != nil {
			return err
		}
		if err := n.mayWriteConfig(v.id); err != nil { // PVE notices this error only after it has deleted the disks
			n.eraseVolumes(v, c.get("destroy-unreferenced-disks") == "1")
			return err
		}
		n.erase(v, c.get("destroy-unreferenced-disks") == "1")
		if purge {
			n.purge(v.id)
		}
		return nil
	}})
}

// The method "erase" removes a VM and the volumes that its configuration names.
// If all is set, it removes all volumes that belong to the VMID.
func (n *Node) erase(v *vm, all bool) {
	n.eraseVolumes(v, all)
	n.unreserve(v.id)
	n.leavePool(v.id)
	n.removeVM(v.id)
}

func (n *Node) eraseVolumes(v *vm, all bool) {
	sections := []map[string]string{v.config, v.pending}
	for _, s := range v.snaps {
		sections = append(sections, s.config)
	}
	for _, section := range sections {
		for _, value := range section {
			if s, name, there := n.volume(parseDrive(value).volume); there && s.volumes[name].VMID == v.id {
				s.drop(name)
			}
		}
	}
	for _, s := range n.storages {
		for _, name := range sorted(s.owned[v.id]) {
			if all {
				s.drop(name)
			}
		}
	}
}

// The method "purge" removes a VM from HA, from replication and from backup
// jobs.
func (n *Node) purge(id int) {
	n.ha.remove(sidOf(id), true)
	n.dropJobs(id)
	for i, job := range n.backupJobs {
		left := slices.DeleteFunc(strings.Split(job.VMIDs, ","), func(other string) bool { return other == text(id) })
		n.backupJobs[i].VMIDs = strings.Join(left, ",")
	}
}
