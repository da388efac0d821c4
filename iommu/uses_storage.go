package iommu

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/sysfs"
)

// A mount is a line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
type mount struct{ device, point, kind, source string }

// deviceNumber matches the kernel's notation of a device's numbers: "252:1".
var deviceNumber = regexp.MustCompile(`^\d+:\d+$`)

// parseMount parses a line of the file. ok is false if the line is incomplete,
// or if the kernel did not write it.
func parseMount(line string) (m mount, ok bool) {
	head, tail, found := strings.Cut(line, " - ")
	fields, last := strings.Fields(head), strings.Fields(tail)
	if !found || len(fields) < 6 || len(last) < 2 || !deviceNumber.MatchString(fields[2]) {
		return mount{}, false
	}
	return mount{device: fields[2], point: unescape(fields[4]), kind: last[0], source: unescape(last[1])}, true
}

// The method "pool" returns the ZFS pool of a mounted dataset such as
// "rpool/ROOT/pve-1".
func (m mount) pool() string {
	name, _, _ := strings.Cut(m.source, "/")
	return name
}

// escapes holds the octal escapes of procfs for white space.
var escapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// unescape replaces the escapes by the characters that they stand for.
func unescape(s string) string {
	return escapes.Replace(s)
}

// storageUses follows mounted block devices and swap through partitions and
// device-mapper down to PCI functions.
func (r *reader) storageUses() {
	lines, err := r.procLines("self/mountinfo")
	if err != nil {
		r.unsure("/", fmt.Sprintf("/proc/self/mountinfo: %v", reason(err)), "Check by hand which controller holds the root disk.")
		return
	}
	blocks := r.blocks()
	root := false
	for _, line := range lines {
		m, ok := parseMount(line)
		if !ok {
			continue
		}
		kind := UseStorage
		if m.point == "/" || m.point == "/usr" || m.point == "/var" || m.point == "/boot" || strings.HasPrefix(m.point, "/boot/") {
			kind = UseRoot
		}
		if m.kind == "zfs" && kind == UseStorage {
			continue // a pool has many datasets, so poolUses records the pool instead
		}
		found := r.disksUses(r.disks(blocks, m), kind, m.point)
		root = root || m.point == "/"
		if !found && m.point == "/" {
			r.unsure("/", "/proc/self/mountinfo: / is "+m.kind+" on "+m.source+", whose disks neither /sys nor /run/udev/data names",
				"Check by hand which controllers hold the root disks (for ZFS: zpool status -L).")
		}
	}
	if !root {
		r.unsure("/", "/proc/self/mountinfo does not list /", "Check by hand which controller holds the root disk.")
	}
	r.bootUses(blocks)
	r.swapUses(blocks)
	r.poolUses(blocks, lines)
	r.volumeUses(blocks)
}

// disksUses follows block devices to PCI functions. It returns true if every
// device led to PCI functions, and false if one did not or if the list is
// empty.
func (r *reader) disksUses(disks []string, kind UseKind, seen string) bool {
	found := len(disks) > 0
	for _, disk := range disks {
		found = r.diskUses(disk, kind, seen+" on "+disk, 0) && found
	}
	return found
}

// The method "disks" returns the block devices of a mount. For Btrfs these are
// all devices of the file system (/sys/fs/btrfs), for ZFS the members of the
// pool, and for other file systems one device.
func (r *reader) disks(b blocks, m mount) []string {
	if m.kind == "zfs" {
		return r.members(b, m.pool())
	}
	disk := b.find(m)
	if disk == "" {
		return nil
	}
	if m.kind != "btrfs" {
		return []string{disk}
	}
	volumes, _ := sysfs.Names(r.Sys, "fs/btrfs")
	for _, volume := range volumes {
		devices, _ := sysfs.Names(r.Sys, "fs/btrfs/"+volume+"/devices")
		if slices.Contains(devices, disk) {
			return devices
		}
	}
	return nil
}

// bootUses records the disks on which proxmox-boot-tool keeps kernels and the
// boot loader. These disks are mounted only while the tool writes.
func (r *reader) bootUses(b blocks) {
	text, _, _ := sysfs.Optional(r.Etc, "kernel/proxmox-boot-uuids")
	for _, number := range slices.Sorted(maps.Keys(b.byNumber)) {
		record, ok := sysfs.UdevBlock(r.Run, number)
		if uuid := record.Properties["ID_FS_UUID"]; ok && uuid != "" && slices.Contains(strings.Fields(text), uuid) {
			r.diskUses(b.byNumber[number], UseRoot, "boot partition "+uuid+" of proxmox-boot-tool on "+b.byNumber[number], 0)
		}
	}
}

func (r *reader) swapUses(b blocks) {
	text, _, _ := sysfs.Optional(r.Proc, "swaps")
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[1] == "partition" {
			if disk := b.find(mount{source: unescape(fields[0])}); disk != "" {
				r.diskUses(disk, UseRoot, "swap on "+disk, 0)
			}
		}
	}
}

