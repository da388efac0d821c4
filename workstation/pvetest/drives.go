package pvetest

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// newVolume is "storage:GIGABYTES" (qemu-server PVE/QemuServer/Drive.pm,
// NEW_DISK_RE).
var newVolume = regexp.MustCompile(`^([^:\s/]+):(\d+(?:\.\d+)?)$`)

func isNew(volume string) bool { return newVolume.MatchString(volume) }

// badDrives returns what is wrong with drive values before anything is done
// (qemu-server PVE/API2/Qemu.pm, $check_drive_param).
func (n *Node) badDrives(settings map[string]string) map[string]string {
	problems := map[string]string{}
	for key, value := range settings {
		d := parseDrive(value)
		pool, name, _ := strings.Cut(d.volume, ":")
		switch {
		case key == "hookscript":
			if problem := n.badHook(value); problem != "" {
				problems[key] = problem
			}
		case !isDrive(key):
		case d.options["import-from"] != "" && (!isNew(d.volume) || parseSize(name) != 0):
			problems[key] = "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>"
		case strings.Contains(d.options["import-from"], ":iso/"): // $check_storage_access
			problems[key] = d.options["import-from"] + " has wrong type 'iso' - needs to be 'images' or 'import'"
		case d.options["import-from"] != "" && key == "efidisk0" && d.options["efitype"] == "":
			problems[key] = "need to specify 'efitype' when using 'import-from'"
		case strings.HasPrefix(name, "iso/") && d.media() != "cdrom":
			problems[key] = "explicit 'media=cdrom' is required for iso images"
		case isNew(d.volume) && n.storages[pool] != nil && !n.storages[pool].holds("images"):
			problems["storage"] = fmt.Sprintf("storage '%s' does not support vm images", pool)
		}
	}
	return problems
}

func (n *Node) badHook(value string) string {
	s, name, there := n.volume(value)
	switch {
	case s == nil:
		return fmt.Sprintf("storage '%s' does not exist", strings.SplitN(value, ":", 2)[0])
	case !strings.HasPrefix(name, "snippets/"):
		return fmt.Sprintf("'%s' is not in the snippets directory", value)
	case !there:
		return fmt.Sprintf("script '%s' does not exist", value)
	}
	return ""
}

// driveValue returns what becomes of a drive value: a new volume is made, an
// existing one must be there.
func (n *Node) driveValue(v *vm, config map[string]string, key, value string) (result, problem string) {
	d := parseDrive(value)
	pool, name, _ := strings.Cut(d.volume, ":")
	switch match := newVolume.FindStringSubmatch(d.volume); {
	case d.volume == "none" || d.volume == "cdrom":
		delete(d.options, "size")
		return d.String(), ""
	case match != nil:
		return n.newDrive(v, key, d, match)
	case name == "cloudinit":
		for other, have := range config {
			if other != key && isDrive(other) && parseDrive(have).cloudinit() {
				return "", fmt.Sprintf("%s - cloud-init drive is already attached at '%s'", key, other)
			}
		}
		d.volume, problem = n.allocate(pool, fmt.Sprintf("vm-%d-cloudinit", v.id), 4<<20, v.id)
		d.options["media"] = "cdrom"
		return d.String(), problem
	}
	s, name, there := n.volume(d.volume)
	switch {
	case s == nil:
		return "", fmt.Sprintf("storage '%s' does not exist", pool)
	case !there:
		return "", fmt.Sprintf("volume %s does not exist", d.volume)
	}
	if old := parseDrive(config[key]); key == "tpmstate0" && old.volume == d.volume && cmp.Or(old.options["version"], "v1.2") != cmp.Or(d.options["version"], "v1.2") {
		return "", "cannot change TPM state version after creation"
	}
	d.options["size"] = printSize(s.volumes[name].Size)
	return d.String(), ""
}

// newDrive makes the volume of "storage:GIGABYTES". For the EFI variables and
// the TPM state PVE takes the size that they have, whatever was asked for.
func (n *Node) newDrive(v *vm, key string, d drive, match []string) (value, problem string) {
	gigabytes, _ := strconv.ParseFloat(match[2], 64)
	size := int64(gigabytes * (1 << 30))
	s := n.storages[match[1]]
	switch source := d.options["import-from"]; {
	case s == nil:
		return "", fmt.Sprintf("storage '%s' does not exist", match[1])
	case strings.HasPrefix(source, "/"): // abs_filesystem_path in pve-storage PVE/Storage.pm
		there := false
		if size, there = n.host.Files[source]; !there {
			return "", fmt.Sprintf("can't find file '%s'", source)
		}
		delete(d.options, "import-from")
	case source != "":
		from, name, there := n.volume(source)
		if !there {
			return "", fmt.Sprintf("cannot import from '%s' - volume '%s' does not exist", source, source)
		}
		size = from.volumes[name].Size
		delete(d.options, "import-from")
	case key == "efidisk0":
		size = s.round(540672)
		if d.options["efitype"] != "4m" {
			size = s.round(128 << 10)
		}
	case key == "tpmstate0":
		size = 4 << 20
	case size == 0:
		return "", fmt.Sprintf("unable to create image: size of '%s' is 0", key)
	}
	d.volume, problem = n.allocate(match[1], fmt.Sprintf("vm-%d-disk-", v.id), size, v.id)
	d.options["size"] = printSize(size)
	delete(d.options, "format")
	return d.String(), problem
}

