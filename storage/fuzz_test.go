package storage_test

import (
	"testing"
	"testing/fstest"

	"github.com/proxstation/proxstation/storage"
)

// FuzzRead reads a stack of disk, volume group, volume and mount whose files
// hold arbitrary text. The facts are joined and judged. Every finding must have
// evidence.
func FuzzRead(f *testing.F) {
	f.Add("30 1 252:1 / / rw - ext4 /dev/mapper/pve-root rw", "pve-root", "LVM-abc", "488397168",
		"E:ID_FS_TYPE=zfs_member\nE:ID_FS_LABEL=rpool\n", "dir: local\n\tpath /var/lib/vz\n")
	f.Add("24 1 0:23 / / rw - zfs rpool/ROOT/pve-1 rw", "pve-data-tpool", "LVM-x-tpool", "-1", "S:disk/by-id/a\n", "zfspool: a\n\tpool rpool/data\n")
	f.Fuzz(func(t *testing.T, mounts, volume, uuid, size, udev, config string) {
		file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
		facts, err := storage.Read(fstest.MapFS{
			"sys/block/sda/size": file(size), "sys/block/sda/dev": file("8:0"), "sys/block/sda/queue/rotational": file(size),
			"sys/block/dm-1/dm/name": file(volume), "sys/block/dm-1/dm/uuid": file(uuid), "sys/block/dm-1/dev": file("252:1"),
			"sys/block/dm-1/slaves/sda": file(""), "sys/block/dm-1/slaves/dm-1": file(""),
			"run/udev/data/b8:0": file(udev), "proc/self/mountinfo": file(mounts), "etc/pve/storage.cfg": file(config),
		})
		if err != nil {
			t.Fatal(err)
		}
		pools := storage.Join(facts, nil)
		for _, finding := range append(storage.Check(pools), facts.Unknown...) {
			if finding.ID == "" || finding.Seen == "" {
				t.Errorf("%+v", finding)
			}
		}
	})
}