// diskUses follows a block device down: from a mapped device to its parts, from
// a partition to its disk, and from a disk to its PCI function. It goes down at
// most 16 levels. It reports whether it found all of the functions.
func (r *reader) diskUses(name string, kind UseKind, seen string, depth int) bool {
	dir := "class/block/" + name
	slaves, _ := sysfs.Names(r.Sys, dir+"/slaves")
	found := len(slaves) > 0 && depth < 16
	for _, slave := range slaves {
		if depth < 16 {
			found = r.diskUses(slave, kind, seen+" on "+slave, depth+1) && found
		}
	}
	if _, isPartition, _ := sysfs.Optional(r.Sys, dir+"/partition"); isPartition {
		place, err := sysfs.Real(r.Sys, dir)
		if err == nil {
			seen += " on " + path.Base(path.Dir(place))
		}
	}
	return r.use(kind, dir, seen) || found
}

// The type "blocks" finds block devices by the names that mounts use for them.
type blocks struct {
	byNumber map[string]string // such as "252:1" to dm-1
	byMapper map[string]string // the key is a mapped name such as pve-root, the value a name such as dm-1
	names    []string
}

func (r *reader) blocks() blocks {
	b := blocks{byNumber: map[string]string{}, byMapper: map[string]string{}}
	names, err := sysfs.Names(r.Sys, "class/block")
	if err != nil {
		r.unread("/sys/class/block", err)
		return b
	}
	b.names = names
	for _, name := range names {
		if number, ok, _ := sysfs.Optional(r.Sys, "class/block/"+name+"/dev"); ok {
			b.byNumber[number] = name
		}
		if !strings.HasPrefix(name, "dm-") { // the kernel names all mapped devices like this (drivers/md/dm.c)
			continue
		}
		if mapper, ok, _ := sysfs.Optional(r.Sys, "class/block/"+name+"/dm/name"); ok {
			b.byMapper[mapper] = name
		}
	}
	return b
}

// The method "members" returns the disks and partitions of a ZFS pool, from
// udev's records, because sysfs does not show them.
func (r *reader) members(b blocks, pool string) []string {
	var members []string
	for number, name := range b.byNumber {
		if strings.HasPrefix(name, "zd") || strings.HasPrefix(name, "loop") {
			continue // this is a guest's disk with its own pool
		}
		if record, ok := sysfs.UdevBlock(r.Run, number); ok && pool != "" && record.ZPool() == pool {
			members = append(members, name)
		}
	}
	slices.Sort(members)
	return members
}

// poolUses follows the ZFS pools that are mounted or imported. An imported pool
// has a directory in /proc/spl/kstat/zfs. A disk that merely has the label of a
// pool, such as a disk meant for a guest, is not in use. The pool of / is left
// out.
func (r *reader) poolUses(b blocks, mountinfo []string) {
	pools, root := map[string]bool{}, ""
	entries, _ := fs.ReadDir(r.Proc, "spl/kstat/zfs")
	for _, entry := range entries {
		pools[entry.Name()] = entry.IsDir()
	}
	for _, line := range mountinfo {
		if m, ok := parseMount(line); ok && m.kind == "zfs" {
			pools[m.pool()] = true
			if m.point == "/" {
				root = m.pool()
			}
		}
	}
	delete(pools, root)
	for _, pool := range slices.Sorted(maps.Keys(pools)) {
		if pools[pool] && !r.disksUses(r.members(b, pool), UseStorage, "ZFS pool "+pool) {
			r.unsure("ZFS pool "+pool, "/run/udev/data names no disks of the ZFS pool "+pool, "Check by hand which controllers hold them: zpool status -L.")
		}
	}
}

// volumeUses records the controllers of disks that belong to a volume (LVM, md,
// multipath). The kernel lists such a volume among the disk's holders. Many
// volumes are not mounted, for example because they are the disks of guests.
// volumeUses skips controllers that are already recorded as in use.
func (r *reader) volumeUses(b blocks) {
	for _, name := range b.names {
		holders, _ := sysfs.Names(r.Sys, "class/block/"+name+"/holders")
		if len(holders) == 0 {
			continue
		}
		if controller, ok := pciOf(r.Sys, "class/block/"+name); ok && len(r.usesOf(controller)) == 0 {
			r.use(UseStorage, "class/block/"+name, "volumes ("+strings.Join(holders, ", ")+") on "+name)
		}
	}
}

// The method "find" returns the name of a mount's block device, or "". A file
// system on several disks, such as Btrfs, has a device number of its own, but
// its source names one of the disks.
func (b blocks) find(m mount) string {
	if name, ok := b.byNumber[m.device]; ok {
		return name
	}
	if mapper, ok := strings.CutPrefix(m.source, "/dev/mapper/"); ok {
		return b.byMapper[mapper]
	}
	if name, ok := strings.CutPrefix(m.source, "/dev/"); ok && slices.Contains(b.names, name) {
		return name
	}
	return ""
}
