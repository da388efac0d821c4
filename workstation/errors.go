package workstation

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/internal/rules"
)

// Sentinel errors, for [errors.Is]. The errors that match them report the
// evidence and what to do.
var (
	// ErrInvalid reports a Spec that no node can meet, or parameters that a
	// node does not take.
	ErrInvalid = errors.New("invalid specification")
	// ErrTaken reports a VMID that belongs to a VM of another name.
	ErrTaken = errors.New("VMID is taken")
	// ErrBlocked reports work that was not begun, because a check found that it
	// would fail.
	ErrBlocked = errors.New("blocked")
	// ErrStale reports a VM or mapping that changed after a plan was made.
	ErrStale = errors.New("plan is stale")
	// ErrDestructive reports a plan that destroys something, which
	// [ApplyOptions] did not allow.
	ErrDestructive = errors.New("plan destroys data")
	// ErrLeased reports another controller that is switching the same VMs.
	ErrLeased = errors.New("another controller is at work")
)

// An InvalidError says which part of a VM is impossible, and why.
type InvalidError struct {
	VMID  int    // 0 if the error is not about one VM
	Field string // the part of the VM, mostly a configuration key
	Value string // the value; empty if it does not matter
	Why   string // the reason, and what to do
}

// Error implements error.
func (e *InvalidError) Error() string {
	what := printable.Line(e.Field)
	if e.Value != "" {
		what += fmt.Sprintf(" %q", e.Value)
	}
	if e.VMID == 0 {
		return printable.Sprintf("workstation: %s: %s", what, e.Why)
	}
	return printable.Sprintf("workstation: VM %d: %s: %s", e.VMID, what, e.Why)
}

// Is makes the error match [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// A TakenError says that a VMID belongs to another VM. Nothing was changed.
type TakenError struct {
	VMID int
	Want string // the name in the Spec
	Have string // the name of the VM on the node, or a description of the container or other VM that has the VMID
}

// Error implements error.
func (e *TakenError) Error() string {
	if strings.Contains(e.Have, " on node ") { // another kind of guest, or on another node
		return printable.Sprintf("workstation: VM %d is %s, so this VMID is taken and %q cannot be made: choose a free VMID, or plan on the node where it is", e.VMID, e.Have, e.Want)
	}
	return printable.Sprintf("workstation: VM %d is %q, not %q: choose a free VMID, or give the Spec that name to take the VM over",
		e.VMID, e.Have, e.Want)
}

// Is makes the error match [ErrTaken].
func (e *TakenError) Is(target error) bool { return target == ErrTaken }

// A BlockedError holds the findings that kept work from beginning.
type BlockedError struct {
	What     string // the work that was asked for
	Findings []proxstation.Finding
}

// Error implements error.
func (e *BlockedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "workstation: %s is blocked", printable.Line(e.What))
	for _, f := range e.Findings {
		if f.Severity == proxstation.Blocker {
			fmt.Fprintf(&b, "\n%s", f)
		}
	}
	return b.String()
}

// Is makes the error match [ErrBlocked].
func (e *BlockedError) Is(target error) bool { return target == ErrBlocked }

// A StaleError reports a VM that changed after the plan was made. Observe again
// and make a new plan.
type StaleError struct {
	VMID int
	// Want is the digest of the configuration that was to be changed. Have is
	// the digest that was seen instead, empty if it could not be read.
	Want, Have string
	// Cause is PVE's refusal of a write, nil if nothing was written.
	Cause error
}

// Error implements error.
func (e *StaleError) Error() string {
	text := printable.Sprintf("workstation: the configuration of VM %d changed since the plan was made (digest %.8s, now %.8s): observe and plan again",
		e.VMID, e.Want, cmp.Or(e.Have, "unknown"))
	if e.Cause != nil {
		text += printable.Sprintf(": %v", e.Cause)
	}
	return text
}

// Unwrap returns [ErrStale], and PVE's refusal.
func (e *StaleError) Unwrap() []error {
	if e.Cause == nil {
		return []error{ErrStale}
	}
	return []error{ErrStale, e.Cause}
}

// problems collects all faults of a Spec, so that a caller sees every fault at
// once.
type problems []error

func (p *problems) add(vm VM, field, value, why string) {
	*p = append(*p, &InvalidError{VMID: vm.ID, Field: field, Value: value, Why: why})
}

func (p *problems) addFaults(vm VM, faults []rules.Fault) {
	for _, f := range faults {
		p.add(vm, f.Field, f.Value, f.Why)
	}
}

func (p problems) err() error { return errors.Join(p...) }
