package iommu

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
)

// vfioPCI is the driver that hands a function to a guest.
const vfioPCI = "vfio-pci"

// classPCIBridge is base class and subclass of a PCI-to-PCI bridge.
const classPCIBridge = 0x0604

// These errors say why a device is not known to be isolated.
var (
	ErrShared   = errors.New("shares its IOMMU group")
	ErrNoGroup  = errors.New("has no IOMMU group")
	ErrUnknown  = errors.New("IOMMU group is not known")
	ErrNoDevice = errors.New("no such PCI device")
)

// A SharedError says that a device's IOMMU group also holds devices that would
// have to go to the guest with it. It matches [ErrShared].
type SharedError struct {
	Address Address    // the device, function 0
	Groups  []GroupID  // the shared groups of the device's functions
	Others  []Function // the other devices' functions, in order
	// The field Above is the lowest bridge above all the devices. This bridge,
	// or a bridge below it, lacks Access Control Services. The field is nil if
	// the devices have no bridge in common, or if the bridge is not known.
	Above *Address
}

// Error names the device, the group and all other functions in it.
func (e *SharedError) Error() string {
	var groups, others []string
	for _, g := range e.Groups {
		groups = append(groups, g.String())
	}
	for _, fn := range e.Others {
		others = append(others, fmt.Sprintf("%s (%s, class %04x)", fn.Address, fn.Model, fn.Class.Sub()))
	}
	return fmt.Sprintf("iommu: %s %s %s with %s", e.Address.Slot(), ErrShared, strings.Join(groups, ", "), strings.Join(others, ", "))
}

// Is reports whether target is [ErrShared].
func (e *SharedError) Is(target error) bool { return target == ErrShared }

// IsHarmlessBridge reports whether a bridge may stay with the host while a
// guest has the other functions of its group. vfio-pci takes only functions
// with the header of an endpoint (drivers/vfio/pci). A bridge does not disturb
// VFIO as long as its driver lets the group go (see [Facts.Viable]). Host, ISA,
// EISA, PCI, CardBus and semi-transparent bridges are harmless. Bridges of
// class 0680 are not harmless, because network and NVLink devices have that
// class.
func (fn Function) IsHarmlessBridge() bool {
	if !slices.Contains([]uint16{0x0600, 0x0601, 0x0602, classPCIBridge, 0x0607, 0x0609}, fn.Class.Sub()) {
		return false
	}
	return fn.letsGo()
}

// letsGo reports whether the function's driver, if any, does no DMA for the
// kernel.
func (fn Function) letsGo() bool {
	return slices.Contains([]string{"", "pcieport", "pci-stub", vfioPCI}, fn.Driver)
}

// Viable says whether VFIO would let a guest use the group as it is now. It
// also returns the functions that prevent this, because their drivers do DMA
// for the kernel. The drivers pcieport, pci-stub and vfio-pci do no such DMA,
// and neither does a function without a driver (driver_managed_dma;
// iommu_group_claim_dma_owner in drivers/iommu/iommu.c, since Linux 5.18). The
// answer is Unknown if the group's functions or their drivers are not known.
func (f Facts) Viable(group GroupID) (proxstation.Answer, []Function) {
	var blocking []Function
	answer := proxstation.Unknown
	for _, fn := range f.Functions {
		if _, grouped := fn.Group.Int(); !grouped || fn.Group != group {
			continue
		}
		switch {
		case !fn.letsGo():
			blocking = append(blocking, fn)
		case fn.DriverKnown != proxstation.Yes:
			return proxstation.Unknown, nil
		}
		answer = proxstation.Yes
	}
	if len(blocking) > 0 {
		answer = proxstation.No
	}
	return answer, blocking
}

// Isolated returns nil if a device can be handed to a guest alone. a is the
// address of any function of the device. The groups of the device then hold no
// functions of other devices except harmless bridges. Otherwise the error is a
// [*SharedError] or matches [ErrNoGroup], [ErrUnknown] or [ErrNoDevice].
func (f Facts) Isolated(a Address) error {
	own := f.Slot(a)
	if len(own) == 0 {
		return fmt.Errorf("iommu: %s: %w", a.Slot(), ErrNoDevice)
	}
	return f.isolated(own)
}

