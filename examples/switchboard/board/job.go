package board

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
)

// An Action is something that a board can do to a system.
type Action string

// The actions of a board.
const (
	ActionSwitch   Action = "switch"   // gives the card to a system
	ActionShutdown Action = "shutdown" // shuts down a system
)

// A Job is a switch or a shutdown that is under way.
type Job struct {
	ID     string `json:"id"`
	Action Action `json:"action"`
	// VMID is the system to switch to or to shut down. From is the system that
	// had the card before a switch, 0 if no system had it.
	VMID int `json:"vmid"`
	From int `json:"from,omitempty"`
	// Phase is the current stage of the job. Text describes it in words.
	Phase workstation.Phase `json:"phase"`
	Text  string            `json:"text"`
	// Steps holds all stages of the job.
	Steps []Step `json:"steps"`
	// ElapsedSeconds is the time since the start of the phase. LimitSeconds is
	// the longest time that the phase may take. It is 0 if there is no limit.
	ElapsedSeconds int `json:"elapsedSeconds"`
	LimitSeconds   int `json:"limitSeconds,omitempty"`
}

// An Order is a request for a job.
type Order struct {
	Action Action
	VMID   int
	// From is the VMID of the system that ran when the person confirmed the
	// order. If From is nil, no person was asked, and the board does not check
	// which system runs.
	From *int
	// TakeOver is the ID of a lease to take over, "" to take over no lease.
	TakeOver string
}

// A job holds what the board knows about a job under way. The board's lock
// guards it. People and programs see it as a [Job].
type job struct {
	id      string
	order   Order
	from    int
	event   workstation.Event
	began   time.Time // when the phase began
	back    bool      // whether the switch is being undone
	reached int       // the rank of the last phase before the undoing began
	off     bool      // whether the system was already off, so that there was nothing to shut down
	on      string    // the node of the system that the job shuts down
	warned  []string
	done    chan struct{}
	outcome *Outcome // set before the channel done is closed
}

