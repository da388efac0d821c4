package gpu

import (
	"slices"

	"github.com/proxstation/proxstation/iommu"
)

// A Node holds the known PCI devices of one PVE node. It recognises values that
// name the same device in different ways.
type Node struct {
	Name      string
	Functions []iommu.Function // all functions of the node, including bridges
	Mappings  []Mapping        // the cluster's mappings
}

// Mapping returns the mapping with an ID, and false if there is no such
// mapping.
func (n Node) Mapping(id string) (mapping Mapping, ok bool) {
	i := slices.IndexFunc(n.Mappings, func(m Mapping) bool { return m.ID == id })
	if i < 0 {
		return Mapping{}, false
	}
	return n.Mappings[i], true
}

// Resolve returns the sets of functions that a value may mean on the node. The
// value may name the functions one by one, as whole devices or by a mapping,
// with short or long addresses. There are several sets only for a mapping with
// alternatives: at a start, the VM gets the first set that is free. A device
// that the node does not have is in the set under the device's own address. If
// the mapping has no entry for the node, there is no set.
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

// The method "functions" returns the addresses that devices cover, in order, each
// address once.
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

// The method "covered" returns the functions of the node that a device stands
// for.
func (n Node) covered(d Device) []iommu.Address {
	var found []iommu.Address
	for _, f := range n.Functions {
		if d.Covers(f.Address) {
			found = append(found, f.Address)
		}
	}
	return found
}

// The method "group" returns the IOMMU group of a function, or the zero GroupID
// if the group is not known.
func (n Node) group(a iommu.Address) iommu.GroupID {
	for _, f := range n.Functions {
		if f.Address == a {
			return f.Group
		}
	}
	return iommu.GroupID{}
}
