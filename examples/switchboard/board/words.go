package board

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
)

// A Step is one stage of a job, as people see it.
type Step struct {
	Text string `json:"text"`
	// State is "done", "now", "todo" or "failed". A failed step is the reason
	// why the switch is undone.
	State string `json:"state"`
}

// ranks gives each phase of a switch its position in the order of the phases.
var ranks = map[workstation.Phase]int{workstation.PhaseLease: 1, workstation.PhaseCheck: 1, workstation.PhaseStop: 2, workstation.PhaseFree: 2,
	workstation.PhaseStart: 3, workstation.PhaseUp: 4, workstation.PhaseDone: 5}

// steps returns the stages of a job with their states.
func (j *job) steps(v View) []Step {
	to, from := v.name(j.order.VMID), v.name(j.from)
	if j.order.Action == ActionShutdown {
		return []Step{{"Shut down " + to, "now"}}
	}
	type stage struct {
		rank int
		text string
	}
	stages := []stage{{1, "Check"}, {2, "Shut down " + from}, {3, "Start " + to}, {4, "Wait until " + to + " is up"}}
	if j.from == 0 {
		stages = []stage{stages[0], stages[2], stages[3]}
	}
	at := ranks[j.event.Phase]
	if j.back {
		at = j.reached
	}
	var steps []Step
	for _, s := range stages {
		state := "todo"
		switch {
		case s.rank < at:
			state = "done"
		case s.rank == at && j.back:
			state = "failed"
		case s.rank == at:
			state = "now"
		}
		if !j.back || s.rank <= at {
			steps = append(steps, Step{s.text, state})
		}
	}
	if j.back {
		steps = append(steps, Step{"Go back to " + from, "now"})
	}
	return steps
}

// text returns words for the present work of a job.
func (j *job) text(v View) string {
	return v.doing(j.event.Phase, v.name(cmp.Or(j.event.VMID, j.order.VMID)), j.from)
}

// doing returns words for the work in a phase of a job. The parameter "about"
// is the name of the system that is started or shut down.
func (v View) doing(phase workstation.Phase, about string, from int) string {
	switch phase {
	case workstation.PhaseLease:
		return "Waiting for another controller"
	case workstation.PhaseStop:
		return about + " is shutting down"
	case workstation.PhaseFree:
		return "Waiting until " + about + " is off"
	case workstation.PhaseStart:
		return about + " is starting"
	case workstation.PhaseUp:
		return "Waiting until " + about + " is up"
	case workstation.PhaseRollback:
		return "Going back to " + v.name(from)
	case workstation.PhaseDone:
		return about + " is up"
	}
	return "Checking whether " + about + " can start"
}

// Doing returns words for the work that a lease's owner did when it last
// renewed the lease.
func (l Lease) Doing(v View) string {
	about := l.To
	if l.Phase == workstation.PhaseStop || l.Phase == workstation.PhaseFree {
		about = cmp.Or(l.From, l.To)
	}
	return "Last: " + v.doing(l.Phase, v.name(about), l.From) + "."
}

func (v View) name(vmid int) string { s, _ := v.system(vmid); return s.Name }

// Text returns words about the owner of a lease.
func (l Lease) Text(v View) string {
	switch {
	case l.Ours:
		return "A switch to " + v.name(l.To) + " was cut off."
	case l.To == 0:
		return l.Owner + " is at work."
	}
	return l.Owner + " is switching to " + v.name(l.To) + "."
}

// An Outcome describes the end of a job.
type Outcome struct {
	ID string `json:"id"` // the job's ID
	OK bool   `json:"ok"`
	// Title is one sentence. Detail holds further sentences.
	Title  string    `json:"title"`
	Detail []string  `json:"detail,omitempty"`
	At     time.Time `json:"at"`
	// Findings holds the findings that blocked the job, or that require an
	// action after it.
	Findings []proxstation.Finding `json:"findings,omitempty"`
}

// line returns the outcome for a log, with the whole error.
func (o Outcome) line(err error) string {
	if err != nil {
		return o.Title + " (" + strings.ReplaceAll(err.Error(), "\n", " ") + ")"
	}
	return o.Title
}

