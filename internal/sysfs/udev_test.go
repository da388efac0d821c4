package sysfs_test

import (
	"slices"
	"testing"
	"testing/fstest"

	"github.com/proxstation/proxstation/internal/sysfs"
)

func TestUdevBlock(t *testing.T) {
	t.Parallel()
	run := fstest.MapFS{
		"udev/data/b8:3": file("S:disk/by-id/ata-A-part3\nS:disk/by-label/rpool\nI:1234\nE:ID_FS_TYPE=zfs_member\nE:ID_FS_LABEL=rpool\nE:X=a=b\nG:systemd\n"),
		"udev/data/b8:1": file("E:ID_FS_TYPE=ext4\nE:ID_FS_LABEL=rpool\n"),
		"udev/data/b8:2": file("E\nS\nE:ID_FS_TYPE=zfs_member"),
		"udev/data/b":    file("E:ID_FS_TYPE=zfs_member\nE:ID_FS_LABEL=rpool\n"),
	}
	got, ok := sysfs.UdevBlock(run, "8:3")
	if !ok || !slices.Equal(got.Links, []string{"/dev/disk/by-id/ata-A-part3", "/dev/disk/by-label/rpool"}) || got.Properties["X"] != "a=b" {
		t.Errorf("%+v, %v", got, ok)
	}
	for number, want := range map[string]string{"8:3": "rpool", "8:1": "", "8:2": "", "8:9": "", "": ""} {
		record, ok := sysfs.UdevBlock(run, number)
		if record.ZPool() != want || ok != (number != "" && number != "8:9") {
			t.Errorf("%q is in pool %q, want %q; there: %v", number, record.ZPool(), want, ok)
		}
	}
}
