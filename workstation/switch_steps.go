package workstation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/proxstation/proxstation/internal/homes"
	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/internal/qmconf"
)

var (
	// errUnhealthy reports a card that must not be given to a VM.
	errUnhealthy = errors.New("the card is not healthy")
	errGone      = fmt.Errorf("is %w any more", ErrNotRunning)
	errNotUp     = lateError("the guest is not up in time")
)

// A lateError names work that was not done in time.
type lateError string

func (e lateError) Error() string { return string(e) }

// Is makes the error match [ErrTimeout].
func (e lateError) Is(target error) bool { return target == ErrTimeout }

// This calls the caller's check of the card, if there is one.
func (s *switching) healthy(ctx context.Context) error {
	if s.db.Healthy == nil {
		return nil
	}
	if err := s.db.Healthy(ctx); err != nil {
		return fmt.Errorf("%w: %w", errUnhealthy, err)
	}
	return nil
}

// This asks a guest to shut down. It returns nil if the VM is off afterwards,
// whatever the node answered to the request.
func (s *switching) shutdown(ctx context.Context, v pve.VMStatus) error {
	id := v.VMID
	if err := s.wake(ctx, id); err != nil {
		return err
	}
	ask := func() error {
		task, err := homes.At(ctx, s.node.vms, id, func(c *pve.Client) (pve.UPID, error) { return c.Shutdown(ctx, id, s.db.Grace, s.db.Force) })
		if err == nil || uncertain(err) {
			s.asked[id] = v.PID
		}
		if err == nil {
			err = s.wait(ctx, id, task, s.db.Grace+leaseSlack) // under high availability, the task only passes the request to the HA manager
		}
		return err
	}
	err := ask()
	for tries := 1; uncertain(err) && tries < returnTries; tries++ {
		if err := pve.Sleep(ctx, time.Second); err != nil {
			return err
		}
		if moved, lookErr := s.moved(ctx, id); lookErr == nil && moved {
			break
		} else if lookErr != nil {
			continue
		}
		if err := s.renew(ctx, PhaseStop, s.db.stopTime()+s.haTime(id)); err != nil {
			return err
		}
		err = ask() // the request did not arrive
	}
	if err != nil && !uncertain(err) {
		if status, lookErr := s.node.vms.Status(ctx, id); lookErr == nil && status.Off() {
			err = nil
		}
	}
	if err != nil && !uncertain(err) {
		return err
	}
	if err == nil && s.phase == PhaseStop {
		s.enterFor(s.db.Grace, PhaseFree, id, fmt.Sprintf("waiting until VM %d is gone", id))
	}
	late := until(ctx, s.db.Grace+s.haTime(id), func(ctx context.Context) (bool, error) {
		status, err := s.node.vms.Status(ctx, id)
		return err == nil && status.Off(), err
	})
	if late != nil && err != nil {
		return fmt.Errorf("%w: %w", late, err)
	}
	return late
}

// stopTime is the longest time that a shutdown may take: from the request until
// the VM is off, even if the answer to the request gets lost. The lease must
// last for this whole time. It may be in the configuration of the VM that shuts
// down, and it cannot be renewed there while the task of the shutdown locks the
// VM.
func (db DualBoot) stopTime() time.Duration { return 2*db.Grace + time.Minute + leaseSlack }

// This starts the target, unless it runs already.
func (s *switching) start(ctx context.Context) error {
	if s.underHA(s.to) {
		s.haWas, _ = s.node.pve.HARequest(ctx, s.to) // if it may not be read, the way back leaves it at "stopped"
	}
	if err := s.renew(ctx, PhaseStart, 2*s.db.Boot+s.haTime(s.to)); err != nil { // db.Boot for the start, and again until the guest is up
		return err
	}
	s.enterFor(s.db.Boot, PhaseStart, s.to, fmt.Sprintf("starting VM %d", s.to))
	return s.bringUp(ctx, s.to)
}

