package iommu

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// ErrRefused reports that a change was not planned because it would break
// something. The error is a [*RefusedError].
var ErrRefused = errors.New("iommu: refused")

// A RefusedError says why a change was not planned. It matches [ErrRefused].
type RefusedError struct {
	Findings []proxstation.Finding // at least one finding
}

// Error returns the first finding in one line, with unprintable characters
// quoted.
func (e *RefusedError) Error() string {
	first := e.Findings[0]
	more := ""
	if len(e.Findings) > 1 {
		more = fmt.Sprintf(" (and %d more)", len(e.Findings)-1)
	}
	return fmt.Sprintf("%v: %s%s", ErrRefused, printable.Line(first.Subject+": "+first.Seen+": "+first.Why), more)
}

// Is reports whether target is [ErrRefused].
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }

// refuseConsole returns the functions that must stay because the host would
// otherwise have no display. If the host has only one display, refuseConsole
// returns nothing, because this display is already among the host's uses.
func (f Facts) refuseConsole(asked, taken []Address, allow []UseKind) []proxstation.Finding {
	var draw, found []proxstation.Finding
	for _, fn := range f.Functions {
		switch {
		case slices.Contains(allow, UseConsole) || !fn.draws():
		case !slices.Contains(taken, fn.Address):
			return nil
		default:
			draw = append(draw, refusal("iommu.only-console", fn.Address, "the plan takes the other displays too, so the host has no display left",
				"If the host does not start, nobody can see its messages.", "Leave one display to the host, or allow it and keep another way in, such as SSH."))
		}
	}
	if len(draw) < 2 {
		return nil
	}
	for _, finding := range draw {
		if slices.ContainsFunc(asked, func(a Address) bool { return a.String() == finding.Subject }) {
			found = append(found, finding)
		}
	}
	return found
}

func refusal(id string, a Address, seen, why, fix string) proxstation.Finding {
	return proxstation.Finding{ID: id, Severity: proxstation.Blocker, Subject: a.String(), Seen: seen, Why: why, Fix: fix}
}

// The method "refuse" returns why a function must stay with the host, as
// findings.
func (f Facts) refuse(fn Function, allow []UseKind) []proxstation.Finding {
	var found []proxstation.Finding
	if fn.Class.Sub() == classPCIBridge {
		found = append(found, refusal("iommu.bridge", fn.Address, "class "+fn.Class.String(),
			"vfio-pci takes no bridges, and the devices below the bridge would lose their connection.", "Bind the devices below it."))
	}
	for _, other := range f.Functions {
		if other.VirtualOf != nil && *other.VirtualOf == fn.Address && other.Driver != "" {
			found = append(found, refusal("iommu.virtual-functions", fn.Address, fmt.Sprintf("its virtual function %s has %s", other.Address, other.Driver),
				"Virtual functions are gone when their physical function loses its driver.", "Take the virtual functions back first: write 0 to sriov_numvfs of the physical function."))
			break
		}
	}
	if fn.Lost == proxstation.Yes {
		found = append(found, refusal("iommu.lost", fn.Address, "its configuration space reads ffffffff",
			"The device no longer answers on the bus.", "Switch the host off and on again."))
	}
	if fn.DriverKnown != proxstation.Yes {
		found = append(found, refusal("iommu.driver-unknown", fn.Address, "its driver is not known",
			"The function could not be given back to its driver.", "Read the facts on the host itself."))
	}
	if _, bmc := managementDisplays[fn.Model]; bmc && !slices.Contains(allow, UseConsole) {
		found = append(found, fn.checkConsole()...)
	}
	for _, use := range f.usesOf(fn.Address) {
		if !slices.Contains(allow, use.Kind) && use.Kind != UseInput { // a keyboard can be moved to another port
			finding := use.finding()
			finding.Severity = proxstation.Blocker
			found = append(found, finding)
		}
	}
	risky := map[uint8]UseKind{0x01: UseRoot, 0x02: UseNetwork}[fn.Class.Base()]
	if f.UsesKnown != proxstation.Yes && risky != "" && !slices.Contains(allow, risky) && fn.Driver != "" {
		found = append(found, refusal("iommu.uses-unknown", fn.Address, "class "+fn.Class.String()+"; it is not known on which devices the host depends",
			"The host could lose its "+string(risky)+".", "Check by hand whether the host needs the device. If not, allow the device to be taken."))
	}
	return found
}

// refuseArgs reports kernel arguments that are not valid, or that turn the
// IOMMU off.
func refuseArgs(args []string) []proxstation.Finding {
	var found []proxstation.Finding
	refuse := func(id, arg, why string) {
		found = append(found, proxstation.Finding{ID: id, Severity: proxstation.Blocker, Subject: "kernel arguments", Seen: fmt.Sprintf("%q", arg), Why: why, Fix: "Leave it out."})
	}
	for _, arg := range args {
		if arg == "" || arg == "--" || strings.ContainsFunc(arg, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '"' || r == '\'' }) {
			refuse("iommu.bad-argument", arg, "It is not one argument without quotes and white space.")
			continue
		}
		line := Cmdline{}.With(arg)
		if (Facts{Running: &line}).offArgument() != "" {
			refuse("iommu.off-by-argument", arg, "It turns the IOMMU off, without which no function goes to a guest.")
		}
	}
	return found
}

// refuseOff reports an argument that turns the IOMMU off at the next start too.
// While this argument is configured, no other argument helps.
func (f Facts) refuseOff() []proxstation.Finding {
	configured, err := f.Configured()
	findings := f.checkState()
	if len(findings) == 0 || findings[0].ID != "iommu.off-by-argument" || err == nil && !configured.Has(f.offArgument()) {
		return nil
	}
	return findings
}
