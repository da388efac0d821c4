package iommu

import "slices"

// An index finds functions quickly on a machine with thousands of functions.
// [Read] makes the index. It is valid only for the list of functions from which
// it was made. Any other list of functions is searched from the start to the
// end.
type index struct {
	first     *Function
	n         int
	positions map[Address]int
	groups    map[GroupID][]int
	virtual   map[Address][]int // virtual functions by their physical function
}

func newIndex(functions []Function) *index {
	if len(functions) == 0 {
		return nil
	}
	x := &index{first: &functions[0], n: len(functions), positions: make(map[Address]int, len(functions)), groups: map[GroupID][]int{}, virtual: map[Address][]int{}}
	for i := range functions {
		x.positions[functions[i].Address] = i
		x.groups[functions[i].Group] = append(x.groups[functions[i].Group], i)
		if of := functions[i].VirtualOf; of != nil {
			x.virtual[*of] = append(x.virtual[*of], i)
		}
	}
	return x
}

// The method "of" returns the index if it was made from these functions, and
// nil otherwise.
func (x *index) of(functions []Function) *index {
	if x == nil || len(functions) != x.n || &functions[0] != x.first {
		return nil
	}
	return x
}

// The method "position" returns the index of a function in Functions, or -1.
func (f Facts) position(a Address) int {
	if x := f.index.of(f.Functions); x != nil {
		if i, ok := x.positions[a]; ok {
			return i
		}
		return -1
	}
	return slices.IndexFunc(f.Functions, func(fn Function) bool { return fn.Address == a })
}

// The method "slot" returns the indexes in Functions of all functions in the
// slot of an address, in order.
func (f Facts) slot(a Address) []int {
	var positions []int
	if f.index.of(f.Functions) != nil {
		for function := range 8 {
			if i := f.position(a.WithFunction(function)); i >= 0 {
				positions = append(positions, i)
			}
		}
		return positions
	}
	for i := range f.Functions {
		if f.Functions[i].Address.SameSlot(a) {
			positions = append(positions, i)
		}
	}
	return positions
}

// inGroup returns the indexes in Functions of all functions in a group, in
// order.
func (f Facts) inGroup(group GroupID) []int {
	if x := f.index.of(f.Functions); x != nil {
		return x.groups[group]
	}
	var positions []int
	for i := range f.Functions {
		if f.Functions[i].Group == group {
			positions = append(positions, i)
		}
	}
	return positions
}

// noneGrouped reports whether the index shows that no function has a group.
func (f Facts) noneGrouped() bool {
	x := f.index.of(f.Functions)
	return x != nil && len(x.groups) == 1 && len(x.groups[GroupID{}]) == x.n
}

// VirtualFunctions returns the SR-IOV virtual functions of a physical function,
// in order.
func (f Facts) VirtualFunctions(physical Address) []Function {
	var virtual []Function
	if x := f.index.of(f.Functions); x != nil {
		for _, i := range x.virtual[physical] {
			virtual = append(virtual, f.Functions[i])
		}
		return virtual
	}
	for _, fn := range f.Functions {
		if fn.VirtualOf != nil && *fn.VirtualOf == physical {
			virtual = append(virtual, fn)
		}
	}
	return virtual
}