// This wakes a guest that sleeps, if the caller allows it.
func (s *switching) wake(ctx context.Context, id int) error {
	if !s.db.Wake {
		return nil
	}
	status, err := s.node.vms.Status(ctx, id)
	if err != nil || !status.Asleep {
		return nil //nolint:nilerr // what comes next asks again
	}
	s.say(id, fmt.Sprintf("waking the guest of VM %d, which sleeps", id))
	task, err := homes.At(ctx, s.node.vms, id, func(c *pve.Client) (pve.UPID, error) { return c.Resume(ctx, id) })
	if err == nil {
		err = s.wait(ctx, id, task, time.Minute)
	}
	if err != nil && !uncertain(err) {
		return err
	}
	return until(ctx, time.Minute, func(ctx context.Context) (bool, error) {
		status, err := s.node.vms.Status(ctx, id)
		return err == nil && !status.Asleep, err
	})
}

// bringUp starts a VM. If the answer gets lost, it looks at the VM's state.
func (s *switching) bringUp(ctx context.Context, id int) error {
	if err := s.wake(ctx, id); err != nil {
		return err
	}
	switch status, err := s.node.vms.Status(ctx, id); {
	case err == nil && status.Running && !status.Paused:
		return nil
	case uncertain(err) && s.node.vms.IsAway(id): // send no request to a node that is away: if it arrived, the target might run, and no other VM could be started
		return fmt.Errorf("workstation: VM %d: %w: %s: %w", id, errNodeAway, s.node.vms.Home(id), err)
	}
	if id == s.to {
		s.started = time.Now()
	}
	// If the VM is paused for a backup, this request makes the guest start in
	// the QEMU of the backup.
	task, err := homes.At(ctx, s.node.vms, id, func(c *pve.Client) (pve.UPID, error) { return c.Start(ctx, id) })
	if err == nil {
		err = s.wait(ctx, id, task, s.db.Boot)
	}
	if err == nil {
		err = s.node.awaitHA(ctx, id, task, s.db.Boot)
	}
	if err == nil {
		return nil
	}
	if uncertain(err) { // the VM may be starting: wait until the task ends
		s.settle(ctx, id, time.Minute)
	}
	if status, lookErr := s.node.vms.Status(ctx, id); lookErr == nil && status.Running && !status.Paused {
		return nil
	}
	return err
}

// awaitUp waits until the target's guest is up.
func (s *switching) awaitUp(ctx context.Context) error {
	s.enterFor(s.db.Boot, PhaseUp, s.to, fmt.Sprintf("waiting until the guest of VM %d is up", s.to))
	var last error
	err := until(ctx, s.db.Boot, func(ctx context.Context) (bool, error) {
		err := s.up(ctx, s.to)
		if ctx.Err() == nil {
			last = err
		}
		if errors.Is(err, errGone) && !s.underHA(s.to) { // under high availability, the manager starts the VM again
			tasks, lookErr := s.node.vms.Tasks(ctx, s.to)
			if lookErr == nil && len(tasks) == 0 { // the VM is off, and no task will start it
				return false, err
			}
		}
		return err == nil, nil
	})
	if errors.Is(err, ErrTimeout) && last != nil {
		return fmt.Errorf("%w: %w", errNotUp, last)
	}
	return err
}

// This returns nil if the guest of a VM is up.
func (s *switching) up(ctx context.Context, id int) error {
	if s.db.Up != nil {
		return s.db.Up(ctx, id)
	}
	status, err := s.node.vms.Status(ctx, id)
	if err != nil {
		return err
	}
	if !status.Running {
		return fmt.Errorf("workstation: VM %d %w", id, errGone)
	}
	if status.Paused {
		return fmt.Errorf("workstation: VM %d is paused", id)
	}
	config, err := s.node.vms.Config(ctx, id)
	if err != nil {
		return err
	}
	if !agentEnabled(config.Values) {
		return nil
	}
	return s.node.vms.On(id).AgentPing(ctx, id)
}

// agentEnabled reports whether a VM has a guest agent.
func agentEnabled(config map[string]string) bool {
	enabled, _ := qmconf.Parse("agent", config["agent"]).Get("enabled")
	return qmconf.Normal(enabled) == "1"
}

// windows reports whether a VM's guest is Windows.
func windows(config map[string]string) bool { return strings.HasPrefix(config["ostype"], "win") }
