package main

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// describe returns the description of an embedded node that looks like the
// observed node. The description contains no secrets, because PVE's API never
// returns passwords, and describe replaces the key of an Apple SMC.
func describe(facts workstation.Facts) pvetest.Host {
	major, rest, _ := strings.Cut(facts.Version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	host := pvetest.Host{Name: facts.Node, Version: facts.Version, Release: major + "." + minor, Kernel: facts.Kernel, CPU: facts.CPU, Cores: facts.Cores, Memory: int64(facts.MemoryTotal),
		Bridges: facts.Bridges, HA: facts.HA, HAIgnored: facts.HAIgnored, NoIOMMU: true}
	for _, f := range facts.IOMMU.Functions {
		function := describeFunction(f)
		host.NoIOMMU = host.NoIOMMU && function.Group < 0
		host.PCI = append(host.PCI, function)
	}
	for _, d := range facts.Disks {
		host.Disks = append(host.Disks, describeDisk(d))
	}
	for _, p := range facts.Pools {
		describePool(&host, p)
	}
	for _, m := range facts.Mappings {
		host.Mappings = append(host.Mappings, describeMapping(m))
	}
	for _, v := range facts.VMs {
		config := map[string]string{}
		for key, value := range v.Config {
			config[key] = osk.ReplaceAllString(value, "osk="+strings.Repeat("x", 64))
		}
		host.VMs = append(host.VMs, pvetest.VM{ID: v.ID, Config: config, Running: v.Running})
	}
	slices.SortFunc(host.VMs, func(a, b pvetest.VM) int { return a.ID - b.ID })
	return host
}

var osk = regexp.MustCompile(`osk=[^\s,]*`)

func describeFunction(f iommu.Function) pvetest.PCI {
	group, ok := f.Group.Int()
	if !ok {
		group = -1
	}
	return pvetest.PCI{Address: f.Address.String(), Class: int(f.Class), Vendor: int(f.Model.Vendor), Device: int(f.Model.Device),
		SubVendor: int(f.Subsystem.Vendor), SubDevice: int(f.Subsystem.Device), Group: group, MDev: f.MDev.String() == "yes", DeviceName: f.Name}
}

func describeDisk(d storage.Disk) pvetest.Disk {
	disk := pvetest.Disk{Path: d.Path, Model: d.Model, Serial: d.Serial, Size: int64(d.Size), Health: d.Health, Used: d.Use, ByID: d.ByID, WWN: d.WWN, Wearout: -1}
	switch {
	case d.Bus == storage.NVMe:
		disk.Type = "nvme"
	case d.Bus == storage.USB:
		disk.Type = "usb"
	case d.Rotates == nil:
		disk.Type = "unknown"
	case *d.Rotates:
		disk.Type = "hdd"
	default:
		disk.Type = "ssd"
	}
	if d.LifeLeft != nil {
		disk.Wearout = *d.LifeLeft
	}
	if d.RPM != nil {
		disk.RPM = *d.RPM
	}
	for _, name := range d.Partitions {
		disk.Partitions = append(disk.Partitions, pvetest.Partition{Path: name, Used: d.Use})
	}
	return disk
}

// describePool adds a storage, with the layers between it and its disks.
func describePool(host *pvetest.Host, p storage.Pool) {
	config := map[string]string{}
	for key, value := range map[string]string{"path": p.Path, "vgname": p.Group, "thinpool": p.ThinPool, "pool": p.ZPool, "server": p.Server, "is_mountpoint": p.MountPoint} {
		if value != "" {
			config[key] = value
		}
	}
	if p.Sparse {
		config["sparse"] = "1"
	}
	s := pvetest.Storage{Name: p.Name, Type: p.Type, Content: strings.Join(p.Content, ","), Total: int64(p.Total), Used: int64(p.Used), Shared: p.Shared, Inactive: !p.Active, Config: config}
	for _, image := range p.Images {
		name := strings.TrimPrefix(image.ID, p.Name+":")
		s.Volumes = append(s.Volumes, pvetest.Volume{Name: name, Size: int64(image.Size), Format: strings.TrimPrefix(path.Ext(name), ".")})
	}
	host.Storages = append(host.Storages, s)
	var devices []string
	for _, d := range p.Disks {
		devices = append(devices, d.Path)
	}
	if zpool, _, _ := strings.Cut(p.ZPool, "/"); zpool != "" && !slices.ContainsFunc(host.ZPools, func(z pvetest.ZPool) bool { return z.Name == zpool }) {
		pool := pvetest.ZPool{Name: zpool, Size: int64(p.Total), Used: int64(p.Used), Health: p.Health}
		for _, device := range devices {
			pool.VDevs = append(pool.VDevs, pvetest.VDev{Name: device})
		}
		var helpers []pvetest.VDev
		for _, d := range p.Helpers {
			helpers = append(helpers, pvetest.VDev{Name: d.Path})
		}
		if len(helpers) > 0 {
			pool.VDevs = append(pool.VDevs, pvetest.VDev{Name: "special", Children: helpers})
		}
		host.ZPools = append(host.ZPools, pool)
	}
	if p.Group != "" && !slices.ContainsFunc(host.Groups, func(g pvetest.VG) bool { return g.Name == p.Group }) {
		host.Groups = append(host.Groups, pvetest.VG{Name: p.Group, Size: int64(p.Total), Volumes: devices})
	}
	if thin := p.Thin; thin != nil && !slices.ContainsFunc(host.ThinPools, func(t pvetest.ThinPool) bool { return t.Name == thin.Name && t.VG == thin.Group }) {
		host.ThinPools = append(host.ThinPools, pvetest.ThinPool{Name: thin.Name, VG: thin.Group, Size: int64(thin.Size), Used: int64(thin.Used),
			MetadataSize: int64(thin.MetadataSize), MetadataUsed: int64(thin.MetadataUsed)})
	}
}

func describeMapping(m gpu.Mapping) pvetest.Mapping {
	mapping := pvetest.Mapping{ID: m.ID, MDev: m.MDev, LiveMigration: m.LiveMigration, Description: m.Description, Map: slices.Clone(m.Unread)}
	for _, e := range m.Entries {
		mapping.Map = append(mapping.Map, fmt.Sprint(e))
	}
	return mapping
}
