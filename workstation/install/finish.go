package install

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/firstboot"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// This gives the VM its other disks, its card and its network, which it does
// not have in the first stage. The VM is shut down for this, because PVE cannot
// plug a card into a running VM.
func (r *run) devices(ctx context.Context) error {
	r.say(PhaseDevices, "looking for settings that the VM lacks")
	plan, err := r.rest(ctx)
	if err != nil {
		return r.fail("the last changes of the VM cannot be planned", err)
	}
	if plan.Empty() {
		return nil
	}
	r.say(PhaseDevices, "shutting the VM down to change it")
	if err := r.powerOff(ctx); err != nil {
		return err
	}
	if plan, err = r.rest(ctx); err != nil {
		return r.fail("the last changes of the VM cannot be planned", err)
	}
	if err := r.node.Apply(ctx, plan, &workstation.ApplyOptions{Progress: r.opts.Progress}); err != nil {
		return r.fail("the VM could not be changed", err)
	}
	r.say(PhaseDevices, "starting the VM again")
	if err := r.powerOn(ctx); err != nil {
		return err
	}
	return r.answers(ctx)
}

// This plans the changes from the present VM to the VM of the Spec.
func (r *run) rest(ctx context.Context) (workstation.Plan, error) {
	facts, err := r.node.Observe(ctx)
	if err != nil {
		return workstation.Plan{}, err
	}
	vm := copyOf(r.vm)
	if link, _ := qmconf.Parse("net0", facts.VMs[r.VMID].Config["net0"]).Get("link_down"); link == "1" {
		vm.Config["net0"] = joined(vm.Config["net0"], "link_down=0")
	}
	spec := r.spec
	spec.VMs = []workstation.VM{vm}
	return workstation.Diff(spec, facts)
}

// This waits until the agent answers after a start.
func (r *run) answers(ctx context.Context) error {
	if err := r.agent.Wait(ctx, 15*time.Minute); err != nil {
		return r.fail("the guest does not come up again", err)
	}
	return nil
}

// inGuest sets up the new devices in a Windows guest: the disk for games and
// the card's driver. A Linux guest sets up its devices by itself.
func (r *run) inGuest(ctx context.Context, state firstboot.State) (firstboot.State, error) {
	w := r.guest.Windows
	if w == nil {
		return state, nil
	}
	if w.Games != nil {
		r.say(PhaseDriver, "making the drive on %s", w.Games.Slot)
		if err := r.inside(ctx, firstboot.WindowsGames(), 30*time.Minute); err != nil {
			return state, r.because(ctx, err)
		}
	}
	if w.Driver != nil {
		r.say(PhaseDriver, "installing the card's driver")
		if err := r.inside(ctx, firstboot.WindowsDriver(), time.Hour); err != nil {
			return state, r.because(ctx, err)
		}
	}
	after, err := r.state(ctx, PhaseDriver)
	if err != nil || after.Phase == "" {
		return state, err
	}
	if after.Found["restart"] == "" {
		return after, nil
	}
	r.say(PhaseDriver, "restarting: %s", after.Found["restart"])
	if err := r.powerOff(ctx); err != nil {
		return state, err
	}
	if err := r.powerOn(ctx); err != nil {
		return state, err
	}
	return after, r.answers(ctx)
}

// This returns the error. If the guest reports a failure of its own, the
// guest's message replaces the reason in the error.
func (r *run) because(ctx context.Context, err error) error {
	var failed *SetupError
	if state, stateErr := r.state(ctx, PhaseDriver); stateErr == nil && state.Failed != "" && errors.As(err, &failed) {
		failed.Why = state.Failed
	}
	return err
}

// rustDesk sets RustDesk up through the guest's agent.
func (r *run) rustDesk(ctx context.Context, report *Report) (err error) {
	if r.guest.RustDesk == nil {
		return nil
	}
	setup := *r.guest.RustDesk
	setup.OS = r.guest.system().os
	report.RustDesk, err = rustdesk.SetUp(ctx, r.agent, setup, func(e rustdesk.Event) { r.say(PhaseRustDesk, "%s", e.Message) })
	if err != nil {
		return r.fail("RustDesk is not set up", err)
	}
	return nil
}

// makeWay shuts the guest down if a later guest of the plan needs the same
// card, or is in the same set.
func (r *run) makeWay(ctx context.Context, next []SetUp) error {
	mine := cards(r.vm)
	for _, s := range next {
		if slices.ContainsFunc(cards(s.vm), func(card string) bool { return slices.Contains(mine, card) }) {
			r.say(PhaseReady, "shutting the VM down, because VM %d needs its card next", s.VMID)
			return r.powerOff(ctx)
		}
		if slices.Contains(s.guest.Set.Members, r.VMID) {
			r.say(PhaseReady, "shutting the VM down, because VM %d takes turns with it, and is next", s.VMID)
			return r.powerOff(ctx)
		}
	}
	return nil
}

// cards returns the mappings and addresses of the VM's cards.
func cards(vm workstation.VM) []string {
	var names []string
	for key, value := range vm.Config {
		if !cardKey.MatchString(key) {
			continue
		}
		for _, property := range []string{"mapping", "host"} {
			if name, _ := qmconf.Parse(key, value).Get(property); name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}
