package pvetest

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// taskTime is how long the node's short work takes.
func (n *Node) taskTime() time.Duration {
	return 300*time.Millisecond + time.Duration(n.random.IntN(400))*time.Millisecond
}

// create is POST qemu. What can be refused is refused at once; the VM then
// exists, locked, while a task makes its disks.
func (n *Node) create(c *call) answer {
	id := c.number("vmid")
	if a, allowed := c.who.needs(fmt.Sprintf("/vms/%d", id), "VM.Allocate"); !allowed {
		return a
	}
	if a, allowed := n.mayChange(c, id, change{set: c.keys()}); !allowed {
		return a
	}
	if _, taken := n.vms[id]; taken {
		return fail(http.StatusInternalServerError, "unable to create VM %d - VM %d already exists on node '%s'", id, id, n.host.Name)
	}
	for _, key := range sorted(c.keys()) {
		if pool, _, found := strings.Cut(parseDrive(c.get(key)).volume, ":"); isDrive(key) && found && n.storages[pool] == nil {
			return fail(http.StatusInternalServerError, "storage '%s' does not exist", pool)
		}
	}
	v := &vm{id: id, config: map[string]string{"lock": "create"}, pending: map[string]string{}, drop: map[string]bool{}}
	n.vms[id] = v
	t := n.begin("qmcreate", text(id), c.who.user)
	t.cancel = func() { n.erase(v) }
	return n.run(t, time.Second+n.taskTime(), func() string {
		problem := n.change(v, change{set: c.keys()})
		if problem != "" {
			n.erase(v)
			return fmt.Sprintf("unable to create VM %d - %s", id, problem)
		}
		delete(v.config, "lock")
		v.config["meta"] = fmt.Sprintf("creation-qemu=10.1.2,ctime=%d", n.now.Unix())
		v.config["vmgenid"] = cmp.Or(v.config["vmgenid"], n.uuid())
		v.config["smbios1"] = cmp.Or(v.config["smbios1"], "uuid="+n.uuid())
		t.say("VM %d created", id)
		if c.get("start") == "1" {
			n.after(0, func() { n.begin("qmstart", text(id), c.who.user) })
		}
		return ""
	})
}

func (n *Node) uuid() string {
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", n.random.Uint32(), n.random.IntN(1<<16), n.random.IntN(1<<12), n.random.IntN(1<<12), n.random.Uint64()>>16)
}

// erase takes a VM and its volumes out of the world.
func (n *Node) erase(v *vm) {
	for _, value := range v.next() {
		if d := parseDrive(value); d.media() != "cdrom" || strings.Contains(d.volume, "cloudinit") {
			if s, name, ok := n.volume(d.volume); ok && s.volumes[name].VMID == v.id {
				delete(s.volumes, name)
			}
		}
	}
	delete(n.vms, v.id)
}

// destroy is DELETE qemu/{vmid}.
func (n *Node) destroy(c *call) answer {
	v, refused := n.vmOf(c)
	if v == nil {
		return refused
	}
	switch problem := cmp.Or(n.held(v, nil), locked(v)); {
	case problem != "":
		return fail(http.StatusInternalServerError, "%s", problem)
	case v.config["protection"] == "1":
		return fail(http.StatusInternalServerError, "can't remove VM %d - protection mode enabled", v.id)
	case v.running:
		return fail(http.StatusInternalServerError, "VM %d is running - destroy failed", v.id)
	case slices.Contains(n.host.HA, v.id) && c.get("purge") != "1":
		return fail(http.StatusInternalServerError, "unable to remove VM %d - used in HA resources and purge parameter not set.", v.id)
	}
	t := n.begin("qmdestroy", text(v.id), c.who.user)
	return n.run(t, n.taskTime(), func() string {
		if v.running {
			return fmt.Sprintf("VM %d is running - destroy failed", v.id)
		}
		if c.get("destroy-unreferenced-disks") == "1" {
			for _, s := range n.storages {
				maps.DeleteFunc(s.volumes, func(_ string, volume *Volume) bool { return volume.VMID == v.id })
			}
		}
		n.erase(v)
		return ""
	})
}

// unlink is PUT unlink: disks are kept as unused, or destroyed with force.
func (n *Node) unlink(c *call) answer {
	c.values["delete"] = c.values["idlist"]
	delete(c.values, "idlist")
	return n.putConfig(c)
}

func (n *Node) listSnapshots(c *call) answer {
	v, refused := n.vmOf(c)
	if v == nil {
		return refused
	}
	list := []map[string]any{}
	parent := ""
	for _, s := range v.snaps {
		entry := map[string]any{"name": s.name, "description": s.description, "snaptime": s.taken.Unix()}
		if parent != "" {
			entry["parent"] = parent
		}
		list, parent = append(list, entry), s.name
	}
	current := map[string]any{"name": "current", "description": "You are here!", "digest": v.digest(), "running": bit(v.running)}
	if parent != "" {
		current["parent"] = parent
	}
	return ok(append(list, current))
}

func (n *Node) takeSnapshot(c *call) answer {
	v, refused := n.vmOf(c)
	if v == nil {
		return refused
	}
	t := n.begin("qmsnapshot", text(v.id), c.who.user)
	return n.run(t, n.taskTime(), func() string {
		switch {
		case locked(v) != "":
			return locked(v)
		case slices.ContainsFunc(v.snaps, func(s snapshot) bool { return s.name == c.get("snapname") }):
			return fmt.Sprintf("snapshot name '%s' already used", c.get("snapname"))
		case c.get("vmstate") == "1" && v.running && len(hostPCI(v.config)) > 0:
			return fmt.Sprintf("VM %d cannot be snapshotted with RAM: it uses passed-through PCI devices", v.id)
		}
		v.snaps = append(v.snaps, snapshot{c.get("snapname"), c.get("description"), n.now, maps.Clone(v.config)})
		return ""
	})
}

func (n *Node) deleteSnapshot(c *call) answer {
	v, refused := n.vmOf(c)
	if v == nil {
		return refused
	}
	i := slices.IndexFunc(v.snaps, func(s snapshot) bool { return s.name == c.get("snapname") })
	if i < 0 {
		return fail(http.StatusInternalServerError, "snapshot '%s' does not exist", c.get("snapname"))
	}
	t := n.begin("qmdelsnapshot", text(v.id), c.who.user)
	return n.run(t, n.taskTime(), func() string {
		v.snaps = slices.DeleteFunc(v.snaps, func(s snapshot) bool { return s.name == c.get("snapname") })
		return ""
	})
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
