package pvetest

// AMD returns a node that differs from [Reference] in most parts. It is a PVE
// 8.4 on a Ryzen with two graphics cards: a Radeon RX 6700 XT whose audio
// function has its own IOMMU group, and a GeForce RTX 3060. It has two ZFS
// pools: a mirror of NVMe disks, and a raidz of hard disks with a special
// mirror.
func AMD() Host {
	const amd, nvidia = 0x1022, 0x10de
	pci := func(address string, class, vendor, device, group int) PCI {
		return PCI{Address: address, Class: class, Vendor: vendor, Device: device, SubVendor: 0x1043, SubDevice: 0x87c0, Group: group}
	}
	h := Host{
		Name: "pve", Version: "8.4.14", Release: "8.4", Kernel: "6.8.12-15-pve", CPU: "AMD Ryzen 9 5950X 16-Core Processor", Cores: 32, Memory: 128 * gib,
		PCI: []PCI{
			pci("0000:00:00.0", 0x060000, amd, 0x1480, 0), pci("0000:00:00.2", 0x080600, amd, 0x1481, -1),
			pci("0000:00:01.1", 0x060400, amd, 0x1483, 2), pci("0000:00:03.1", 0x060400, amd, 0x1483, 5), pci("0000:00:03.2", 0x060400, amd, 0x1483, 6),
			pci("0000:01:00.0", 0x010802, 0x144d, 0xa808, 14), pci("0000:02:00.0", 0x010802, 0x144d, 0xa808, 15), pci("0000:05:00.0", 0x020000, 0x8086, 0x1539, 16),
			pci("0000:0a:00.0", 0x060400, 0x1002, 0x1478, 20), pci("0000:0b:00.0", 0x060400, 0x1002, 0x1479, 21),
			pci("0000:0c:00.0", 0x030000, 0x1002, 0x73df, 22), pci("0000:0c:00.1", 0x040300, 0x1002, 0xab28, 23),
			pci("0000:0d:00.0", 0x030000, nvidia, 0x2504, 24), pci("0000:0d:00.1", 0x040300, nvidia, 0x228e, 24),
			pci("0000:0e:00.0", 0x010601, amd, 0x7901, 25), pci("0000:0e:00.3", 0x0c0330, amd, 0x149c, 26),
		},
		Disks: amdDisks(),
		ZPools: []ZPool{
			{Name: "rpool", Size: 996_432_412_672, Used: 120_000_000_000, Health: "ONLINE", VDevs: []VDev{mirror("mirror-0", "/dev/disk/by-id/nvme-eui.0025385b91500001-part3", "/dev/disk/by-id/nvme-eui.0025385b91500002-part3")}},
			{Name: "tank", Size: 24_500_000_000_000, Used: 3_000_000_000_000, Health: "DEGRADED", VDevs: []VDev{
				{Name: "raidz1-0", Children: []VDev{{Name: "/dev/sda1"}, {Name: "/dev/sdb1"}, {Name: "/dev/sdc1"}}},
				{Name: "special", Children: []VDev{mirror("mirror-1", "/dev/sdd1", "/dev/sde1")}},
			}},
		},
		Storages: []Storage{
			{Name: "local", Type: "dir", Content: "iso,vztmpl,snippets,import", Total: 850_000_000_000, Used: 20_000_000_000, Config: map[string]string{"path": "/var/lib/vz"}},
			{Name: "local-zfs", Type: "zfspool", Content: "images,rootdir", Total: 960_000_000_000, Used: 110_000_000_000, Config: map[string]string{"pool": "rpool/data"}},
			{Name: "tank", Type: "zfspool", Content: "images,rootdir", Total: 15_800_000_000_000, Used: 2_000_000_000_000, Config: map[string]string{"pool": "tank", "sparse": "1"}},
		},
		Bridges:    []string{"vmbr0", "vmbr1"},
		RootTokens: []Token{{ID: "lab", Secret: referenceSecret}},
	}
	for i, f := range h.PCI {
		h.PCI[i].HostUses = f.Class == 0x010802 || f.Class == 0x010601 || f.Class == 0x020000
	}
	return h
}

