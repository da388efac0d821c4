package pve

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/proxstation/proxstation/storage"
)

// zdevice is a part of a pool's tree in the answer of zfs/{name}.
type zdevice struct {
	Name     string
	Leaf     flag
	Children []zdevice
}

func (c *Client) zpools(ctx context.Context) ([]storage.ZPool, error) {
	var entries []struct{ Name, Health string }
	if err := c.get(ctx, c.here("/disks/zfs"), nil, &entries); err != nil {
		return nil, err
	}
	pools := make([]storage.ZPool, len(entries))
	var group errgroup.Group
	for i, e := range entries {
		group.Go(func() error {
			var tree zdevice
			err := c.get(ctx, c.here("/disks/zfs/%s", url.PathEscape(e.Name)), nil, &tree)
			if err != nil && !errors.Is(err, ErrInvalid) { // PVE's own API refuses a name such as "z"
				return fmt.Errorf("ZFS pool %s: %w", e.Name, err)
			}
			pools[i] = storage.ZPool{Name: e.Name, Health: e.Health, Devices: tree.devices("data")}
			return nil
		})
	}
	return pools, group.Wait()
}

// devices returns the leaves below a part of the tree, each with its class.
func (z zdevice) devices(role string) []storage.ZDevice {
	switch z.Name {
	case "special", "cache", "logs", "spares", "dedup":
		role = z.Name
	}
	if len(z.Children) == 0 && strings.HasPrefix(z.Name, "/") {
		return []storage.ZDevice{{Path: z.Name, Role: role}}
	}
	var devices []storage.ZDevice
	for _, child := range z.Children {
		devices = append(devices, child.devices(role)...)
	}
	return devices
}
