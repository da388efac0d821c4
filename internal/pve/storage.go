package pve

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/storage"
)

// Storage reads the node's storages and disks, and the facts that say which
// storage is on which disk. It makes these requests at the same time.
// Facts.Unknown names the parts that the caller may not read. Storage returns
// an error only if the node does not answer.
func (c *Client) Storage(ctx context.Context) (storage.Facts, error) {
	var f storage.Facts
	var systems []fileSystem
	var group errgroup.Group
	missing := make(chan proxstation.Finding, 8)
	read := func(what string, work func() error) {
		group.Go(func() error {
			err := work()
			unread := proxstation.Finding{ID: "storage.unread", Severity: proxstation.Info, Subject: what,
				Why: "The disks of storages on it are not known.", Fix: "Give the login Sys.Audit and Datastore.Audit on /."}
			switch {
			case errors.Is(err, ErrNoAnswer):
				unread.Fix = "On the host, find the disk or the network storage that hangs (dmesg | tail; pvesm status), and bring it back or disable it."
			case !errors.Is(err, ErrPermission):
				return err
			}
			unread.Seen = err.Error()
			missing <- unread
			return nil
		})
	}
	read("disks", func() (err error) {
		f.Disks, systems, err = c.disks(ctx, false)
		if errors.Is(err, ErrNoAnswer) {
			missing <- smartHung(err)
			f.Disks, systems, err = c.disks(ctx, true)
		}
		return err
	})
	read("storages", func() (err error) { f.Storages, err = c.storages(ctx); return err })
	read("volume groups", func() (err error) { f.Groups, err = c.groups(ctx); return err })
	read("thin pools", func() (err error) { f.ThinPools, err = c.thinPools(ctx); return err })
	read("ZFS pools", func() (err error) { f.ZPools, err = c.zpools(ctx); return err })
	read("directories", func() (err error) { f.Mounts, err = c.mounts(ctx); return err })
	err := group.Wait()
	close(missing)
	locate(f.Mounts, f.Storages, systems)
	for m := range missing {
		f.Unknown = append(f.Unknown, m)
	}
	slices.SortFunc(f.Unknown, func(a, b proxstation.Finding) int { return strings.Compare(a.Subject, b.Subject) })
	return f, err
}

// smartHung returns a finding about a list of disks that did not arrive while
// PVE read the disks' SMART data.
func smartHung(err error) proxstation.Finding {
	return proxstation.Finding{ID: "storage.smart-hung", Severity: proxstation.Warning, Subject: "disks", Seen: err.Error(),
		Why: "A disk or a USB enclosure hangs when it is asked for its SMART data, so the health and wear of the disks are unknown.",
		Fix: "On the host, run timeout 10 smartctl -H on each of /dev/sd? and /dev/nvme?n1, and replace or unplug the disk that does not answer."}
}

// disks reads /disks/list (pve-storage PVE/Diskmanage.pm). The disks in this
// list have the types "nvme", "ssd", "hdd", "usb" and "unknown". If a device
// has a file system, the use of the device is the file system's type.
func (c *Client) disks(ctx context.Context, skipSMART bool) ([]storage.Disk, []fileSystem, error) {
	var entries []struct {
		DevPath, Parent, Vendor, Model, Serial, WWN, Type, Health, Used string
		Size, RPM, Wearout                                              number
		Mounted                                                         flag
		ByID                                                            string `json:"by_id_link"`
	}
	query := url.Values{"include-partitions": {"1"}}
	if skipSMART {
		query.Set("skipsmart", "1")
	}
	if err := c.get(ctx, c.here("/disks/list"), query, &entries); err != nil {
		return nil, nil, err
	}
	var disks []storage.Disk
	var systems []fileSystem
	for _, e := range entries {
		if e.Mounted {
			systems = append(systems, fileSystem{e.DevPath, e.Used, storage.Size(e.Size.value)})
		}
		if e.Parent != "" {
			continue
		}
		d := storage.Disk{Path: e.DevPath, ByID: e.ByID, Model: told(e.Model), Serial: told(e.Serial), WWN: told(e.WWN), Size: storage.Size(e.Size.value), Health: e.Health, Use: e.Used}
		d.Bus, d.Rotates = medium(e.DevPath, e.Type, e.ByID, hidesDisks(e.Vendor, e.Model))
		if e.RPM.known && e.RPM.value > 0 {
			rpm := int(e.RPM.value)
			d.RPM = &rpm
		}
		if e.Wearout.known {
			left := int(e.Wearout.value)
			d.LifeLeft = &left
		}
		for _, p := range entries {
			if p.Parent == e.DevPath {
				d.Partitions = append(d.Partitions, p.DevPath)
			}
		}
		disks = append(disks, d)
	}
	return disks, systems, nil
}

