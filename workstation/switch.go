package workstation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/proxstation/proxstation/internal/finding"
	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/storage"
)

// Switch gives the card to one member of a set, as a transaction: it checks
// everything that can be known, shuts down the member that runs, waits until
// that is gone, starts the other and waits until it is up. If that fails at any
// point, it returns to the member that ran before, or says in a [SwitchError]
// exactly what state the VMs are in.
//
// It can be repeated: asked for what already runs and is up, it does nothing,
// and what an earlier switch or a person left half-way it takes as it is. With
// a context that ends early it returns as after a failure: back to a state
// that is told.
//
// A [BlockedError] means that nothing was changed.
//
// It needs what [Node.Observe] does and, on the members, VM.PowerMgmt,
// VM.Config.Options unless db.NoLease is set, and what [Agent.Wait] does where
// an agent is configured.
func (n *Node) Switch(ctx context.Context, db DualBoot, to int, progress func(Event)) error {
	db, err := db.withDefaults(to)
	if err != nil {
		return err
	}
	s := &switching{node: n, db: db, to: to, reporter: reporter{report: progress}}
	running, err := n.running(ctx, db)
	if err != nil {
		return err
	}
	if slices.Equal(running, []int{to}) && s.up(ctx, to) == nil {
		s.enter(PhaseDone, to, "it is running already")
		return s.tidy(ctx)
	}
	if err := s.acquire(ctx); err != nil {
		return err
	}
	err = s.run(ctx)
	if releaseErr := s.release(ctx); releaseErr != nil && err == nil {
		err = fmt.Errorf("workstation: VM %d is up, but its lease could not be given back, so that the next switch has to wait: %w", to, releaseErr)
	}
	return err
}

// A switching is one switch under way.
type switching struct {
	reporter
	node *Node
	db   DualBoot
	to   int
	from int // the member that ran before, 0 if none did
	held *Lease
}

func (s *switching) run(ctx context.Context) error {
	s.enter(PhaseCheck, s.to, "checking everything that could fail later")
	facts, err := s.node.Observe(ctx)
	if err != nil {
		return err
	}
	findings := Preflight(s.db, s.to, facts)
	if finding.Worst(findings) == finding.Blocker {
		return &BlockedError{What: fmt.Sprintf("the switch to VM %d", s.to), Findings: findings}
	}
	for _, id := range s.db.Members {
		if facts.VMs[id].Running && id != s.to {
			s.from = id
		}
	}
	if s.from == 0 && s.held != nil {
		s.from = s.held.From // what a switch that died had stopped
	}
	for _, step := range []struct {
		phase Phase
		do    func(context.Context) error
	}{{PhaseStop, s.stopOthers}, {PhaseFree, s.healthy}, {PhaseStart, s.start}, {PhaseUp, s.awaitUp}} {
		if err := step.do(ctx); err != nil {
			return s.goBack(ctx, step.phase, err)
		}
	}
	s.enter(PhaseDone, s.to, "it is up")
	return nil
}

