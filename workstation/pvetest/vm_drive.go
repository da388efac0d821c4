package pvetest

import (
	"cmp"
	"fmt"
	"regexp"
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
			if err := n.badHook(value); err != nil {
				problems[key] = err.Error()
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

func (n *Node) badHook(value string) error {
	s, name, there := n.volume(value)
	switch {
	case s == nil:
		return refuse("storage '%s' does not exist", strings.SplitN(value, ":", 2)[0])
	case !strings.HasPrefix(name, "snippets/"):
		return refuse("'%s' is not in the snippets directory", value)
	case !there:
		return refuse("script '%s' does not exist", value)
	}
	return nil
}

// driveValue returns what becomes of a drive value: a new volume is made, an
// existing one must be there.
func (n *Node) driveValue(v *vm, config map[string]string, key, value string) (result string, err error) {
	d := parseDrive(value)
	pool, name, _ := strings.Cut(d.volume, ":")
	switch match := newVolume.FindStringSubmatch(d.volume); {
	case d.volume == "none" || d.volume == "cdrom":
		delete(d.options, "size")
		return d.String(), nil
	case match != nil:
		return n.newDrive(v, key, d, match)
	case name == "cloudinit":
		for other, have := range config {
			if other != key && isDrive(other) && parseDrive(have).cloudinit() {
				return "", refuse("%s - cloud-init drive is already attached at '%s'", key, other)
			}
		}
		d.volume, err = n.allocate(pool, fmt.Sprintf("vm-%d-cloudinit", v.id), 4<<20, v.id)
		d.options["media"] = "cdrom"
		return d.String(), err
	}
	s, name, there := n.volume(d.volume)
	switch {
	case s == nil:
		return "", refuse("storage '%s' does not exist", pool)
	case !there:
		return "", refuse("volume %s does not exist", d.volume)
	}
	if old := parseDrive(config[key]); key == "tpmstate0" && old.volume == d.volume && cmp.Or(old.options["version"], "v1.2") != cmp.Or(d.options["version"], "v1.2") {
		return "", refuse("cannot change TPM state version after creation")
	}
	d.options["size"] = printSize(s.volumes[name].Size)
	return d.String(), nil
}

// newDrive makes the volume of "storage:GIGABYTES". For the EFI variables and
// the TPM state PVE takes the size that they have, whatever was asked for.
func (n *Node) newDrive(v *vm, key string, d drive, match []string) (value string, err error) {
	gigabytes, _ := strconv.ParseFloat(match[2], 64)
	size := int64(gigabytes * (1 << 30))
	s := n.storages[match[1]]
	switch source := d.options["import-from"]; {
	case s == nil:
		return "", refuse("storage '%s' does not exist", match[1])
	case strings.HasPrefix(source, "/"): // abs_filesystem_path in pve-storage PVE/Storage.pm
		there := false
		if size, there = n.host.Files[source]; !there {
			return "", refuse("can't find file '%s'", source)
		}
		delete(d.options, "import-from")
	case source != "":
		from, name, there := n.volume(source)
		if !there {
			return "", refuse("cannot import from '%s' - volume '%s' does not exist", source, source)
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
		return "", refuse("unable to create image: size of '%s' is 0", key)
	}
	d.volume, err = n.allocate(match[1], fmt.Sprintf("vm-%d-disk-", v.id), size, v.id)
	d.options["size"] = printSize(size)
	delete(d.options, "format")
	return d.String(), err
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
