package workstation

import "time"

// A Phase is a stage of long work.
type Phase string

// The phases of an upload, an apply and a switch, in the order they come.
const (
	PhaseUpload   Phase = "upload"   // an image is being sent to the node
	PhaseApply    Phase = "apply"    // a step of a plan
	PhaseLease    Phase = "lease"    // waiting for another controller
	PhaseCheck    Phase = "check"    // checking everything that could fail later
	PhaseStop     Phase = "stop"     // the guest that has the card shuts down
	PhaseFree     Phase = "free"     // the VM is off, but the card is not yet free
	PhaseStart    Phase = "start"    // the next VM starts
	PhaseUp       Phase = "up"       // waiting until its guest is up
	PhaseRollback Phase = "rollback" // returning to the VM that ran before
	PhaseDone     Phase = "done"     // nothing is left to do
)

// An Event reports progress of long work. A function that takes a func(Event)
// calls this func from one goroutine at a time and waits until it returns, so
// it should return soon.
type Event struct {
	// Phase is the stage the work is in.
	Phase Phase
	// Step is the number of the current step of a plan, from 1. Of is the
	// number of steps. Both are 0 in a switch.
	Step, Of int
	// VMID is the VM that the event is about, or 0 if it is about no VM.
	VMID int
	// Message says what is happening, for people.
	Message string
	// Warnings holds the warnings in the log of a task that did not fail: that
	// a card could not be reset, for example.
	Warnings []string
	// Elapsed is the time since the phase began.
	Elapsed time.Duration
	// Limit is the longest time that the phase may take from its beginning, or
	// 0 if there is no limit. After that time a switch goes on to the next
	// phase, or returns to the VM that ran before.
	Limit time.Duration
}

// A reporter passes events to the caller's function, if there is one.
type reporter struct {
	report func(Event)
	phase  Phase
	began  time.Time
	limit  time.Duration
}

// enter begins a phase that has no limit.
func (r *reporter) enter(phase Phase, vmid int, message string) { r.enterFor(0, phase, vmid, message) }

// enterFor begins a phase that may take as long as the limit.
func (r *reporter) enterFor(limit time.Duration, phase Phase, vmid int, message string) {
	r.phase, r.began, r.limit = phase, time.Now(), limit
	r.say(vmid, message)
}

func (r *reporter) say(vmid int, message string) {
	if r.report != nil {
		r.report(Event{Phase: r.phase, VMID: vmid, Message: message, Elapsed: time.Since(r.began), Limit: r.limit})
	}
}
