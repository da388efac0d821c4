package storage

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/sysfs"
)

// lvm reads volume groups and thin pools from the device mapper. The name of a
// logical volume's device starts with the group's name. The devices below the
// logical volume are the group's physical volumes (Linux
// Documentation/ABI/testing/sysfs-block-dm). lvm does not find a group without
// an active volume.
func (h host) lvm(names []string) ([]VolumeGroup, []ThinPool) {
	devices := map[string][]string{} // physical volumes by group
	var pools []ThinPool
	for _, name := range mappedOf(names) {
		uuid, _, _ := sysfs.Optional(h.sys, "block/"+name+"/dm/uuid")
		full, ok, _ := sysfs.Optional(h.sys, "block/"+name+"/dm/name")
		group, volume := splitMapper(full)
		if !ok || !strings.HasPrefix(uuid, "LVM-") || volume == "" {
			continue
		}
		for _, leaf := range h.leaves(name, 0) {
			if !slices.Contains(devices[group], leaf) {
				devices[group] = append(devices[group], leaf)
			}
		}
		if strings.HasSuffix(uuid, "-tpool") {
			sectors, _ := sysfs.Uint(h.sys, "block/"+name+"/size", 54)
			pools = append(pools, ThinPool{Name: strings.TrimSuffix(volume, "-tpool"), Group: group, Size: Size(sectors) * 512})
		}
	}
	var groups []VolumeGroup
	for _, group := range slices.Sorted(maps.Keys(devices)) {
		slices.Sort(devices[group])
		groups = append(groups, VolumeGroup{Name: group, Devices: devices[group]})
	}
	return groups, pools
}

// mappedOf returns the devices of the device mapper, which the kernel names
// dm-0, dm-1 and so on (drivers/md/dm.c).
func mappedOf(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.HasPrefix(name, "dm-") })
}

// The method "leaves" follows a block device down to the devices that have no
// device below them, through LVM, encryption, software RAID and bcache. Such
// stacks have a few levels. The limit for depth ends the walk if a tree's links
// form a circle.
func (h host) leaves(name string, depth int) []string {
	slaves, _ := sysfs.Names(h.sys, "block/"+name+"/slaves") // partitions have no such directory
	if len(slaves) == 0 || depth > 16 {
		return []string{"/dev/" + name}
	}
	var found []string
	for _, slave := range slaves {
		found = append(found, h.leaves(slave, depth+1)...)
	}
	return found
}

// splitMapper splits "my--group-volume" into group and volume. LVM doubles the
// hyphens inside names (lvm(8)).
func splitMapper(name string) (group, volume string) {
	for i := 1; i < len(name)-1; i++ {
		if name[i] != '-' {
			continue
		}
		if name[i+1] == '-' {
			i++
			continue
		}
		undouble := strings.NewReplacer("--", "-")
		return undouble.Replace(name[:i]), undouble.Replace(name[i+1:])
	}
	return "", ""
}

// The method "mounts" reads /proc/self/mountinfo (proc_pid_mountinfo(5)). The
// mount point is the fifth field. Type and device follow a field with a single
// hyphen. A mount without a block device, such as a network mount, is returned
// without Devices, so that its files do not count as part of the root file
// system.
func (h host) mounts(names []string, zpools []ZPool) ([]Mount, error) {
	text, err := sysfs.Attr(h.proc, "self/mountinfo")
	if err != nil {
		return nil, err
	}
	mapped := map[string]string{} // block devices by their names in the device mapper
	for _, name := range mappedOf(names) {
		if full, ok, _ := sysfs.Optional(h.sys, "block/"+name+"/dm/name"); ok {
			mapped["/dev/mapper/"+full] = name
		}
	}
	btrfs := h.btrfs()
	var mounts []Mount
	for line := range strings.Lines(text) {
		front, back, found := strings.Cut(strings.TrimSpace(line), " - ")
		where, what := strings.Fields(front), strings.Fields(back)
		if !found || len(where) < 5 || len(what) < 2 {
			continue
		}
		m := Mount{Path: unescape(where[4]), Type: what[0]}
		if m.Type == "zfs" {
			pool, _, _ := strings.Cut(unescape(what[1]), "/")
			m.Devices, _ = Facts{ZPools: zpools}.zpool(pool)
		}
		if name, isDevice := strings.CutPrefix(unescape(what[1]), "/dev/"); isDevice {
			if behind, ok := mapped["/dev/"+name]; ok {
				name = behind
			}
			for _, member := range append([]string{name}, btrfs[name]...) {
				for _, leaf := range h.leaves(member, 0) {
					if !slices.Contains(m.Devices, leaf) {
						m.Devices = append(m.Devices, leaf)
					}
				}
			}
		}
		mounts = append(mounts, m)
	}
	return mounts, nil
}

// btrfs returns all devices of each mounted Btrfs. Each device's name is a key
// of the result, because mountinfo names only one of the devices (Linux
// fs/btrfs/sysfs.c: /sys/fs/btrfs/UUID/devices).
func (h host) btrfs() map[string][]string {
	members := map[string][]string{}
	systems, _ := sysfs.Names(h.sys, "fs/btrfs") // without a Btrfs, the directory does not exist
	for _, id := range systems {
		devices, _ := sysfs.Names(h.sys, "fs/btrfs/"+id+"/devices") // the directory "features" has no devices
		for _, device := range devices {
			members[device] = devices
		}
	}
	return members
}

var octal = regexp.MustCompile(`\\[0-7]{3}`)

func unescape(s string) string {
	return octal.ReplaceAllStringFunc(s, func(code string) string {
		var b byte
		if _, err := fmt.Sscanf(code[1:], "%o", &b); err != nil {
			return code
		}
		return string(b)
	})
}
