package board

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
)

// An Action is what a board can be asked to do.
type Action string

// The actions.
const (
	ActionSwitch   Action = "switch"   // give the card to a system
	ActionShutdown Action = "shutdown" // shut a system down
)

// A Job is a switch or a shutdown under way.
type Job struct {
	ID     string `json:"id"`
	Action Action `json:"action"`
	// VMID is the system that the job is about, From the one that had the card
	// before a switch, 0 if none had it.
	VMID int `json:"vmid"`
	From int `json:"from,omitempty"`
	// Phase is the stage that the job is in, and Text says it in words.
	Phase workstation.Phase `json:"phase"`
	Text  string            `json:"text"`
	// Steps are the stages of the whole job.
	Steps []Step `json:"steps"`
	// ElapsedSeconds counts from the begin of the phase. LimitSeconds is how long
	// the phase may take, 0 if it has no limit.
	ElapsedSeconds int `json:"elapsedSeconds"`
	LimitSeconds   int `json:"limitSeconds,omitempty"`
}

// An Order is what somebody asks a board to do.
type Order struct {
	Action Action
	VMID   int
	// From is the system that ran when the person was asked whether they mean
	// it. A nil From skips the comparison: nobody was asked.
	From *int
	// TakeOver is the ID of a lease to take over, "" for none.
	TakeOver string
}

// A job holds a job's state, under the board's lock.
type job struct {
	id      string
	order   Order
	from    int
	event   workstation.Event
	began   time.Time // of the phase
	back    bool      // whether it is on its way back
	reached int       // the rank of the last phase before that
	off     bool      // whether there is nothing to shut down
	warned  []string
	done    chan struct{}
	outcome *Outcome // once done is closed
}

// begin begins a job, or returns a [Refusal]. It does not wait for the job.
func (b *Board) begin(ctx context.Context, order Order) (*job, error) {
	b.state.expire() // a decision is not made on what was seen before
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
		j.off = !s.On
		j.event = workstation.Event{Phase: workstation.PhaseStop, VMID: order.VMID, Limit: b.duo.Grace}
	}
	b.job, b.outcome = j, nil
	b.work.Go(func() { b.do(j) })
	b.wake()
	return j, nil
}

// do does a job, and keeps its outcome.
func (b *Board) do(j *job) {
	var err error
	switch {
	case j.off:
	case j.order.Action == ActionShutdown:
		err = b.node.Shutdown(b.jobs, j.order.VMID, b.duo.Grace)
	default:
		duo := b.duo
		duo.TakeOver = j.order.TakeOver
		err = b.node.Switch(b.jobs, duo, j.order.VMID, func(e workstation.Event) { b.note(j, e) })
	}
	b.state.expire()
	ctx, cancel := context.WithTimeout(b.reads, slow)
	defer cancel()
	b.state.fresh(ctx) // so that the outcome and the systems change together
	v, _ := b.now()
	j.outcome = outcome(j, err, v)
	b.opts.Report(j.outcome.line(err))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.job, b.outcome = nil, j.outcome
	close(j.done)
	b.wake()
}

// note keeps what a switch says of its progress.
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

// shown returns what people see of a job.
func (j *job) shown(v View) *Job {
	elapsed := max(v.At.Sub(j.began), 0)
	return &Job{ID: j.id, Action: j.order.Action, VMID: j.order.VMID, From: j.from, Phase: j.event.Phase, Text: j.text(v), Steps: j.steps(v),
		ElapsedSeconds: int(elapsed / time.Second), LimitSeconds: int(j.event.Limit / time.Second)}
}

// A Refusal says why a job was not begun. Nothing was changed.
type Refusal struct {
	// Code is what programs branch on.
	Code string `json:"code"`
	// Text says it in words.
	Text string `json:"error"`
	// Findings are what blocks a switch.
	Findings []proxstation.Finding `json:"findings,omitempty"`
	// Lease is the lease that is in the way. Its ID is the takeOver of a new
	// request.
	Lease *Lease `json:"lease,omitempty"`
}

// The codes of a [Refusal].
const (
	CodeUnknown  = "unknown-system" // no such system
	CodeBusy     = "busy"           // this board is doing something else
	CodeLeased   = "leased"         // another controller is at work
	CodeBlocked  = "blocked"        // the switch would fail
	CodeChanged  = "changed"        // another system runs than the person was told
	CodeNoAnswer = "no-answer"      // the node does not answer
	CodeEnding   = "ending"         // the program is being stopped
)

// Error implements error.
func (r *Refusal) Error() string { return r.Text }

// refuse judges an order: nil means that it can begin.
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
	case order.Action == ActionShutdown && !s.On:
		return nil // there is nothing to do
	case order.Action == ActionSwitch && !s.On && s.CanSwitch == proxstation.No:
		return &Refusal{Code: CodeBlocked, Text: s.Name + " cannot start now. Nothing was begun.", Findings: s.blockers()}
	}
	return nil
}

// blockers returns the reasons that keep a system from starting.
func (s System) blockers() []proxstation.Finding {
	var found []proxstation.Finding
	for _, f := range s.Reasons {
		if f.Severity == proxstation.Blocker {
			found = append(found, f)
		}
	}
	return found
}
