package firstboot

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/printable"
)

// A Phase says how far the set-up inside a guest has come.
type Phase string

// The phases of a set-up inside a guest, in their order. A guest skips the
// phases that it does not need.
const (
	PhaseAgent      Phase = "agent"      // the guest agent is being installed
	PhaseModels     Phase = "models"     // the disk for models is being made ready
	PhaseGames      Phase = "games"      // the set-up waits for drive D:
	PhaseDriver     Phase = "driver"     // the card's driver is being installed
	PhaseOllama     Phase = "ollama"     // Ollama is being installed
	PhaseContainers Phase = "containers" // Docker is being installed
	PhaseDone       Phase = "done"       // the set-up is complete
)

// A State is the report that a set-up writes into a file of its guest.
type State struct {
	// Phase says how far the set-up has come.
	Phase Phase
	// Failed says why the set-up stopped. It is empty if the set-up has not
	// failed.
	Failed string
	// Found holds what the set-up found, by name. "agent" and "driver" are
	// versions, "models" is "formatted" or "kept", "card" holds the names of
	// the cards, and "restart" says why the guest restarts.
	Found map[string]string
}

// ErrState reports a text that is not the report of a set-up.
var ErrState = errors.New("firstboot: not the state of a set-up")

// ParseState parses the content of the file [LinuxState] or [WindowsState]. The
// file has a line "KEY=VALUE" for each value. The key of the first line is
// "phase". The error matches [ErrState].
func ParseState(text string) (State, error) {
	s := State{Found: map[string]string{}}
	lines := strings.Split(strings.TrimSuffix(strings.ReplaceAll(strings.TrimPrefix(text, "\uFEFF"), "\r\n", "\n"), "\n"), "\n")
	for i, line := range lines {
		key, value, ok := strings.Cut(line, "=")
		if !ok || key == "" || (i == 0) != (key == "phase") {
			return State{}, fmt.Errorf("%w: line %d", ErrState, i+1)
		}
		switch key {
		case "phase":
			s.Phase = Phase(value)
		case "failed":
			s.Failed = value
		default:
			s.Found[key] = value
		}
	}
	return s, nil
}

// String returns the state as a line for people.
func (s State) String() string {
	if s.Failed != "" {
		return printable.Sprintf("%s: failed: %s", s.Phase, s.Failed)
	}
	var found []string
	for _, key := range slices.Sorted(maps.Keys(s.Found)) {
		found = append(found, key+" "+s.Found[key])
	}
	if len(found) == 0 {
		return printable.Line(string(s.Phase))
	}
	return printable.Sprintf("%s: %s", s.Phase, strings.Join(found, ", "))
}
