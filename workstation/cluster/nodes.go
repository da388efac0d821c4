package cluster

import (
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/workstation"
)

// Returns the reason why nothing can be planned on a node, or "" if the node
// was read.
func (n NodeFacts) away() string {
	switch {
	case n.State == Online:
		return ""
	case n.Name == "":
		return "the cluster has no such node"
	case n.State == Forbidden:
		return "the login may not read it: it lacks Sys.Audit on /nodes/" + n.Name
	case n.Err != nil:
		return "it is " + n.State.String() + ": " + n.Err.Error()
	}
	return "it is " + n.State.String()
}

func (f Facts) readable() []workstation.Facts {
	var all []workstation.Facts
	for _, n := range f.Nodes {
		if n.away() == "" {
			all = append(all, n.Facts)
		}
	}
	return all
}

// Returns the mappings of the cluster. Every node has the same mappings, but
// some nodes may not have answered the request.
func (f Facts) mappings() []gpu.Mapping {
	for _, n := range f.readable() {
		if len(n.Mappings) > 0 {
			return n.Mappings
		}
	}
	return nil
}

func (f Facts) home(vmid int) (node string, exists bool) {
	for _, n := range f.readable() {
		if _, ok := n.VMs[vmid]; ok {
			return n.Node, true
		}
	}
	for _, g := range f.Guests {
		if g.VMID == vmid && !g.Container {
			return g.Node, true
		}
	}
	return "", false
}
