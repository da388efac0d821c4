package pvetest

import (
	"fmt"
	"maps"
	"time"
)

// A broadcast holds the data that a node last sent to the other nodes: figures
// of the node itself, of its guests and of its storages, and its recent tasks
// (pve-manager PVE/Service/pvestatd.pm; pve-cluster src/pmxcfs/status.c).
type broadcast struct {
	at       time.Time
	node     map[string]any
	guests   map[int]map[string]any
	storages map[string]map[string]any
	tasks    []map[string]any
}

// broadcastLife is the time after which pmxcfs forgets the data of a node
// (rrd_entry_is_old of src/pmxcfs/status.c).
const broadcastLife = 5 * time.Minute

// The method "remember" stores the data that each node now sends to the others.
// If a node cannot reach all other nodes that are up, the data that it sent
// before stays. remember is called before nodes become unreachable.
func (d *datacenter) remember() {
	for _, n := range d.peers {
		heard := true
		for _, other := range d.peers {
			heard = heard && (other.down || n.sees(other))
		}
		if !heard {
			continue
		}
		b := &broadcast{at: n.now, node: n.nodeResource(), guests: map[int]map[string]any{}, storages: map[string]map[string]any{}, tasks: n.recentTasks()}
		for id := range n.guests() {
			b.guests[id] = n.guestResource(id)
		}
		for name, s := range n.storages {
			b.storages[name] = n.storageResource(s)
		}
		n.last = b
	}
}

// The method "heard" returns the data that this node last received from another
// node. If the data is too old, it returns nil.
func (n *Node) heard(from *Node) *broadcast {
	if from.last == nil || n.now.Sub(from.last.at) > broadcastLife {
		return nil
	}
	return from.last
}

// guestStats returns the entry of a guest in the cluster's list. The guest may
// be on any node. If the guest's node is out of reach, the entry first has the
// last known status, and later the status "unknown" (pve-manager
// PVE/API2Tools.pm, extract_vm_stats).
func (n *Node) guestStats(of *Node, id int) map[string]any {
	if n.sees(of) {
		return of.guestResource(id)
	}
	if last := n.heard(of); last != nil && last.guests[id] != nil {
		return maps.Clone(last.guests[id])
	}
	kind := "qemu"
	if of.vms[id] == nil {
		kind = "lxc"
	}
	return map[string]any{"id": fmt.Sprintf("%s/%d", kind, id), "vmid": id, "node": of.host.Name, "type": kind, "status": "unknown"}
}

// anyGuest returns the entry of a guest in the cluster's list, or nil if no
// node has the guest.
func (n *Node) anyGuest(id int) map[string]any {
	if of, _ := n.ownerOf(id); of != nil {
		return n.guestStats(of, id)
	}
	return nil
}

// nodeStats returns the entry of a node in the cluster's list. The entry has no
// figures if the caller lacks Sys.Audit on the node (extract_node_stats).
func (n *Node) nodeStats(c *call, of *Node) map[string]any {
	entry := map[string]any{"id": "node/" + of.host.Name, "node": of.host.Name, "type": "node", "status": "offline"}
	if n.sees(of) {
		entry = of.nodeResource()
	} else if last := n.heard(of); last != nil {
		for _, key := range []string{"level", "maxcpu", "maxmem", "maxdisk"} {
			entry[key] = last.node[key]
		}
	}
	if !c.who.may("/nodes/"+of.host.Name, "Sys.Audit") {
		for _, key := range []string{"uptime", "cpu", "mem", "disk", "maxcpu", "maxmem", "maxdisk"} {
			delete(entry, key)
		}
	}
	return entry
}

// storageStats returns the entry of a node's storage in the cluster's list
// (extract_storage_stats).
func (n *Node) storageStats(of *Node, s *storage) map[string]any {
	if n.sees(of) {
		return of.storageResource(s)
	}
	if last := n.heard(of); last != nil && last.storages[s.Name] != nil {
		return maps.Clone(last.storages[s.Name])
	}
	return s.unknownResource()
}
