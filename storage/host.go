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
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/internal/sysfs"
)

// A host is a machine whose disks and storages can be read.
type host struct {
	sys, proc fs.FS
	etc       fs.FS // contains pve/storage.cfg
	run       fs.FS // contains udev/data
}

// hostAt returns the machine that has the given root directory. For nil it
// returns the machine that the program runs on.
func hostAt(root fs.FS) host {
	if root == nil {
		return host{sys: os.DirFS("/sys"), proc: os.DirFS("/proc"), etc: os.DirFS("/etc"), run: os.DirFS("/run")}
	}
	return host{sys: sysfs.Sub(root, "sys"), proc: sysfs.Sub(root, "proc"), etc: sysfs.Sub(root, "etc"), run: sysfs.Sub(root, "run")}
}

// ErrNothing reports a tree that is not the root of a machine, because it has
// neither sys nor proc nor etc.
var ErrNothing = errors.New("storage: nothing to read")

// Read reads disks, LVM, mounts and PVE's storage configuration of a machine.
// root is the machine's root directory, with sys, proc, etc and run below it.
// If root is nil, Read reads the machine that the program runs on.
// Facts.Unknown names the facts that cannot be read. A machine without disks or
// without PVE is not an error. The only error is [ErrNothing]. The root
// directory does not show the sizes and fill levels of storages and the health
// and wear of disks. Only the PVE API has these.
func Read(root fs.FS) (Facts, error) {
	if root != nil && !sysfs.HasAny(root, "sys", "proc", "etc") {
		return Facts{}, ErrNothing
	}
	h := hostAt(root)
	var f Facts
	names, err := sysfs.Names(h.sys, "block")
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
	config, err := fs.ReadFile(h.etc, "pve/storage.cfg")
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		f.unknown("storage.no-config", "/etc/pve/storage.cfg", err, "the machine's storages are not known")
	default:
		f.Storages = h.own(string(config), f.Mounts, mountsErr == nil)
	}
	return f, nil
}

// The method "own" returns the storages that this node may use. It marks
// storages that are not mounted as inactive. It adds "local" if the
// configuration has no such entry, because PVE does so too.
func (h host) own(config string, mounts []Mount, mountsKnown bool) []Storage {
	storages, disabled := parseConfig(config)
	name, _, _ := sysfs.Optional(h.etc, "hostname")
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
	f.Unknown = append(f.Unknown, proxstation.Finding{ID: id, Severity: proxstation.Info, Subject: subject, Seen: err.Error(), Why: printable.Sentence(why),
		Fix: "Run the program on the host itself, as root."})
}

// The pattern "virtual" matches the names of block devices that are not disks:
// loop devices, RAM disks, device mapper, software RAID, optical drives,
// network block devices.
var virtual = regexp.MustCompile(`^(loop|ram|zram|dm-|md|sr|fd|nbd|zd|rbd|drbd|bcache)[0-9]|^nvme[0-9]+c[0-9]+n|boot[0-9]$|rpmb$`)

func physical(name string) bool { return !virtual.MatchString(name) }

// The method "disk" reads the facts about one disk (Linux
// Documentation/ABI/stable/sysfs-block: size in 512-byte sectors,
// queue/rotational).
func (h host) disk(name string) Disk {
	dir := "block/" + name
	text := func(files ...string) string {
		for _, file := range files {
			if value, ok, _ := sysfs.Optional(h.sys, dir+"/"+file); ok && value != "" {
				return value
			}
		}
		return ""
	}
	d := Disk{
		Path: "/dev/" + name, Model: text("device/model"), Serial: text("device/serial", "serial"),
		WWN: text("wwid", "device/wwid"), Bus: h.bus(name),
	}
	if sectors, err := sysfs.Uint(h.sys, dir+"/size", 54); err == nil {
		d.Size = Size(sectors) * 512
	}
	if rotates := text("queue/rotational"); rotates != "" {
		yes := rotates == "1"
		d.Rotates = &yes
	}
	entries, _ := sysfs.Names(h.sys, dir) // if the directory cannot be listed, there are no partitions
	for _, entry := range entries {
		if _, ok, _ := sysfs.Optional(h.sys, dir+"/"+entry+"/partition"); ok {
			d.Partitions = append(d.Partitions, "/dev/"+entry)
		}
	}
	return d
}

// The method "note" adds udev's facts about a disk, because sysfs has neither
// the serial number of a SATA disk nor the speed of a hard disk.
func (d *Disk) note(r sysfs.Udev) {
	d.ByID, d.Serial = byID(r), cmp.Or(d.Serial, r.Properties["ID_SERIAL_SHORT"])
	if rpm, err := strconv.Atoi(r.Properties["ID_ATA_ROTATION_RATE_RPM"]); err == nil && rpm > 0 {
		d.RPM = &rpm
	}
}

// The method "bus" returns a disk's bus. It judges by the disk's name and its
// place in the device tree.
func (h host) bus(name string) Bus {
	for prefix, bus := range map[string]Bus{"nvme": NVMe, "vd": Virtio, "mmcblk": MMC} {
		if strings.HasPrefix(name, prefix) {
			return bus
		}
	}
	place, err := sysfs.Real(h.sys, "block/"+name)
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
	vendor, _ := sysfs.Attr(h.sys, "block/"+name+"/device/vendor")
	if HidesDisks(vendor) || slices.ContainsFunc([]string{"DELL", "HP", "PERC"}, func(v string) bool { return strings.HasPrefix(vendor, v) }) {
		return RAID
	}
	return ""
}

// HidesDisks reports whether a SCSI vendor name belongs to a RAID controller or
// a hypervisor. A volume of such a vendor hides the real disks.
func HidesDisks(vendor string) bool {
	return slices.ContainsFunc([]string{"LSI", "AVAGO", "BROADCOM", "Adaptec", "ASR", "Areca", "QEMU", "VMware"}, func(maker string) bool {
		return strings.HasPrefix(vendor, maker)
	})
}
