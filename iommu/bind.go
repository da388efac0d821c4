package iommu

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrRefused means that a change was not planned because of what it would
// break. The error is a [*RefusedError].
var ErrRefused = errors.New("iommu: refused")

// A RefusedError says why a change was not planned. It matches [ErrRefused].
type RefusedError struct {
	Findings []Finding // at least one
}

// Error returns the first finding in a line.
func (e *RefusedError) Error() string {
	first := e.Findings[0]
	more := ""
	if len(e.Findings) > 1 {
		more = fmt.Sprintf(" (and %d more)", len(e.Findings)-1)
	}
	return fmt.Sprintf("%v: %s: %s: %s%s", ErrRefused, first.Subject, first.Seen, first.Why, more)
}

// Is reports whether target is [ErrRefused].
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }

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
// that the machine itself lives on unless opts allow it. Whether a group goes as a whole is for
// [Facts.Isolated] to say.
func (f Facts) Bind(addresses []Address, opts *BindOptions) (Binding, error) {
	if opts == nil {
		opts = &BindOptions{}
	}
	var b Binding
	var refused []Finding
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
		if _, grouped := fn.Group.Int(); !grouped && f.GroupsKnown == Yes {
			refused = append(refused, refusal("iommu.no-group", a, "no IOMMU group",
				"vfio-pci takes no function that no IOMMU stands in front of.", "Turn on the IOMMU."))
		}
		b.Functions = append(b.Functions, Rebind{Address: a, Model: fn.Model, Driver: fn.Driver, Override: fn.Override})
	}
	if len(refused) > 0 {
		return Binding{}, &RefusedError{Findings: refused}
	}
	return b, nil
}

func refusal(id string, a Address, seen, why, fix string) Finding {
	return Finding{ID: id, Severity: Blocker, Subject: a.String(), Seen: seen, Why: why, Fix: fix}
}

// refuse says why a function must stay with the host.
func (f Facts) refuse(fn Function, allow []UseKind) []Finding {
	var found []Finding
	if fn.Class.Sub() == classPCIBridge {
		found = append(found, refusal("iommu.bridge", fn.Address, "class "+fn.Class.String(),
			"vfio-pci takes no bridges, and what is below would lose its way.", "Bind the devices below it."))
	}
	if fn.Lost == Yes {
		found = append(found, refusal("iommu.lost", fn.Address, "its configuration space reads ffffffff",
			"The device no longer answers on the bus.", "Switch the host off and on again."))
	}
	if fn.DriverKnown != Yes {
		found = append(found, refusal("iommu.driver-unknown", fn.Address, "its driver is not known",
			"The function could not be given back to it.", "Read the facts on the host itself."))
	}
	if _, bmc := managementDisplays[fn.Model]; bmc && !slices.Contains(allow, UseConsole) {
		found = append(found, fn.checkConsole()...)
	}
	for _, use := range f.usesOf(fn.Address) {
		if !slices.Contains(allow, use.Kind) {
			finding := use.finding()
			finding.Severity = Blocker
			found = append(found, finding)
		}
	}
	risky := map[uint8]UseKind{0x01: UseRoot, 0x02: UseNetwork}[fn.Class.Base()]
	if f.UsesKnown != Yes && risky != "" && !slices.Contains(allow, risky) && fn.Driver != "" {
		found = append(found, refusal("iommu.uses-unknown", fn.Address, "class "+fn.Class.String()+"; what the host lives on is not known",
			"The host could lose its "+string(risky)+".", "Check by hand, then allow it."))
	}
	return found
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
		fmt.Fprintf(&text, "%s %s %s  %s -> %s\n", sign, r.Address, r.Model, driver, vfioPCI)
	}
	return text.String()
}
