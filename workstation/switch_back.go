package workstation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/proxstation/proxstation/internal/pve"
)

// The way back goes on when the caller's context has ended, because a switch
// must not be left in between, and does not give up at the first refusal.
const (
	returnTime  = 15 * time.Minute
	returnTries = 5
)

// goBack returns to the member that ran before, and says what came of it.
func (s *switching) goBack(ctx context.Context, phase Phase, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), returnTime)
	defer cancel()
	e := &SwitchError{Phase: phase, To: s.to, Cause: cause}
	if s.from != 0 && !errors.Is(cause, errUnhealthy) && !errors.Is(cause, errOvertaken) {
		s.enter(PhaseRollback, s.from, fmt.Sprintf("returning to VM %d: %v", s.from, firstLine(cause)))
		e.Return = s.restore(ctx)
	}
	running, err := s.node.running(ctx, s.db)
	switch {
	case err != nil:
		e.Running = -1
		e.Return = errors.Join(e.Return, err)
	case len(running) > 0:
		e.Running = running[0].VMID
		e.Returned = e.Return == nil && e.Running == s.from && running[0].PID != s.pid
	}
	return e
}

// restore makes the member that ran before the one that runs: the target,
// which did not come up, gives the card back first.
func (s *switching) restore(ctx context.Context) error {
	if _, err := s.renewNow(ctx, PhaseRollback, s.stopTime()+s.db.Boot); errors.Is(err, errOvertaken) {
		return err // the other decides what runs
	}
	for _, id := range []int{s.from, s.to} {
		s.settle(ctx, id, s.db.Grace+leaseSlack)
	}
	if err := s.stopTarget(ctx); err != nil {
		return err
	}
	var last error
	for range returnTries {
		if last = s.bringUp(ctx, s.from); last == nil {
			return nil
		}
		if err := pve.Sleep(ctx, 5*time.Second); err != nil {
			break
		}
	}
	s.settle(ctx, s.from, time.Minute)
	return last
}

// stopTarget ends the target, which did not come up and may have the card.
func (s *switching) stopTarget(ctx context.Context) error {
	var last error
	for range returnTries {
		status, err := s.node.pve.Status(ctx, s.to)
		if err == nil && !status.Running || errors.Is(err, ErrNotFound) {
			return nil
		}
		var task pve.UPID
		if err == nil {
			task, err = s.node.pve.Stop(ctx, s.to)
		}
		if err == nil {
			err = s.wait(ctx, s.to, task, time.Minute)
		}
		last = err
		if err := pve.Sleep(ctx, time.Second); err != nil {
			break
		}
	}
	return last
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
