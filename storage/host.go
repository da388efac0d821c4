package storage

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/sysfs"
)

// A Host is a machine whose disks and storages can be read. The zero Host is
// the machine the program runs on.
type Host struct {
	Sys  fs.FS // the machine's sysfs; nil means /sys
	Proc fs.FS // its procfs; nil means /proc
	Etc  fs.FS // its configuration, with pve/storage.cfg; nil means /etc
	Run  fs.FS // its state, with udev/data; nil means /run
}

// HostAt returns the machine whose tree lies in root: root/sys, root/proc and
// root/etc, and, if it was captured, root/run.
func HostAt(root fs.FS) Host {
	sub := func(name string) fs.FS {
		inner, err := fs.Sub(root, name)
		if err != nil { // only for an invalid name
			return root
		}
		return inner
	}
	return Host{Sys: sub("sys"), Proc: sub("proc"), Etc: sub("etc"), Run: sub("run")}
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
	if h.Run == nil {
		h.Run = os.DirFS("/run")
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
	records := h.records(f.Disks)
	for i := range f.Disks {
		f.Disks[i].note(records[f.Disks[i].Name()])
	}
	f.ZPools = zpools(records)
	f.Groups, f.ThinPools = h.lvm(names)
	mountsErr := error(nil)
	if f.Mounts, mountsErr = h.mounts(names, f.ZPools); mountsErr != nil {
		f.unknown("storage.no-mounts", "/proc/self/mountinfo", mountsErr, "directories cannot be joined to disks")
	}
	config, err := fs.ReadFile(h.Etc, "pve/storage.cfg")
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		f.unknown("storage.no-config", "/etc/pve/storage.cfg", err, "the machine's storages are not known")
	default:
		f.Storages = h.own(string(config), f.Mounts, mountsErr == nil)
	}
	return f
}

// own returns the storages that are for this node, those that are not mounted
// as such, and "local", which PVE makes where nobody does.
func (h Host) own(config string, mounts []Mount, mountsKnown bool) []Storage {
	storages, disabled := parseConfig(config)
	name, _, _ := sysfs.Optional(h.Etc, "hostname")
	name, _, _ = strings.Cut(strings.TrimSpace(name), ".")
	var own []Storage
	for _, s := range storages {
		if len(s.Nodes) > 0 && name != "" && s.Name != "local" && !slices.Contains(s.Nodes, name) {
			continue
		}
		if s.MountPoint != "" && mountsKnown {
			s.Active = slices.ContainsFunc(mounts, func(m Mount) bool { return m.Path == path.Clean(s.MountPoint) })
		}
		own = append(own, s)
	}
	if !disabled["local"] && !slices.ContainsFunc(storages, func(s Storage) bool { return s.Name == "local" }) {
		own = append(own, Storage{Name: "local", Type: "dir", Path: "/var/lib/vz", Active: true, Content: []string{"images", "rootdir", "vztmpl", "iso", "snippets", "backup"}})
	}
	return own
}

func (f *Facts) unknown(id, subject string, err error, why string) {
	f.Unknown = append(f.Unknown, proxstation.Finding{ID: id, Severity: proxstation.Info, Subject: subject, Seen: err.Error(), Why: why,
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

// note adds what udev knows of a disk: sysfs has no serial number of a SATA
// disk, and says only that it rotates.
func (d *Disk) note(r sysfs.Udev) {
	d.ByID, d.Serial = byID(r), cmp.Or(d.Serial, r.Properties["ID_SERIAL_SHORT"])
	if rpm, err := strconv.Atoi(r.Properties["ID_ATA_ROTATION_RATE_RPM"]); err == nil && rpm > 0 {
		d.RPM = &rpm
	}
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
	if HidesDisks(vendor) || slices.ContainsFunc([]string{"DELL", "HP", "PERC"}, func(v string) bool { return strings.HasPrefix(vendor, v) }) {
		return RAID
	}
	return ""
}

// HidesDisks reports whether what has this SCSI vendor is a volume of a RAID
// controller or of a hypervisor's.
func HidesDisks(vendor string) bool {
	return slices.ContainsFunc([]string{"LSI", "AVAGO", "BROADCOM", "Adaptec", "ASR", "Areca", "QEMU", "VMware"}, func(maker string) bool {
		return strings.HasPrefix(vendor, maker)
	})
}
