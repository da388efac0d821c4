package install

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/workstation"
)

// unfinished is the drive that a set-up leaves in the VM if it stops before its
// end. The drive is empty. Its serial number tells it apart from drives of
// other people. The next plan finds the drive, and goes on with the set-up.
const unfinished = "none,media=cdrom,serial=firstboot"

// unfinishedIn returns the slot of the drive "unfinished", or "".
func unfinishedIn(config map[string]string) string {
	for _, key := range slices.Sorted(maps.Keys(config)) {
		if !qmconf.IsSlot(key) {
			continue
		}
		if serial, _ := qmconf.Parse(key, config[key]).Get("serial"); serial == "firstboot" {
			return key
		}
	}
	return ""
}

// This leaves the drive "unfinished" in the VM. If the VM has a seed, the drive
// takes the seed's place. Without a VM there is nothing to do: the next plan
// makes the VM.
func (r *run) markUnfinished(ctx context.Context) error {
	facts, err := r.node.Observe(ctx)
	if err != nil {
		return r.unmarked(err)
	}
	have, exists := facts.VMs[r.VMID]
	if !exists || unfinishedIn(have.Config) != "" {
		return nil
	}
	if slot, volume := seedIn(have.Config); have.Config[r.SeedSlot] != "" && (slot != r.SeedSlot || volume != r.Seed) {
		return nil // somebody uses the drive for another image
	}
	step := workstation.ChangeVM{VMID: r.VMID, Name: r.Name, Digest: have.Digest, Set: map[string]string{r.SeedSlot: unfinished}}
	if err := r.node.Apply(ctx, workstation.Plan{Node: facts.Node, Steps: []workstation.Step{step}}, &workstation.ApplyOptions{Settle: cleaning / 4}); err != nil {
		return r.unmarked(err)
	}
	return nil
}

func (r *run) unmarked(err error) error {
	return fmt.Errorf("install: VM %d: the next plan does not see that the set-up has not ended, so it needs the guest's Again (homelab apply -again NAME): %w", r.VMID, err)
}

// This removes the drive "unfinished", which an earlier set-up left.
func (r *run) unmark(ctx context.Context) error {
	if r.SeedSlot == "" || r.Seed != "" {
		return nil // there was no such drive, or the seed took its place
	}
	facts, err := r.node.Observe(ctx)
	if err != nil {
		return r.fail("the drive "+r.SeedSlot+" of the set-up could not be removed", err)
	}
	have := facts.VMs[r.VMID]
	if unfinishedIn(have.Config) != r.SeedSlot {
		return nil
	}
	step := workstation.ChangeVM{VMID: r.VMID, Name: r.Name, Digest: have.Digest, Delete: []string{r.SeedSlot}}
	if err := r.node.Apply(ctx, workstation.Plan{Node: facts.Node, Steps: []workstation.Step{step}}, nil); err != nil {
		return r.fail("the drive "+r.SeedSlot+" of the set-up could not be removed", err)
	}
	return nil
}
