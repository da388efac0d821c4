package browser_test

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/examples/switchboard/board"
	"github.com/proxstation/proxstation/workstation"
)

// A state is a situation in which people see the page.
type state struct {
	name  string
	path  string       // "" for the page itself
	set   func(*scene) // prepares the node's answers
	opts  func(*board.Options)
	steps []action
}

// states returns all situations in which people see the page.
func states() []state {
	ask := click("#system-141 button")
	begin := []action{ask, click("#dialog .danger")}
	lease := func(s *scene) {
		s.status.Lease, s.status.LeaseLeft = &workstation.Lease{ID: "x", Owner: "homelab on laptop", From: 140, To: 141, Phase: workstation.PhaseStop}, 100*time.Second
	}
	blocked := func(s *scene) {
		s.status.Members[1].CanStart, s.status.Members[1].Why = proxstation.No, []proxstation.Finding{locked}
	}
	ended := func(result error) func(*scene) {
		return func(s *scene) { s.result = result; close(s.end) }
	}
	asksSecret := func(o *board.Options) { o.Secret = proxstation.NewSecret("correct horse battery") }
	return []state{
		{name: "on"},
		{name: "off", set: func(s *scene) { s.runs(0) }, steps: []action{says("#system-141", "Start Linux AI")}},
		{name: "asks", steps: []action{ask, says("#dialog", "whoever sits at it")}},
		{name: "asks-to-shut-down", steps: []action{click("#system-140 button"), says("#dialog", "Whoever sits at Windows")}},
		{name: "switching", set: func(s *scene) { s.events = starting; s.during = func(s *scene) { s.runs(141) } },
			steps: append(begin, says("#job", "of at most"), says("#system-141", "Starting"))},
		{name: "checking", set: func(s *scene) { s.events = starting[:1] }, steps: append(begin, says("#job", "Check"))},
		{name: "going-back", set: func(s *scene) {
			s.events = append(starting, workstation.Event{Phase: workstation.PhaseRollback, VMID: 140, Limit: 5 * time.Minute})
		}, steps: append(begin, says("#job", "Go back to Windows"))},
		{name: "done", set: func(s *scene) { s.during = func(s *scene) { s.runs(141) }; close(s.end) }, steps: append(begin, says("#news", "Linux AI has the card"))},
		{name: "returned", set: ended(rolledBack), steps: append(begin, says("#alerts", "Windows runs again"), click("#alerts summary"))},
		{name: "leased", set: lease, steps: []action{says("#lease", "Take over")}},
		{name: "takes-over", set: lease, steps: []action{click("#lease button"), says("#dialog", "only if you know that this controller is dead")}},
		{name: "blocked", set: blocked, steps: []action{click("#system-141 summary"), says("#system-141", "lock: backup")}},
		{name: "hung", set: func(s *scene) { s.hangs = 1 }, steps: []action{says("#trouble", "It has not answered for")}},
		{name: "notes", steps: []action{click("#host summary"), says("#host", "To do")}},
		{name: "asks-alone", path: "/switch/141", steps: []action{says("main", "whoever sits at it")}},
		{name: "refused-alone", path: "/switch/141", set: blocked, steps: []action{says("main", "cannot start now")}},
		{name: "takes-over-alone", path: "/takeover", set: lease, steps: []action{says("main", "only if you know")}},
		{name: "secret", path: "/login", opts: asksSecret, steps: []action{says("main", "Log in")}},
		{name: "wrong-secret", path: "/login", opts: asksSecret, steps: []action{chromedp.SendKeys(chromedp.CSS("#secret"), "wrong\r"), says("#wrong", "not the secret")}},
		{name: "desk", steps: []action{says("#host", "Tier 3")}},
		{name: "desk-blocked", set: blocked, steps: []action{click("#system-141 summary"), says("#system-141", "lock: backup")}},
		{name: "desk-switching", set: func(s *scene) { s.events = starting }, steps: append(begin, says("#job", "of at most"))},
	}
}

// show brings the page into the state.
func (s state) show(t *testing.T, on screen) context.Context {
	t.Helper()
	sc := newScene(t)
	if s.set != nil {
		s.set(sc)
	}
	opts := named
	if s.opts != nil {
		s.opts(&opts)
	}
	url, _, _ := serve(t, sc, duo, opts)
	ctx := tab(t, on)
	do(t, ctx, fixedClock, chromedp.Navigate(url+s.path))
	if s.path == "" {
		do(t, ctx, says("#host", "Tier 3"))
	}
	do(t, ctx, s.steps...)
	return ctx
}
