package iommu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// BindOptions are the choices of [Facts.Bind].
type BindOptions struct {
	// Allow lists the uses that the caller knows of and gives up, such as
	// [UseConsole] for the machine's only display.
	Allow []UseKind
}

// A Binding is a plan to hand functions to vfio-pci at run time, and all that
// is needed to give them back, also by another process: it is data. Nothing
// of it survives a restart of the machine.
type Binding struct {
	Functions []Rebind `json:"functions"`
	// Findings say what a person should know before: what a shared group takes
	// along when the guest starts.
	Findings []proxstation.Finding `json:"findings,omitempty"`
}

// A Rebind is one function of a [Binding] and what it was before.
type Rebind struct {
	Address  Address `json:"address"`
	Model    Model   `json:"model"`
	Driver   string  `json:"driver,omitempty"`   // the driver before; empty: none
	Override string  `json:"override,omitempty"` // driver_override before; empty: none
}

// Bind plans to hand exactly the given functions to vfio-pci. It is pure;
// [Binding.Apply] does it. Functions that are there already stay in the plan
// and are left alone. It refuses ([*RefusedError]) functions that are not
// there, that are bridges, that have no group, that do not answer, and those
// that the machine itself lives on unless opts allow it: all of its displays,
// too. Whether a group goes as a whole is for [Facts.Isolated] to say.
func (f Facts) Bind(addresses []Address, opts *BindOptions) (Binding, error) {
	if opts == nil {
		opts = &BindOptions{}
	}
	var b Binding
	refused := f.refuseConsole(addresses, addresses, opts.Allow)
	for _, a := range addresses {
		if slices.ContainsFunc(b.Functions, func(r Rebind) bool { return r.Address == a }) {
			continue
		}
		fn, ok := f.Function(a)
		if !ok {
			refused = append(refused, refusal("iommu.no-device", a, "no such PCI function", "There is nothing to bind.", "Choose a function that the host has."))
			continue
		}
		refused = append(refused, f.refuse(fn, opts.Allow)...)
		if _, grouped := fn.Group.Int(); !grouped && f.GroupsKnown == proxstation.Yes {
			refused = append(refused, refusal("iommu.no-group", a, "no IOMMU group",
				"vfio-pci takes no function that no IOMMU stands in front of.", "Turn on the IOMMU."))
		}
		b.Functions = append(b.Functions, Rebind{Address: a, Model: fn.Model, Driver: fn.Driver, Override: fn.Override})
	}
	if len(refused) > 0 {
		return Binding{}, &RefusedError{Findings: refused}
	}
	b.Findings = f.along(addresses)
	return b, nil
}

// String returns a line for each function: what it is, its driver before and
// after. It is empty for a binding without functions.
func (b Binding) String() string {
	var text strings.Builder
	for _, r := range b.Functions {
		sign, driver := "~", r.Driver
		if r.Driver == vfioPCI {
			sign = "="
		}
		if driver == "" {
			driver = "no driver"
		}
		fmt.Fprintf(&text, "%s %s %s  %s -> %s\n", sign, r.Address, r.Model, printable.Line(driver), vfioPCI)
	}
	return text.String() + notes(b.Findings)
}
