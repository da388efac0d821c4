package storage

import (
	"cmp"
	"errors"
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
	Dev  fs.FS // its devices, with disk/by-id; nil means /dev
}

// HostAt returns the machine whose tree lies in root: root/sys, root/proc and
// root/etc, and, if it was captured, root/dev.
func HostAt(root fs.FS) Host {
	sub := func(name string) fs.FS {
		inner, err := fs.Sub(root, name)
		if err != nil { // only for an invalid name
			return root
		}
		return inner
	}
	return Host{Sys: sub("sys"), Proc: sub("proc"), Etc: sub("etc"), Dev: sub("dev")}
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
	if h.Dev == nil {
		h.Dev = os.DirFS("/dev")
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
	byID := h.byID()
	for _, name := range names {
		if physical(name) {
			d := h.disk(name)
			d.ByID = byID[name]
			f.Disks = append(f.Disks, d)
		}
	}
	f.Groups, f.ThinPools = h.lvm(names)
	if f.Mounts, err = h.mounts(names); err != nil {
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

// byID returns the links that stay with each disk (udev,
// 60-persistent-storage.rules): the one with model and serial number rather
// than one that is a number only.
func (h Host) byID() map[string]string {
	links, _ := sysfs.Names(h.Dev, "disk/by-id") // not there without udev
	slices.SortStableFunc(links, func(a, b string) int { return cmp.Compare(numberOnly(a), numberOnly(b)) })
	found := map[string]string{}
	for _, link := range links {
		if disk, ok, _ := sysfs.Link(h.Dev, "disk/by-id/"+link); ok && found[disk] == "" {
			found[disk] = "/dev/disk/by-id/" + link
		}
	}
	return found
}

func numberOnly(link string) int {
	for _, prefix := range []string{"wwn-", "nvme-eui.", "nvme-nvme.", "nvme-uuid.", "scsi-3"} {
		if strings.HasPrefix(link, prefix) {
			return 1
		}
	}
	return 0
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
	}{{"/usb", USB}, {"/virtio", Virtio}, {"/session", Network}, {"/rport-", Network}, {"/ata", SATA}, {"/end_device-", SAS}} {
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
