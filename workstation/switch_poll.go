package workstation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/proxstation/proxstation/internal/pve"
)

// This calls the function "done" once a second, until done reports success or the
// time limit is over. An unanswered request does not end the loop.
func until(ctx context.Context, limit time.Duration, done func(context.Context) (bool, error)) error {
	inner, cancel := context.WithTimeoutCause(ctx, limit, ErrTimeout)
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

// wait waits for a task, but not longer than its phase may take. If the node
// refuses to report the state of the task, wait asks again, because the refusal
// says nothing about the task.
func (s *switching) wait(ctx context.Context, id int, task pve.UPID, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, ErrTimeout)
	defer cancel()
	tick := func(elapsed time.Duration) {
		s.say(id, fmt.Sprintf("%s for %s", task.Type(), elapsed.Round(time.Second)))
	}
	result, err := s.node.pve.Wait(ctx, task, tick)
	for tries := 1; tries < returnTries && err != nil && ctx.Err() == nil && !errors.As(err, new(*TaskError)); tries++ {
		_ = pve.Sleep(ctx, time.Second) // the next Wait notices that the context is done
		result, err = s.node.pve.Wait(ctx, task, tick)
	}
	if err == nil && result.Warnings > 0 && s.report != nil {
		message := fmt.Sprintf("%s of VM %d ended with %s: %s", task.Type(), id, warnings(result.Warnings), strings.Join(result.Log, "; "))
		s.report(Event{Phase: s.phase, VMID: id, Message: message, Warnings: result.Log, Elapsed: time.Since(s.began), Limit: s.limit})
	}
	return err
}

// This reports whether a request to a running VM had an effect: the VM is off
// now, or a task is at work on it.
func (s *switching) moved(ctx context.Context, id int) (bool, error) {
	status, err := s.node.vms.Status(ctx, id)
	if err != nil || !status.Running {
		return err == nil, err
	}
	tasks, err := s.node.vms.Tasks(ctx, id)
	return len(tasks) > 0, err
}

// These are the kinds of tasks that a switch begins. The switch stops such a
// task if it takes too long. It leaves other tasks, such as a backup, alone.
var ended = []string{"qmstart", "qmshutdown", "qmstop", "qmreboot"}

// settle waits until no task is at work on a VM, because the state of the VM
// changes during a task. If the lease is ours, settle ends tasks that take too
// long.
func (s *switching) settle(ctx context.Context, id int, limit time.Duration) {
	if s.node.vms.IsAway(id) {
		return // nobody can ask that node
	}
	var tasks []pve.Task
	err := until(ctx, limit, func(ctx context.Context) (bool, error) {
		found, err := s.node.vms.Tasks(ctx, id)
		if err == nil {
			tasks = found
		}
		return err == nil && len(tasks) == 0, nil // after a refusal, the next request may be answered
	})
	if err == nil || len(tasks) == 0 || s.renew(ctx, s.phase, s.db.stopTime()) != nil {
		return
	}
	for _, task := range tasks {
		if !slices.Contains(ended, task.Type) {
			continue
		}
		_ = s.node.pve.StopTask(ctx, task.UPID) // the VM's state shows whether the task ended
	}
}

func warnings(n int) string {
	if n == 1 {
		return "a warning"
	}
	return fmt.Sprintf("%d warnings", n)
}
