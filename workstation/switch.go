package workstation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/pve"
)

// Switch gives the card to one member of a set, as a transaction. It checks
// everything that can be known beforehand, shuts down the running member, waits
// until that VM is gone, starts the target and waits until the target is up. If
// a step fails, Switch returns to the member that ran before. If it cannot, a
// [SwitchError] says in which state the VMs are. A guest that has started but
// is not up in time keeps the card, unless db.ReturnIfNotUp is set. Switch
// never pulls the plug of a guest unless db.Force is set. It starts no VM with
// a card that is gone.
//
// Switch can be repeated. If the target runs already and is up, it does
// nothing. It can begin in any state that an earlier switch, or a person, has
// left. If the context ends early, Switch returns to the member that ran
// before, as after a failure.
//
// The members may be on several nodes of a cluster. Switch finds them, even
// after PVE has moved them. It does not begin without quorum, or while a member
// may run on a node that is away: see [DualBoot].NodesOff. If a node goes away
// during the switch, the error says which members run, as far as that is known.
// No VM is started while the other VM may run unseen. A repeated switch goes on
// when the node is back, or when a person has named the node in NodesOff.
//
// Members under high availability are started and stopped by the HA manager. It
// pulls the plug of a guest that does not shut down in time, so Switch only
// asks it to stop a VM if db.Force is set. After a failed start, the manager
// would try again and then move the VM. Switch takes its request back after one
// failure.
//
// A [BlockedError] means that nothing was changed.
//
// Switch needs the privileges of [Node.Observe]. On the members it needs
// VM.PowerMgmt, VM.Config.Options unless db.NoLease is set, and the privileges
// of [Agent.Wait] if an agent is configured. High availability needs no further
// privilege, with one exception: to restore the HA states "disabled" and
// "error" after a failure, Switch needs Sys.Console on /. Without it, the
// error's Advice names the commands.
func (n *Node) Switch(ctx context.Context, db DualBoot, to int, progress func(Event)) error {
	db, err := db.withTarget(to)
	if err != nil {
		return err
	}
	db.Owner = cmp.Or(db.Owner, n.owner)
	s := &switching{node: n, db: db, to: to, asked: map[int]int{}, left: map[int]string{}, reporter: reporter{report: progress}}
	done, err := s.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	running, err := n.vms.Running(ctx, db.Members, db.NodesOff)
	if err != nil && !(uncertain(err) && len(running) > 0) {
		return s.refused(ctx, err)
	}
	if len(running) == 1 && running[0].VMID == to && s.up(ctx, to) == nil {
		s.enter(PhaseDone, to, "it is running already")
		return s.tidy(ctx)
	}
	if len(db.NodesOff) > 0 { // before the lease is written, check that the nodes in NodesOff are off
		if _, err := s.check(ctx); err != nil {
			return err
		}
	}
	if err := s.acquire(ctx); err != nil {
		return s.refused(ctx, err)
	}
	err = s.run(ctx)
	if releaseErr := s.release(ctx); releaseErr != nil && err == nil {
		err = fmt.Errorf("workstation: VM %d is up, but its lease could not be given back, so that the next switch has to wait: %w", to, releaseErr)
	}
	return err
}

// A switching holds the state of a switch that is under way.
type switching struct {
	reporter
	node *Node
	db   DualBoot
	to   int
	from int // the member that ran before, or 0
	pid  int // the PID that this member had then; 0 if it had ended
	held *Lease
	at   int // the member whose description holds the lease; 0 if there is no lease
	// The PIDs of the VMs that were asked to shut down.
	asked   map[int]int
	started time.Time // the time of the last request to start the target
	// left holds the IDs of other leases that this switch removes at its end,
	// by the member that holds them. The lease in use, in the member s.at, is
	// not among them.
	left  map[int]string
	facts Facts  // the facts that were judged
	haWas string // the HA state that the target was asked to have, "" if unknown
	// haLeft is the reason why the target's HA state could not be set back.
	haLeft error
}

