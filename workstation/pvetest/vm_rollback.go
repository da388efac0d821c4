package pvetest

import (
	"maps"
	"strings"
)

// rollback serves POST snapshot/{snapname}/rollback. It stops the VM and
// restores the configuration of the snapshot. Disks that were added after the
// snapshot are kept as unused.
func (n *Node) rollback(c *call, v *vm) (any, error) {
	name, start := c.get("snapname"), c.get("start") == "1"
	if start {
		if err := c.who.needs(vmPath(v.id), "VM.PowerMgmt"); err != nil {
			return nil, err
		}
	}
	return n.do(c, job{kind: "qmrollback", vmid: v.id, writes: true, takes: n.taskTime(), work: func(*task) error {
		if err := n.mayRollBack(v, name); err != nil {
			return err
		}
		s := v.snaps[v.snapshot(name)]
		n.off(v)
		n.restore(v, s)
		if s.ram || start {
			n.after(0, func() { n.startTask(v.id, c.who.user, false) })
		}
		return nil
	}})
}

func (n *Node) mayRollBack(v *vm, name string) error {
	i := v.snapshot(name)
	switch {
	case n.vms[v.id] != v:
		return n.noConfig(v.id)
	case v.config["template"] == "1":
		return refuse("you can't rollback if vm is a template")
	case i < 0:
		return refuse("snapshot '%s' does not exist", name)
	}
	for _, later := range v.snaps[i+1:] {
		for key, value := range v.snaps[i].config {
			d := parseDrive(value)
			s, volume, there := n.volume(d.volume)
			if isDrive(key) && there && s.Type == "zfspool" && parseDrive(later.config[key]).volume == d.volume {
				return refuse("can't rollback, '%s' is not most recent snapshot on '%s'", name, volume)
			}
		}
	}
	return locked(v)
}

// The method "restore" sets a VM's configuration to the configuration in a
// snapshot. The description and the lock do not change.
func (n *Node) restore(v *vm, s snapshot) {
	config := maps.Clone(s.config)
	delete(config, "description")
	for _, key := range []string{"description", "lock"} {
		if v.config[key] != "" {
			config[key] = v.config[key]
		}
	}
	config["parent"] = s.name
	if config["vmgenid"] != "" {
		config["vmgenid"] = n.uuid()
	}
	old := v.config
	v.config, v.pending, v.drop = config, map[string]string{}, map[string]bool{}
	for _, key := range sorted(old) {
		d := parseDrive(old[key])
		if (isDrive(key) || strings.HasPrefix(key, "unused")) && d.media() != "cdrom" && !names(config, d.volume) {
			n.setAside(v, drive{volume: d.volume})
		}
	}
}

// The function "names" reports whether a drive in the configuration uses a
// volume.
func names(config map[string]string, volume string) bool {
	for key, value := range config {
		if isDrive(key) && parseDrive(value).volume == volume {
			return true
		}
	}
	return false
}

func (n *Node) getSnapshot(c *call, v *vm) (any, error) {
	i := v.snapshot(c.get("snapname"))
	if i < 0 {
		return nil, refuse("snapshot '%s' does not exist", c.get("snapname"))
	}
	s := v.snaps[i]
	object := map[string]any{"snaptime": s.taken.Unix()}
	for key, value := range s.config {
		object[key] = typed(key, value)
	}
	if s.description != "" {
		object["description"] = s.description
	}
	return object, nil
}

func (n *Node) describeSnapshot(c *call, v *vm) (any, error) {
	if err := n.await(c, v.id); err != nil {
		return nil, err
	}
	i := v.snapshot(c.get("snapname"))
	switch {
	case n.vms[v.id] != v:
		return nil, n.noConfig(v.id)
	case locked(v) != nil:
		return nil, locked(v)
	case i < 0:
		return nil, refuse("snapshot '%s' does not exist", c.get("snapname"))
	}
	if err := n.mayWriteConfig(v.id); err != nil {
		return nil, err
	}
	if c.has("description") {
		v.snaps[i].description = c.get("description")
	}
	return null()
}
