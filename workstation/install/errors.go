package install

import (
	"errors"
	"strings"

	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/workstation"
)

// ErrSetup reports a set-up that did not complete. The error is a [SetupError].
var ErrSetup = errors.New("set-up has not succeeded")

// A SetupError says where the set-up of a guest stopped, and why.
type SetupError struct {
	VMID  int
	Phase workstation.Phase
	// Why holds the guest's own message, or an observation with advice.
	Why string
	// Log is the end of the guest's own log. It is read through the guest's
	// agent, and empty if the agent did not return it.
	Log string
	// Cause is the error behind this error, or nil.
	Cause error
}

// Error implements error. It shows the last line of the log.
func (e *SetupError) Error() string {
	var parts []string
	if e.Why != "" {
		parts = append(parts, e.Why)
	}
	if e.Cause != nil {
		parts = append(parts, e.Cause.Error())
	}
	lines := strings.Split(strings.TrimSpace(e.Log), "\n")
	if last := lines[len(lines)-1]; last != "" {
		parts = append(parts, "its log ends: "+last)
	}
	return printable.Sprintf("install: VM %d: %s: %s", e.VMID, e.Phase, strings.Join(parts, ": "))
}

// Is makes the error match [ErrSetup].
func (e *SetupError) Is(target error) bool { return target == ErrSetup }

// Unwrap returns Cause.
func (e *SetupError) Unwrap() error { return e.Cause }

// A SeedError reports a seed that could not be removed. The seed holds the
// guest's password until it is deleted.
type SeedError struct {
	Volume string
	// Gone says that the volume is deleted, and that only the VM's drive still
	// names it.
	Gone  bool
	Cause error
}

// Error implements error.
func (e *SeedError) Error() string {
	if e.Gone {
		return printable.Sprintf("install: the seed %s is deleted, but its drive is not: %v", e.Volume, e.Cause)
	}
	return printable.Sprintf("install: the seed %s, which holds a password, is still there: delete it on the node with pvesm free %[1]s: %[2]v", e.Volume, e.Cause)
}

// Unwrap returns Cause.
func (e *SeedError) Unwrap() error { return e.Cause }
