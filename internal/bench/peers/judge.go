package main

import (
	"context"
	"fmt"
	"time"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// This function measures how long our library takes to judge facts that were
// already observed. There is no comparison, because no other library makes such
// judgements.
func judgements(ctx context.Context, short bool) error {
	n, rounds := 1000, 9
	if short {
		n, rounds = 100, 1
	}
	described := host(n)
	described.Mappings = []pvetest.Mapping{{ID: "card", Map: []string{"node=pve,path=0000:01:00,id=10de:2c05,iommugroup=12,subsystem-id=1462:5315"}}}
	for i := range described.VMs {
		described.VMs[i].Running = false
		described.VMs[i].Config["hostpci0"] = "mapping=card"
	}
	p, err := connect(ctx, pvetest.New(described, nil), 0)
	if err != nil {
		return err
	}
	facts, err := p.ours.Observe(ctx)
	if err != nil {
		return err
	}
	claims, pci := facts.Claims(), facts.PCI()
	conflicts := func() ([]gpu.Conflict, error) { return pci.ConflictsOf(1000, claims), nil }
	err = comparison{fmt.Sprintf("the conflicts of a VM with %d that want its card", n-1), "< 20 ms", func() error {
		found, err := conflicts()
		if err != nil {
			return err
		}
		return count(n-1, len(found))
	}, nil, rounds, false}.print()
	if err != nil {
		return err
	}
	db := workstation.DualBoot{Members: []int{1000, 1001}, Grace: time.Minute}
	return comparison{fmt.Sprintf("the preflight of a switch among %d VMs that want the card", n), "< 20 ms", func() error {
		workstation.Preflight(db, 1001, facts)
		return nil
	}, nil, rounds, false}.print()
}