// outcome returns the description of a job's end.
func outcome(j *job, err error, v View) *Outcome {
	o := &Outcome{ID: j.id, OK: err == nil, At: v.At, Detail: j.warned}
	name := v.name(j.order.VMID)
	var blocked *workstation.BlockedError
	var failed *workstation.SwitchError
	switch {
	case j.off:
		o.Title = name + " is off already."
	case err == nil && j.order.Action == ActionShutdown:
		o.Title = name + " is off."
	case err == nil:
		o.Title = name + " has the card."
	case errors.As(err, &blocked):
		o.Title = name + " was not started, and nothing was changed."
		for _, f := range blocked.Findings {
			if f.Severity == proxstation.Blocker {
				o.Findings = append(o.Findings, f)
			}
		}
	case errors.As(err, &failed):
		o.Title = fmt.Sprintf("%s %s", failedTitle(failed, name, v), now(failed, v))
		o.Detail, o.Findings = append(o.Detail, plain(failed.Cause)), failed.Advice
		if failed.Return != nil {
			o.Detail = append(o.Detail, "The way back failed too: "+plain(failed.Return))
		}
	case errors.Is(err, workstation.ErrLeased):
		o.Title = "Another controller is at work, so nothing was changed."
		o.Detail = append(o.Detail, plain(err))
	case j.order.Action == ActionShutdown && errors.Is(err, workstation.ErrTimeout):
		o.Title = fmt.Sprintf("%s did not shut down in %s, and is still on.", name, span(v.grace))
		o.Detail = append(o.Detail, plain(err))
	case j.order.Action == ActionShutdown && errors.Is(err, context.Canceled):
		o.Title = name + " was asked to shut down, and may be off later: the switchboard was stopped before."
	case j.order.Action == ActionShutdown && v.Trouble != nil:
		o.Title = "It is not known whether " + name + " shuts down."
		o.Detail = append(o.Detail, plain(err))
	case j.order.Action == ActionShutdown && v.Running == j.order.VMID:
		o.Title = name + " was not shut down, and is still on."
		o.Detail = append(o.Detail, plain(err))
	case j.order.Action == ActionShutdown:
		o.OK, o.Title = true, name+" is off." // only the answer got lost, because the guest is off
		o.Detail = append(o.Detail, plain(err))
	default:
		o.Title = "The switch to " + name + " did not work."
		o.Detail = append(o.Detail, plain(err))
	}
	return o
}

// failedTitle returns the title for a failed switch. The title names the goal
// that the switch did not reach.
func failedTitle(e *workstation.SwitchError, name string, v View) string {
	switch {
	case e.Running == e.To && errors.Is(e.Cause, workstation.ErrTimeout):
		return fmt.Sprintf("%s has started, but is not up after %s.", name, span(v.boot))
	case e.Phase == workstation.PhaseStop:
		return name + " did not get the card."
	case e.Phase == workstation.PhaseFree:
		return name + " was not started."
	}
	return name + " did not come up."
}

// The function "now" returns words for the system that runs after a failed
// switch.
func now(e *workstation.SwitchError, v View) string {
	name := v.name(e.Running)
	switch {
	case e.Running < 0:
		return "Which system runs is not known, because " + v.Host + " does not answer."
	case e.Running == 0:
		return "Nothing runs now."
	case e.Returned:
		return name + " runs again."
	case e.Closing:
		return name + " is still on, but was asked to shut down and may be off later."
	case e.Running == e.To:
		return "It keeps the card."
	}
	return name + " is still on."
}

// plain returns the text of an error without the package's name in front.
func plain(err error) string { return strings.TrimPrefix(err.Error(), "workstation: ") }

// span returns a duration in words, in at most two units.
func span(d time.Duration) string {
	d = max(d, 0)
	days, hours := int(d/(24*time.Hour)), int(d/time.Hour)%24
	minutes, seconds := int(d/time.Minute)%60, int(d/time.Second)%60
	two := func(a int, unitA string, b int, unitB string) string {
		if b == 0 {
			return fmt.Sprintf("%d %s", a, unitA)
		}
		return fmt.Sprintf("%d %s %d %s", a, unitA, b, unitB)
	}
	switch {
	case days > 0:
		return two(days, "d", hours, "h")
	case hours > 0:
		return two(hours, "h", minutes, "min")
	case minutes > 0:
		return two(minutes, "min", seconds, "s")
	}
	return fmt.Sprintf("%d s", seconds)
}

// ago returns words for a time in the past, to the minute.
func ago(d time.Duration) string {
	if d < time.Minute {
		return "less than a minute"
	}
	return span(d.Truncate(time.Minute))
}
