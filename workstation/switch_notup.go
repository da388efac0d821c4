package workstation

import (
	"errors"

	"github.com/proxstation/proxstation/internal/enum"
)

// NotUp says what happens to a VM that has started with the card and whose
// guest is not up in time: the guest may be installing updates, or may hang.
type NotUp uint8

// The choices for a VM that is not up in time.
const (
	// NotUpKeep leaves the card with the VM. The switch fails, and its error
	// says so.
	NotUpKeep NotUp = iota
	// NotUpReturn shuts the VM down and starts the VM that ran before. A guest
	// that does not shut down keeps the card, unless [DualBoot].Force allows
	// to pull its plug.
	NotUpReturn
)

var notUpNames = []string{"keep", "return"}

// errNoNotUp reports a text that is not the name of a NotUp.
var errNoNotUp = errors.New("workstation: no such choice")

// String returns the choice's name: "keep" or "return".
func (c NotUp) String() string { return enum.Name(notUpNames, c) }

// MarshalText returns the choice's name.
func (c NotUp) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText parses a choice's name.
func (c *NotUp) UnmarshalText(text []byte) error {
	return enum.Unmarshal(c, notUpNames, string(text), errNoNotUp)
}
