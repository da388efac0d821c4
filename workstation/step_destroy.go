package workstation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

// DestroyVM is the step that removes a VM and its disks. Only [DestroyPlan]
// makes it, and [Node.Apply] does it only with AllowDestroy.
type DestroyVM struct {
	VMID   int
	Name   string
	Digest string
	Config map[string]string
}

// DestroyPlan returns the plan that removes VMs with all their disks. If a VM
// does not exist or was not read, DestroyPlan returns an error. If a VM runs,
// is protected or is under high availability, the plan has a blocker.
func DestroyPlan(facts Facts, vmids ...int) (Plan, error) {
	plan := Plan{Node: facts.Node}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(vmids))) {
		v, exists := facts.VMs[id]
		if !exists {
			return Plan{}, facts.missing(id)
		}
		block := func(id, seen, why, fix string) {
			plan.Findings = append(plan.Findings, proxstation.Finding{ID: id, Severity: proxstation.Blocker, Subject: v.String(), Seen: seen, Why: printable.Sentence(why), Fix: printable.Sentence(fix)})
		}
		if v.Running {
			block("workstation.running", "it is running", "PVE does not remove a running VM", "shut it down first")
		}
		if v.Config["protection"] == "1" {
			block("workstation.protected", "protection: 1", "PVE does not remove it", "remove the protection first, if you really want to destroy the VM")
		}
		if slices.Contains(facts.HA, id) || slices.Contains(facts.HAIgnored, id) {
			block("workstation.ha", "it is under high availability", "PVE does not remove it", fmt.Sprintf("remove it from high availability: ha-manager remove vm:%d", id))
		}
		plan.Steps = append(plan.Steps, DestroyVM{VMID: id, Name: v.Name, Digest: v.Digest, Config: v.Config})
	}
	return plan, nil
}

func (s DestroyVM) change() StepChange {
	c := StepChange{Sign: SignDestroy, Object: fmt.Sprintf("VM %d %s", s.VMID, s.Name), Needs: []Privilege{{vmPath(s.VMID), "VM.Allocate"}}}
	for _, key := range slices.Sorted(maps.Keys(s.Config)) {
		drive, err := storage.ParseDrive(s.Config[key])
		if err != nil || !qmconf.IsSlot(key) && qmconf.Family(key) != "unused" || drive.IsCDROM() {
			continue
		}
		c.Lines = append(c.Lines, StepLine{Sign: SignDestroy, Key: key, Have: s.Config[key], Note: "the disk and all data on it"})
	}
	return c
}

func (s DestroyVM) apply(ctx context.Context, a *applier) error {
	config, err := a.current(ctx, s.VMID)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := a.fresh(s.VMID, s.Digest, config); err != nil {
		return err
	}
	a.say(s.VMID, "destroying VM %d %s", s.VMID, s.Name)
	task, err := a.pve.Destroy(ctx, s.VMID)
	if err == nil {
		err = a.wait(ctx, s.VMID, task)
	}
	if err != nil && !uncertain(err) {
		return err
	}
	if _, lookErr := a.current(ctx, s.VMID); !errors.Is(lookErr, ErrNotFound) {
		return errors.Join(err, lookErr, fmt.Errorf("workstation: VM %d is still there", s.VMID))
	}
	return nil
}