func amdDisks() []Disk {
	disk := func(path, model, serial, kind string, size int64) Disk {
		rpm := 0
		if kind == "hdd" {
			rpm = 7200
		}
		return Disk{Path: path, Model: model, Serial: serial, Size: size, Type: kind, RPM: rpm, Wearout: 98, Health: "PASSED", Used: "ZFS",
			ByID: "/dev/disk/by-id/" + model + "_" + serial}
	}
	disks := []Disk{
		disk("/dev/nvme0n1", "nvme-Samsung_SSD_970_EVO_Plus_1TB", "S4EWNX0R000001", "nvme", 1_000_204_886_016),
		disk("/dev/nvme1n1", "nvme-Samsung_SSD_970_EVO_Plus_1TB", "S4EWNX0R000002", "nvme", 1_000_204_886_016),
		disk("/dev/sda", "ata-ST8000VN004", "WKD00001", "hdd", 8_001_563_222_016),
		disk("/dev/sdb", "ata-ST8000VN004", "WKD00002", "hdd", 8_001_563_222_016),
		disk("/dev/sdc", "ata-ST8000VN004", "WKD00003", "hdd", 8_001_563_222_016),
		disk("/dev/sdd", "ata-CT500MX500SSD1", "2033E0000001", "ssd", 500_107_862_016),
		disk("/dev/sde", "ata-CT500MX500SSD1", "2033E0000002", "ssd", 500_107_862_016),
	}
	disks[0].WWN, disks[1].WWN = "eui.0025385b91500001", "eui.0025385b91500002" // the installer names the disks by these WWNs
	return disks
}

func mirror(name string, devices ...string) VDev {
	v := VDev{Name: name}
	for _, device := range devices {
		v.Children = append(v.Children, VDev{Name: device})
	}
	return v
}

// SharedGroup returns a node whose graphics card must not be passed through.
// The GeForce GTX 1050 Ti is behind an AMD B350 chipset. It is in the same
// IOMMU group as the controller of the host's disk and the host's network card.
func SharedGroup() Host {
	function := func(address string, class, vendor, device, group int) PCI {
		return PCI{Address: address, Class: class, Vendor: vendor, Device: device, SubVendor: 0x1462, SubDevice: 0x7a38, Group: group}
	}
	h := Host{
		Name: "pve", Version: "9.1.4", Release: "9.1", Kernel: "6.17.4-1-pve", CPU: "AMD Ryzen 5 1600 Six-Core Processor", Cores: 12, Memory: 32 * gib,
		PCI: []PCI{
			function("0000:00:00.0", 0x060000, 0x1022, 0x1450, 0), function("0000:00:00.2", 0x080600, 0x1022, 0x1451, -1),
			function("0000:00:01.3", 0x060400, 0x1022, 0x1453, 2), function("0000:01:00.1", 0x010601, 0x1022, 0x43b5, 12),
			function("0000:01:00.2", 0x060400, 0x1022, 0x43b0, 12), function("0000:02:00.0", 0x060400, 0x1022, 0x43b4, 12),
			function("0000:03:00.0", 0x020000, 0x10ec, 0x8168, 12), function("0000:04:00.0", 0x030000, 0x10de, 0x1c82, 12),
			function("0000:04:00.1", 0x040300, 0x10de, 0x0fb9, 12),
		},
		Disks: []Disk{{Path: "/dev/sda", Model: "CT500MX500SSD1", Serial: "2033E0000003", Size: 500_107_862_016, Type: "ssd", Wearout: 96, Health: "PASSED",
			Used: "LVM", ByID: "/dev/disk/by-id/ata-CT500MX500SSD1_2033E0000003"}},
		Groups:    []VG{{Name: "pve", Size: 499_000_000_000, Free: 16 * gib, Volumes: []string{"/dev/sda3"}}},
		ThinPools: []ThinPool{{Name: "data", VG: "pve", Size: 360_000_000_000, Used: 90_000_000_000, MetadataSize: 3_600_000_000, MetadataUsed: 40_000_000}},
		Storages: []Storage{
			{Name: "local", Type: "dir", Content: "iso,vztmpl,backup", Total: 100_000_000_000, Used: 12_000_000_000, Config: map[string]string{"path": "/var/lib/vz"}},
			{Name: "local-lvm", Type: "lvmthin", Content: "images,rootdir", Total: 360_000_000_000, Used: 90_000_000_000, Config: map[string]string{"vgname": "pve", "thinpool": "data"}},
		},
		Bridges:    []string{"vmbr0"},
		RootTokens: []Token{{ID: "lab", Secret: referenceSecret}},
	}
	for i, f := range h.PCI {
		h.PCI[i].HostUses = f.Class == 0x010601 || f.Class == 0x020000
	}
	return h
}
