package rustdesk

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// A Target is a guest and the configuration its RustDesk should have.
type Target struct {
	// Name names the guest in plans, events and errors, such as "VM 140".
	Name string `json:"name"`
	// Guest is the way in.
	Guest Guest `json:"-"`
	// OS is the guest's operating system.
	OS OS `json:"os"`
	// Config is what the guest should have.
	Config Config `json:"config"`
}

// A Plan is what has to change in the RustDesk of some guests, such as to move
// all of them from the public servers to an own one. Its String shows no
// secret. A password that is given is always part of the plan: RustDesk never
// tells which password it has.
type Plan struct {
	// Steps are the guests that have to change, in the order of the targets.
	Steps []PlanStep `json:"steps"`
	// Unreached are the guests whose configuration could not be read. Nothing
	// is planned for them.
	Unreached []Unreached `json:"unreached,omitempty"`
}

// A PlanStep is the change of one guest.
type PlanStep struct {
	Target  Target         `json:"target"`
	Changes []OptionChange `json:"changes"`
}

// An Unreached is a guest whose configuration could not be read.
type Unreached struct {
	Name string `json:"name"`
	Err  error  `json:"-"` // the reason
}

// Empty reports whether nothing has to be done in the guests that were reached.
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
		fmt.Fprintf(&b, "\n~ %s (%s)\n", step.Target.Name, step.Target.OS)
		for _, change := range step.Changes {
			fmt.Fprintf(&b, "    %s\n", change)
		}
	}
	for _, u := range p.Unreached {
		fmt.Fprintf(&b, "\n? %s: %v\n", u.Name, u.Err)
	}
	return b.String()
}

// PlanFor reads the configuration of every target, all at the same time, and
// returns what has to change. A guest that does not answer is in
// Plan.Unreached and does not keep the others from being planned. The error is
// that of [Config.Validate], before any guest is asked, or that of a context
// that ended.
func PlanFor(ctx context.Context, targets []Target) (Plan, error) {
	for _, t := range targets {
		if err := t.Config.Validate(); err != nil {
			return Plan{}, fmt.Errorf("%w (%s)", err, t.Name)
		}
	}
	have, failures := make([]Config, len(targets)), make([]error, len(targets))
	var group sync.WaitGroup
	for i, t := range targets {
		group.Go(func() { have[i], failures[i] = ReadConfig(ctx, t.Guest, t.OS) })
	}
	group.Wait()
	var plan Plan
	for i, t := range targets {
		if failures[i] != nil {
			plan.Unreached = append(plan.Unreached, Unreached{t.Name, failures[i]})
		} else if changes := Diff(have[i], t.Config); len(changes) > 0 {
			plan.Steps = append(plan.Steps, PlanStep{t, changes})
		}
	}
	return plan, context.Cause(ctx)
}

// Apply does what the plan says, one guest after the other, so that a mistake
// does not lock the caller out of all of them at once. It stops at the first
// guest that fails, with the error of [SetUp], and returns the reports of the
// guests before it in the order of the steps. A new plan then goes on there.
func (p Plan) Apply(ctx context.Context, progress func(Event)) ([]Report, error) {
	var reports []Report
	for _, step := range p.Steps {
		t := step.Target
		named := func(e Event) {
			if progress != nil {
				e.Guest = t.Name
				progress(e)
			}
		}
		report, err := SetUp(ctx, t.Guest, Setup{OS: t.OS, Config: &t.Config}, named)
		if err != nil {
			return reports, fmt.Errorf("%w (%s)", err, t.Name)
		}
		reports = append(reports, report)
	}
	return reports, nil
}
