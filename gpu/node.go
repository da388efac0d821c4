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
// with short or long addresses. A mapping with alternatives has several sets:
// at a start, the VM gets the first set that is free. Any other value has one
// set. A mapping without an entry for the node has no set. If the value names a
// device that the node does not have, the set holds the address that the value
// gives.
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

// The method "functions" returns the addresses of all functions of some
// devices, in order, each address once. For a device that the node does not
// have, it returns the device's own address.
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
