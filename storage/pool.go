package storage

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// A Pool is a storage joined to the disks under it.
type Pool struct {
	Storage
	// Disks holds the disks with the pool's data, in order. It is empty for a
	// network storage, and if the disks are not known.
	Disks []Disk `json:"disks,omitempty"`
	// Helpers holds disks that only speed the pool up: special, cache and log
	// devices.
	Helpers []Disk `json:"helpers,omitempty"`
	// Tier is the tier of the slowest disk that holds data.
	Tier Tier `json:"tier"`
	// The field Why holds the evidence, from the storage down to the disks. If
	// the tier is unknown, it says what is missing.
	Why string `json:"why"`
	// Thin is the LVM thin pool. It is nil for a storage of another type.
	Thin *ThinPool `json:"thin,omitempty"`
	// Health is the state of the ZFS pool: "ONLINE", "DEGRADED"
	// (zpoolconcepts(7)). It is empty for other types, and if it is not known.
	Health string `json:"health,omitempty"`

	mount string // the mount point of a storage that is a directory
}

// Holds reports whether the pool accepts this content type, such as "images".
func (p Pool) Holds(content string) bool { return slices.Contains(p.Content, content) }

// Overcommits reports whether volumes take space only as they are written, so
// that more space can be promised than exists.
func (p Pool) Overcommits() bool {
	return p.Thin != nil || p.Type == "lvmthin" || p.Type == "zfspool" && p.Sparse || p.Type == "dir" || p.Type == "btrfs"
}

// The method "space" returns a text that identifies the place from which a pool
// takes its space. The text is the same for two storages on the same thin pool,
// ZFS pool, volume group or file system.
func (p Pool) space() string {
	zpool, _, _ := strings.Cut(p.ZPool, "/")
	switch {
	case p.Type == "lvmthin" && p.ThinPool != "":
		return "thin pool " + p.Group + "/" + p.ThinPool
	case p.Type == "lvm" && p.Group != "":
		return "volume group " + p.Group
	case p.Type == "zfspool" && zpool != "":
		return "ZFS pool " + zpool
	case p.mount != "":
		return "file system at " + p.mount
	}
	return "storage " + p.Name
}

// The method "works" reports whether a ZFS pool can be written to. A pool of
// unknown health counts as working.
func (p Pool) works() bool {
	return p.Health == "" || p.Health == "ONLINE" || p.Health == "DEGRADED"
}

// The table "network" holds the storage types whose data is on other machines.
var network = map[string]string{
	"nfs": "NFS", "cifs": "SMB", "pbs": "a Proxmox Backup Server", "rbd": "Ceph", "cephfs": "CephFS",
	"iscsi": "iSCSI", "iscsidirect": "iSCSI", "zfs": "ZFS over iSCSI", "esxi": "an ESXi host", "glusterfs": "GlusterFS",
}

// Join makes a pool of every storage: it follows the storage through thin pool,
// volume group, ZFS pool or mount to its disks. override holds tiers that
// replace the tiers of storages. Its keys are the names of the storages.
func Join(facts Facts, override map[string]Tier) []Pool {
	pools := make([]Pool, 0, len(facts.Storages))
	for _, s := range facts.Storages {
		pool := Pool{Storage: s}
		devices, helpers, chain := facts.devices(&pool)
		pool.Disks, pool.Helpers = facts.disks(devices), facts.disks(helpers)
		pool.judge(chain)
		if i := slices.IndexFunc(devices, func(device string) bool { return !facts.known(device) }); i >= 0 && len(pool.Disks) > 0 {
			pool.Tier, pool.Why = TierUnknown, pool.Why+"; the disk of "+devices[i]+" is not known"
		}
		if tier, ok := override[s.Name]; ok {
			pool.Tier, pool.Why = tier, "set by the caller; found: "+pool.Why
		}
		pools = append(pools, pool)
	}
	return pools
}

