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

// Options control [Apply]. Nil is fine.
type Options struct {
	// Progress is called with every sign of progress; see workstation.Event.
	Progress func(workstation.Event)
	// AllowDestroy lets a plan begin whose First destroys a VM.
	AllowDestroy bool
	// Patience is how long a guest may take until it reports; 0 is three hours for
	// Windows and 90 minutes for Linux.
	Patience time.Duration
}

// The phases of a set-up, in the order they come, after those of package
// workstation (upload, apply).
const (
	PhaseInstall   workstation.Phase = "installing" // the system is being installed, and no agent answers yet
	PhaseFirstBoot workstation.Phase = "first boot" // the agent answers, and the guest sets itself up
	PhaseSeed      workstation.Phase = "seed"       // the seed is taken out and deleted
	PhaseDevices   workstation.Phase = "devices"    // the VM gets its other disks and its card
	PhaseDriver    workstation.Phase = "driver"     // disks and driver inside the guest
	PhaseRustDesk  workstation.Phase = "rustdesk"   // RustDesk is being set up
	PhaseReady     workstation.Phase = "ready"      // what was seen in the guest
)

// A Report is what is known of a guest that was set up.
type Report struct {
	VMID int
	// Found is what the guest's own set-up found; see firstboot.State.
	Found map[string]string
	// RustDesk is what RustDesk's set-up found, with its ID.
	RustDesk rustdesk.Report
	// Checks say what was seen in the guest afterwards; see [Verify].
	Checks []firstboot.Check
}

// Apply does what the plan says: it brings the seeds, applies First, and sets the
// guests up one after the other, which takes an hour or more for Windows. It
// returns the reports of the guests that are done.
//
// The error is that of Node.Apply, or a [SetupError] for a guest whose set-up has
// failed or was cancelled. In both cases the seeds are taken away with the secrets
// on them, which the last events say; a seed that could not be deleted is named in
// the error. The guests after one that failed are not started. What failed can be
// repeated: plan again, with the guest's Again set if its VM exists.
func Apply(ctx context.Context, node *workstation.Node, plan Plan, opts *Options) (reports []Report, err error) {
	if opts == nil {
		opts = &Options{}
	}
	options := &workstation.ApplyOptions{Progress: opts.Progress, AllowDestroy: opts.AllowDestroy}
	if proxstation.Worst(plan.First.Findings) == proxstation.Blocker || plan.First.Destroys() && !opts.AllowDestroy {
		return nil, node.Apply(ctx, plan.First, options) // which refuses it, before a seed is brought
	}
	runs := make([]*run, len(plan.SetUps))
	for i, s := range plan.SetUps {
		runs[i] = &run{node: node, SetUp: s, spec: plan.spec, opts: *opts, agent: node.Agent(s.VMID)}
	}
	defer func() {
		for _, r := range runs {
			err = errors.Join(err, r.removeSeed(ctx))
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

// bringSeed uploads the seed.
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

// cleaning bounds the removal of a seed, which goes on after a cancellation.
// comesYet is how long PVE may take to put a seed in its place after the answer to
// its upload was lost.
const (
	cleaning = 2 * time.Minute
	comesYet = 20 * time.Second
)

// removeSeed takes the seed out of the VM and deletes it, also after the context
// has ended.
func (r *run) removeSeed(ctx context.Context) error {
	if !r.brought {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleaning)
	defer cancel()
	r.say(PhaseSeed, "taking the seed out, and deleting %s", r.Seed)
	if r.lost {
		_ = sleep(ctx, comesYet) // the context ends later
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
