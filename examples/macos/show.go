package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/examples/internal/term"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/recovery"
)

// A show is one run of the example.
type show struct {
	out     *term.Terminal
	node    *workstation.Node
	apply   bool
	release recovery.Release
	fetch   string          // directory, "" for a recovery system that is there
	service recovery.Client // Apple's, if it is zero
	mac     profile.MacOS
}

// stage plans one stage of the VM and applies the plan.
func (s *show) stage(ctx context.Context) error {
	facts, err := s.node.Observe(ctx)
	if _, made := facts.VMs[s.mac.ID]; err == nil && !made && s.apply && s.fetch != "" {
		if err := s.bring(ctx, s.out.Progress()); err != nil { // a plan is blocked without its images
			return err
		}
		facts, err = s.node.Observe(ctx)
	}
	if err != nil {
		return err
	}
	igpu, err := find(facts, gpu.Card.Integrated)
	if err != nil {
		return fmt.Errorf("the host has no integrated graphics that the login may see")
	}
	plan, err := s.plan(facts, igpu)
	if err != nil {
		return err
	}
	s.out.Plan(plan)
	switch {
	case connect.Blocked(plan.Findings) != nil:
		return connect.Blocked(plan.Findings)
	case plan.Empty():
		return nil
	case !s.apply:
		s.out.Say("\nNothing was changed. With -apply the plan is carried out, and nothing else.")
		return nil
	}
	progress := s.out.Progress()
	fmt.Fprintln(s.out)
	return s.node.Apply(ctx, plan, &workstation.ApplyOptions{Progress: progress})
}

// plan returns the plan for the VM with a card in its present stage.
func (s *show) plan(facts workstation.Facts, card gpu.Card) (workstation.Plan, error) {
	mac := s.mac
	mac.Release, mac.HostCPU, mac.Card, mac.Mapping = s.release.Guest(), facts.CPU, card, "macos-gpu"
	return workstation.Diff(workstation.Spec{
		Mappings: []workstation.CardMapping{{ID: mac.Mapping, Card: card.Address()}},
		VMs:      []workstation.VM{mac.VM()},
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