// The method "devices" returns the devices that hold a storage's data, and the
// devices that only make it faster. It also returns a text that names the
// layers down to the devices, and sets the pool's thin pool.
func (f Facts) devices(pool *Pool) (data, helpers []string, chain string) {
	s := pool.Storage
	if s.MountPoint != "" && !s.Active {
		return nil, nil, "nothing is mounted at " + s.MountPoint
	}
	if what, remote := network[s.Type]; remote {
		return nil, nil, strings.TrimSpace("a network storage on " + what + " " + s.Server)
	}
	switch s.Type {
	case "lvmthin":
		for _, thin := range f.ThinPools {
			if thin.Name == s.ThinPool && thin.Group == s.Group {
				pool.Thin = &thin
			}
		}
		return f.group(s.Group), nil, fmt.Sprintf("thin pool %s/%s on volume group %s", s.Group, s.ThinPool, s.Group)
	case "lvm":
		return f.group(s.Group), nil, "volume group " + s.Group
	case "zfspool":
		name, _, _ := strings.Cut(s.ZPool, "/")
		data, helpers = f.zpool(name)
		if i := slices.IndexFunc(f.ZPools, func(z ZPool) bool { return z.Name == name }); i >= 0 {
			pool.Health = f.ZPools[i].Health
		}
		return data, helpers, "ZFS pool " + name
	case "dir", "btrfs":
		mount := f.mount(s.Path)
		if mount == nil {
			return nil, nil, "directory " + s.Path
		}
		pool.mount = mount.Path
		chain = fmt.Sprintf("directory %s on the %s at %s", s.Path, mount.Type, mount.Path)
		if mount.How != "" {
			chain += " (found " + mount.How + ")"
		}
		return mount.Devices, nil, chain
	}
	return nil, nil, "storage type " + s.Type
}

func (f Facts) group(name string) []string {
	for _, g := range f.Groups {
		if g.Name == name {
			return g.Devices
		}
	}
	return nil
}

func (f Facts) zpool(name string) (data, helpers []string) {
	for _, z := range f.ZPools {
		if z.Name != name {
			continue
		}
		for _, d := range z.Devices {
			if d.Role == "data" {
				data = append(data, d.Path)
			} else {
				helpers = append(helpers, d.Path)
			}
		}
	}
	return data, helpers
}

// The method "mount" returns the mount on which a path lies. If several mounts
// contain the path, this is the mount with the longest mount point.
func (f Facts) mount(name string) *Mount {
	var best *Mount
	for i, m := range f.Mounts {
		under := m.Path == "/" || name == m.Path || strings.HasPrefix(name, strings.TrimSuffix(m.Path, "/")+"/")
		if under && (best == nil || len(m.Path) >= len(best.Path)) {
			best = &f.Mounts[i]
		}
	}
	return best
}

// The method "disks" returns the disks that hold the devices, in order, each
// disk once.
func (f Facts) disks(devices []string) []Disk {
	var disks []Disk
	for _, d := range f.Disks {
		if slices.ContainsFunc(devices, func(device string) bool { return f.under(d, device) }) {
			disks = append(disks, d)
		}
	}
	return disks
}

// The method "under" reports whether a disk holds a device. The device may be a
// logical volume whose volume group is on the disk: /dev/pve/root,
// /dev/mapper/pve-root.
func (f Facts) under(d Disk, device string) bool {
	if d.holds(device) {
		return true
	}
	for _, g := range f.Groups {
		mapper := "/dev/mapper/" + strings.ReplaceAll(g.Name, "-", "--") + "-"
		if path.Dir(device) != "/dev/"+g.Name && !strings.HasPrefix(device, mapper) {
			continue
		}
		if slices.ContainsFunc(g.Devices, d.holds) {
			return true
		}
	}
	return false
}

// The method "known" reports whether any known disk holds the device.
func (f Facts) known(device string) bool {
	return slices.ContainsFunc(f.Disks, func(d Disk) bool { return f.under(d, device) })
}

// The method "judge" sets the pool's tier to the tier of its slowest disk.
func (p *Pool) judge(chain string) {
	if len(p.Disks) == 0 {
		p.Why = chain + ": the disks under it are not known"
		if _, remote := network[p.Type]; remote {
			p.Why = chain
		}
		return
	}
	p.Tier = Tier1
	var parts []string
	for _, d := range p.Disks {
		tier, why := d.Tier()
		p.Tier = slower(p.Tier, tier)
		part := fmt.Sprintf("%s (%s", d.Path, tier.Media())
		if tier == TierUnknown {
			part += ": " + why
		}
		parts = append(parts, part+")")
	}
	p.Why = chain + " on " + strings.Join(parts, ", ")
	if len(p.Helpers) > 0 {
		var names []string
		for _, d := range p.Helpers {
			names = append(names, d.Path)
		}
		p.Why += "; helped by " + strings.Join(names, ", ") + ", which does not change the tier"
	}
}
