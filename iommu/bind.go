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
	// The field Allow lists the uses that the caller agrees to lose, such as
	// [UseConsole] for the machine's only display.
	Allow []UseKind
}

// A Binding is a plan to hand functions to vfio-pci at run time. It holds all
// data that is needed to give the functions back, so another process can give
// them back too. A restart of the machine undoes the binding.
type Binding struct {
	Functions []Rebind `json:"functions"`
	// Findings holds facts that a person should know before Apply. For example,
	// it names the devices that go to the guest too, because they share a group
	// with the functions.
	Findings []proxstation.Finding `json:"findings,omitempty"`
}

// A Rebind is one function of a [Binding], with the driver that the function
// had before.
type Rebind struct {
	Address  Address `json:"address"`
	Model    Model   `json:"model"`
	Driver   string  `json:"driver,omitempty"`   // the driver before the binding, or empty
	Override string  `json:"override,omitempty"` // driver_override before the binding, or empty
}

// Bind makes a plan that hands exactly the given functions to vfio-pci. It
// changes nothing; [Binding.Apply] makes the change. Functions that are already
// on vfio-pci stay in the plan and are not changed. Bind refuses
// ([*RefusedError]) functions that do not exist, are bridges, have no group or
// do not answer. Unless opts allow it, Bind also refuses functions that the
// machine itself needs, and it refuses to take all displays of the machine.
// Bind does not judge whether the whole group may go to a guest:
// [Facts.Isolated] does.
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
				"vfio-pci only takes functions behind an IOMMU.", "Turn on the IOMMU."))
		}
		b.Functions = append(b.Functions, Rebind{Address: a, Model: fn.Model, Driver: fn.Driver, Override: fn.Override})
	}
	if len(refused) > 0 {
		return Binding{}, &RefusedError{Findings: refused}
	}
	b.Findings = f.along(addresses)
	return b, nil
}

// String returns a line for each function: its address and model, and its
// driver before and after. It is empty for a binding without functions.
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
