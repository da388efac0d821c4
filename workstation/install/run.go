package install

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/firstboot"
)

// A run sets up one guest.
type run struct {
	SetUp
	node    *workstation.Node
	spec    workstation.Spec // the Spec as it is after the whole set-up
	opts    Options
	agent   workstation.Agent
	brought bool // the seed is on the node, or may be
	ended   bool // the guest is set up
	lost    bool // the upload failed, so that the seed may still appear on the node
	phase   workstation.Phase
	began   time.Time
	told    string
}

func (r *run) say(phase workstation.Phase, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if r.phase != phase {
		r.phase, r.began = phase, time.Now()
	} else if message == r.told {
		return
	}
	r.told = message
	if r.opts.Progress != nil {
		r.opts.Progress(workstation.Event{Phase: phase, VMID: r.VMID, Message: message, Elapsed: time.Since(r.began)})
	}
}

func (r *run) fail(why string, cause error) error {
	return &SetupError{VMID: r.VMID, Phase: r.phase, Why: why, Cause: cause}
}

// setUp sets the guest up and returns the report.
func (r *run) setUp(ctx context.Context) (Report, error) {
	r.say(PhaseInstall, "starting")
	if err := r.start(ctx); err != nil {
		return Report{}, err
	}
	state, err := r.wait(ctx)
	if err != nil {
		return Report{}, err
	}
	if err := r.removeSeed(ctx); err != nil {
		return Report{}, err
	}
	if err := r.devices(ctx); err != nil {
		return Report{}, err
	}
	if state, err = r.inGuest(ctx, state); err != nil {
		return Report{}, err
	}
	report := Report{VMID: r.VMID, Found: state.Found}
	if err := r.rustDesk(ctx, &report); err != nil {
		return report, err
	}
	if report.Checks, err = Verify(ctx, r.agent, r.guest, r.vm); err != nil {
		return report, r.fail("the guest could not be looked at", err)
	}
	if err := r.unmark(ctx); err != nil {
		return report, err
	}
	r.ended = true
	r.say(PhaseReady, "%s", firstboot.State{Phase: "the guest is ready", Found: state.Found})
	return report, nil
}

// This starts the VM, and presses a key if Windows' CD asks for one. If the
// guest is already installed, only its own set-up runs again.
func (r *run) start(ctx context.Context) error {
	off := r.off(ctx) // a VM that is not off was started by somebody, or by an earlier Apply
	if off {
		if err := r.powerOn(ctx); err != nil {
			return err
		}
	}
	switch {
	case r.Seed == "" && r.guest.Again:
		return r.again(ctx)
	case off && r.guest.Windows != nil:
		return r.pressKeys(ctx)
	}
	return nil
}

// keysFor is how long a key is pressed again and again, and keysEvery is the
// pause in between. Windows' CD waits about five seconds for a key, but the API
// does not show when (quickemu issue 1341).
const (
	keysFor   = 15 * time.Second
	keysEvery = time.Second
	// cdKey has no effect in the installer's first window, so it does no harm
	// if it arrives late.
	cdKey = "up"
)

// pressKeys presses a key when the CD says "Press any key to boot from CD or
// DVD". The CD says this only at the first start, because the VM starts from
// its disk as soon as a system is on it.
func (r *run) pressKeys(ctx context.Context) error {
	r.say(PhaseInstall, "answering \"Press any key to boot from CD\" for %s", keysFor)
	for end := time.Now().Add(keysFor); time.Now().Before(end); {
		err := r.node.SendKey(ctx, r.VMID, cdKey)
		if err != nil && !errors.Is(err, workstation.ErrNoAnswer) && !errors.Is(err, workstation.ErrLocked) {
			return r.fail("a key could not be pressed, which needs VM.Console on the VM", err)
		}
		if err := sleep(ctx, keysEvery); err != nil {
			return r.fail("", err)
		}
	}
	return nil
}

// This starts the guest's own set-up once more.
func (r *run) again(ctx context.Context) error {
	if err := r.agent.Wait(ctx, 5*time.Minute); err != nil {
		return r.fail("the guest was set up before, and its agent does not answer: shut the VM down, and plan again, so that it gets its seed", err)
	}
	// The state of the previous attempt is overwritten, so that nobody takes it
	// for the state of this attempt.
	if err := r.agent.WriteFile(ctx, r.guest.system().state, []byte("phase=agent\n")); err != nil {
		return r.fail("the guest has no set-up of this program", err)
	}
	return r.inside(ctx, r.guest.system().again, 5*time.Minute)
}