// stopOthers shuts down every other member that runs and waits until it is
// gone, and with it its hold on the card.
func (s *switching) stopOthers(ctx context.Context) error {
	running, err := s.node.running(ctx, s.db)
	if err != nil {
		return err
	}
	for _, id := range running {
		if id == s.to {
			continue
		}
		if err := s.renew(ctx, PhaseStop, s.db.Grace); err != nil {
			return err
		}
		s.enter(PhaseStop, id, fmt.Sprintf("shutting down VM %d, which may take %s", id, s.db.Grace))
		if err := s.shutdown(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// errUnhealthy marks a card that must not be given to anybody.
var errUnhealthy = errors.New("the card is not healthy")

// healthy asks the caller's check of the card, where there is one.
func (s *switching) healthy(ctx context.Context) error {
	if s.db.Healthy == nil {
		return nil
	}
	if err := s.db.Healthy(ctx); err != nil {
		return fmt.Errorf("%w: %w", errUnhealthy, err)
	}
	return nil
}

// shutdown asks a guest to shut down. Whatever became of the request and of
// its answer, what counts is whether the VM is gone.
func (s *switching) shutdown(ctx context.Context, id int) error {
	task, err := s.node.pve.Shutdown(ctx, id, s.db.Grace, s.db.Force)
	if err == nil {
		err = s.wait(ctx, id, task, s.db.Grace+leaseSlack)
	}
	if err != nil && !uncertain(err) {
		if status, lookErr := s.node.pve.Status(ctx, id); lookErr == nil && !status.Running {
			err = nil
		}
	}
	if err != nil && !uncertain(err) {
		return err
	}
	s.enter(PhaseFree, id, fmt.Sprintf("waiting until VM %d is gone", id))
	return s.until(ctx, s.db.Grace, func(ctx context.Context) (bool, error) {
		status, err := s.node.pve.Status(ctx, id)
		return err == nil && !status.Running, err
	})
}

// wait waits for a task, but not longer than its phase may take.
func (s *switching) wait(ctx context.Context, id int, task pve.UPID, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errDeadline)
	defer cancel()
	_, err := s.node.pve.Wait(ctx, task, func(p pve.TaskProgress) {
		s.say(id, fmt.Sprintf("%s for %s", p.UPID.Type(), p.Elapsed.Round(time.Second)))
	})
	return err
}

// start starts the target, unless it runs already.
func (s *switching) start(ctx context.Context) error {
	if err := s.renew(ctx, PhaseStart, s.db.Boot); err != nil {
		return err
	}
	s.enter(PhaseStart, s.to, fmt.Sprintf("starting VM %d", s.to))
	return s.bringUp(ctx, s.to)
}

// bringUp starts a VM. An answer that got lost is looked for in the VM's state.
func (s *switching) bringUp(ctx context.Context, id int) error {
	if status, err := s.node.pve.Status(ctx, id); err == nil && status.Running {
		return nil
	}
	task, err := s.node.pve.Start(ctx, id)
	if err == nil {
		err = s.wait(ctx, id, task, s.db.Boot)
	}
	if err == nil {
		return nil
	}
	if uncertain(err) { // it may be starting: let its task end
		s.settle(ctx, id, time.Minute)
	}
	if status, lookErr := s.node.pve.Status(ctx, id); lookErr == nil && status.Running {
		return nil
	}
	return err
}

// awaitUp waits until the target's guest is up.
func (s *switching) awaitUp(ctx context.Context) error {
	s.enter(PhaseUp, s.to, fmt.Sprintf("waiting until the guest of VM %d is up", s.to))
	var last error
	err := s.until(ctx, s.db.Boot, func(ctx context.Context) (bool, error) {
		err := s.up(ctx, s.to)
		if ctx.Err() == nil {
			last = err
		}
		return err == nil, nil
	})
	if errors.Is(err, errDeadline) && last != nil {
		return fmt.Errorf("%w: %w", errNotUp, last)
	}
	return err
}

// up returns nil if the guest of a VM is up.
func (s *switching) up(ctx context.Context, id int) error {
	if s.db.Up != nil {
		return s.db.Up(ctx, id)
	}
	status, err := s.node.pve.Status(ctx, id)
	if err != nil {
		return err
	}
	if !status.Running {
		return fmt.Errorf("workstation: VM %d is not running any more", id)
	}
	config, err := s.node.pve.Config(ctx, id)
	if err != nil {
		return err
	}
	if enabled, _ := parseProperties("agent", config.Values["agent"]).get("enabled"); normal(enabled) != "1" {
		return nil
	}
	return s.node.pve.AgentPing(ctx, id)
}

var errDeadline = errors.New("it took too long")

// until asks again, once a second, until done says so or the time is up.
// Requests that got no answer are asked again.
func (s *switching) until(ctx context.Context, limit time.Duration, done func(context.Context) (bool, error)) error {
	inner, cancel := context.WithTimeoutCause(ctx, limit, errDeadline)
	defer cancel()
	for {
		yes, err := done(inner)
		switch {
		case yes:
			return nil
		case err != nil && !uncertain(err) && inner.Err() == nil:
			return err
		}
		if err := pve.Sleep(inner, time.Second); err != nil {
			return err
		}
	}
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

func cutVolume(value string) (pool, volume string, ok bool) {
	first, _, _ := strings.Cut(value, ",")
	return strings.Cut(first, ":")
}

func configuredMemory(v VMFacts) storage.Size {
	memory, _ := parseProperties("memory", v.Config["memory"]).get("current")
	size, _ := storage.ParseSize(memory + "M") // 0 where it is not set
	return size
}