// A turn lets only one switch of a set run at a time on one [Node], because all
// switches on a Node share a lease.
type turn struct {
	free chan struct{}
	to   atomic.Int64 // the target of the switch that is under way
}

// turn waits until no other switch of this set is under way on the same Node.
// When the switch ends, the caller calls the function "done".
func (s *switching) turn(ctx context.Context) (done func(), err error) {
	value, _ := s.node.turns.LoadOrStore(s.place(), &turn{free: make(chan struct{}, 1)})
	t, _ := value.(*turn)
	select {
	case t.free <- struct{}{}:
	default:
		other := fmt.Sprintf("this program's switch to VM %d", t.to.Load())
		s.enter(PhaseLease, s.place(), "waiting for "+other)
		select {
		case t.free <- struct{}{}:
		case <-ctx.Done():
			return nil, fmt.Errorf("workstation: %w: %s: %w", ErrLeased, other, context.Cause(ctx))
		}
	}
	t.to.Store(int64(s.to))
	return func() { <-t.free }, nil
}

// This returns a better error if a node is away or the cluster has no quorum:
// the error holds the findings that kept the switch from beginning. Otherwise
// it returns err.
func (s *switching) refused(ctx context.Context, err error) error {
	if errors.Is(err, pve.ErrNoQuorum) {
		return &BlockedError{What: fmt.Sprintf("the switch to VM %d", s.to), Findings: []proxstation.Finding{noQuorum(err.Error())}}
	}
	if uncertain(err) && s.node.vms.Clustered() {
		if _, checkErr := s.check(ctx); errors.Is(checkErr, ErrBlocked) {
			return checkErr
		}
	}
	return err
}

// check observes the nodes and judges whether the switch can succeed.
func (s *switching) check(ctx context.Context) (Facts, error) {
	s.enter(PhaseCheck, s.to, "checking everything that could fail later")
	set, err := s.node.observeSet(ctx, s.db)
	if err != nil {
		return Facts{}, err
	}
	facts := set.of(s.to)
	findings := Preflight(s.db, s.to, facts)
	if proxstation.Worst(findings) == proxstation.Blocker {
		return Facts{}, &BlockedError{What: fmt.Sprintf("the switch to VM %d", s.to), Findings: findings}
	}
	s.facts = facts
	return facts, nil
}

func (s *switching) run(ctx context.Context) error {
	facts, err := s.check(ctx)
	if err != nil {
		return err
	}
	for _, id := range s.db.Members {
		if v := facts.VMs[id]; v.Running && id != s.to {
			s.from, s.pid = id, v.PID
		}
	}
	if s.from == 0 && s.held != nil && s.held.From != s.to && slices.Contains(s.db.Members, s.held.From) {
		s.from = s.held.From // the VM that an interrupted switch had stopped
	}
	for _, step := range []struct {
		phase Phase
		do    func(context.Context) error
	}{{PhaseStop, s.stopOthers}, {PhaseFree, s.healthy}, {PhaseStart, s.start}, {PhaseUp, s.awaitUp}} {
		if err := step.do(ctx); err != nil {
			if s.phase == PhaseFree {
				step.phase = PhaseFree // the guest has shut down already
			}
			return s.goBack(ctx, step.phase, err)
		}
	}
	s.enter(PhaseDone, s.to, "it is up")
	return nil
}

// stopOthers shuts down every other member that runs. It waits until the VM is
// gone and no longer holds the card.
func (s *switching) stopOthers(ctx context.Context) error {
	running, err := s.node.vms.Running(ctx, s.db.Members, s.db.NodesOff)
	if err != nil {
		return err
	}
	if running, err = s.wanted(ctx, running); err != nil {
		return err
	}
	for _, v := range running {
		id := v.VMID
		if id == s.to {
			continue
		}
		if err := s.renew(ctx, PhaseStop, s.db.stopTime()+s.haTime(id)); err != nil {
			return err
		}
		s.enterFor(s.db.Grace, PhaseStop, id, fmt.Sprintf("shutting down VM %d, which may take %s", id, s.db.Grace))
		if err := s.shutdown(ctx, v); err != nil {
			return err
		}
	}
	return nil
}
