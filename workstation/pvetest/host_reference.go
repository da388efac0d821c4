package pvetest

// These sizes are in bytes.
const (
	gib = 1 << 30
	gb  = 1_000_000_000
)

// referenceSecret is the secret of the token "root@pam!lab" on every embedded
// host.
const referenceSecret = "11111111-2222-3333-4444-555555555555"

// Reference returns a homelab node: an Intel host with a UHD 630 and an RTX
// 5070 Ti, an NVMe disk, a SATA SSD and hard disks. It has installation images
// on its local storage, and no VM yet. root@pam has the password "secret" and
// the token "lab". The caller may change the host before it calls [New].
func Reference() Host {
	return Host{
		Name: "pve", Version: "9.1.4", Release: "9.1", Kernel: "6.17.4-1-pve",
		CPU: "Intel(R) Core(TM) i7-9700K CPU @ 3.60GHz", Cores: 8, Memory: 64 * gib,
		PCI: referencePCI(), Disks: referenceDisks(), Storages: referenceStorages(), Bridges: []string{"vmbr0"},
		Groups: []VG{
			{Name: "pve", Size: 1_022_505_549_824, Free: 17_179_869_184, Volumes: []string{"/dev/nvme0n1p3"}},
			{Name: "service", Size: 250_055_000_064, Free: 4 << 20, Volumes: []string{"/dev/sda1"}},
		},
		ThinPools: []ThinPool{
			{Name: "data", VG: "pve", Size: 876_173_328_384, Used: 61_332_132_986, MetadataSize: 8_942_256_128, MetadataUsed: 143_076_098},
			{Name: "service", VG: "service", Size: 245_000_000_512, Used: 2_450_000_005, MetadataSize: 130_023_424, MetadataUsed: 3_900_702},
		},
		ZPools: []ZPool{{Name: "media", Size: 12_000_138_625_024, Used: 1_200_013_862_502, Health: "ONLINE", VDevs: []VDev{
			{Name: "mirror-0", Children: []VDev{{Name: "/dev/sdb1"}, {Name: "/dev/sdc1"}}},
			{Name: "mirror-1", Children: []VDev{{Name: "/dev/sdd1"}, {Name: "/dev/sde1"}}},
		}}},
		RootTokens: []Token{{ID: "lab", Secret: referenceSecret}},
	}
}

func referencePCI() []PCI {
	const intel, nvidia, msi = 0x8086, 0x10de, 0x1462
	functions := []PCI{
		{Address: "0000:00:00.0", Class: 0x060000, Vendor: intel, Device: 0x3ec2, SubVendor: msi, SubDevice: 0x7b98, Group: 0, VendorName: "Intel Corporation", DeviceName: "8th Gen Core 8-core Desktop Processor Host Bridge/DRAM Registers"},
		{Address: "0000:00:01.0", Class: 0x060400, Vendor: intel, Device: 0x1901, SubVendor: msi, SubDevice: 0x7b98, Group: 1, VendorName: "Intel Corporation", DeviceName: "6th-10th Gen Core Processor PCIe Controller (x16)"},
		{Address: "0000:00:02.0", Class: 0x030000, Vendor: intel, Device: 0x3e92, SubVendor: msi, SubDevice: 0x7b98, Group: 2, VendorName: "Intel Corporation", DeviceName: "CoffeeLake-S GT2 [UHD Graphics 630]"},
		{Address: "0000:00:14.0", Class: 0x0c0330, Vendor: intel, Device: 0xa36d, SubVendor: msi, SubDevice: 0x7b98, Group: 3, VendorName: "Intel Corporation", DeviceName: "Cannon Lake PCH USB 3.1 xHCI Host Controller"},
		{Address: "0000:00:14.2", Class: 0x050000, Vendor: intel, Device: 0xa36f, SubVendor: msi, SubDevice: 0x7b98, Group: 3, VendorName: "Intel Corporation", DeviceName: "Cannon Lake PCH Shared SRAM"},
		{Address: "0000:00:17.0", Class: 0x010601, Vendor: intel, Device: 0xa352, SubVendor: msi, SubDevice: 0x7b98, Group: 4, HostUses: true, VendorName: "Intel Corporation", DeviceName: "Cannon Lake PCH SATA AHCI Controller"},
		{Address: "0000:00:1d.0", Class: 0x060400, Vendor: intel, Device: 0xa330, SubVendor: msi, SubDevice: 0x7b98, Group: 5, VendorName: "Intel Corporation", DeviceName: "Cannon Lake PCH PCI Express Root Port #9"},
		{Address: "0000:00:1f.0", Class: 0x060100, Vendor: intel, Device: 0xa305, SubVendor: msi, SubDevice: 0x7b98, Group: 6, VendorName: "Intel Corporation", DeviceName: "Z390 Chipset LPC/eSPI Controller"},
		{Address: "0000:00:1f.3", Class: 0x040300, Vendor: intel, Device: 0xa348, SubVendor: msi, SubDevice: 0xfb98, Group: 6, VendorName: "Intel Corporation", DeviceName: "Cannon Lake PCH cAVS"},
		{Address: "0000:00:1f.4", Class: 0x0c0500, Vendor: intel, Device: 0xa323, SubVendor: msi, SubDevice: 0x7b98, Group: 6, VendorName: "Intel Corporation", DeviceName: "Cannon Lake PCH SMBus Controller"},
		{Address: "0000:00:1f.6", Class: 0x020000, Vendor: intel, Device: 0x15bc, SubVendor: msi, SubDevice: 0x7b98, Group: 6, HostUses: true, VendorName: "Intel Corporation", DeviceName: "Ethernet Connection (7) I219-V"},
		{Address: "0000:01:00.0", Class: 0x030000, Vendor: nvidia, Device: 0x2c05, SubVendor: msi, SubDevice: 0x5315, Group: 12, VendorName: "NVIDIA Corporation", DeviceName: "GB203 [GeForce RTX 5070 Ti]"},
		{Address: "0000:01:00.1", Class: 0x040300, Vendor: nvidia, Device: 0x22e9, SubVendor: msi, SubDevice: 0x5315, Group: 12, VendorName: "NVIDIA Corporation", DeviceName: "GB203 High Definition Audio Controller"},
		{Address: "0000:02:00.0", Class: 0x010802, Vendor: 0x126f, Device: 0x2262, SubVendor: 0x126f, SubDevice: 0x2262, Group: 13, HostUses: true, VendorName: "Silicon Motion, Inc.", DeviceName: "SM2262/SM2262EN SSD Controller"},
	}
	for i, f := range functions {
		functions[i].SubVendorName = map[int]string{msi: "Micro-Star International Co., Ltd. [MSI]", 0x126f: "Silicon Motion, Inc."}[f.SubVendor]
	}
	return functions
}

