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

// create is POST qemu. What PVE can see at once it refuses at once; the VM
// then exists, locked, while a task makes its disks.
func (n *Node) create(c *call) answer {
	id := c.number("vmid")
	settings := c.settings()
	for _, check := range []func() (answer, bool){
		func() (answer, bool) {
			if c.has("storage") {
				return c.who.needs("/storage/"+c.get("storage"), "Datastore.AllocateSpace")
			}
			return answer{}, true
		},
		func() (answer, bool) {
			if c.get("start") == "1" {
				return c.who.needs(vmPath(id), "VM.PowerMgmt")
			}
			return answer{}, true
		},
		func() (answer, bool) {
			if !c.who.may(vmPath(id), "VM.Allocate") {
				return fail(http.StatusForbidden, "Permission check failed"), false
			}
			return answer{}, true
		},
		func() (answer, bool) { return n.mayChange(c, change{set: settings}) },
		func() (answer, bool) { return n.maySetValues(c.who, id, settings) },
	} {
		if a, good := check(); !good {
			return a
		}
	}
	if problems := n.badDrives(settings); len(problems) > 0 {
		return invalid(problems)
	}
	if !validKeys(settings["sshkeys"]) {
		return fail(http.StatusInternalServerError, "SSH public key validation error")
	}
	if kind := n.guestKind(id); kind != "" {
		return fail(http.StatusInternalServerError, "unable to create VM %d - %s %d already exists on node '%s'", id, kind, id, n.host.Name)
	}
	v := newVM(id)
	v.config["lock"] = "create"
	n.vms[id] = v
	t := n.fork("qmcreate", text(id), c.who.user)
	t.cancel = func() { delete(n.vms, id) } // the worker removes what it had
	n.withLock(t, id, func() {
		n.step(t, time.Second+n.taskTime(), func() { n.createNow(c, t, v, settings) })
	})
	return ok(t.upid)
}

func vmPath(id int) string { return fmt.Sprintf("/vms/%d", id) }

// createNow is the work of the task: all disks, or none and no VM.
func (n *Node) createNow(c *call, t *task, v *vm, settings map[string]string) {
	config := map[string]string{}
	for _, key := range sorted(settings) {
		value, problem := settings[key], ""
		switch {
		case isDrive(key):
			if value, problem = n.driveValue(v, settings, key, value); problem == "" {
				t.say("%s: successfully created disk '%s'", key, value)
			}
		case strings.HasPrefix(key, "net"):
			value = n.network(value)
		case key == "tags":
			value = tags(value)
		}
		if problem != "" {
			for made, value := range config {
				if isDrive(made) && parseDrive(settings[made]).volume != parseDrive(value).volume {
					n.free(parseDrive(value).volume)
				}
			}
			delete(n.vms, v.id)
			n.finish(t, fmt.Sprintf("unable to create VM %d - %s", v.id, problem))
			return
		}
		config[key] = value
	}
	n.fillIn(t, config)
	v.config = config
	if c.get("ha-managed") == "1" {
		n.host.HA = append(n.host.HA, v.id)
	}
	n.finish(t, "")
	if c.get("start") == "1" {
		n.startTask(v.id, c.who.user)
	}
}

// fillIn adds what PVE adds to every new VM.
func (n *Node) fillIn(t *task, config map[string]string) {
	config["meta"] = fmt.Sprintf("creation-qemu=%s,ctime=%d", n.qemu(), n.now.Unix())
	config["boot"] = cmp.Or(config["boot"], defaultBoot(config))
	config["smbios1"] = cmp.Or(config["smbios1"], "uuid="+n.uuid())
	if config["vmgenid"] == "" || config["vmgenid"] == "1" {
		config["vmgenid"] = n.uuid()
	}
	if machine := n.pinned(config["machine"], config["ostype"]); machine != config["machine"] {
		t.say("pinning machine type to '%s' for Windows guest OS", machine)
		config["machine"] = machine
	}
}

func (n *Node) uuid() string {
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", n.random.Uint32(), n.random.IntN(1<<16), n.random.IntN(1<<12), n.random.IntN(1<<12), n.random.Uint64()>>16)
}

// destroy is DELETE qemu/{vmid}.
func (n *Node) destroy(c *call) answer {
	v, refused := n.vmOf(c)
	if v == nil {
		return refused
	}
	purge := c.get("purge") == "1"
	refusal := func() string {
		switch {
		case n.vms[v.id] != v:
			return n.noConfig(v.id)
		case v.config["protection"] == "1":
			return fmt.Sprintf("can't remove VM %d - protection mode enabled", v.id)
		case slices.Contains(n.host.HA, v.id) && !purge:
			return fmt.Sprintf("unable to remove VM %d - used in HA resources and purge parameter not set.", v.id)
		case v.running:
			return fmt.Sprintf("VM %d is running - destroy failed", v.id)
		}
		return ""
	}
	if problem := refusal(); problem != "" {
		return fail(http.StatusInternalServerError, "%s", problem)
	}
	return n.do(c, job{kind: "qmdestroy", vmid: v.id, takes: n.taskTime(), work: func(*task) string {
		if problem := cmp.Or(refusal(), locked(v)); problem != "" {
			return problem
		}
		n.erase(v, c.get("destroy-unreferenced-disks") == "1")
		if purge {
			n.purge(v.id)
		}
		return ""
	}})
}

// erase takes a VM and its volumes out of the world: those that it names, and
// on demand all that bear its number.
func (n *Node) erase(v *vm, all bool) {
	for _, section := range []map[string]string{v.config, v.pending} {
		for _, value := range section {
			if s, name, there := n.volume(parseDrive(value).volume); there && s.volumes[name].VMID == v.id {
				delete(s.volumes, name)
			}
		}
	}
	for _, s := range n.storages {
		maps.DeleteFunc(s.volumes, func(_ string, volume *Volume) bool { return all && volume.VMID == v.id })
	}
	n.unreserve(v.id)
	delete(n.vms, v.id)
}

// purge takes a VM out of HA and backup jobs.
func (n *Node) purge(id int) {
	n.host.HA = slices.DeleteFunc(n.host.HA, func(other int) bool { return other == id })
	for i, job := range n.host.Backups {
		left := slices.DeleteFunc(strings.Split(job.VMIDs, ","), func(other string) bool { return other == text(id) })
		n.host.Backups[i].VMIDs = strings.Join(left, ",")
	}
}

// unlink is PUT unlink: disks are kept as unused, or destroyed with force.
func (n *Node) unlink(c *call) answer {
	c.values["delete"] = c.values["idlist"]
	delete(c.values, "idlist")
	return n.putConfig(c)
}
