package install

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/firstboot"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// Options control [Apply]. A nil *Options means the defaults.
type Options struct {
	// Progress is called with every sign of progress; see workstation.Event.
	Progress func(workstation.Event)
	// AllowDestroy allows Apply to run a plan in which [Plan.First] destroys a
	// VM.
	AllowDestroy bool
	// Patience is how long a guest may take until it reports. 0 means three
	// hours for Windows and 90 minutes for Linux.
	Patience time.Duration
}

// These are the phases of a set-up, in their order. They follow the phases of
// package workstation (upload, apply).
const (
	PhaseInstall   workstation.Phase = "installing" // the system is being installed, and no agent answers yet
	PhaseFirstBoot workstation.Phase = "first boot" // the agent answers, and the guest sets itself up
	PhaseSeed      workstation.Phase = "seed"       // the seed is taken out of the VM and deleted
	PhaseDevices   workstation.Phase = "devices"    // the VM gets its other disks and its card
	PhaseDriver    workstation.Phase = "driver"     // the guest sets up its disks and the card's driver
	PhaseRustDesk  workstation.Phase = "rustdesk"   // RustDesk is being set up
	PhaseReady     workstation.Phase = "ready"      // the guest is ready; the event says what the set-up found
)

// A Report describes a guest that was set up.
type Report struct {
	VMID int
	// Found holds the findings of the guest's own set-up; see firstboot.State.
	Found map[string]string
	// RustDesk is the report of RustDesk's set-up, with the ID.
	RustDesk rustdesk.Report
	// Checks holds the checks of the guest after its set-up; see [Verify].
	Checks []firstboot.Check
}

// Apply carries the plan out: it uploads the seeds, applies First, and sets the
// guests up one after the other. A Windows guest takes an hour or more. Apply
// returns the reports of the guests that are set up.
//
// Before it changes anything, Apply checks the sets of the guests. It returns a
// [workstation.BlockedError] if [Plan.Turns] has findings. It checks a set
// again before it starts a guest of the set.
//
// The error is an error of Node.Apply, or a [SetupError] for a guest whose
// set-up failed or was cancelled. Apply then starts no further guest. It always
// removes the seeds, because they hold secrets. If a seed cannot be removed, a
// [SeedError] names it. If a set-up did not end, its VM keeps an empty CD drive
// as a sign. The next plan then goes on with the set-up. If the drive cannot be
// made, the error says so.
func Apply(ctx context.Context, node *workstation.Node, plan Plan, opts *Options) (reports []Report, err error) {
	if opts == nil {
		opts = &Options{}
	}
	options := &workstation.ApplyOptions{Progress: opts.Progress, AllowDestroy: opts.AllowDestroy}
	if proxstation.Worst(plan.First.Findings) == proxstation.Blocker || plan.First.Destroys() && !opts.AllowDestroy {
		return nil, node.Apply(ctx, plan.First, options) // Node.Apply refuses this plan; no seed is uploaded yet
	}
	runs := make([]*run, len(plan.SetUps))
	for i, s := range plan.SetUps {
		runs[i] = &run{node: node, SetUp: s, spec: plan.spec, opts: *opts, agent: node.Agent(s.VMID)}
	}
	findings, err := plan.Turns(ctx, node)
	if err := refuse("the set-up", findings, err); err != nil {
		return nil, err
	}
	defer func() {
		for _, r := range runs {
			err = errors.Join(err, r.leave(ctx))
		}
	}()
	for _, r := range runs {
		if err := r.bringSeed(ctx); err != nil {
			return nil, err
		}
	}
	if err := node.Apply(ctx, plan.First, options); err != nil {
		return nil, err
	}
	for i, r := range runs {
		report, err := r.setUp(ctx)
		if err != nil {
			return reports, err
		}
		reports = append(reports, report)
		if err := r.makeWay(ctx, plan.SetUps[i+1:]); err != nil {
			return reports, err
		}
	}
	return reports, nil
}

// bringSeed uploads the seed to the node.
func (r *run) bringSeed(ctx context.Context) error {
	if r.Seed == "" {
		return nil
	}
	image, err := r.seed.Image()
	if err != nil {
		return err
	}
	r.brought = true
	err = r.node.Upload(ctx, r.Seed, bytes.NewReader(image), r.opts.Progress)
	r.lost = err != nil
	return err
}

// cleaning is the time limit for removing a seed. The limit applies even after
// the set-up was cancelled. comesYet is how long a seed may still take to
// appear on its storage if the answer to the upload was lost.
const (
	cleaning = 2 * time.Minute
	comesYet = 20 * time.Second
)

// leave removes the seed. If the set-up has not ended, it leaves a sign in the
// VM for the next plan. It works even after the context has ended.
func (r *run) leave(ctx context.Context) error {
	var err error
	if !r.ended && r.SeedSlot != "" {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleaning)
		defer cancel()
		err = r.markUnfinished(ctx)
	}
	return errors.Join(err, r.removeSeed(ctx))
}

// removeSeed takes the seed out of the VM and deletes it. It works even after
// the context has ended.
func (r *run) removeSeed(ctx context.Context) error {
	if !r.brought {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleaning)
	defer cancel()
	r.say(PhaseSeed, "taking the seed out, and deleting %s", r.Seed)
	if r.lost {
		_ = sleep(ctx, comesYet) // cannot fail: cleaning is longer than comesYet
	}
	err := r.node.RemoveCD(ctx, r.VMID, r.SeedSlot, r.Seed)
	if deleteErr := r.node.DeleteImage(ctx, r.Seed); deleteErr != nil {
		return &SeedError{Volume: r.Seed, Cause: errors.Join(err, deleteErr)}
	}
	r.brought = false
	if err != nil {
		return &SeedError{Volume: r.Seed, Gone: true, Cause: err}
	}
	r.say(PhaseSeed, "the seed is deleted, with the secrets on it")
	return nil
}
