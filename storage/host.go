package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/sysfs"
)

// A Host is a machine whose disks and storages can be read. The zero Host is
// the machine the program runs on.
type Host struct {
	Sys  fs.FS // the machine's sysfs; nil means /sys
	Proc fs.FS // its procfs; nil means /proc
	Etc  fs.FS // its configuration, with pve/storage.cfg; nil means /etc
}

// HostAt returns the machine whose tree lies in root: root/sys, root/proc and
// root/etc.
func HostAt(root fs.FS) Host {
	sub := func(name string) fs.FS {
		inner, err := fs.Sub(root, name)
		if err != nil { // only for an invalid name
			return root
		}
		return inner
	}
	return Host{Sys: sub("sys"), Proc: sub("proc"), Etc: sub("etc")}
}

func (h Host) orRunning() Host {
	if h.Sys == nil {
		h.Sys = os.DirFS("/sys")
	}
	if h.Proc == nil {
		h.Proc = os.DirFS("/proc")
	}
	if h.Etc == nil {
		h.Etc = os.DirFS("/etc")
	}
	return h
}

// ReadHost reads disks, LVM, mounts and PVE's storage configuration from the
// machine itself. What cannot be read is named in Facts.Unknown; a machine
// without disks or without PVE is no error. Sizes and fill of storages, health
// and wear are not in these files: the PVE API has them.
func ReadHost(h Host) Facts {
	h = h.orRunning()
	var f Facts
	names, err := sysfs.Names(h.Sys, "block")
	if err != nil {
		f.unknown("storage.no-block-devices", "/sys/block", err, "no disk can be named")
	}
	for _, name := range names {
		if physical(name) {
			f.Disks = append(f.Disks, h.disk(name))
		}
	}
	f.Groups, f.ThinPools = h.lvm(names)
	if f.Mounts, err = h.mounts(); err != nil {
		f.unknown("storage.no-mounts", "/proc/self/mountinfo", err, "directories cannot be joined to disks")
	}
	config, err := fs.ReadFile(h.Etc, "pve/storage.cfg")
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		f.unknown("storage.no-config", "/etc/pve/storage.cfg", err, "the machine's storages are not known")
	default:
		f.Storages = ParseConfig(string(config))
	}
	return f
}

func (f *Facts) unknown(id, subject string, err error, why string) {
	f.Unknown = append(f.Unknown, Finding{ID: id, Severity: Info, Subject: subject, Seen: err.Error(), Why: why,
		Fix: "run where it can be read, on the host and as root"})
}

// virtual matches block devices that are no disks: loop devices, RAM disks,
// device mapper, software RAID, optical drives, network block devices.
var virtual = regexp.MustCompile(`^(loop|ram|zram|dm-|md|sr|fd|nbd|zd|rbd|drbd|bcache)[0-9]|^nvme[0-9]+c[0-9]+n|boot[0-9]$|rpmb$`)

func physical(name string) bool { return !virtual.MatchString(name) }

// disk reads one disk (Linux Documentation/ABI/stable/sysfs-block: size in
// 512-byte sectors, queue/rotational).
func (h Host) disk(name string) Disk {
	dir := "block/" + name
	text := func(files ...string) string {
		for _, file := range files {
			if value, ok, _ := sysfs.Optional(h.Sys, dir+"/"+file); ok && value != "" {
				return value
			}
		}
		return ""
	}
	d := Disk{
		Path: "/dev/" + name, Model: text("device/model"), Serial: text("device/serial", "serial"),
		WWN: text("wwid", "device/wwid"), Bus: h.bus(name),
	}
	if sectors, err := sysfs.Uint(h.Sys, dir+"/size", 54); err == nil {
		d.Size = Size(sectors) * 512
	}
	if rotates := text("queue/rotational"); rotates != "" {
		yes := rotates == "1"
		d.Rotates = &yes
	}
	entries, _ := sysfs.Names(h.Sys, dir) // an unreadable disk has no partitions
	for _, entry := range entries {
		if _, ok, _ := sysfs.Optional(h.Sys, dir+"/"+entry+"/partition"); ok {
			d.Partitions = append(d.Partitions, "/dev/"+entry)
		}
	}
	return d
}

