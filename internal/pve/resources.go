package pve

import (
	"context"
	"net/url"
)

// Resources are the cluster's guests and this node's storages, as the cluster
// last heard of them. PVE answers from its memory: neither QEMU nor a storage
// is asked, so that a storage that hangs does not hold up the answer.
type Resources struct {
	Guests   []SeenGuest
	Storages []SeenStorage
}

// A SeenGuest is a VM or a container of the cluster. Whether it runs is some
// seconds old; its high availability is not.
type SeenGuest struct {
	VMID      int
	Name      string
	Node      string
	Container bool
	Running   bool
	HA        string // the state that the HA manager knows: "started", "ignored"; empty for none
}

// A SeenStorage is a storage that is enabled on this node.
type SeenStorage struct {
	Name string
	Type string // "lvmthin", "zfspool" ...
	// Available says that the node has used the storage in the last minutes
	// (pve-manager PVE/API2Tools.pm, extract_storage_stats).
	Available bool
}

// Resources reads the guests and storages that the caller may see. It needs
// VM.Audit on guests and Datastore.Audit on storages.
func (c *Client) Resources(ctx context.Context) (Resources, error) {
	var entries []struct {
		VMID                                       number
		Type, Name, Node, Status, HAState, Storage string
		PluginType                                 string
	}
	if err := c.get(ctx, "/cluster/resources", nil, &entries); err != nil {
		return Resources{}, err
	}
	var r Resources
	for _, e := range entries {
		switch e.Type {
		case "qemu", "lxc":
			r.Guests = append(r.Guests, SeenGuest{VMID: int(e.VMID.value), Name: e.Name, Node: e.Node, Container: e.Type == "lxc", Running: e.Status == "running", HA: e.HAState})
		case "storage":
			if e.Node == c.node {
				r.Storages = append(r.Storages, SeenStorage{Name: e.Storage, Type: e.PluginType, Available: e.Status == "available"})
			}
		}
	}
	return r, nil
}

// LookAtStorage returns nil if a storage can be used. PVE activates and lists
// this storage and no other. It needs Datastore.Audit on the storage.
func (c *Client) LookAtStorage(ctx context.Context, name string) error {
	return c.get(ctx, c.here("/storage/%s/content", url.PathEscape(name)), url.Values{"content": {"images"}}, nil)
}
