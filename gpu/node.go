package gpu

import (
	"slices"

	"github.com/proxstation/proxstation/iommu"
)

// A Node is what is known of the PCI devices of one PVE node. With it, values
// that name the same device in different ways are seen as what they are.
type Node struct {
	Name      string
	Functions []iommu.Function // all of them, bridges too
	Mappings  []Mapping        // the cluster's
}

// Mapping returns the mapping with an ID; ok is false if there is none.
func (n Node) Mapping(id string) (mapping Mapping, ok bool) {
	i := slices.IndexFunc(n.Mappings, func(m Mapping) bool { return m.ID == id })
	if i < 0 {
		return Mapping{}, false
	}
	return n.Mappings[i], true
}

// Resolve returns the functions that a value means on the node, whatever the
// way it names them: short and long addresses, single functions, whole devices,
// a mapping. There is more than one set only for a mapping with alternatives,
// of which a start takes the first that is free. A device that the node is not
// known to have stands for itself; a mapping that does not exist, or has
// nothing for the node, means nothing.
func (n Node) Resolve(h HostPCI) [][]iommu.Address {
	if h.Mapping == "" {
		return [][]iommu.Address{n.functions(h.Devices)}
	}
	var alternatives [][]iommu.Address
	m, _ := n.Mapping(h.Mapping)
	for _, e := range m.On(n.Name) {
		alternatives = append(alternatives, n.functions(e.Devices))
	}
	return alternatives
}

// functions returns the addresses that devices cover, in order, each once.
func (n Node) functions(devices []Device) []iommu.Address {
	var found []iommu.Address
	for _, d := range devices {
		covered := n.covered(d)
		if len(covered) == 0 {
			covered = []iommu.Address{d.Address}
		}
		found = append(found, covered...)
	}
	return union(found)
}

// covered returns the node's functions that a device takes.
func (n Node) covered(d Device) []iommu.Address {
	var found []iommu.Address
	for _, f := range n.Functions {
		if d.Covers(f.Address) {
			found = append(found, f.Address)
		}
	}
	return found
}

// group returns the IOMMU group of a function, none if it is not known.
func (n Node) group(a iommu.Address) iommu.GroupID {
	for _, f := range n.Functions {
		if f.Address == a {
			return f.Group
		}
	}
	return iommu.GroupID{}
}
