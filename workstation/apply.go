package workstation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// ApplyOptions control [Node.Apply]. A nil pointer means the defaults.
type ApplyOptions struct {
	// Progress is called with every event.
	Progress func(Event)
	// AllowDestroy allows plans with [DestroyVM] steps.
	AllowDestroy bool
	// Settle is the longest time that Apply waits for somebody else's task or
	// lock on a VM. 0 means two minutes.
	Settle time.Duration
}

// Apply makes the changes of the plan's steps, in order, and reads each result
// back. It can be repeated: a step that is done already is skipped. So after a
// failure the same plan goes on where it stopped.
//
// It returns a [BlockedError] and does nothing if the plan has a blocker. It
// returns [ErrDestructive] if the plan destroys data without AllowDestroy, and
// a [StaleError] if a VM changed after the plan was made. Any other error names
// the step that failed. The steps before it are done.
func (n *Node) Apply(ctx context.Context, plan Plan, opts *ApplyOptions) error {
	if opts == nil {
		opts = &ApplyOptions{}
	}
	if plan.Node != n.name {
		return fmt.Errorf("workstation: the plan is for node %q, this is %q: %w", plan.Node, n.name, ErrInvalid)
	}
	if proxstation.Worst(plan.Findings) == proxstation.Blocker {
		return &BlockedError{What: "the plan", Findings: plan.Findings}
	}
	if plan.Destroys() && !opts.AllowDestroy {
		return fmt.Errorf("workstation: %w: it was not allowed in ApplyOptions", ErrDestructive)
	}
	a := &applier{pve: n.pve, opts: *opts, digests: map[int]string{}, of: len(plan.Steps)}
	if a.opts.Settle == 0 {
		a.opts.Settle = 2 * time.Minute
	}
	for i, step := range plan.Steps {
		a.step, a.began = i+1, time.Now()
		if err := step.apply(ctx, a); err != nil {
			return fmt.Errorf("step %d of %d, %s: %w", i+1, len(plan.Steps), step.change().Object, err)
		}
	}
	return nil
}

// An applier holds the data that the steps of one Apply share.
type applier struct {
	pve     *pve.Client
	opts    ApplyOptions
	digests map[int]string // the digest of each VM after our own last change
	step    int
	of      int
	began   time.Time
}

func (a *applier) say(vmid int, format string, args ...any) {
	if a.opts.Progress != nil {
		a.opts.Progress(Event{Phase: PhaseApply, Step: a.step, Of: a.of, VMID: vmid,
			Message: fmt.Sprintf(format, args...), Elapsed: time.Since(a.began)})
	}
}

// wait waits for a task and reports the lines of its log.
func (a *applier) wait(ctx context.Context, vmid int, task pve.UPID) error {
	var tell func(string)
	if a.opts.Progress != nil {
		tell = func(line string) { a.say(vmid, "%s", line) }
	}
	result, err := a.pve.Follow(ctx, task, tell)
	if err == nil && result.Warnings > 0 {
		a.say(vmid, "done with %d warnings", result.Warnings)
	}
	return err
}

// This waits until nobody else is changing the VM, and returns its
// configuration.
func (a *applier) current(ctx context.Context, vmid int) (pve.WholeConfig, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, a.opts.Settle, ErrTimeout)
	defer cancel()
	for told := ""; ; {
		config, busy, err := a.look(ctx, vmid)
		if err != nil || busy == "" {
			return config, err
		}
		if busy != told {
			a.say(vmid, "waiting: %s", busy)
			told = busy
		}
		if err := pve.Sleep(ctx, time.Second); err != nil {
			return pve.WholeConfig{}, fmt.Errorf("workstation: VM %d: %s: %w", vmid, busy, err)
		}
	}
}

// look returns the VM's configuration. If somebody else's task or lock is on
// the VM, busy describes it.
func (a *applier) look(ctx context.Context, vmid int) (config pve.WholeConfig, busy string, err error) {
	tasks, err := a.pve.RunningTasks(ctx, vmid)
	if err != nil {
		return pve.WholeConfig{}, "", err
	}
	if len(tasks) > 0 {
		return pve.WholeConfig{}, fmt.Sprintf("task %s is running", tasks[0].Type), nil
	}
	config, err = a.pve.WholeConfig(ctx, vmid)
	if err == nil && config.Next["lock"] != "" {
		return config, fmt.Sprintf("locked (%s)", config.Next["lock"]), nil
	}
	return config, "", err
}

// This returns a StaleError if somebody else has changed the VM since the plan
// was made or since our last change.
func (a *applier) fresh(vmid int, planned string, config pve.WholeConfig) error {
	want := planned
	if ours, ok := a.digests[vmid]; ok {
		want = ours
	}
	if config.Digest != want {
		return &StaleError{VMID: vmid, Want: want, Have: config.Digest}
	}
	return nil
}

// This returns the error of a write that PVE refused. If PVE refused the
// digest, the configuration changed after it was read, and the error is a
// StaleError.
func (a *applier) refused(ctx context.Context, vmid int, digest string, err error) error {
	if !errors.Is(err, ErrStale) {
		return err
	}
	now, _ := a.pve.Config(ctx, vmid) // without an answer, the digest stays unknown
	return &StaleError{VMID: vmid, Want: digest, Have: now.Digest, Cause: err}
}

// An outcome is the configuration that a step should lead to.
type outcome struct {
	set map[string]string
	// If exact is true, the wanted values are complete: a value with any other
	// property does not count as reached.
	exact    bool
	absent   []string
	password bool // cipassword must be set; PVE does not reveal its value
}

// verify reads the VM back and reports the keys that differ from the wanted
// values.
func (a *applier) verify(ctx context.Context, vmid int, want outcome) error {
	config, err := a.current(ctx, vmid)
	if err != nil {
		return err
	}
	a.digests[vmid] = config.Digest
	if unmet := want.unmet(config); len(unmet) > 0 {
		return fmt.Errorf("workstation: VM %d: PVE took the change, but %q is not as asked: have %q",
			vmid, unmet[0], shown(unmet[0], config.Next[unmet[0]]))
	}
	return nil
}

// This returns, in order, the keys whose value differs from the wanted value,
// and the keys that should be absent.
func (o outcome) unmet(config pve.WholeConfig) []string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(o.set)) {
		have, there := config.Next[key]
		if !there || o.exact && !qmconf.Same(key, have, o.set[key]) || !qmconf.Satisfies(key, have, o.set[key]) {
			keys = append(keys, key)
		}
	}
	for _, name := range o.absent {
		if key, _ := qmconf.CutAbsent(name); qmconf.Holds(config.Next, name) {
			keys = append(keys, key)
		}
	}
	if _, there := config.Next[passwordKey]; o.password && !there {
		keys = append(keys, passwordKey)
	}
	return keys
}

// This reports whether the failed request may have had an effect.
func uncertain(err error) bool { return errors.Is(err, ErrNoAnswer) }