// medium returns the bus of a disk, and whether the disk rotates. It judges by
// the disk's path, its link and the type that PVE reports. PVE reports the type
// "usb" only for USB disks that claim to rotate. Other USB disks have the type
// "ssd" and no link, because PVE looks only for the links of ata, scsi and nvme
// disks.
func medium(path, kind, link string, hidden bool) (bus storage.Bus, rotates *bool) {
	switch {
	case strings.HasPrefix(path, "/dev/vd"):
		return storage.Virtio, nil
	case kind == "ssd" && link == "" && strings.HasPrefix(path, "/dev/sd"):
		return storage.USB, nil
	case kind == "nvme":
		return storage.NVMe, new(false)
	case kind == "usb":
		return storage.USB, nil
	case hidden:
		return storage.RAID, nil
	case kind == "ssd" || kind == "hdd":
		return "", new(kind == "hdd")
	}
	return "", nil
}

// The function "told" returns a text that a disk reports. It returns "" if the
// disk reports nothing, because PVE then writes "unknown" (pve-storage
// PVE/Diskmanage.pm).
func told(s string) string {
	if s == "unknown" {
		return ""
	}
	return s
}

// hidesDisks reports whether a disk is a volume of a RAID controller or of a
// hypervisor. It judges by the SCSI vendor and model. For Dell and HP the model
// decides, because they also sell single disks.
func hidesDisks(vendor, model string) bool {
	return storage.HidesDisks(vendor) || strings.HasPrefix(model, "PERC") || strings.HasPrefix(strings.ReplaceAll(model, "_", " "), "LOGICAL VOLUME")
}

// storages returns the configuration of the storages and the state that they
// have on this node.
func (c *Client) storages(ctx context.Context) ([]storage.Storage, error) {
	type entry struct {
		Storage, Type, Content, Path, VGName, ThinPool, Pool, Server string
		Shared, Active, Sparse                                       flag
		Enabled                                                      number // 0 on nodes that may not use the storage
		Total, Used, Avail                                           number
	}
	var configured, here []entry
	var group errgroup.Group
	group.Go(func() error { return c.get(ctx, "/storage", nil, &configured) })
	group.Go(func() error { return c.get(ctx, c.here("/storage"), url.Values{"enabled": {"1"}}, &here) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	here = slices.DeleteFunc(here, func(e entry) bool { return e.Enabled.known && e.Enabled.value == 0 })
	storages := make([]storage.Storage, len(here))
	for i, h := range here {
		s := storage.Storage{Name: h.Storage, Type: h.Type, Content: strings.Split(h.Content, ","), Shared: bool(h.Shared), Active: bool(h.Active),
			Total: storage.Size(h.Total.value), Used: storage.Size(h.Used.value), Available: storage.Size(h.Avail.value)}
		for _, e := range configured {
			if e.Storage == h.Storage {
				s.Path, s.Group, s.ThinPool, s.ZPool, s.Server, s.Sparse = e.Path, e.VGName, e.ThinPool, e.Pool, e.Server, bool(e.Sparse)
			}
		}
		group.Go(func() error { storages[i] = c.committed(ctx, s); return nil })
	}
	_ = group.Wait() // no error is possible, because the functions return nil
	slices.SortFunc(storages, func(a, b storage.Storage) int { return strings.Compare(a.Name, b.Name) })
	return storages, nil
}

func (c *Client) groups(ctx context.Context) ([]storage.VolumeGroup, error) {
	var tree struct {
		Children []struct {
			Name       string
			Size, Free number
			Children   []struct{ Name string }
		}
	}
	err := c.get(ctx, c.here("/disks/lvm"), nil, &tree)
	var groups []storage.VolumeGroup
	for _, g := range tree.Children {
		group := storage.VolumeGroup{Name: g.Name, Size: storage.Size(g.Size.value), Free: storage.Size(g.Free.value)}
		for _, pv := range g.Children {
			group.Devices = append(group.Devices, pv.Name)
		}
		groups = append(groups, group)
	}
	return groups, err
}

func (c *Client) thinPools(ctx context.Context) ([]storage.ThinPool, error) {
	var entries []struct {
		LV, VG       string
		Size         number `json:"lv_size"`
		Used         number `json:"used"`
		MetadataSize number `json:"metadata_size"`
		MetadataUsed number `json:"metadata_used"`
	}
	err := c.get(ctx, c.here("/disks/lvmthin"), nil, &entries)
	var pools []storage.ThinPool
	for _, e := range entries {
		pools = append(pools, storage.ThinPool{Name: e.LV, Group: e.VG, Size: storage.Size(e.Size.value), Used: storage.Size(e.Used.value),
			MetadataSize: storage.Size(e.MetadataSize.value), MetadataUsed: storage.Size(e.MetadataUsed.value)})
	}
	return pools, err
}
