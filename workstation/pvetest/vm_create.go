package pvetest

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// create is POST qemu. What PVE can see at once it refuses at once; the VM
// then exists, locked, while a task makes its disks.
func (n *Node) create(c *call) (any, error) {
	id := c.number("vmid")
	settings := c.settings()
	for _, check := range []func() error{
		func() error {
			if c.has("storage") {
				return c.who.needs("/storage/"+c.get("storage"), "Datastore.AllocateSpace")
			}
			return nil
		},
		func() error {
			if c.get("start") == "1" {
				return c.who.needs(vmPath(id), "VM.PowerMgmt")
			}
			return nil
		},
		func() error {
			if !c.who.may(vmPath(id), "VM.Allocate") {
				return refuseWith(http.StatusForbidden, "Permission check failed")
			}
			return nil
		},
		func() error { return n.mayChange(c, change{set: settings}) },
		func() error { return n.maySetValues(c.who, id, settings) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	if problems := n.badDrives(settings); len(problems) > 0 {
		return nil, invalid(problems)
	}
	if !validKeys(settings["sshkeys"]) {
		return nil, refuse("SSH public key validation error")
	}
	if kind := n.guestKind(id); kind != "" {
		return nil, refuse("unable to create VM %d - %s %d already exists on node '%s'", id, kind, id, n.host.Name)
	}
	v := newVM(id)
	v.config["lock"] = "create"
	n.vms[id] = v
	t := n.fork("qmcreate", text(id), c.who.user)
	t.cancel = func() { delete(n.vms, id) } // the worker removes what it had
	n.withLock(t, id, func() {
		n.step(t, time.Second+n.taskTime(), func() { n.createNow(c, t, v, settings) })
	})
	return t.upid, nil
}

// createNow is the work of the task: all disks, or none and no VM.
func (n *Node) createNow(c *call, t *task, v *vm, settings map[string]string) {
	config := map[string]string{}
	for _, key := range sorted(settings) {
		value, err := settings[key], error(nil)
		switch {
		case isDrive(key):
			if value, err = n.driveValue(v, settings, key, value); err == nil {
				t.say("%s: successfully created disk '%s'", key, value)
			}
		case strings.HasPrefix(key, "net"):
			value = n.network(value)
		case key == "tags":
			value = tags(value)
		}
		if err != nil {
			for made, value := range config {
				if isDrive(made) && parseDrive(settings[made]).volume != parseDrive(value).volume {
					n.free(parseDrive(value).volume)
				}
			}
			delete(n.vms, v.id)
			n.finish(t, refuse("unable to create VM %d - %v", v.id, err))
			return
		}
		config[key] = value
	}
	n.fillIn(t, config)
	v.config = config
	if c.get("ha-managed") == "1" {
		n.host.HA = append(n.host.HA, v.id)
	}
	n.finish(t, nil)
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
