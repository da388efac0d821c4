package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/inventory"
	"github.com/proxstation/proxstation/workstation/profile"
)

// A show is one run of the example.
type show struct {
	out           io.Writer
	node          *workstation.Node
	apply         bool
	card          string // address, "" for the first NVIDIA card
	games, models storage.Size
	duo           workstation.DualBoot
	takeOver      bool
	sabotage      func(vmid int) // keeps a guest from coming up; nil on a real node
}

// play goes through the whole show: look, plan, apply, start, switch.
func (s *show) play(ctx context.Context) error {
	s.title("The host")
	facts, err := s.node.Observe(ctx)
	if err != nil {
		return err
	}
	fmt.Fprint(s.out, inventory.Of("node "+facts.Node, facts.IOMMU, facts.Disks, facts.Pools, facts.Unknown...))
	spec, err := s.spec(facts)
	if err != nil {
		return err
	}
	s.title("The plan")
	plan, err := workstation.Diff(spec, facts)
	if err != nil {
		return err
	}
	fmt.Fprint(s.out, plan)
	if !s.apply {
		fmt.Fprintln(s.out, "\nNothing was changed. With -apply it will be.")
		return nil
	}
	s.title("Applying it")
	if err := s.node.Apply(ctx, plan, &workstation.ApplyOptions{Progress: connect.Progress(s.out)}); err != nil {
		return err
	}
	if !plan.Empty() && s.sabotage == nil {
		fmt.Fprintln(s.out, "The new VMs hold no system yet, so running counts as up.")
		s.duo.Up = func(context.Context, int) error { return nil }
	}
	return s.turns(ctx)
}

// turns lets the VMs take turns.
func (s *show) turns(ctx context.Context) error {
	windows, linux := s.duo.Members[0], s.duo.Members[1]
	s.title("Windows starts")
	if err := s.start(ctx, windows); err != nil {
		return err
	}
	s.title("Starting Linux beside it, without a switch")
	err := s.node.Start(ctx, linux)
	switch {
	case err == nil:
		return fmt.Errorf("VM %d started beside VM %d: they do not share a card", linux, windows)
	case !errors.Is(err, workstation.ErrInUse):
		return err
	}
	fmt.Fprintln(s.out, "  refused: "+err.Error())
	s.title("The switch to Linux")
	if err := s.node.Switch(ctx, s.duo, linux, connect.Progress(s.out)); err != nil {
		return err
	}
	if s.sabotage != nil {
		if err := s.fail(ctx, windows); err != nil {
			return err
		}
	}
	return s.status(ctx)
}

// start gives the card to the first VM. A lease that another controller left is
// shown, and taken over if the user said so.
func (s *show) start(ctx context.Context, vmid int) error {
	status, err := s.node.Status(ctx, s.duo)
	if err != nil {
		return err
	}
	duo := s.duo
	if l := status.Lease; l != nil {
		fmt.Fprintf(s.out, "  %s; its lease counts for %s more if it is not renewed\n", l, status.LeaseLeft.Round(time.Second))
		if s.takeOver {
			duo.TakeOver = l.ID
		}
	}
	return s.node.Switch(ctx, duo, vmid, connect.Progress(s.out))
}

// fail shows a switch to a guest that does not come up, and the way back.
func (s *show) fail(ctx context.Context, windows int) error {
	s.title("A switch back to a Windows that does not come up")
	s.sabotage(windows)
	err := s.node.Switch(ctx, s.duo, windows, connect.Progress(s.out))
	var failed *workstation.SwitchError
	if !errors.As(err, &failed) || !failed.Returned {
		return errors.Join(errors.New("a switch to a guest that does not come up has to return"), err)
	}
	fmt.Fprintln(s.out, "  "+err.Error())
	return nil
}

func (s *show) status(ctx context.Context) error {
	s.title("Who has the card")
	status, err := s.node.Status(ctx, s.duo)
	if err != nil {
		return err
	}
	for _, m := range status.Members {
		state := "off"
		if m.Running {
			state = "running for " + status.For.String()
		}
		fmt.Fprintf(s.out, "  VM %d %-10s %-16s can have the card: %s\n", m.VMID, m.Name, state, m.CanStart)
	}
	return nil
}

// spec says what should be there: the card by a name, and the two VMs.
func (s *show) spec(facts workstation.Facts) (workstation.Spec, error) {
	card, err := s.pick(facts)
	if err != nil {
		return workstation.Spec{}, err
	}
	const name = "workstation-gpu"
	return workstation.Spec{
		Mappings: []workstation.CardMapping{{ID: name, Card: card.Address()}},
		VMs: []workstation.VM{
			profile.Windows11{ID: s.duo.Members[0], Card: name, Games: s.games}.VM(),
			profile.LinuxAI{ID: s.duo.Members[1], Card: name, Models: s.models}.VM(),
		},
	}, nil
}

func (s *show) pick(facts workstation.Facts) (gpu.Card, error) {
	if s.card == "" {
		for _, card := range facts.Cards() {
			if card.Model().Vendor == gpu.NVIDIA {
				return card, nil
			}
		}
		return gpu.Card{}, errors.New("the host has no NVIDIA card that the login may see; choose another with -card")
	}
	address, err := iommu.ParseAddress(s.card)
	if err != nil {
		return gpu.Card{}, err
	}
	card, ok := gpu.CardAt(facts.IOMMU.Functions, address)
	if !ok {
		return gpu.Card{}, fmt.Errorf("no graphics card at %s", address)
	}
	return card, nil
}

func (s *show) title(text string) { fmt.Fprintf(s.out, "\n=== %s\n\n", text) }
