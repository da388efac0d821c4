package rustdesk

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/proxstation/proxstation/internal/printable"
)

// A Target is a guest and the configuration its RustDesk should have.
type Target struct {
	// Name names the guest in plans, events and errors, such as "VM 140".
	Name string `json:"name"`
	// Guest is the way into the guest.
	Guest Guest `json:"-"`
	// OS is the guest's operating system.
	OS OS `json:"os"`
	// Config is the configuration that the guest should have.
	Config Config `json:"config"`
	// Clone says that the guest was cloned from another target when RustDesk
	// was already installed. The guest gets a new ID if another target has the
	// same ID.
	Clone bool `json:"clone,omitempty"`
}

// A Plan holds the changes of RustDesk in some guests, such as a move of all
// guests from the public servers to a self-hosted server. Its method String
// shows no secret. If a target has a password, the plan always sets the
// password, because the present password of a guest cannot be read.
type Plan struct {
	// Steps holds the changes, one for each guest that has to change, in the
	// order of the targets.
	Steps []PlanStep `json:"steps"`
	// The field Unreached holds the guests whose configuration could not be
	// read. The plan does not change them.
	Unreached []Unreached `json:"unreached,omitempty"`
	// NoID holds the guests that were reached but whose ID could not be read,
	// such as guests without RustDesk. They may be clones.
	NoID []Unreached `json:"noID,omitempty"`
	// Clones holds the guests that share an ID and should all keep it. Apply
	// refuses a plan with such guests.
	Clones []*CloneError `json:"clones,omitempty"`
}

// A PlanStep holds the changes of one guest.
type PlanStep struct {
	Target  Target         `json:"target"`
	Changes []OptionChange `json:"changes"`
	// ID is the guest's ID, "" if it is unknown. NewID says that the guest gets
	// a new ID.
	ID    ID   `json:"id,omitempty"`
	NewID bool `json:"newID,omitempty"`
}

// An Unreached is a guest that could not be read completely.
type Unreached struct {
	Name string `json:"name"`
	Err  error  `json:"-"` // the reason
}

// Empty reports whether the guests that were reached need no change.
func (p Plan) Empty() bool { return len(p.Steps) == 0 }

// String returns the plan as a diff.
func (p Plan) String() string {
	var b strings.Builder
	guests := "guests"
	if len(p.Steps) == 1 {
		guests = "guest"
	}
	fmt.Fprintf(&b, "Plan for RustDesk: %d %s to change, %d not reached\n", len(p.Steps), guests, len(p.Unreached))
	for _, step := range p.Steps {
		b.WriteString(printable.Sprintf("\n~ %s (%s)\n", step.Target.Name, step.Target.OS))
		if step.NewID {
			fmt.Fprintf(&b, "    ~ id: %q -> a new one\n", string(step.ID))
		}
		for _, change := range step.Changes {
			fmt.Fprintf(&b, "    %s\n", change)
		}
	}
	for _, u := range p.Unreached {
		b.WriteString(printable.Sprintf("\n? %s: %v\n", u.Name, u.Err))
	}
	for _, u := range p.NoID {
		b.WriteString(printable.Sprintf("\n? %s: its ID is unknown: %v\n", u.Name, u.Err))
	}
	for _, clones := range p.Clones {
		b.WriteString(printable.Sprintf("\n! %v\n", clones))
	}
	return b.String()
}

// PlanFor reads the configuration and the ID of all targets at the same time,
// and returns the changes. A guest that does not answer is listed in
// Plan.Unreached and does not delay the other guests. The error comes from
// [Config.Validate], before any guest is asked, or from a context that ended.
func PlanFor(ctx context.Context, targets []Target) (Plan, error) {
	for _, t := range targets {
		if err := t.Config.Validate(); err != nil {
			return Plan{}, fmt.Errorf("%w (%s)", err, t.Name)
		}
	}
	have, ids := make([]Config, len(targets)), make([]ID, len(targets))
	failures, noID := make([]error, len(targets)), make([]error, len(targets))
	var group sync.WaitGroup
	for i, t := range targets {
		group.Go(func() {
			if have[i], failures[i] = ReadConfig(ctx, t.Guest, t.OS); failures[i] == nil {
				ids[i], noID[i] = ReadID(ctx, t.Guest, t.OS)
			}
		})
	}
	group.Wait()
	plan := Plan{Clones: unresolved(targets, ids)}
	same := shared(targets, ids)
	for i, t := range targets {
		if failures[i] != nil {
			plan.Unreached = append(plan.Unreached, Unreached{t.Name, failures[i]})
			continue
		}
		if noID[i] != nil {
			plan.NoID = append(plan.NoID, Unreached{t.Name, noID[i]})
		}
		step := PlanStep{Target: t, Changes: Diff(have[i], t.Config), ID: ids[i], NewID: t.Clone && same[i] != nil}
		if len(step.Changes) > 0 || step.NewID {
			plan.Steps = append(plan.Steps, step)
		}
	}
	return plan, context.Cause(ctx)
}

// Apply makes the changes of the plan, one guest after the other, so that a
// mistake does not lock the caller out of all guests. If a guest fails, Apply
// stops and returns the error of [SetUp]. It also returns the reports of the
// guests that it changed before, in the order of the steps. To continue, make a
// new plan.
//
// The error matches [ErrClone] if guests share an ID. If Clones is not empty,
// nothing is changed. Otherwise Apply stops when a second guest reports an ID
// that it has seen already.
func (p Plan) Apply(ctx context.Context, progress func(Event)) ([]Report, error) {
	if len(p.Clones) > 0 {
		return nil, p.Clones[0]
	}
	var reports []Report
	names := map[ID]string{}
	for _, step := range p.Steps {
		t := step.Target
		named := func(e Event) {
			if progress != nil {
				e.Guest = t.Name
				progress(e)
			}
		}
		report, err := SetUp(ctx, t.Guest, Setup{OS: t.OS, Config: &t.Config, NewID: step.NewID}, named)
		if err != nil {
			return reports, fmt.Errorf("%w (%s)", err, t.Name)
		}
		reports = append(reports, report)
		if other, taken := names[report.ID]; taken {
			return reports, &CloneError{report.ID, []string{other, t.Name}}
		}
		names[report.ID] = t.Name
	}
	return reports, nil
}