// begin starts a job and does not wait for it. The error is a [Refusal].
func (b *Board) begin(ctx context.Context, order Order) (*job, error) {
	b.state.expire() // makes look read the node again
	v := b.look(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.jobs.Err() != nil {
		return nil, &Refusal{Code: CodeEnding, Text: "The switchboard is being stopped: it begins nothing any more."}
	}
	if b.job != nil {
		return nil, &Refusal{Code: CodeBusy, Text: "Not now: " + b.job.shown(v).Text + "."}
	}
	if refusal := refuse(v, order); refusal != nil {
		return nil, refusal
	}
	j := &job{id: rand.Text()[:8], order: order, began: time.Now(), done: make(chan struct{}), event: workstation.Event{Phase: workstation.PhaseCheck, VMID: order.VMID}}
	if v.Running != order.VMID {
		j.from = v.Running
	}
	if order.Action == ActionShutdown {
		s, _ := v.system(order.VMID)
		j.off, j.on = !s.On, s.Node
		j.event = workstation.Event{Phase: workstation.PhaseStop, VMID: order.VMID, Limit: b.duo.Grace}
	}
	b.job, b.outcome = j, nil
	b.work.Go(func() { b.do(j) })
	b.wake()
	return j, nil
}

// The method "do" runs a job and stores its outcome.
func (b *Board) do(j *job) {
	var err error
	switch {
	case j.off:
	case j.order.Action == ActionShutdown:
		err = b.shutdown(j.on)(b.jobs, j.order.VMID, b.duo.Grace)
	default:
		duo := b.duo
		duo.TakeOver = j.order.TakeOver
		err = b.node.Switch(b.jobs, duo, j.order.VMID, func(e workstation.Event) { b.note(j, e) })
	}
	b.state.expire()
	ctx, cancel := context.WithTimeout(b.reads, slow)
	defer cancel()
	b.state.fresh(ctx) // so that one view shows both the outcome and the new state of the systems
	v, _ := b.now()
	j.outcome = outcome(j, err, v)
	b.opts.Report(j.outcome.line(err))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.job, b.outcome = nil, j.outcome
	close(j.done)
	b.wake()
}

// shutdown returns the function that shuts down a guest on a node of the
// cluster.
func (b *Board) shutdown(on string) func(context.Context, int, time.Duration) error {
	if cluster, ok := b.node.(interface {
		On(name string) *workstation.Node
	}); ok && on != "" {
		return cluster.On(on).Shutdown
	}
	return b.node.Shutdown
}

// note stores the progress that a switch reports.
func (b *Board) note(j *job, e workstation.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if j.event, j.began = e, time.Now().Add(-e.Elapsed); e.Phase == workstation.PhaseRollback {
		j.back = true
	} else if !j.back {
		j.reached = ranks[e.Phase]
	}
	j.warned = append(j.warned, e.Warnings...)
	b.wake()
}

// shown returns the job in the form that people and programs see.
func (j *job) shown(v View) *Job {
	elapsed := max(v.At.Sub(j.began), 0)
	return &Job{ID: j.id, Action: j.order.Action, VMID: j.order.VMID, From: j.from, Phase: j.event.Phase, Text: j.text(v), Steps: j.steps(v),
		ElapsedSeconds: int(elapsed / time.Second), LimitSeconds: int(j.event.Limit / time.Second)}
}

// A Refusal is the reason why the board did not begin a job. The board then
// changed nothing.
type Refusal struct {
	// Code is a fixed word for the reason, for programs.
	Code string `json:"code"`
	// Text is the reason in words.
	Text string `json:"error"`
	// Findings holds the reasons why a switch would fail.
	Findings []proxstation.Finding `json:"findings,omitempty"`
	// Lease is the lease of the controller that is at work. To take it over,
	// send a new request with its ID as takeOver.
	Lease *Lease `json:"lease,omitempty"`
}

// The codes of a [Refusal].
const (
	CodeUnknown  = "unknown-system" // the board has no such system
	CodeBusy     = "busy"           // this board has a job under way
	CodeLeased   = "leased"         // another controller has a lease
	CodeBlocked  = "blocked"        // the switch would fail
	CodeChanged  = "changed"        // the running system has changed since the person was asked
	CodeNoAnswer = "no-answer"      // the node does not answer
	CodeEnding   = "ending"         // the program is about to end
)

// Error implements error.
func (r *Refusal) Error() string { return r.Text }

// refuse returns the reason why an order cannot begin. It returns nil if the
// order can begin.
func refuse(v View, order Order) *Refusal {
	s, known := v.system(order.VMID)
	switch {
	case !known && len(v.Systems) == 0 || v.Trouble != nil:
		return &Refusal{Code: CodeNoAnswer, Text: v.Host + " does not answer, so nothing was begun."}
	case !known:
		return &Refusal{Code: CodeUnknown, Text: fmt.Sprintf("%s is not one of the systems of this page.", s.Name)}
	case v.Lease != nil && !v.Lease.Ours && v.Lease.SecondsLeft > 0 && order.TakeOver != v.Lease.ID:
		return &Refusal{Code: CodeLeased, Text: v.Lease.Text(v) + " Nothing was begun.", Lease: v.Lease}
	case order.From != nil && *order.From != v.Running:
		now := "nothing runs"
		if v.Running != 0 {
			now = v.RunningName + " runs"
		}
		return &Refusal{Code: CodeChanged, Text: "Something changed in the meantime: now " + now + ". Nothing was begun."}
	case order.Action == ActionShutdown && s.Away:
		return &Refusal{Code: CodeNoAnswer, Text: fmt.Sprintf("Node %s is away, and %s may still run there. Nothing was begun.", s.Node, s.Name)}
	case order.Action == ActionShutdown && !s.On:
		return nil // the system is off already
	case order.Action == ActionSwitch && !s.On && s.CanSwitch == proxstation.No:
		return &Refusal{Code: CodeBlocked, Text: s.Name + " cannot start now. Nothing was begun.", Findings: s.blockers()}
	}
	return nil
}

// blockers returns the reasons why a system cannot start.
func (s System) blockers() []proxstation.Finding {
	var found []proxstation.Finding
	for _, f := range s.Reasons {
		if f.Severity == proxstation.Blocker {
			found = append(found, f)
		}
	}
	return found
}
