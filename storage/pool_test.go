package storage_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/storage"
)

func yes() *bool { b := true; return &b }
func no() *bool  { b := false; return &b }

func TestDiskTier(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		disk storage.Disk
		want storage.Tier
		says string
	}{
		{"NVMe", storage.Disk{Bus: storage.NVMe, Rotates: no()}, storage.Tier1, "NVMe"},
		{"NVMe of the vendor's name", storage.Disk{Bus: storage.NVMe, WWN: "eui.10000101b1600341"}, storage.Tier1, "NVMe"},
		{"NVMe over a network", storage.Disk{Bus: storage.NVMe, WWN: "uuid.839747c2-efb9-4c47-a98e-800c72a3e8f3"}, storage.TierUnknown, "over a network"},
		{"SATA SSD", storage.Disk{Bus: storage.SATA, Rotates: no()}, storage.Tier2, "SATA"},
		{"SAS SSD", storage.Disk{Bus: storage.SAS, Rotates: no()}, storage.Tier2, "SAS"},
		{"SSD of the API, whose bus is not told", storage.Disk{Rotates: no()}, storage.Tier2, "does not rotate"},
		{"hard disk", storage.Disk{Bus: storage.SATA, Rotates: yes()}, storage.Tier3, "rotates"},
		{"virtio says that it rotates", storage.Disk{Bus: storage.Virtio, Rotates: yes()}, storage.TierUnknown, "virtio"},
		{"a USB bridge calls an SSD a hard disk", storage.Disk{Bus: storage.USB, Rotates: yes()}, storage.TierUnknown, "USB"},
		{"RAID", storage.Disk{Bus: storage.RAID, Rotates: no()}, storage.TierUnknown, "RAID"},
		{"MMC", storage.Disk{Bus: storage.MMC, Rotates: no()}, storage.TierUnknown, "MMC"},
		{"nothing known", storage.Disk{}, storage.TierUnknown, "not known whether it rotates"},
	}
	for _, test := range tests {
		tier, why := test.disk.Tier()
		if tier != test.want || !strings.Contains(why, test.says) {
			t.Errorf("%s: tier %s (%s), want %s and %q", test.name, tier, why, test.want, test.says)
		}
	}
}

// The function "machine" returns a host with an NVMe, an SSD and three hard
// disks.
func machine() storage.Facts {
	return storage.Facts{
		Disks: []storage.Disk{
			{Path: "/dev/nvme0n1", Bus: storage.NVMe, Rotates: no(), Partitions: []string{"/dev/nvme0n1p1", "/dev/nvme0n1p3"}},
			{Path: "/dev/sda", ByID: "/dev/disk/by-id/ata-SSD_1", Bus: storage.SATA, Rotates: no()},
			{Path: "/dev/sdb", ByID: "/dev/disk/by-id/ata-HDD_1", Bus: storage.SATA, Rotates: yes()},
			{Path: "/dev/sdc", Bus: storage.SATA, Rotates: yes()},
			{Path: "/dev/sdaa", Bus: storage.SATA, Rotates: yes()},
		},
		Groups: []storage.VolumeGroup{
			{Name: "pve", Devices: []string{"/dev/nvme0n1p3"}}, {Name: "my-vg", Devices: []string{"/dev/sda1"}},
			{Name: "mixed", Devices: []string{"/dev/sda2", "/dev/sdb1"}}, {Name: "lost", Devices: []string{"/dev/sdz1"}},
			{Name: "half", Devices: []string{"/dev/nvme0n1p1", "/dev/sdz1"}},
		},
		ThinPools: []storage.ThinPool{{Name: "data", Group: "pve", Size: 100 * storage.GiB}},
		ZPools: []storage.ZPool{
			{Name: "tank", Devices: []storage.ZDevice{{Path: "/dev/disk/by-id/ata-HDD_1-part1", Role: "data"}, {Path: "/dev/sdc1", Role: "data"},
				{Path: "/dev/nvme0n1p1", Role: "special"}, {Path: "/dev/sda3", Role: "cache"}}},
		},
		Mounts: []storage.Mount{{Path: "/", Devices: []string{"/dev/mapper/pve-root"}, Type: "ext4"},
			{Path: "/mnt/pve/media", Devices: []string{"/dev/sdc2"}, Type: "xfs"}, {Path: "/srv", Devices: []string{"/dev/mapper/my--vg-srv"}, Type: "ext4"},
			{Path: "/mnt/b", Devices: []string{"/dev/sda4", "/dev/sdaa1"}, Type: "btrfs"}},
	}
}