func referenceDisks() []Disk {
	hdd := func(letter, model, serial string, size int64) Disk {
		path := "/dev/sd" + letter
		return Disk{Path: path, Model: model, Serial: serial, Size: size, Type: "hdd", RPM: 5400, Wearout: -1, Health: "PASSED",
			Used: "ZFS", ByID: "/dev/disk/by-id/ata-" + model + "_" + serial,
			Partitions: []Partition{{Path: path + "1", Size: size - 10<<20, Used: "ZFS"}}}
	}
	return []Disk{
		{Path: "/dev/nvme0n1", Model: "HP SSD EX920 1TB", Serial: "HBSE28350400427", Size: 1_024_209_543_168, Type: "nvme", Wearout: 93,
			Health: "PASSED", Used: "BIOS boot", ByID: "/dev/disk/by-id/nvme-HP_SSD_EX920_1TB_HBSE28350400427",
			Partitions: []Partition{
				{Path: "/dev/nvme0n1p1", Size: 1031168, Used: "BIOS boot"},
				{Path: "/dev/nvme0n1p2", Size: gib, Used: "EFI", Mounted: true},
				{Path: "/dev/nvme0n1p3", Size: 1_023_134_000_000, Used: "LVM"},
			}},
		{Path: "/dev/sda", Model: "PNY_250GB_SATA_SSD", Serial: "PNY20220600123", Size: 250 * gb, Type: "ssd", Wearout: 88,
			Health: "PASSED", Used: "LVM", ByID: "/dev/disk/by-id/ata-PNY_250GB_SATA_SSD_PNY20220600123",
			Partitions: []Partition{{Path: "/dev/sda1", Size: 250*gb - 2<<20, Used: "LVM"}}},
		hdd("b", "WDC_WD40EFRX-68N32N0", "WD-WCC7K1AAAAAA", 4000*gb),
		hdd("c", "WDC_WD40EFRX-68N32N0", "WD-WCC7K1BBBBBB", 4000*gb),
		hdd("d", "ST2000DM008-2FR102", "ZFL1AAAA", 2000*gb),
		hdd("e", "ST2000DM008-2FR102", "ZFL1BBBB", 2000*gb),
	}
}

func referenceStorages() []Storage {
	iso := func(name string, size int64) Volume { return Volume{Name: "iso/" + name, Size: size, Format: "iso"} }
	return []Storage{
		{Name: "local", Type: "dir", Content: "backup,import,iso,snippets,vztmpl", Total: 100_861_726_720, Used: 25_261_726_720,
			Config: map[string]string{"path": "/var/lib/vz"},
			Volumes: []Volume{iso("Win11_25H2_English_x64.iso", 7_736_125_440), iso("virtio-win-0.1.285.iso", 790_000_640),
				iso("ubuntu-24.04.3-live-server-amd64.iso", 3_303_444_480),
				{Name: "import/ubuntu-24.04-server-cloudimg-amd64.qcow2", Size: 3_758_096_384, Format: "qcow2"},
				{Name: "import/opencore-osx-proxmox-vm.raw", Size: 150 << 20, Format: "raw"},
				{Name: "import/recovery-sequoia.raw", Size: 1400 << 20, Format: "raw"}}},
		{Name: "local-lvm", Type: "lvmthin", Content: "rootdir,images", Total: 876_173_328_384, Used: 61_332_132_986,
			Config: map[string]string{"vgname": "pve", "thinpool": "data"}},
		{Name: "service-pool", Type: "lvmthin", Content: "rootdir,images", Total: 245_000_000_512, Used: 2_450_000_005,
			Config: map[string]string{"vgname": "service", "thinpool": "service"}},
		{Name: "media-pool", Type: "zfspool", Content: "rootdir,images", Total: 5_900_000_000_000, Used: 1_200_013_862_502,
			Config: map[string]string{"pool": "media", "sparse": "1", "mountpoint": "/media"}},
	}
}
