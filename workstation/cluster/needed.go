package cluster

import (
	"maps"
	"slices"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/workstation"
)

// Returns the VMs of a node whose configurations a plan for the Spec needs.
// These are all VMs of the node or none. The configurations say which devices
// the VMs take. The plan depends on this if a workstation is on the node
// already, if a mapping gets an entry for the node, or if a new workstation may
// take a PCI device of the node. In doubt, the method returns all VMs.
func (s Spec) needed(seen workstation.Facts) []int {
	m := mapCards(s.Cards, Facts{Nodes: []NodeFacts{{Name: seen.Node, State: Online, Facts: seen}}})
	takes := func(n Needs) bool {
		if _, here := seen.Unread[n.VM.ID]; here {
			return true
		}
		_, elsewhere := seen.Others[n.VM.ID]
		return !elsewhere && (n.Node == "" || n.Node == seen.Node) && n.mayTake(gpu.Node{Name: seen.Node, Functions: seen.IOMMU.Functions, Mappings: m.after})
	}
	if len(m.changes) == 0 && !slices.ContainsFunc(s.Workstations, takes) {
		return nil
	}
	return slices.Collect(maps.Keys(seen.Unread))
}

// mayTake reports whether a new workstation may take a PCI device of the node.
// If On is set, only On knows the devices of the VM, and On is not called here.
// Such a VM names its card by a mapping, so mayTake reports whether any mapping
// has an entry for the node.
func (n Needs) mayTake(node gpu.Node) bool {
	if n.On != nil {
		return slices.ContainsFunc(node.Mappings, func(m gpu.Mapping) bool { return len(m.On(node.Name)) > 0 })
	}
	claim := qmconf.Claim(n.VM.ID, n.VM.AsNew().Config)
	return len(claim.Unread)+len(claim.ByArgs) > 0 || slices.ContainsFunc(claim.Values, func(h gpu.HostPCI) bool { return len(node.Resolve(h)) > 0 })
}