// bus tells what a disk is connected by, from its name and its place in the
// device tree.
func (h Host) bus(name string) Bus {
	for prefix, bus := range map[string]Bus{"nvme": NVMe, "vd": Virtio, "mmcblk": MMC} {
		if strings.HasPrefix(name, prefix) {
			return bus
		}
	}
	place, err := sysfs.Real(h.Sys, "block/"+name)
	if err != nil {
		return ""
	}
	for _, hint := range []struct {
		part string
		bus  Bus
	}{{"/usb", USB}, {"/virtio", Virtio}, {"/ata", SATA}, {"/end_device-", SAS}} {
		if strings.Contains(place, hint.part) {
			return hint.bus
		}
	}
	vendor, _ := sysfs.Attr(h.Sys, "block/"+name+"/device/vendor")
	if slices.ContainsFunc([]string{"LSI", "AVAGO", "DELL", "HP", "Adaptec", "PERC", "Areca", "QEMU", "VMware"}, func(v string) bool {
		return strings.HasPrefix(vendor, v)
	}) {
		return RAID
	}
	return ""
}

// lvm reads volume groups and thin pools from the device mapper: the name of
// a logical volume's device starts with that of its group, and its slaves are
// the physical volumes (Linux Documentation/ABI/testing/sysfs-block-dm).
func (h Host) lvm(names []string) ([]VolumeGroup, []ThinPool) {
	devices := map[string][]string{} // by group
	var pools []ThinPool
	for _, name := range names {
		uuid, _, _ := sysfs.Optional(h.Sys, "block/"+name+"/dm/uuid")
		full, ok, _ := sysfs.Optional(h.Sys, "block/"+name+"/dm/name")
		group, volume := splitMapper(full)
		if !ok || !strings.HasPrefix(uuid, "LVM-") || volume == "" {
			continue
		}
		for _, slave := range h.physicalSlaves(name, 0) {
			if !slices.Contains(devices[group], slave) {
				devices[group] = append(devices[group], slave)
			}
		}
		if strings.HasSuffix(uuid, "-tpool") {
			sectors, _ := sysfs.Uint(h.Sys, "block/"+name+"/size", 54)
			pools = append(pools, ThinPool{Name: strings.TrimSuffix(volume, "-tpool"), Group: group, Size: Size(sectors) * 512})
		}
	}
	var groups []VolumeGroup
	for group, list := range devices {
		slices.Sort(list)
		groups = append(groups, VolumeGroup{Name: group, Devices: list})
	}
	slices.SortFunc(groups, func(a, b VolumeGroup) int { return strings.Compare(a.Name, b.Name) })
	return groups, pools
}

// physicalSlaves follows a device-mapper device down to what is none. Stacks
// are a few levels deep; the bound is for a tree that points at itself.
func (h Host) physicalSlaves(name string, depth int) []string {
	slaves, err := sysfs.Names(h.Sys, "block/"+name+"/slaves")
	if err != nil || depth > 16 {
		return nil
	}
	var found []string
	for _, slave := range slaves {
		if strings.HasPrefix(slave, "dm-") {
			found = append(found, h.physicalSlaves(slave, depth+1)...)
		} else {
			found = append(found, "/dev/"+slave)
		}
	}
	return found
}

// splitMapper splits "my--group-volume" into group and volume: LVM doubles the
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

// mounts reads /proc/self/mountinfo (proc_pid_mountinfo(5)): the mount point
// is the fifth field, type and device stand behind a lone hyphen.
func (h Host) mounts() ([]Mount, error) {
	text, err := sysfs.Attr(h.Proc, "self/mountinfo")
	if err != nil {
		return nil, err
	}
	var mounts []Mount
	for line := range strings.Lines(text) {
		front, back, found := strings.Cut(strings.TrimSpace(line), " - ")
		where, what := strings.Fields(front), strings.Fields(back)
		if !found || len(where) < 5 || len(what) < 2 || !strings.HasPrefix(what[1], "/dev/") {
			continue
		}
		mounts = append(mounts, Mount{Path: unescape(where[4]), Type: what[0], Devices: []string{unescape(what[1])}})
	}
	return mounts, nil
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
