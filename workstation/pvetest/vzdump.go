package pvetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// vzdump serves POST vzdump. It starts a task that locks each guest in turn,
// waits, and leaves a file on the storage (pve-manager PVE/API2/VZDump.pm and
// PVE/VZDump.pm).
func (n *Node) vzdump(c *call) (any, error) {
	if err := n.mayBackUp(c); err != nil {
		return nil, err
	}
	ids := n.included(c)
	if c.get("stop") == "1" && len(ids) == 0 || c.has("node") && c.get("node") != n.host.Name {
		return "OK", nil
	}
	if len(ids) == 0 && c.get("all") != "1" {
		return "OK", nil
	}
	storage := cmp.Or(c.get("storage"), "local")
	if !c.has("dumpdir") {
		if err := c.who.needs("/storage/"+storage, "Datastore.AllocateSpace"); err != nil {
			return nil, err
		}
	}
	about := ""
	if len(ids) == 1 {
		about = text(ids[0])
	}
	t := n.fork("vzdump", about, c.who.user)
	n.withLock(t, 0, func() {
		s := n.storages[storage]
		switch {
		case s == nil:
			n.finish(t, refuse("could not get storage information for '%s': storage '%s' does not exist", storage, storage))
		case !s.holds("backup"):
			n.finish(t, refuse("could not get storage information for '%s': can't use storage '%s' for backups - wrong content type", storage, storage))
		default:
			n.backUp(c, t, s, ids, nil)
		}
	})
	return t.upid, nil
}

// mayBackUp checks the parameters and the privileges, but not the privileges
// for the storage.
func (n *Node) mayBackUp(c *call) error {
	if c.has("stdout") {
		return wrong("stdout", "option is only allowed on the command line interface.")
	}
	for _, key := range []string{"tmpdir", "dumpdir", "script", "job-id"} {
		if c.has(key) && !c.who.root() {
			return wrong(key, "Only root may set this option.")
		}
	}
	for _, key := range []string{"bwlimit", "performance", "ionice"} {
		if c.has(key) {
			if err := c.who.needs("/", "Sys.Modify"); err != nil {
				return err
			}
		}
	}
	if !c.has("vmid") && c.get("all") != "1" && !c.has("pool") && c.get("stop") != "1" {
		return wrong("vmid", "property is missing and it is not optional")
	}
	if c.get("stop") == "1" {
		return c.who.needs("/nodes/"+n.host.Name, "Sys.Modify")
	}
	return nil
}

// The method "included" returns the VMIDs that a backup covers. Some of these
// guests may not exist.
func (n *Node) included(c *call) (ids []int) {
	for _, id := range splitList(c.get("vmid")) {
		ids = append(ids, atoi(id, 0))
	}
	if c.has("pool") {
		ids = slices.Clone(n.poolGuests[c.get("pool")])
	}
	if c.get("all") == "1" {
		ids = sortedIDs(n.guests())
	}
	for _, id := range splitList(c.get("exclude")) {
		ids = slices.DeleteFunc(ids, func(other int) bool { return other == atoi(id, 0) })
	}
	return ids
}

// backUp saves the guests one after the other. If a guest fails, the task
// continues with the other guests and fails at its end.
func (n *Node) backUp(c *call, t *task, s *storage, ids []int, failed []string) {
	if len(ids) == 0 {
		var err error
		if len(failed) > 0 {
			err = refuse("job errors")
		}
		n.finish(t, err)
		return
	}
	id := ids[0]
	next := func(err error) {
		if err != nil {
			t.say("ERROR: Backup of VM %d failed - %v", id, err)
			failed = append(failed, text(id))
		}
		n.backUp(c, t, s, ids[1:], failed)
	}
	v := n.vms[id]
	t.say("INFO: Starting Backup of VM %d (qemu)", id)
	switch {
	case v == nil:
		next(refuse("unable to find VM '%d'", id))
		return
	case !c.who.may(vmPath(id), "VM.Backup"):
		next(forbid(vmPath(id), "VM.Backup"))
		return
	case locked(v) != nil:
		next(locked(v))
		return
	case c.get("mode") == "stop" && v.running:
		n.off(v)
		if err := n.powerOn(v); err != nil { // the VM already runs again while its data is saved
			next(err)
			return
		}
	}
	v.config["lock"] = "backup"
	t.cancel = func() { delete(v.config, "lock") }
	n.step(t, 10*time.Second, func() {
		delete(v.config, "lock")
		next(n.keepBackup(t, s, v))
	})
}

// keepBackup adds the file of a backup to the storage. Its size is a third of
// the size of the VM's disks.
func (n *Node) keepBackup(t *task, s *storage, v *vm) error {
	size := int64(64 << 10)
	for key, value := range v.config {
		d := parseDrive(value)
		if from, name, there := n.volume(d.volume); there && isDrive(key) && d.media() != "cdrom" && d.options["backup"] != "0" {
			size += from.volumes[name].Size / 3
		}
	}
	if size > s.Total-s.used() {
		return refuse("No space left on device")
	}
	name := fmt.Sprintf("backup/vzdump-qemu-%d-%s.vma.zst", v.id, n.now.UTC().Format("2006_01_02-15_04_05"))
	s.put(&Volume{Name: name, Size: size, Format: "vma.zst"})
	t.say("INFO: creating vzdump archive '%s/dump/%s'", strings.TrimRight(s.Config["path"], "/"), strings.TrimPrefix(name, "backup/"))
	t.say("INFO: Finished Backup of VM %d (00:00:10)", v.id)
	return nil
}