func TestJoin(t *testing.T) {
	t.Parallel()
	tests := []struct {
		storage storage.Storage
		tier    storage.Tier
		disks   string
		says    string
	}{
		{storage.Storage{Name: "local-lvm", Type: "lvmthin", Group: "pve", ThinPool: "data"}, storage.Tier1, "nvme0n1", "thin pool pve/data on volume group pve on /dev/nvme0n1 (NVMe)"},
		{storage.Storage{Name: "lvm", Type: "lvm", Group: "my-vg"}, storage.Tier2, "sda", "volume group my-vg"},
		{storage.Storage{Name: "as slow as its slowest", Type: "lvm", Group: "mixed"}, storage.Tier3, "sda sdb", "(SSD), /dev/sdb (HDD)"},
		{storage.Storage{Name: "special and cache do not promote", Type: "zfspool", ZPool: "tank/vms"}, storage.Tier3, "sdb sdc", "helped by /dev/nvme0n1, /dev/sda"},
		{storage.Storage{Name: "local", Type: "dir", Path: "/var/lib/vz"}, storage.Tier1, "nvme0n1", "directory /var/lib/vz on the ext4 at /"},
		{storage.Storage{Name: "a mount below", Type: "dir", Path: "/mnt/pve/media/images"}, storage.Tier3, "sdc", "xfs at /mnt/pve/media"},
		{storage.Storage{Name: "not a mount below", Type: "dir", Path: "/mnt/pve/media2"}, storage.Tier1, "nvme0n1", "ext4 at /"},
		{storage.Storage{Name: "a group with a hyphen", Type: "dir", Path: "/srv/x"}, storage.Tier2, "sda", "/srv"},
		{storage.Storage{Name: "btrfs over two", Type: "btrfs", Path: "/mnt/b"}, storage.Tier3, "sda sdaa", "btrfs"},
		{storage.Storage{Name: "a disk that is not known", Type: "lvm", Group: "lost"}, storage.TierUnknown, "", "are not known"},
		{storage.Storage{Name: "one of two not known", Type: "lvm", Group: "half"}, storage.TierUnknown, "nvme0n1", "the disk of /dev/sdz1 is not known"},
		{storage.Storage{Name: "no such group", Type: "lvmthin", Group: "gone", ThinPool: "x"}, storage.TierUnknown, "", "are not known"},
		{storage.Storage{Name: "nas", Type: "nfs", Server: "10.0.0.2"}, storage.TierUnknown, "", "a network storage on NFS 10.0.0.2"},
		{storage.Storage{Name: "share", Type: "cifs", Server: "nas"}, storage.TierUnknown, "", "a network storage on SMB nas"},
		{storage.Storage{Name: "ceph", Type: "rbd"}, storage.TierUnknown, "", "a network storage on Ceph"},
		{storage.Storage{Name: "files", Type: "cephfs"}, storage.TierUnknown, "", "a network storage on CephFS"},
		{storage.Storage{Name: "luns", Type: "iscsi"}, storage.TierUnknown, "", "a network storage on iSCSI"},
		{storage.Storage{Name: "backups", Type: "pbs", Server: "pbs"}, storage.TierUnknown, "", "Proxmox Backup Server"},
		{storage.Storage{Name: "new", Type: "somefs"}, storage.TierUnknown, "", "storage type somefs"},
	}
	facts := machine()
	for _, test := range tests {
		facts.Storages = []storage.Storage{test.storage}
		pool := storage.Join(facts, nil)[0]
		var disks []string
		for _, d := range pool.Disks {
			disks = append(disks, d.Name())
		}
		if pool.Tier != test.tier || strings.Join(disks, " ") != test.disks || !strings.Contains(pool.Why, test.says) {
			t.Errorf("%s: tier %s, disks %v, because %q; want %s, %q, %q", test.storage.Name, pool.Tier, disks, pool.Why, test.tier, test.disks, test.says)
		}
		if over := storage.Join(facts, map[string]storage.Tier{test.storage.Name: storage.Tier2})[0]; over.Tier != storage.Tier2 || !strings.Contains(over.Why, pool.Why) {
			t.Errorf("%s: the caller's tier is %s (%s)", test.storage.Name, over.Tier, over.Why)
		}
	}
}

func ExampleJoin() {
	facts := machine()
	facts.Storages = []storage.Storage{
		{Name: "local-lvm", Type: "lvmthin", Group: "pve", ThinPool: "data"},
		{Name: "media-pool", Type: "zfspool", ZPool: "tank"},
		{Name: "nas", Type: "nfs", Server: "10.0.0.2"},
	}
	for _, pool := range storage.Join(facts, nil) {
		fmt.Printf("tier %s  %s: %s\n", pool.Tier, pool.Name, pool.Why)
	}
	// Output:
	// tier 1  local-lvm: thin pool pve/data on volume group pve on /dev/nvme0n1 (NVMe)
	// tier 3  media-pool: ZFS pool tank on /dev/sdb (HDD), /dev/sdc (HDD); helped by /dev/nvme0n1, /dev/sda, which does not change the tier
	// tier unknown  nas: a network storage on NFS 10.0.0.2
}
