package firstboot

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/printable"
)

// A Phase is how far the set-up inside a guest is.
type Phase string

// The phases of a set-up inside a guest, in the order they come. A guest goes
// through those that it needs.
const (
	PhaseAgent      Phase = "agent"      // the guest agent is being installed
	PhaseModels     Phase = "models"     // the disk for models is being made ready
	PhaseGames      Phase = "games"      // drive D: is waited for
	PhaseDriver     Phase = "driver"     // the card's driver is being installed
	PhaseOllama     Phase = "ollama"     // Ollama is being installed
	PhaseContainers Phase = "containers" // Docker is being installed
	PhaseDone       Phase = "done"       // everything is done
)

// A State is what a set-up wrote about itself in the guest.
type State struct {
	// Phase is how far the set-up is.
	Phase Phase
	// Failed says why the set-up has stopped; empty, it has not.
	Failed string
	// Found is what the set-up found, by name: "agent" and "driver" are versions,
	// "models" is "formatted" or "kept", "card" names the cards, "restart" says
	// why the guest restarts.
	Found map[string]string
}

// ErrState reports a file that no set-up wrote.
var ErrState = errors.New("firstboot: not the state of a set-up")

// ParseState reads the file [LinuxState]: a line "KEY=VALUE"
// for each value, "phase" first. The error matches [ErrState].
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
