package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/examples/internal/term"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/loader"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/recovery"
)

// A show is one run of the example.
type show struct {
	out      *term.Terminal
	node     *workstation.Node
	apply    bool
	release  recovery.Release
	fetch    string          // the download directory; "" if the recovery system is on the node
	service  recovery.Client // the zero Client asks Apple's service
	mac      profile.MacOS
	source   loader.Source
	identity string // "keep", "given" or "made-up"
}

// The method "stage" makes the plan for one stage of the VM. With -apply it
// applies the plan.
func (s *show) stage(ctx context.Context) error {
	facts, err := s.node.Observe(ctx)
	if _, made := facts.VMs[s.mac.ID]; err == nil && !made && s.apply && s.fetch != "" {
		if err := s.bring(ctx, s.out.Progress()); err != nil { // without the recovery system the plan would be blocked
			return err
		}
		facts, err = s.node.Observe(ctx)
	}
	if err != nil {
		return err
	}
	card, err := find(facts, func(c gpu.Card) bool { return gpu.Judge(s.release.Guest(), c).Support != gpu.Unsupported })
	if err != nil {
		return fmt.Errorf("the host has no graphics card that the login may see and that %s has drivers for", s.release)
	}
	mac := s.configured(facts, card)
	if choice := mac.Choose(facts); choice.Mode != profile.IGPUChosen {
		mac.Mode = choice.Mode
		s.out.Say("The iGPU's mode is %s. %s %s", choice.Mode, choice.Why, choice.Price)
	}
	plan, made, err := s.plan(mac, facts)
	if err != nil {
		return err
	}
	s.out.Plan(plan, made)
	switch {
	case connect.Blocked(plan.Findings) != nil:
		return connect.Blocked(plan.Findings)
	case plan.Empty():
		return nil
	case !s.apply:
		s.out.Say("\nNothing was changed. -apply carries out the plan and nothing else.")
		return nil
	}
	progress := s.out.Progress()
	fmt.Fprintln(s.out)
	if err := made.Bring(ctx, s.node, progress); err != nil {
		return err
	}
	return s.node.Apply(ctx, plan, &workstation.ApplyOptions{Progress: progress})
}

// plan returns the plan for the VM, and the copy of OpenCore's image that must
// be on the node first.
func (s *show) plan(mac profile.MacOS, facts workstation.Facts) (workstation.Plan, loader.Copy, error) {
	vm := mac.VM()
	made, configured, err := s.configure(mac, facts)
	if err != nil {
		return workstation.Plan{}, made, err
	}
	if configured {
		vm, facts = made.VM(), made.With(facts)
	}
	plan, err := diff(mac, vm, facts)
	plan.Findings = append(plan.Findings, made.Kept...)
	return plan, made, err
}

// configured returns the profile with a card, for the stage that the flags
// choose.
func (s *show) configured(facts workstation.Facts, card gpu.Card) profile.MacOS {
	mac := s.mac
	mac.Release, mac.HostCPU, mac.Card, mac.Mapping = s.release.Guest(), facts.CPU, card, "macos-gpu"
	return mac
}

// diff returns the plan that creates or changes the VM of a profile.
func diff(mac profile.MacOS, vm workstation.VM, facts workstation.Facts) (workstation.Plan, error) {
	return workstation.Diff(workstation.Spec{
		Mappings: []workstation.CardMapping{{ID: mac.Mapping, Card: mac.Card.Address()}},
		VMs:      []workstation.VM{vm},
	}, facts)
}

func find(facts workstation.Facts, is func(gpu.Card) bool) (gpu.Card, error) {
	for _, card := range facts.Cards() {
		if is(card) {
			return card, nil
		}
	}
	return gpu.Card{}, errors.New("no such card")
}

func (s *show) title(text string) { s.out.Title("=== " + text) }