// This runs a program in the guest.
func (r *run) inside(ctx context.Context, argv []string, atMost time.Duration) error {
	out, err := r.agent.Run(ctx, proxstation.GuestCommand{Argv: argv, Timeout: atMost})
	if err != nil {
		return r.fail("it is not known how "+argv[0]+" ended", err)
	}
	if out.Code != 0 {
		return r.withLog(ctx, fmt.Sprintf("%s ended with %d: %s", argv[0], out.Code, cmp.Or(strings.TrimSpace(out.Stderr), strings.TrimSpace(out.Stdout), "no message")))
	}
	return nil
}

const lookEvery = 5 * time.Second

// wait returns when the guest reports that its own set-up is done. The guest
// may restart in between. Its agent then does not answer for a while.
func (r *run) wait(ctx context.Context) (firstboot.State, error) {
	patience := cmp.Or(r.opts.Patience, r.guest.patience())
	ctx, cancel := context.WithTimeoutCause(ctx, patience, workstation.ErrTimeout)
	defer cancel()
	for {
		state, err := r.state(ctx, PhaseFirstBoot)
		switch {
		case ctx.Err() != nil:
			return state, r.stopped(ctx, state, patience)
		case err != nil:
			return state, err
		case state.Failed != "" && r.stale:
			r.stale = false // this failure was reported by an earlier attempt
			if err := r.again(ctx); err != nil {
				return state, err
			}
		case state.Failed != "":
			return state, r.withLog(ctx, state.Failed)
		case state.Phase == firstboot.PhaseDone || state.Phase == firstboot.PhaseGames:
			return state, nil
		}
		if err := sleep(ctx, lookEvery); err != nil {
			return state, r.stopped(ctx, state, patience)
		}
	}
}

// This reads how far the guest's set-up has come. If this is not known yet, the
// State has no phase. An error means that waiting does not help. The parameter
// "phase" is the phase that the events of this method get.
func (r *run) state(ctx context.Context, phase workstation.Phase) (firstboot.State, error) {
	text, err := r.agent.ReadFile(ctx, r.guest.system().state)
	switch {
	case err == nil:
		state, err := firstboot.ParseState(string(text))
		if err != nil {
			r.say(phase, "the agent answers")
			return firstboot.State{}, nil // the guest is still writing the file
		}
		r.say(phase, "%s", state)
		return state, nil
	case errors.Is(err, workstation.ErrNotRunning):
		why := "the VM went off"
		if r.guest.Windows != nil {
			why += ": Windows' installer stops the VM if it has more than one disk, or if the disk is not empty; it has then changed nothing"
		}
		return firstboot.State{}, r.fail(why, err)
	case errors.Is(err, workstation.ErrPermission), errors.Is(err, workstation.ErrNotFound):
		return firstboot.State{}, r.fail("the guest cannot be asked", err)
	case errors.Is(err, workstation.ErrAgent), errors.Is(err, workstation.ErrNoAnswer):
		if r.phase == PhaseInstall {
			r.say(PhaseInstall, "the system is being installed; no agent answers yet")
		}
	case errors.Is(err, fs.ErrNotExist):
		r.say(phase, "the agent answers")
	}
	return firstboot.State{}, nil
}

// This returns the error for a wait that was cancelled, or that took too long.
func (r *run) stopped(ctx context.Context, state firstboot.State, patience time.Duration) error {
	cause := context.Cause(ctx)
	if !errors.Is(cause, workstation.ErrTimeout) {
		return r.fail("the set-up was cancelled; what runs in the guest goes on by itself, without its seed", cause)
	}
	why := fmt.Sprintf("after %s the guest has not reported", patience)
	if state.Phase == "" {
		why += ": look at PVE's console of the VM"
		if r.Seed == "" {
			why += "; if the guest has not read its seed, shut the VM down and plan again, so that it gets its seed"
		}
	}
	return &SetupError{VMID: r.VMID, Phase: r.phase, Why: why, Cause: cause, Log: r.log(ctx)}
}

func (r *run) withLog(ctx context.Context, why string) error {
	return &SetupError{VMID: r.VMID, Phase: r.phase, Why: why, Log: r.log(ctx)}
}

// log returns the end of the guest's log, or "" if it cannot be read.
func (r *run) log(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	text, err := r.agent.ReadFile(ctx, r.guest.system().log)
	if err != nil {
		return ""
	}
	const most = 4 << 10
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return string(text)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