// IsolatedTogether is like [Facts.Isolated] for functions that are passed one
// by one. When a guest starts, PVE takes every function in the groups of the
// passed functions from the host, except bridges (pci_dev_group_bind_to_vfio in
// pve-common PVE/SysFSTools.pm). Functions of other groups stay, even if they
// are in the same slot.
func (f Facts) IsolatedTogether(passed ...Address) error {
	var own []Function
	for _, a := range passed {
		fn, ok := f.Function(a)
		if !ok {
			return fmt.Errorf("iommu: %s: %w", a, ErrNoDevice)
		}
		own = append(own, fn)
	}
	if len(own) == 0 {
		return fmt.Errorf("iommu: no functions: %w", ErrNoDevice)
	}
	return f.isolated(own)
}

func (f Facts) isolated(own []Function) error {
	shared := &SharedError{Address: own[0].Address.WithFunction(0)}
	for _, fn := range own {
		n, ok := fn.Group.Int()
		switch {
		case !ok && f.GroupsKnown == proxstation.Yes:
			return fmt.Errorf("iommu: %s: %w", fn.Address, ErrNoGroup)
		case !ok:
			return fmt.Errorf("iommu: %s: %w", fn.Address, ErrUnknown)
		case f.noIOMMU(n):
			return fmt.Errorf("iommu: %s: group %d is VFIO's own, without an IOMMU: %w", fn.Address, n, ErrNoGroup)
		}
		if slices.Contains(shared.Groups, fn.Group) {
			continue
		}
		if others := f.others(fn.Group, own); len(others) > 0 {
			shared.Groups = append(shared.Groups, fn.Group)
			shared.Others = append(shared.Others, others...)
		}
	}
	if len(shared.Others) == 0 {
		return nil
	}
	shared.Above = f.above(append(own[:1:1], shared.Others...))
	return shared
}

// IsIsolated gives the result of [Facts.Isolated] as an answer. It is Unknown
// if the groups are not known or the device does not exist.
func (f Facts) IsIsolated(a Address) proxstation.Answer {
	err := f.Isolated(a)
	if errors.Is(err, ErrUnknown) || errors.Is(err, ErrNoDevice) {
		return proxstation.Unknown
	}
	return proxstation.AnswerOf(err == nil)
}

func (f Facts) noIOMMU(n int) bool {
	return slices.ContainsFunc(f.Groups, func(g GroupFacts) bool { return g.ID == n && g.NoIOMMU })
}

// The method "others" returns the functions of a group that belong to other
// devices and are not harmless bridges. Virtual functions count as part of
// their physical function, because they vanish with its driver.
func (f Facts) others(group GroupID, own []Function) []Function {
	isOwn := func(fn Function) bool {
		return slices.ContainsFunc(own, func(o Function) bool {
			return o.Address == fn.Address || fn.VirtualOf != nil && o.Address == *fn.VirtualOf
		})
	}
	var others []Function
	for _, i := range f.inGroup(group) {
		if fn := f.Functions[i]; !isOwn(fn) && !fn.IsHarmlessBridge() {
			others = append(others, fn)
		}
	}
	return others
}

// The method "path" returns the bridges above a function, from the root bus
// down.
func (f Facts) path(a Address) []Address {
	var path []Address
	for len(path) < 256 {
		fn, ok := f.Function(a)
		if !ok || fn.Parent == nil {
			break
		}
		a = *fn.Parent
		path = append(path, a)
	}
	slices.Reverse(path)
	return path
}

// The method "above" returns the lowest bridge that is above all of the
// functions.
func (f Facts) above(functions []Function) *Address {
	common := f.path(functions[0].Address)
	for _, fn := range functions[1:] {
		path := f.path(fn.Address)
		n := 0
		for n < len(common) && n < len(path) && common[n] == path[n] {
			n++
		}
		common = common[:n]
	}
	if len(common) == 0 {
		return nil
	}
	return &common[len(common)-1]
}
