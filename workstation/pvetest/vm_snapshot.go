package pvetest

import (
	"maps"
	"slices"
	"strings"
)

func (v *vm) snapshot(name string) int {
	return slices.IndexFunc(v.snaps, func(s snapshot) bool { return s.name == name })
}

func (n *Node) listSnapshots(_ *call, v *vm) (any, error) {
	list := []map[string]any{}
	for _, s := range v.snaps {
		entry := map[string]any{"name": s.name, "description": s.description, "snaptime": s.taken.Unix(), "vmstate": bit(s.ram)}
		if parent := s.config["parent"]; parent != "" {
			entry["parent"] = parent
		}
		list = append(list, entry)
	}
	current := map[string]any{"name": "current", "description": "You are here!", "digest": v.digest(), "running": bit(v.running)}
	if parent := v.config["parent"]; parent != "" {
		current["parent"] = parent
	}
	return append(list, current), nil
}

// takeSnapshot serves POST snapshot. If the VM has a passed-through device, a
// snapshot with RAM fails in QEMU, because QEMU cannot read the device's state.
func (n *Node) takeSnapshot(c *call, v *vm) (any, error) {
	name := c.get("snapname")
	if name == "current" || strings.EqualFold(name, "pending") {
		return nil, refuse("unable to use snapshot name '%s' (reserved name)", name)
	}
	ram := c.get("vmstate") == "1"
	return n.do(c, job{kind: "qmsnapshot", vmid: v.id, writes: true, takes: n.taskTime(), work: func(t *task) error {
		switch {
		case n.vms[v.id] != v:
			return n.noConfig(v.id)
		case v.config["template"] == "1":
			return refuse("you can't take a snapshot if it's a template")
		case locked(v) != nil:
			return locked(v)
		case v.snapshot(name) >= 0:
			return refuse("snapshot name '%s' already used", name)
		case !n.canSnapshot(v):
			return refuse("snapshot feature is not available")
		case ram && v.running && len(v.devices) > 0:
			t.say("snapshot create failed: starting cleanup")
			return refuse("VM %d qmp command 'savevm-start' failed - %s: VFIO migration is not supported in kernel", v.id, v.devices[0].Address)
		}
		config := maps.Clone(v.config)
		maps.DeleteFunc(config, notInSnapshot)
		v.snaps = append(v.snaps, snapshot{name, c.get("description"), n.now, ram && v.running, config})
		v.config["parent"] = name
		return nil
	}})
}

// canSnapshot reports whether all disks of a VM support snapshots. Disks on
// plain LVM and raw files do not support them.
func (n *Node) canSnapshot(v *vm) bool {
	for key, value := range v.config {
		d := parseDrive(value)
		s, name, there := n.volume(d.volume)
		if isDrive(key) && there && d.media() != "cdrom" && (s.Type == "lvm" || s.files() && s.volumes[name].Format != "qcow2") {
			return false
		}
	}
	return true
}

func (n *Node) deleteSnapshot(c *call, v *vm) (any, error) {
	name := c.get("snapname")
	return n.do(c, job{kind: "qmdelsnapshot", vmid: v.id, writes: true, takes: n.taskTime(), work: func(*task) error {
		i := v.snapshot(name)
		switch {
		case i < 0 || n.vms[v.id] != v:
			return refuse("snapshot '%s' does not exist", name)
		case locked(v) != nil:
			return locked(v)
		case v.config["template"] == "1":
			return refuse("you can't delete a snapshot if vm is a template")
		}
		gone := v.snaps[i].config["parent"]
		v.snaps = slices.Delete(v.snaps, i, i+1)
		for _, config := range append([]map[string]string{v.config}, v.snapshotConfigs()...) {
			if config["parent"] == name {
				if config["parent"] = gone; gone == "" {
					delete(config, "parent")
				}
			}
		}
		return nil
	}})
}

func (v *vm) snapshotConfigs() (list []map[string]string) {
	for _, s := range v.snaps {
		list = append(list, s.config)
	}
	return list
}

// The method "holds" returns the name of a snapshot that needs a volume, or ""
// if no snapshot needs it.
func (v *vm) holds(volume string) string {
	for _, s := range v.snaps {
		for _, value := range s.config {
			if parseDrive(value).volume == volume {
				return s.name
			}
		}
	}
	return ""
}

// notInSnapshot reports whether a key is left out of snapshots
// (pve-guest-common PVE/AbstractConfig.pm, __snapshot_copy_config).
func notInSnapshot(key, _ string) bool {
	return key == "lock" || key == "description" || strings.HasPrefix(key, "unused")
}
