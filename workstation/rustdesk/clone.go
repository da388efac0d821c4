package rustdesk

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// ErrClone reports guests that share an ID. Every [CloneError] matches it.
var ErrClone = errors.New("rustdesk: guests share an ID")

// A CloneError names guests that share an ID, because they were cloned from one
// another with RustDesk installed. A connection to the ID reaches one of these
// guests by chance. The ID server cannot tell the guests apart, because clones
// also share the machine's ID and RustDesk's keys (rustdesk-server
// src/rendezvous_server.rs:357). A CloneError matches [ErrClone].
type CloneError struct {
	ID    ID
	Names []string // the names in [Target].Name
}

// Error implements error.
func (e *CloneError) Error() string {
	return printable.Sprintf("%v %s: %s: say which of them are clones (Target.Clone, or Setup.NewID), so that they get new IDs", ErrClone, e.ID, strings.Join(e.Names, ", "))
}

// Is reports whether target is [ErrClone].
func (e *CloneError) Is(target error) bool { return target == ErrClone }

// programs holds the paths at which RustDesk's installers put the program.
var programs = map[OS]string{
	Linux:   "/usr/bin/rustdesk",
	Windows: `C:\Program Files\RustDesk\RustDesk.exe`,
	MacOS:   "/Applications/RustDesk.app/Contents/MacOS/RustDesk",
}

// ReadID asks the RustDesk in a guest for its ID. The error matches [ErrID] if
// RustDesk is installed but has no ID, and [ErrOS] if the system is unknown.
// Any other error comes from the guest.
func ReadID(ctx context.Context, guest Guest, system OS) (ID, error) {
	program, known := programs[system]
	if !known {
		return "", fmt.Errorf("%w %q", ErrOS, string(system))
	}
	out, err := guest.Run(ctx, proxstation.GuestCommand{Argv: []string{program, "--get-id"}})
	if err != nil {
		return "", fmt.Errorf("rustdesk: %s --get-id: %w", program, err)
	}
	lines := strings.Split(strings.TrimSpace(out.Stdout), "\n")
	return ParseID(lines[len(lines)-1])
}

// The function "shared" returns a list of indexes for each target. If other
// targets have the same ID, the list holds their indexes and the index of the
// target itself. Otherwise the list is nil.
func shared(targets []Target, ids []ID) [][]int {
	same := make([][]int, len(targets))
	for i, id := range ids {
		for j := range ids {
			if id != "" && ids[j] == id {
				same[i] = append(same[i], j)
			}
		}
		if len(same[i]) < 2 {
			same[i] = nil
		}
	}
	return same
}

// The function "unresolved" returns an error for each ID that more than one
// target would still have after the plan.
func unresolved(targets []Target, ids []ID) []*CloneError {
	var clones []*CloneError
	for i, group := range shared(targets, ids) {
		var keep []string
		for _, j := range group {
			if !targets[j].Clone {
				keep = append(keep, targets[j].Name)
			}
		}
		if len(group) > 0 && group[0] == i && len(keep) > 1 {
			clones = append(clones, &CloneError{ids[i], keep})
		}
	}
	return clones
}
