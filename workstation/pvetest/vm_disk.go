package pvetest

import (
	"fmt"
	"slices"
	"strings"
)

// resize serves PUT resize. All checks are made in the task.
func (n *Node) resize(c *call) (any, error) {
	id, disk := c.number("vmid"), c.get("disk")
	return n.do(c, job{kind: "resize", vmid: id, writes: true, takes: n.taskTime(), work: func(*task) error {
		v := n.vms[id]
		switch {
		case v == nil:
			return n.noConfig(id)
		case c.has("digest") && c.get("digest") != v.digest():
			return refuse(stale)
		case locked(v) != nil:
			return locked(v)
		case v.config[disk] == "":
			return refuse("disk '%s' does not exist", disk)
		}
		d := parseDrive(v.config[disk])
		s, name, there := n.volume(d.volume)
		switch {
		case d.media() == "cdrom":
			return refuse("you can't resize a cdrom")
		case !there:
			return refuse("Could not determine current size of volume '%s'", d.volume)
		}
		if err := c.who.needs("/storage/"+s.Name, "Datastore.AllocateSpace"); err != nil {
			return err
		}
		return n.grow(v, disk, s.volumes[name], c.get("size"))
	}})
}

func (n *Node) grow(v *vm, disk string, volume *Volume, wanted string) error {
	d := parseDrive(v.config[disk])
	s, _, _ := n.volume(d.volume)
	amount, relative := strings.CutPrefix(wanted, "+")
	size := parseSize(amount)
	if relative {
		size += volume.Size
	}
	if size < volume.Size {
		return refuse("shrinking disks is not supported")
	}
	if err := s.noRoomToGrow(volume.Name, size-volume.Size); err != nil {
		return err
	}
	s.resize(volume, size)
	d.options["size"] = printSize(size)
	v.config[disk] = d.String()
	return nil
}

// moveDisk serves POST move_disk. It moves a disk to another storage. It does
// not support moving a disk to another VM.
func (n *Node) moveDisk(c *call, v *vm) (any, error) {
	switch {
	case c.has("target-vmid"):
		return nil, unserved("POST", c.path+" target-vmid")
	case !c.has("storage"):
		const missing = "both 'storage' and 'target-vmid' missing, either needs to be set"
		return nil, invalid(map[string]string{"target-vmid": missing, "storage": missing})
	}
	if err := c.who.needs("/storage/"+c.get("storage"), "Datastore.AllocateSpace"); err != nil {
		return nil, err
	}
	if err := n.mayMove(c, v); err != nil {
		return nil, err
	}
	return n.do(c, job{kind: "qmmove", vmid: v.id, writes: true, takes: 5 * n.taskTime(), work: func(t *task) error {
		if err := n.mayMove(c, v); err != nil {
			return err
		}
		disk := c.get("disk")
		d := parseDrive(v.config[disk])
		source := d.volume
		from, name, _ := n.volume(source)
		volume, err := n.allocate(c.get("storage"), fmt.Sprintf("vm-%d-disk-", v.id), "", from.volumes[name].Size, v.id)
		if err != nil {
			return refuse("storage migration failed: %v", err)
		}
		d.volume = volume
		v.config[disk] = d.String()
		if c.get("delete") == "1" {
			n.free(source)
		} else {
			n.setAside(v, drive{volume: source})
		}
		t.say("moved '%s' to '%s'", source, volume)
		return nil
	}})
}

func (n *Node) mayMove(c *call, v *vm) error {
	disk := c.get("disk")
	d := parseDrive(v.config[disk])
	s := n.storages[c.get("storage")]
	pool, _, _ := strings.Cut(d.volume, ":")
	switch {
	case n.vms[v.id] != v:
		return n.noConfig(v.id)
	case locked(v) != nil:
		return locked(v)
	case c.has("digest") && c.get("digest") != v.digest():
		return refuse(modified)
	case v.config[disk] == "":
		return refuse("disk '%s' does not exist", disk)
	case d.media() == "cdrom":
		return refuse("you can't move a cdrom")
	case pool == c.get("storage"):
		return refuse("you can't move to the same storage with same format")
	case s == nil:
		return refuse("storage '%s' does not exist", c.get("storage"))
	case !s.holds("images"):
		return wrong("storage", "storage '%s' does not support vm images", s.Name)
	case slices.ContainsFunc(v.snaps, func(s snapshot) bool { return parseDrive(s.config[disk]).volume == d.volume }) && c.get("delete") == "1":
		return refuse("you can't move a disk with snapshots and delete the source")
	}
	return nil
}
