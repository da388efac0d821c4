package pve

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/storage"
)

// Resources holds the cluster's nodes, guests and storages, as the cluster last
// reported them. PVE answers from its memory. It asks neither QEMU nor a
// storage nor another node, so a storage or a node that hangs does not delay
// the answer.
type Resources struct {
	Nodes    []SeenNode
	Guests   []SeenGuest
	Storages []SeenStorage
}

// A SeenNode is a node of the cluster, as the node that answers sees it. Every
// login sees every node (pve-manager PVE/API2/Cluster.pm, resources).
type SeenNode struct {
	Name string
	// Status is "online", "offline" or "unknown". It is offline if corosync
	// does not see the node, and unknown if the node has not reported lately
	// (pve-manager PVE/API2Tools.pm, extract_node_stats).
	Status string
}

// A SeenGuest is a VM or a container of the cluster. Its running state is some
// seconds old. Its high availability is current.
type SeenGuest struct {
	VMID      int
	Name      string
	Node      string
	Container bool
	Running   bool
	HA        string // the state in the HA manager: "started", "ignored"; empty without high availability
}

// A SeenStorage is a storage that is enabled on a node.
type SeenStorage struct {
	Name string
	Node string
	Type string // "lvmthin", "zfspool" ...
	// Available says that the node has used the storage in the last minutes
	// (pve-manager PVE/API2Tools.pm, extract_storage_stats).
	Available bool
}

// Resources returns the nodes of the whole cluster, and the guests and storages
// that the caller may see. It needs VM.Audit on guests and Datastore.Audit on
// storages.
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
			r.Storages = append(r.Storages, SeenStorage{Name: e.Storage, Node: e.Node, Type: e.PluginType, Available: e.Status == "available"})
		case "node":
			r.Nodes = append(r.Nodes, SeenNode{Name: e.Node, Status: e.Status})
		}
	}
	return r, nil
}

// LookAtStorage returns nil if a storage can be used. It makes PVE activate and
// list only this storage. It needs Datastore.Audit on the storage.
func (c *Client) LookAtStorage(ctx context.Context, name string) error {
	return c.get(ctx, c.here("/storage/%s/content", url.PathEscape(name)), url.Values{"content": {"images"}}, nil)
}

// Ports returns the network interfaces that connect the node to the network.
// These are the ports of its bridges and bonds, and cards with their own
// address. Other names of an interface are included. Ports needs Sys.Audit on
// the node.
func (c *Client) Ports(ctx context.Context) ([]string, error) {
	var entries []struct {
		Iface, Type, Address string
		BridgePorts          string `json:"bridge_ports"`
		Slaves               string
		OVSPorts             string `json:"ovs_ports"`
		OVSBonds             string `json:"ovs_bonds"`
		AltNames             []string
	}
	if err := c.get(ctx, c.here("/network"), nil, &entries); err != nil {
		return nil, err
	}
	var ports []string
	other := map[string][]string{}
	for _, e := range entries {
		other[e.Iface] = e.AltNames
		ports = append(ports, strings.Fields(e.BridgePorts+" "+e.Slaves+" "+e.OVSPorts+" "+e.OVSBonds)...)
		if e.Type == "eth" && e.Address != "" {
			ports = append(ports, e.Iface)
		}
	}
	for _, name := range slices.Clone(ports) {
		ports = append(ports, other[name]...)
	}
	return ports, nil
}

// Disks returns the disks of the node without SMART data, so that PVE need not
// query the disks. It needs Sys.Audit on /.
func (c *Client) Disks(ctx context.Context) ([]storage.Disk, error) {
	disks, _, err := c.disks(ctx, true)
	return disks, err
}
