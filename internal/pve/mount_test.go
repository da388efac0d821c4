package pve

import (
	"testing"

	"github.com/proxstation/proxstation/storage"
)

func TestLocate(t *testing.T) {
	t.Parallel()
	const path = "/mnt/pve/media"
	media := []storage.Storage{{Name: "media", Path: path, Total: 98 * storage.GiB}}
	root := fileSystem{"/dev/sda2", "ext4", 400 * storage.GiB}
	tests := map[string]struct {
		device   string
		storages []storage.Storage
		systems  []fileSystem
		want     string
	}{
		"the only one of its size":     {"/dev/disk/by-uuid/1", media, []fileSystem{root, {"/dev/sdb1", "ext4", 100 * storage.GiB}}, "/dev/sdb1"},
		"another type":                 {"/dev/disk/by-uuid/1", media, []fileSystem{root, {"/dev/sdb1", "xfs", 100 * storage.GiB}}, "/dev/disk/by-uuid/1"},
		"two fit":                      {"/dev/disk/by-uuid/1", media, []fileSystem{{"/dev/sdb1", "ext4", 100 * storage.GiB}, {"/dev/sdc1", "ext4", 99 * storage.GiB}}, "/dev/disk/by-uuid/1"},
		"larger than the device":       {"/dev/disk/by-uuid/1", media, []fileSystem{{"/dev/sdb1", "ext4", 97 * storage.GiB}}, "/dev/disk/by-uuid/1"},
		"PVE knows no storage on it":   {"/dev/disk/by-uuid/1", nil, []fileSystem{root}, "/dev/disk/by-uuid/1"},
		"PVE names the device":         {"/dev/sdb1", media, []fileSystem{{"/dev/sdc1", "ext4", 100 * storage.GiB}}, "/dev/sdb1"},
		"a whole disk without a table": {"/dev/disk/by-uuid/1", media, []fileSystem{{"/dev/sdb", "ext4", 100 * storage.GiB}}, "/dev/sdb"},
	}
	for name, test := range tests {
		mounts := []storage.Mount{{Path: path, Type: "ext4", Devices: []string{test.device}}}
		locate(mounts, test.storages, test.systems)
		if m := mounts[0]; m.Devices[0] != test.want || (m.How != "") != (test.want != test.device) {
			t.Errorf("%s: %+v, want %s", name, m, test.want)
		}
	}
}
