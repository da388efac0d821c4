package pve

import (
	"context"
	"strings"

	"github.com/proxstation/proxstation/storage"
)

// A fileSystem is a disk or partition with a mounted file system on it.
type fileSystem struct {
	device, kind string
	size         storage.Size
}

// mounts returns the file systems that PVE mounts with its own systemd units.
// The API does not report other file systems, such as the root file system.
func (c *Client) mounts(ctx context.Context) ([]storage.Mount, error) {
	var entries []struct{ Path, Device, Type string }
	err := c.get(ctx, c.here("/disks/directory"), nil, &entries)
	var mounts []storage.Mount
	for _, e := range entries {
		mounts = append(mounts, storage.Mount{Path: e.Path, Devices: []string{e.Device}, Type: e.Type})
	}
	return mounts, err
}

// locate replaces the UUID in a mount by the path of a device. PVE mounts its
// own file systems by UUID (pve-storage PVE/API2/Disks/Directory.pm), but its
// list of disks has no UUIDs. So locate looks for a mounted file system that
// has the mount's type and is a little larger than the storage on it. If
// several file systems fit, the mount keeps its UUID.
func locate(mounts []storage.Mount, storages []storage.Storage, systems []fileSystem) {
	for i, m := range mounts {
		if !strings.HasPrefix(m.Devices[0], "/dev/disk/by-uuid/") {
			continue
		}
		var total storage.Size
		for _, s := range storages {
			if s.Path == m.Path {
				total = s.Total
			}
		}
		var fitting []string
		for _, s := range systems {
			if s.kind == m.Type && total <= s.size && total >= s.size-s.size/8 {
				fitting = append(fitting, s.device)
			}
		}
		if len(fitting) == 1 {
			mounts[i].Devices, mounts[i].How = fitting, "by its type and size"
		}
	}
}
