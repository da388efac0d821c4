package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/examples/internal/term"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/inventory"
	"github.com/proxstation/proxstation/workstation/profile"
)

// A show is one run of the example.
type show struct {
	out           *term.Terminal
	node          *workstation.Node
	apply         bool
	card          string // the card's address; "" chooses the first NVIDIA card
	games, models storage.Size
	duo           workstation.DualBoot
	takeOver      bool
	sabotage      func(vmid int) // if set, keeps a guest from starting up
}

// play runs all steps on the embedded node: look, plan, apply, start, switch.
func (s *show) play(ctx context.Context) error {
	if _, err := s.change(ctx); err != nil {
		return err
	}
	return s.turns(ctx)
}

// change shows the host and the plan. If the user gave -apply, it carries the
// plan out. It starts and shuts down no VM.
func (s *show) change(ctx context.Context) (workstation.Plan, error) {
	s.title("The host")
	facts, err := s.node.Observe(ctx)
	if err != nil {
		return workstation.Plan{}, err
	}
	fmt.Fprint(s.out, inventory.Of("node "+facts.Node, facts.IOMMU, facts.Disks, facts.Pools, facts.Unknown...))
	spec, err := s.spec(facts)
	if err != nil {
		return workstation.Plan{}, err
	}
	s.title("The plan")
	plan, err := workstation.Diff(spec, facts)
	if err != nil {
		return plan, err
	}
	s.out.Plan(plan)
	switch {
	case connect.Blocked(plan.Findings) != nil:
		return plan, connect.Blocked(plan.Findings)
	case plan.Empty():
		return plan, nil
	case !s.apply:
		s.out.Say("\nNothing was changed. -apply carries out the plan and nothing else: no VM is started or shut down.")
		return plan, nil
	}
	s.title("Applying it")
	return plan, s.node.Apply(ctx, plan, &workstation.ApplyOptions{Progress: s.out.Progress()})
}

// switchTo gives the card to a VM. If the VM cannot start, switchTo shows the
// reasons and changes nothing on the node.
func (s *show) switchTo(ctx context.Context, vmid int) error {
	status, err := s.node.Status(ctx, s.duo)
	if err != nil {
		return err
	}
	for _, m := range status.Members {
		if m.VMID == vmid && m.CanStart == proxstation.No {
			s.out.Findings(m.Why)
			s.out.ToDo(m.Why)
			return connect.Blocked(m.Why)
		}
	}
	if err := s.start(ctx, vmid); err != nil {
		return err
	}
	return s.status(ctx)
}

// turns makes three switches: it starts Windows, switches to Linux, and tries a
// switch back to Windows that fails.
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
	s.out.Say("  refused: %v", err)
	s.title("The switch to Linux")
	if err := s.node.Switch(ctx, s.duo, linux, s.out.Progress()); err != nil {
		return err
	}
	if err := s.fail(ctx, windows); err != nil {
		return err
	}
	return s.status(ctx)
}

// start gives the card to the first VM. If another controller left a lease,
// start shows the lease. It takes the lease over only if the user allowed this.
func (s *show) start(ctx context.Context, vmid int) error {
	status, err := s.node.Status(ctx, s.duo)
	if err != nil {
		return err
	}
	duo := s.duo
	if l := status.Lease; l != nil {
		fmt.Fprintf(s.out, "  %s; its lease ends in %s unless it is renewed\n", l, status.LeaseLeft.Round(time.Second))
		if s.takeOver {
			duo.TakeOver = l.ID
		}
	}
	return s.node.Switch(ctx, duo, vmid, s.out.Progress())
}

// fail tries a switch to Windows while Windows cannot start up. The switch then
// returns the card to Linux.
func (s *show) fail(ctx context.Context, windows int) error {
	s.title("A switch back to a Windows that does not come up")
	s.sabotage(windows)
	err := s.node.Switch(ctx, s.duo, windows, s.out.Progress())
	var failed *workstation.SwitchError
	if !errors.As(err, &failed) || !failed.Returned {
		return errors.Join(errors.New("a switch to a guest that does not come up has to return"), err)
	}
	s.out.Say("%v", err)
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

// spec returns the wanted state of the node: a mapping for the card, and the
// two VMs.
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

func (s *show) title(text string) { s.out.Title("=== " + text) }