// round returns the size that a small volume gets: whole extents of LVM, whole
// megabytes of ZFS.
func (s *storage) round(size int64) int64 {
	step := int64(1)
	switch s.Type {
	case "lvm", "lvmthin":
		step = 4 << 20
	case "zfspool":
		step = 1 << 20
	}
	return (size + step - 1) / step * step
}

// resize is PUT resize. Everything that can be wrong is found by the task.
func (n *Node) resize(c *call) answer {
	id, disk := c.number("vmid"), c.get("disk")
	return n.do(c, job{kind: "resize", vmid: id, takes: n.taskTime(), work: func(*task) string {
		v := n.vms[id]
		switch {
		case v == nil:
			return n.noConfig(id)
		case c.has("digest") && c.get("digest") != v.digest():
			return stale
		case locked(v) != "":
			return locked(v)
		case v.config[disk] == "":
			return fmt.Sprintf("disk '%s' does not exist", disk)
		}
		d := parseDrive(v.config[disk])
		s, name, there := n.volume(d.volume)
		switch {
		case d.media() == "cdrom":
			return "you can't resize a cdrom"
		case !there:
			return fmt.Sprintf("Could not determine current size of volume '%s'", d.volume)
		}
		if a, allowed := c.who.needs("/storage/"+s.Name, "Datastore.AllocateSpace"); !allowed {
			return a.problem(false)
		}
		return n.grow(v, disk, s.volumes[name], c.get("size"))
	}})
}

func (n *Node) grow(v *vm, disk string, volume *Volume, wanted string) string {
	d := parseDrive(v.config[disk])
	s, _, _ := n.volume(d.volume)
	amount, relative := strings.CutPrefix(wanted, "+")
	size := parseSize(amount)
	if relative {
		size += volume.Size
	}
	if size < volume.Size {
		return "shrinking disks is not supported"
	}
	if problem := s.noRoomToGrow(volume.Name, size-volume.Size); problem != "" {
		return problem
	}
	volume.Size, d.options["size"] = size, printSize(size)
	v.config[disk] = d.String()
	return ""
}

// moveDisk is POST move_disk to another storage; disks do not change their VM
// here.
func (n *Node) moveDisk(c *call) answer {
	v, refused := n.vmOf(c)
	switch {
	case v == nil:
		return refused
	case c.has("target-vmid"):
		return fail(http.StatusNotImplemented, "Method 'POST %s' not implemented", c.path)
	case !c.has("storage"):
		const missing = "both 'storage' and 'target-vmid' missing, either needs to be set"
		return invalid(map[string]string{"target-vmid": missing, "storage": missing})
	}
	if a, allowed := c.who.needs("/storage/"+c.get("storage"), "Datastore.AllocateSpace"); !allowed {
		return a
	}
	if a, good := n.mayMove(c, v); !good {
		return a
	}
	return n.do(c, job{kind: "qmmove", vmid: v.id, takes: 5 * n.taskTime(), work: func(t *task) string {
		a, good := n.mayMove(c, v)
		if !good {
			return a.problem(false)
		}
		disk := c.get("disk")
		d := parseDrive(v.config[disk])
		source := d.volume
		from, name, _ := n.volume(source)
		volume, problem := n.allocate(c.get("storage"), fmt.Sprintf("vm-%d-disk-", v.id), from.volumes[name].Size, v.id)
		if problem != "" {
			return "storage migration failed: " + problem
		}
		d.volume = volume
		v.config[disk] = d.String()
		if c.get("delete") == "1" {
			n.free(source)
		} else {
			n.setAside(v, drive{volume: source})
		}
		t.say("moved '%s' to '%s'", source, volume)
		return ""
	}})
}

func (n *Node) mayMove(c *call, v *vm) (answer, bool) {
	disk := c.get("disk")
	d := parseDrive(v.config[disk])
	s := n.storages[c.get("storage")]
	pool, _, _ := strings.Cut(d.volume, ":")
	problem := ""
	switch {
	case n.vms[v.id] != v:
		problem = n.noConfig(v.id)
	case locked(v) != "":
		problem = locked(v)
	case c.has("digest") && c.get("digest") != v.digest():
		problem = modified
	case v.config[disk] == "":
		problem = fmt.Sprintf("disk '%s' does not exist", disk)
	case d.media() == "cdrom":
		problem = "you can't move a cdrom"
	case pool == c.get("storage"):
		problem = "you can't move to the same storage with same format"
	case s == nil:
		problem = fmt.Sprintf("storage '%s' does not exist", c.get("storage"))
	case !s.holds("images"):
		return invalid(map[string]string{"storage": fmt.Sprintf("storage '%s' does not support vm images", s.Name)}), false
	case slices.ContainsFunc(v.snaps, func(s snapshot) bool { return parseDrive(s.config[disk]).volume == d.volume }) && c.get("delete") == "1":
		problem = "you can't move a disk with snapshots and delete the source"
	}
	if problem != "" {
		return fail(http.StatusInternalServerError, "%s", problem), false
	}
	return answer{}, true
}
