package main

import (
	"context"
	"errors"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
)

// open connects to the node that the environment names. If the environment
// names no node, open makes the VMs on an embedded node and starts the first
// VM.
func (s *settings) open(ctx context.Context) (node *workstation.Node, closeNode func(), err error) {
	if connect.Configured() {
		node, err = s.node.Open(ctx)
		return node, func() {}, err
	}
	if len(s.duo.Members) != 2 {
		return nil, nil, errors.New("the embedded node has two VMs: -members A,B")
	}
	node, sim, err := connect.Embedded(ctx, 5)
	if err != nil {
		return nil, nil, err
	}
	for i, label := range []string{"Windows", "Linux AI"} {
		if id := s.duo.Members[i]; s.opts.Labels[id] == "" {
			s.opts.Labels[id] = label
		}
	}
	if err = twoVMs(ctx, node, s.duo); err == nil {
		err = sim.PowerOn(s.duo.Members[0])
	}
	if err != nil {
		sim.Close()
		return nil, nil, err
	}
	return node, sim.Close, nil
}

// twoVMs makes two VMs that share a card on an embedded node.
func twoVMs(ctx context.Context, node *workstation.Node, duo workstation.DualBoot) error {
	facts, err := node.Observe(ctx)
	if err != nil {
		return err
	}
	const card = "workstation-gpu"
	spec := workstation.Spec{
		Mappings: []workstation.CardMapping{{ID: card, Card: facts.Cards()[1].Address()}},
		VMs:      []workstation.VM{profile.Windows11{ID: duo.Members[0], Card: card}.VM(), profile.LinuxAI{ID: duo.Members[1], Card: card}.VM()},
	}
	plan, err := workstation.Diff(spec, facts)
	if err != nil {
		return err
	}
	return node.Apply(ctx, plan, nil)
}
