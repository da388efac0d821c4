package pvetest

import (
	"slices"
	"strings"
)

// template serves POST template. It turns a VM into a template. The VM's
// volumes become bases of linked clones.
func (n *Node) template(c *call, v *vm) (any, error) {
	check := func() error {
		switch {
		case n.vms[v.id] != v:
			return n.noConfig(v.id)
		case locked(v) != nil:
			return locked(v)
		case len(v.snaps) > 0:
			return refuse("unable to create template, because VM contains snapshots")
		case v.config["template"] == "1" && !c.has("disk"):
			return refuse("you can't convert a template to a template")
		case v.running:
			return refuse("you can't convert a VM to template if VM is running")
		}
		return nil
	}
	if err := check(); err != nil {
		return nil, err
	}
	return n.do(c, job{kind: "qmtemplate", vmid: v.id, writes: true, takes: n.taskTime(), work: func(*task) error {
		if err := check(); err != nil {
			return err
		}
		v.config["template"] = "1"
		for _, key := range sorted(v.config) {
			d := parseDrive(v.config[key])
			if isDrive(key) && d.media() != "cdrom" && (!c.has("disk") || c.get("disk") == key) && n.hasFeature("template", d.volume, false) {
				d.volume = n.makeBase(d.volume)
				v.config[key] = d.String()
			}
		}
		return nil
	}})
}

// makeBase renames a volume so that it becomes a base of clones, and returns
// its new ID.
func (n *Node) makeBase(id string) string {
	s, name, _ := n.volume(id)
	v := s.volumes[name]
	s.drop(name)
	dir, file := "", name
	if i := strings.LastIndex(name, "/"); i >= 0 {
		dir, file = name[:i+1], name[i+1:]
	}
	v.Name = dir + "base-" + strings.TrimPrefix(file, "vm-")
	s.put(v)
	return s.Name + ":" + v.Name
}

// usedBase returns PVE's refusal to delete a volume that has linked clones. LVM
// never refuses, because it does not know which of its volumes are clones.
func (s *storage) usedBase(name string) error {
	for other := range s.volumes {
		if strings.HasPrefix(other, name+"/") {
			return refuse("base volume '%s' is still in use by linked cloned", name)
		}
	}
	return nil
}

// feature serves GET feature. It reports whether all disks of the VM are on
// storages that support an operation.
func (n *Node) feature(c *call, v *vm) (any, error) {
	config, name := v.config, c.get("snapname")
	if name != "" {
		i := v.snapshot(name)
		if i < 0 {
			return nil, refuse("snapshot '%s' does not exist", name)
		}
		config = v.snaps[i].config
	}
	has := true
	for key, value := range config {
		d := parseDrive(value)
		if isDrive(key) && d.media() != "cdrom" && !n.hasFeature(c.get("feature"), d.volume, name != "") {
			has = false
		}
	}
	return map[string]any{"hasFeature": bit(has), "nodes": []string{n.host.Name}}, nil
}

// usedBases returns PVE's refusal to destroy a template whose volumes have linked
// clones.
func (n *Node) usedBases(v *vm) error {
	if v.config["template"] != "1" {
		return nil
	}
	keys := slices.DeleteFunc(sorted(v.config), func(key string) bool { return !isDrive(key) })
	for _, key := range keys {
		if s, name, there := n.volume(parseDrive(v.config[key]).volume); there && s.usedBase(name) != nil {
			return refuse("base volume '%s:%s' is still in use by linked cloned", s.Name, name)
		}
	}
	return nil
}
