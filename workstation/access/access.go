package access

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// A Guest runs commands in a guest, with the rights of root or LocalSystem.
type Guest interface {
	// Run runs a command and returns when the command has ended. An exit code
	// other than 0 is not an error.
	Run(ctx context.Context, command proxstation.GuestCommand) (proxstation.GuestOutput, error)
}

// A Way describes a way into a guest: [SSH], [RDP] or [Sunshine].
type Way interface {
	// Plan reads the guest and returns the necessary changes. If the way asks
	// for something impossible, the error matches [ErrInvalid], and Plan does
	// not ask the guest. If the way does not work with this guest, the error
	// matches [ErrGuest].
	Plan(ctx context.Context, guest Guest) (Plan, error)

	apply(ctx context.Context, guest Guest, steps []string) error
}

// A Plan holds the changes that a guest needs for a [Way]. It holds no secret.
type Plan struct {
	// Way is "SSH", "RDP" or "Sunshine".
	Way string `json:"way"`
	// Changes holds the changes in the order in which they are made.
	Changes []Change `json:"changes"`
}

// A Change is one setting of a guest, with its value before and after.
type Change struct {
	What string `json:"what"` // "service", "key of ada"
	From string `json:"from"` // the value now
	To   string `json:"to"`   // the value afterwards

	step string // the name of the change in the script
}

// Empty reports whether nothing has to change.
func (p Plan) Empty() bool { return len(p.Changes) == 0 }

// String returns the plan as a diff.
func (p Plan) String() string {
	var b strings.Builder
	b.WriteString(printable.Sprintf("Plan for %s: %d to change\n", p.Way, len(p.Changes)))
	for _, c := range p.Changes {
		b.WriteString(printable.Sprintf("  ~ %s: %s -> %s\n", c.What, c.From, c.To))
	}
	return b.String()
}

// add appends a change to the plan. If "done" is true, the guest already has
// the value "to", and add does nothing.
func (p *Plan) add(done bool, step, what, from, to string) {
	if !done {
		p.Changes = append(p.Changes, Change{What: what, From: from, To: to, step: step})
	}
}

var (
	// ErrInvalid reports a [Way] that asks for something impossible.
	ErrInvalid = errors.New("access: invalid")
	// ErrGuest reports a guest with which a [Way] does not work, or a guest
	// that refused a step.
	ErrGuest = errors.New("access: the guest refuses")
	// ErrNotTaken reports a guest that does not have the settings of the [Way],
	// although all steps succeeded.
	ErrNotTaken = errors.New("access: the guest did not take the change")
)

// Apply makes the changes of the plan and reads the guest again. An empty plan
// writes nothing. The error matches [ErrGuest] if a step failed. It matches
// [ErrNotTaken] if all steps succeeded, but the guest does not have the
// settings of the way afterwards. Apply also returns the errors of the way's
// method Plan.
func Apply(ctx context.Context, guest Guest, way Way, plan Plan) error {
	if plan.Empty() {
		return nil
	}
	var steps []string
	for _, c := range plan.Changes {
		steps = append(steps, c.step)
	}
	if err := way.apply(ctx, guest, steps); err != nil {
		return err
	}
	after, err := way.Plan(ctx, guest)
	if err == nil && !after.Empty() {
		c := after.Changes[0]
		err = fmt.Errorf("%w: %s: %s is %s, want %s", ErrNotTaken, after.Way, c.What, c.From, c.To)
	}
	return err
}

// The type "lines" maps each word that a script reported to the text after the
// word.
type lines map[string]string

// runScript runs a script. The script prints lines of the form "access: WORD
// TEXT". Its last line is "access: done" or "access: error TEXT".
func runScript(ctx context.Context, guest Guest, command proxstation.GuestCommand) (lines, error) {
	out, err := guest.Run(ctx, command)
	if err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	found := lines{}
	for line := range strings.Lines(out.Stdout) {
		line, ours := strings.CutPrefix(strings.TrimRight(line, "\r\n"), "access: ")
		if !ours {
			continue
		}
		word, text, _ := strings.Cut(line, " ")
		switch word {
		case "error":
			return nil, fmt.Errorf("%w: %s", ErrGuest, text)
		case "done":
			return found, nil
		}
		found[word] = text
	}
	return nil, fmt.Errorf("%w: the script ended without a report (exit code %d)", ErrGuest, out.Code)
}
