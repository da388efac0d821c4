package workstation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/proxstation/proxstation/internal/pve"
)

// The way back starts the member that ran before. It goes on after the caller's
// context has ended, because a switch must not stop half-way. It also tries
// again after a refusal.
const (
	returnTime  = 15 * time.Minute
	returnTries = 5
)

// errKeeps reports a target that still runs because the caller did not allow
// the switch to shut it down.
var errKeeps = errors.New("the VM that was started keeps the card")

// goBack starts the member that ran before. The SwitchError that it returns
// says whether that worked.
func (s *switching) goBack(ctx context.Context, phase Phase, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), returnTime)
	defer cancel()
	e := &SwitchError{Phase: phase, To: s.to, Cause: cause}
	if s.from != 0 && !s.hopeless(cause) {
		if e.Return = s.restore(ctx, cause); errors.Is(e.Return, errKeeps) {
			e.Return = nil // the caller wants the target to keep the card
		}
	}
	running, err := s.node.vms.Running(ctx, s.db.Members, s.db.NodesOff)
	switch {
	case err != nil && len(running) == 0:
		e.Running = -1
		e.Return = errors.Join(e.Return, err)
	case len(running) > 0:
		e.Running = running[0].VMID
		same := running[0].PID == s.asked[e.Running]
		e.Returned = e.Return == nil && e.Running == s.from && running[0].PID != s.pid
		e.Closing = same && !refused(cause) && !refused(e.Return)
	}
	e.Advice = append(s.db.advise(e, s.facts), s.adviseCluster(ctx, e)...)
	return e
}

// This reports whether no VM may be started any more after a failure.
func (s *switching) hopeless(cause error) bool {
	_, gone := lostCard(cause)
	return gone || errors.Is(cause, errUnhealthy)
}

// restore starts the member that ran before. The target did not come up, and
// has to give the card back first.
func (s *switching) restore(ctx context.Context, cause error) error {
	s.phase = PhaseRollback
	if err := s.hold(ctx); err != nil { // without the lease, another controller decides which VM runs
		return err
	}
	for _, id := range []int{s.from, s.to} {
		s.settle(ctx, id, s.db.Grace+leaseSlack)
	}
	if err := s.hold(ctx); err != nil {
		return err
	}
	if err := s.clearTarget(ctx); err != nil {
		return err
	}
	s.enterFor(s.db.Boot, PhaseRollback, s.from, fmt.Sprintf("returning to VM %d: %v", s.from, firstLine(cause)))
	for tries := 1; ; tries++ {
		err := s.again(ctx)
		if err == nil || s.hopeless(err) {
			return err
		}
		if tries == returnTries || pve.Sleep(ctx, 5*time.Second) != nil {
			s.settle(ctx, s.from, time.Minute)
			return err
		}
		if err := s.hold(ctx); err != nil {
			return err
		}
		s.say(s.from, fmt.Sprintf("VM %d did not start (%s): trying again, %d of %d", s.from, firstLine(err), tries+1, returnTries))
	}
}

// This starts the member that ran before, unless it still runs.
func (s *switching) again(ctx context.Context) error {
	if status, err := s.node.vms.Status(ctx, s.from); err == nil && status.Running {
		return s.bringUp(ctx, s.from)
	}
	if err := s.healthy(ctx); err != nil {
		return err
	}
	return s.bringUp(ctx, s.from)
}

// hold extends the lease for as long as the way back may take.
func (s *switching) hold(ctx context.Context) error {
	return s.renew(ctx, PhaseRollback, s.db.stopTime()+s.db.Boot+s.haTime(s.from)+s.haTime(s.to))
}

// neverStarted reports whether the target is known to be off although its node
// is away: the target was off when it was last seen, and nobody asked it to
// start.
func (s *switching) neverStarted() bool {
	return s.started.IsZero() && !s.facts.VMs[s.to].Running && s.node.vms.IsAway(s.to)
}

// clearTarget shuts down the target, because it is not up and the card has to
// be free. If the caller does not allow the shutdown, the error is errKeeps.
func (s *switching) clearTarget(ctx context.Context) error {
	var target pve.VMStatus
	err := until(ctx, time.Minute, func(ctx context.Context) (bool, error) {
		status, err := s.node.vms.Status(ctx, s.to)
		target = status
		return err == nil || errors.Is(err, ErrNotFound) || s.neverStarted(), nil
	})
	switch {
	case err != nil:
		return err
	case !target.Running:
		return s.withdraw(ctx, target)
	case !s.db.ReturnIfNotUp || target.HA && !s.db.Force: // the HA manager would pull the plug of the target
		return errKeeps
	}
	s.enterFor(s.db.Grace, PhaseRollback, s.to, fmt.Sprintf("shutting down VM %d, which is not up", s.to))
	return s.shutdown(ctx, target)
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
