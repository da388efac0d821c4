package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/workstation"
)

// A Recovery says what happens to a VM under high availability when its node is
// lost.
type Recovery struct {
	VMID int
	Name string
	Home string // the node that would be lost
	// Nodes holds the other nodes of the cluster, by name.
	Nodes []RecoveryNode
}

// A RecoveryNode is a node to which a VM could be recovered.
type RecoveryNode struct {
	Node string
	// Allowed says that the rules allow the node, and that the node is not in
	// maintenance mode. Otherwise Refused holds the reason.
	Allowed bool
	Refused string
	// First says that the HA manager prefers the node. While several such nodes
	// are online, it chooses one of them.
	First bool
	// Able says whether the VM would start on the node with its present
	// configuration. Why says what the node lacks, or why the answer is not
	// known. Notes says which data would be lost.
	Able  proxstation.Answer
	Why   []string
	Notes []string
}

// String describes the recovery, with a line for each node.
func (r Recovery) String() string {
	var b strings.Builder
	b.WriteString(printable.Sprintf("VM %d %s, if node %s is lost:\n", r.VMID, r.Name, r.Home))
	for _, n := range r.Nodes {
		can := map[proxstation.Answer]string{proxstation.Yes: "would start there", proxstation.No: "would not start there", proxstation.Unknown: "not known"}[n.Able]
		switch {
		case !n.Allowed:
			can = "not allowed: " + n.Refused
		case n.First:
			can += ", chosen first"
		}
		b.WriteString(printable.Line(fmt.Sprintf("  %s: %s", n.Node, strings.Join(append(append([]string{can}, n.Why...), n.Notes...), "; "))) + "\n")
	}
	return b.String()
}

// Recovery judges beforehand what happens to a VM when its node is lost: to
// which nodes the rules allow it to go, and whether it would start on them. The
// VM need not be under high availability yet. It is pure. The error matches
// [workstation.ErrNotFound] if no node that was read has the VM, and
// [workstation.ErrUnread] if the VM's configuration was not read.
func (h HA) Recovery(f Facts, vmid int) (Recovery, error) {
	for _, node := range f.readable() {
		if vm, has := node.VMs[vmid]; has {
			return h.recovery(f, node, vm), nil
		}
		if name, unread := node.Unread[vmid]; unread {
			return Recovery{}, fmt.Errorf("cluster: VM %d %s on node %s: %w", vmid, printable.Line(name), node.Node, workstation.ErrUnread)
		}
	}
	return Recovery{}, fmt.Errorf("cluster: %w: no node that was read has a VM %d that the login may see", workstation.ErrNotFound, vmid)
}

func (h HA) recovery(f Facts, home workstation.Facts, vm workstation.VMFacts) Recovery {
	r := Recovery{VMID: vm.ID, Name: vm.Name, Home: home.Node}
	priorities := map[string]int{}
	for _, node := range f.Nodes {
		if node.Name == home.Node {
			continue
		}
		n := RecoveryNode{Node: node.Name}
		a := able(vm, home, node, h)
		n.Able, n.Why, n.Notes = a.answer, a.why, a.notes
		priorities[node.Name], n.Refused = h.allows(f, vm.ID, node.Name)
		if n.Refused == "" && slices.Contains(h.Maintenance, node.Name) {
			n.Refused = "it is in maintenance mode"
		}
		n.Allowed = n.Refused == ""
		r.Nodes = append(r.Nodes, n)
	}
	slices.SortFunc(r.Nodes, func(a, b RecoveryNode) int { return strings.Compare(a.Node, b.Node) })
	best, any := 0, false
	for _, n := range r.Nodes {
		if node, _ := f.Node(n.Node); n.Allowed && node.State != Away && (!any || priorities[n.Node] > best) {
			best, any = priorities[n.Node], true
		}
	}
	for i, n := range r.Nodes {
		node, _ := f.Node(n.Node)
		r.Nodes[i].First = any && n.Allowed && node.State != Away && priorities[n.Node] == best
	}
	return r
}

// Returns the priority that the rules give a node for a VM. If the rules do not
// allow the node, refused is the reason.
func (h HA) allows(f Facts, vmid int, node string) (priority int, refused string) {
	for _, r := range h.inForce(vmid, OnNodes) {
		p, named := r.Nodes[node]
		switch {
		case named:
			priority = p
		case r.Strict:
			return 0, "rule " + r.Name + " allows only " + strings.Join(slices.Sorted(maps.Keys(r.Nodes)), ", ")
		default:
			priority = -1
		}
	}
	for _, r := range h.inForce(vmid, Apart) {
		for _, other := range r.VMs {
			if home, has := f.home(other); has && other != vmid && home == node && h.active(other) {
				return 0, fmt.Sprintf("rule %s keeps it apart from VM %d, which is there", r.Name, other)
			}
		}
	}
	return priority, ""
}

// Reports whether the rules take a VM into account. A stopped VM does not count
// (pve-ha-manager PVE/HA/Usage.pm, get_used_service_nodes).
func (h HA) active(vmid int) bool {
	v, is := h.VM(vmid)
	return is && v.managed() && v.State != "stopped"
}
