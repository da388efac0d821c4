package iommu

import (
	"errors"
	"fmt"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/enum"
)

// A State says whether the IOMMU is in use.
type State uint8

// The states of an IOMMU. The zero State is StateUnknown.
const (
	StateUnknown State = iota
	Off
	On
)

// ErrState reports a text that is not a state of an IOMMU.
var ErrState = errors.New("iommu: unknown state")

var states = []string{"unknown", "off", "on"}

// String returns "on", "off" or "unknown".
func (s State) String() string { return enum.Name(states, s) }

// MarshalText implements [encoding.TextMarshaler].
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. The error matches
// [ErrState].
func (s *State) UnmarshalText(text []byte) error {
	return enum.Unmarshal(s, states, string(text), ErrState)
}

// State says whether the IOMMU is in use, and returns the evidence. The answer
// follows from the groups that have devices and from the units that a driver
// registered. The kernel's arguments are not evidence: they may have no effect,
// and the IOMMU may be on by default. The firmware's tables are not evidence
// either: they only say that the IOMMU could be on.
//
//	groups     units      state
//	some       some       on
//	some       not known  on
//	some       none       unknown: they contradict each other
//	none       any        off
//	not known  none       off
//	not known  some       unknown
//	not known  not known  unknown
func (f Facts) State() (State, string) {
	groups, seen := f.grouped()
	units, unitsSeen := f.unitsFound()
	evidence := seen + "; " + unitsSeen
	switch {
	case groups == proxstation.Yes && units == proxstation.No:
		return StateUnknown, evidence + ": they contradict each other"
	case groups == proxstation.Yes:
		return On, evidence
	case groups == proxstation.No, units == proxstation.No:
		return Off, evidence
	}
	return StateUnknown, evidence
}

// The method "grouped" reports whether any function has a group. It ignores
// groups that VFIO creates on a machine without an IOMMU.
func (f Facts) grouped() (proxstation.Answer, string) {
	number, members := 0, 0
	fake := map[int]bool{}
	for _, g := range f.Groups {
		fake[g.ID] = g.NoIOMMU
		if !g.NoIOMMU && len(g.Devices) > 0 {
			number++
			members += len(g.Devices)
		}
	}
	if number > 0 {
		return proxstation.Yes, fmt.Sprintf("/sys/kernel/iommu_groups: %d groups with %d devices", number, members)
	}
	functions := f.Functions
	if f.noneGrouped() {
		functions = nil // saves a search through thousands of functions for each card
	}
	for _, fn := range functions {
		if n, ok := fn.Group.Int(); ok && !fake[n] {
			return proxstation.Yes, fmt.Sprintf("%s is in group %d", fn.Address, n)
		}
	}
	switch {
	case f.GroupsKnown != proxstation.Yes:
		return proxstation.Unknown, "the groups are not known"
	case len(fake) > 0:
		return proxstation.No, "/sys/kernel/iommu_groups: no group with a device behind an IOMMU"
	}
	return proxstation.No, "/sys/kernel/iommu_groups is empty"
}

func (f Facts) unitsFound() (proxstation.Answer, string) {
	switch {
	case len(f.Units) > 0:
		var names []string
		for _, unit := range f.Units {
			names = append(names, unit.Name)
		}
		return proxstation.Yes, "/sys/class/iommu: " + strings.Join(names, ", ")
	case f.UnitsKnown == proxstation.Yes:
		return proxstation.No, "/sys/class/iommu is empty"
	}
	return proxstation.Unknown, "/sys/class/iommu is not known"
}

// InterruptRemapping says whether the IOMMU prevents a guest's device from
// raising interrupts that are not its own. It also returns the evidence.
// Without remapping, vfio refuses to hand out devices. The answer follows from
// the names of the kernel's interrupt chips. If the names are not known, the
// answer is No if the IOMMU is off or cannot remap.
func (f Facts) InterruptRemapping() (proxstation.Answer, string) {
	if f.Interrupts.Remapped != proxstation.Unknown {
		return f.Interrupts.Remapped, "/proc/interrupts: " + f.Interrupts.Seen
	}
	if f.ACPI.Flags != nil && *f.ACPI.Flags&1 == 0 {
		return proxstation.No, fmt.Sprintf("/sys/firmware/acpi/tables/DMAR: flags %#02x without bit 0, interrupt remapping", *f.ACPI.Flags)
	}
	for _, unit := range f.Units {
		if unit.Extended != nil && *unit.Extended>>3&1 == 0 {
			return proxstation.No, fmt.Sprintf("/sys/class/iommu/%s/intel-iommu/ecap: %x without bit 3, interrupt remapping", unit.Name, *unit.Extended)
		}
	}
	if state, seen := f.State(); state == Off {
		return proxstation.No, seen
	}
	return proxstation.Unknown, "/proc/interrupts names no chip of a known kind"
}
