package storage_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/storage"
)

func read(t *testing.T, root fs.FS) storage.Facts {
	t.Helper()
	facts, err := storage.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func TestReadOfNoMachine(t *testing.T) {
	t.Parallel()
	if _, err := storage.Read(fstest.MapFS{"README": {}}); !errors.Is(err, storage.ErrNothing) {
		t.Errorf("%v, want ErrNothing", err)
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	tree, err := hosttree.Load("reference",
		"file etc/pve/storage.cfg", "| dir: local", "| \tpath /var/lib/vz", "| \tcontent iso,backup", "|", "| lvmthin: local-lvm",
		"| \tthinpool data", "| \tvgname pve", "| \tcontent images,rootdir", "|", "| nfs: old", "| \tserver 10.0.0.9", "| \tdisable",
		"file proc/self/mountinfo", `| 26 1 252:1 / / rw,relatime shared:1 - ext4 /dev/mapper/pve-root rw`,
		`| 40 26 8:17 / /mnt/pve/my\040media rw shared:2 - xfs /dev/sdb1 rw`, "| garbage")
	if err != nil {
		t.Fatal(err)
	}
	facts := read(t, tree)
	var disks []string
	for _, d := range facts.Disks {
		tier, _ := d.Tier()
		disks = append(disks, d.Name()+":"+tier.String())
	}
	if got := strings.Join(disks, " "); got != "nvme0n1:1 sda:2 sdb:3 sdc:3 sdd:3" {
		t.Errorf("disks %s", got)
	}
	if nvme := facts.Disks[0]; nvme.Model != "HP SSD EX920 512GB" || nvme.Size != 976773168*512 || nvme.Serial == "" || len(nvme.Partitions) != 3 {
		t.Errorf("the NVMe is %+v", nvme)
	}
	var tiers []string
	for _, p := range storage.Join(facts, nil) {
		tiers = append(tiers, p.Name+":"+p.Tier.String())
	}
	if got := strings.Join(tiers, " "); got != "local:1 local-lvm:1" {
		t.Errorf("storages %s", got)
	}
	if !slices.ContainsFunc(facts.Mounts, func(m storage.Mount) bool { return m.Path == "/mnt/pve/my media" }) {
		t.Errorf("mounts %v", facts.Mounts)
	}
	if len(facts.ThinPools) == 0 || facts.ThinPools[0].Name != "data" || facts.ThinPools[0].Group != "pve" {
		t.Errorf("thin pools %+v", facts.ThinPools)
	}
}

// Read finds the disks below a mount, through all layers in between.
func TestReadFollowsStacks(t *testing.T) {
	t.Parallel()
	tree, err := hosttree.Load("reference",
		"block md0 slaves=sdb,sdc size=1024", "block dm-7 slaves=md0 dm/name=luks-x dm/uuid=CRYPT-LUKS2-1 size=1024",
		"file proc/self/mountinfo", "| 26 1 0:1 / / rw - zfs rpool/ROOT/pve-1 rw", "| 40 26 252:7 / /mnt/secret rw - ext4 /dev/mapper/luks-x rw",
		"| 41 26 0:40 / /mnt/two rw - btrfs /dev/sda1 rw", "| 42 26 0:41 / /mnt/nas rw - nfs4 10.0.0.9:/x rw", "| 43 26 0:42 / /mnt/bad rw - ext4 /dev/sdz1 rw",
		"file sys/fs/btrfs/0b5c/devices/sda1", "| ", "file sys/fs/btrfs/0b5c/devices/sdd1", "| ", "file sys/fs/btrfs/features/raid56", "| 0",
		"file run/udev/data/b8:0", "| S:disk/by-path/x", "| S:disk/by-id/wwn-0x5000", "| S:disk/by-id/ata-PNY_1", "| E:ID_SERIAL_SHORT=PNY1", "| I:1", "| ",
		"file run/udev/data/b259:0", "| S:disk/by-id/nvme-eui.0025", "file run/udev/data/b8:16", "| E:ID_ATA_ROTATION_RATE_RPM=5400",
		"file run/udev/data/b259:3", "| E:ID_FS_TYPE=zfs_member", "| E:ID_FS_LABEL=rpool", "file run/udev/data/b8:49", "| E:ID_FS_TYPE=zfs_member", "| E:ID_FS_LABEL=rpool",
		"file run/udev/data/b8:33", "| E:ID_FS_TYPE=ext4", "| E:ID_FS_LABEL=rpool",
		"file etc/pve/storage.cfg", "| dir: secret", "| \tpath /mnt/secret/pve", "| btrfs: two", "| \tpath /mnt/two", "| dir: nas", "| \tpath /mnt/nas",
		"| dir: bad", "| \tpath /mnt/bad", "| zfspool: tank", "| \tpool rpool/data", "| dir: local", "| \tpath /var/lib/vz")
	if err != nil {
		t.Fatal(err)
	}
	facts := read(t, tree)
	want := map[string]struct {
		tier  storage.Tier
		disks string
	}{
		"secret": {storage.Tier3, "sdb sdc"}, "two": {storage.Tier3, "sda sdd"}, "nas": {}, "bad": {},
		"local": {storage.Tier3, "nvme0n1 sdd"}, "tank": {storage.Tier3, "nvme0n1 sdd"},
	}
	for _, p := range storage.Join(facts, nil) {
		var names []string
		for _, d := range p.Disks {
			names = append(names, d.Name())
		}
		if got := strings.Join(names, " "); got != want[p.Name].disks || p.Tier != want[p.Name].tier {
			t.Errorf("%s is on %q, tier %s (%s), want %+v", p.Name, got, p.Tier, p.Why, want[p.Name])
		}
	}
	ids := map[string]string{}
	for _, d := range facts.Disks {
		ids[d.Name()] = d.ByID
		if (d.Name() == "sdb") != (d.RPM != nil && *d.RPM == 5400) || d.Name() == "sda" && d.Serial != "PNY1" {
			t.Errorf("udev's record is not in %+v", d)
		}
	}
	if ids["sda"] != "/dev/disk/by-id/ata-PNY_1" || ids["nvme0n1"] != "/dev/disk/by-id/nvme-eui.0025" || ids["sdb"] != "" {
		t.Errorf("links %v", ids)
	}
}

func TestDisksOfTheNetwork(t *testing.T) {
	t.Parallel()
	tree := fstest.MapFS{
		"sys/block/sdx": {Mode: fs.ModeSymlink, Data: []byte("../devices/platform/host6/session1/target6:0:0/6:0:0:1/block/sdx")},
		"sys/devices/platform/host6/session1/target6:0:0/6:0:0:1/block/sdx/queue/rotational": {Data: []byte("0\n")},
	}
	disks := read(t, tree).Disks
	if len(disks) != 1 || disks[0].Bus != storage.Network {
		t.Fatalf("disks %+v", disks)
	}
	if tier, why := disks[0].Tier(); tier != storage.TierUnknown || !strings.Contains(why, "network") {
		t.Errorf("tier %s: %s", tier, why)
	}
}

// The type "denied" is a file system in which every file exists but no file can
// be read.
type denied struct{}

func (denied) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

func TestReadSaysWhatItCouldNotRead(t *testing.T) {
	t.Parallel()
	for name, root := range map[string]fs.FS{
		"empty":  fstest.MapFS{"etc/hostname": {Data: []byte("pve\n")}},
		"denied": denied{},
	} {
		facts := read(t, root)
		if len(facts.Disks) != 0 || len(facts.Unknown) < 2 {
			t.Errorf("%s: %d disks, unknown %v", name, len(facts.Disks), facts.Unknown)
		}
		for _, f := range facts.Unknown {
			if f.Seen == "" || f.Why == "" || f.Fix == "" {
				t.Errorf("%s: %+v lacks a part", name, f)
			}
		}
	}
}

func TestParseConfig(t *testing.T) {
	t.Parallel()
	got := storage.ParseConfig("# comment\nzfspool: tank\n\tpool rpool/data\n\tsparse\n\tcontent images, rootdir\n\nnfs: nas\n\tserver 10.0.0.2\n\tshared 1\n" +
		"dir: off\n\tpath /x\n\tdisable 1\ngarbage\n  stray value\n: \nLVM: vg\n\tvgname my-vg\n" +
		"zfspool: a\n\tpool a\n\tsparse Yes\n\tdisable no\n\tcontent images;iso backup\n\tnodes one, two\n" +
		"dir: usb\n\tpath /mnt/usb\n\tis_mountpoint /mnt\n")
	want := []storage.Storage{
		{Name: "tank", Type: "zfspool", ZPool: "rpool/data", Sparse: true, Active: true, Content: []string{"images", "rootdir"}},
		{Name: "nas", Type: "nfs", Server: "10.0.0.2", Shared: true, Active: true, Content: []string{"images"}},
		{Name: "vg", Type: "lvm", Group: "my-vg", Active: true, Content: []string{"images"}},
		{Name: "a", Type: "zfspool", ZPool: "a", Sparse: true, Active: true, Content: []string{"images", "iso", "backup"}, Nodes: []string{"one", "two"}},
		{Name: "usb", Type: "dir", Path: "/mnt/usb", MountPoint: "/mnt", Active: true, Content: []string{"images", "rootdir"}},
	}
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// A storage that is only for other nodes is left out. A storage that is not
// mounted is inactive.
func TestStoragesThatAreNotHere(t *testing.T) {
	t.Parallel()
	tree, err := hosttree.Load("reference", `file etc/hostname "pve.lan\n"`,
		`file etc/pve/storage.cfg "dir: here\n\tpath /\n\tnodes pve,other\n\ndir: there\n\tpath /\n\tnodes other\n\ndir: usb\n\tpath /mnt/pve/usb\n\tis_mountpoint 1\n\ndir: root\n\tpath /\n\tis_mountpoint yes\n"`)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range storage.Join(read(t, tree), nil) {
		got = append(got, fmt.Sprint(p.Name, " ", p.Active, " ", p.Tier, " ", len(p.Disks) > 0))
	}
	if want := "here true 1 true, usb false unknown false, root true 1 true, local true 1 true"; strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add("dir: local\n\tpath /var/lib/vz\n\tcontent iso,backup\n")
	f.Add("lvmthin: a\n\tdisable\n: x\n\t")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range storage.ParseConfig(text) {
			if s.Name == "" || strings.TrimSpace(s.Name) != s.Name {
				t.Errorf("%q gives a storage named %q", text, s.Name)
			}
		}
	})
}

func ExampleParseConfig() {
	for _, s := range storage.ParseConfig("lvmthin: local-lvm\n\tvgname pve\n\tthinpool data\n\tcontent images\n") {
		fmt.Println(s.Name, s.Type, s.Group, s.ThinPool, s.Content)
	}
	// Output: local-lvm lvmthin pve data [images]
}

// This prints the tier of each storage on a host, from the host's files.
func ExampleRead() {
	tree, err := hosttree.Load("reference")
	if err != nil {
		fmt.Println(err)
		return
	}
	facts, err := storage.Read(tree) // on a real machine, call storage.Read(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, pool := range storage.Join(facts, nil) {
		fmt.Println(pool.Tier, pool.Name)
	}
	// Output:
	// 1 local
	// 1 local-lvm
	// 2 service-pool
	// 3 media-pool
}
