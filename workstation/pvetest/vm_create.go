package pvetest

import (
	"cmp"
	"fmt"
	"net/http"
	"time"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// create serves POST qemu (qemu-server PVE/API2/Qemu.pm, create_vm). If PVE
// finds a problem before the task starts, the request fails. If not, the VM
// exists from then on. It is locked while the task makes its disks.
func (n *Node) create(c *call) (any, error) {
	id, settings := c.number("vmid"), c.settings()
	if !validKeys(settings["sshkeys"]) {
		return nil, refuse("SSH public key validation error")
	}
	if err := n.mayCreate(c, id); err != nil {
		return nil, err
	}
	aliasCDROM(settings)
	for _, check := range []func() error{
		func() error { return n.mayUseStorages(c.who, id, settings) },
		func() error { return mayTouch(c.who, id, sorted(settings)) },
		func() error { return mayMake(c.who, id, settings) },
		func() error { return mayUseBridges(c.who, settings) },
		func() error { return n.checkDrives(settings) },
		func() error { return n.completeSettings(settings) },
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	if owner, kind := n.ownerOf(id); owner != nil {
		return nil, refuse("unable to create VM %d - %s %d already exists on node '%s'", id, kind, id, owner.host.Name)
	}
	v := newVM(id)
	v.config["lock"] = "create"
	n.addVM(v)
	t := n.fork("qmcreate", text(id), c.who.user)
	t.cancel = func() { n.removeVM(id) } // if the task is stopped, the new VM is removed
	n.withLock(t, id, func() {
		n.step(t, time.Second+n.taskTime(), func() { n.createNow(c, t, v, settings) })
	})
	return t.upid, nil
}

// mayCreate checks the privileges that do not depend on the configuration.
func (n *Node) mayCreate(c *call, id int) error {
	if _, there := n.poolGuests[c.get("pool")]; c.has("pool") && !there {
		return refuseWith(http.StatusForbidden, "Permission check failed (pool '%s' does not exist)", c.get("pool"))
	}
	if c.has("storage") {
		if err := c.who.needs("/storage/"+c.get("storage"), "Datastore.AllocateSpace"); err != nil {
			return err
		}
	}
	strict := !n.olderThan(9, 2) // both checks were added in April 2026 (git log of qemu-server PVE/API2/Qemu.pm)
	if strict && c.get("ha-managed") == "1" {
		if err := c.who.needs("/", "Sys.Console"); err != nil {
			return err
		}
	}
	if strict && c.get("start") == "1" {
		if err := c.who.needs(vmPath(id), "VM.PowerMgmt"); err != nil {
			return err
		}
	}
	if !c.who.may(vmPath(id), "VM.Allocate") && !(c.has("pool") && c.who.may("/pool/"+c.get("pool"), "VM.Allocate")) {
		return refuseWith(http.StatusForbidden, "Permission check failed")
	}
	return nil
}

// createNow does the work of the task: it makes all disks. If a disk fails, it
// removes the VM and its disks.
func (n *Node) createNow(c *call, t *task, v *vm, settings map[string]string) {
	config, err := n.newConfig(t, v, settings)
	if err != nil {
		for made, value := range config {
			if isDrive(made) && parseDrive(settings[made]).volume != parseDrive(value).volume {
				n.free(parseDrive(value).volume)
			}
		}
		n.removeVM(v.id)
		n.finish(t, refuse("unable to create VM %d - %v", v.id, err))
		return
	}
	v.config = config
	if pool := c.get("pool"); pool != "" {
		n.poolGuests[pool] = append(n.poolGuests[pool], v.id)
	}
	if c.get("ha-managed") == "1" {
		n.manageNew(v.id, c.get("start") == "1")
	}
	n.finish(t, nil)
	if c.get("start") == "1" {
		n.startTask(v.id, c.who.user, false)
	}
}

// newConfig makes the disks of a new VM and returns its configuration. After an
// error, it returns the finished part of the configuration.
func (n *Node) newConfig(t *task, v *vm, settings map[string]string) (map[string]string, error) {
	config := map[string]string{}
	for _, key := range sorted(settings) {
		value := settings[key]
		switch {
		case isDrive(key):
			made, err := n.driveValue(v, settings, key, value)
			if err != nil {
				return config, err
			}
			t.say("%s: successfully created disk '%s'", key, made)
			value = made
		case key == "tags":
			value = tags(value)
		}
		if err := pveschema.CheckStored(key, value); err != nil {
			return config, asRefusal(err)
		}
		config[key] = stored(key, value)
	}
	if err := cmp.Or(pveschema.CheckDisplay("vga", config["vga"]), pveschema.CheckMachine("machine", config["machine"])); err != nil {
		return config, asRefusal(err)
	}
	n.fillIn(t, config)
	return config, nil
}

// fillIn adds the values that PVE generates for every new VM.
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
