package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/workstation"
)

// highAvailability makes the changes of high availability. VMs come before
// rules, because PVE refuses a rule that names a VM which is not under high
// availability.
func (a *applier) highAvailability(ctx context.Context, plan Plan) error {
	for _, m := range plan.HAVMs {
		if err := a.haVM(ctx, m); err != nil {
			return fmt.Errorf("cluster: high availability of VM %d: %w", m.Want.VMID, err)
		}
	}
	for _, m := range plan.HARules {
		if err := a.haRule(ctx, m); err != nil {
			return fmt.Errorf("cluster: rule %s of high availability: %w", m.Want.Name, err)
		}
	}
	return nil
}

// haVM makes the change of one VM at the HA manager, unless the change is made
// already.
func (a *applier) haVM(ctx context.Context, m HAVMChange) error {
	seen, err := a.cluster.pve.HA(ctx)
	if err != nil {
		return err
	}
	now, is := haOf(seen).VM(m.Want.VMID)
	switch {
	case is && m.Want.alike(now):
		return nil
	case is != (m.Have != nil), is && !m.Have.alike(now):
		return fmt.Errorf("%w: it changed since the plan was made: observe and plan again", workstation.ErrStale)
	}
	a.say(m.Want.VMID, "high availability of VM %d: %s", m.Want.VMID, m.Want.Wanted)
	r := pve.HAResource{VMID: m.Want.VMID, Wanted: m.Want.Wanted, Comment: m.Want.Comment, Group: now.group, Failback: m.Want.Failback != proxstation.No,
		KnowsFailback: seen.HasRules, MaxRestart: *m.Want.Restarts, MaxRelocate: *m.Want.Moves, Digest: now.digest}
	if is {
		err = a.cluster.pve.UpdateHAResource(ctx, r)
	} else {
		err = a.cluster.pve.CreateHAResource(ctx, r)
	}
	return a.written(ctx, err, func(h HA) bool { now, is := h.VM(m.Want.VMID); return is && m.Want.alike(now) })
}

// Reads the change back. If the change is there, the method returns nil even
// after a lost answer.
func (a *applier) written(ctx context.Context, err error, there func(HA) bool) error {
	if err != nil && !errors.Is(err, workstation.ErrNoAnswer) {
		return err
	}
	seen, lookErr := a.cluster.pve.HA(ctx)
	if lookErr == nil && !there(haOf(seen)) {
		lookErr = errors.New("it is not as it was written")
	}
	if lookErr != nil {
		return errors.Join(err, lookErr)
	}
	return nil
}

// haRule makes one rule, or a group on PVE 8, unless the rule exists already.
func (a *applier) haRule(ctx context.Context, m HARuleChange) error {
	if err := a.known(ctx, m.Want.VMs); err != nil {
		return err
	}
	seen, err := a.cluster.pve.HA(ctx)
	if err != nil {
		return err
	}
	now, is := haOf(seen).Rule(m.Want.Name)
	switch {
	case is && m.Want.alike(now):
		return nil
	case is != (m.Have != nil), is && !m.Have.alike(now):
		if !m.Groups || !m.begun(now) { // an earlier Apply may have added only some VMs, because PVE adds them one by one
			return fmt.Errorf("%w: it changed since the plan was made: observe and plan again", workstation.ErrStale)
		}
	}
	a.say(0, "rule %s of high availability: %s", m.Want.Name, m.Want)
	if m.Groups {
		err = a.haGroup(ctx, m.Want, is, seen)
	} else {
		err = a.writeRule(ctx, m.Want, is, now.digest)
	}
	return a.written(ctx, err, func(h HA) bool { now, is := h.Rule(m.Want.Name); return is && m.Want.alike(now) })
}

func (a *applier) writeRule(ctx context.Context, want HARule, exists bool, digest string) error {
	r := pve.HARule{Name: want.Name, Kind: "resource-affinity", Nodes: want.Nodes, Strict: want.Strict, Disabled: want.Disabled, Comment: want.Comment, Digest: digest}
	switch want.Kind {
	case OnNodes:
		r.Kind = "node-affinity"
	case Together:
		r.Affinity = "positive"
	case Apart:
		r.Affinity = "negative"
	}
	for _, id := range want.VMs {
		r.SIDs = append(r.SIDs, fmt.Sprintf("vm:%d", id))
	}
	r.SIDs = append(r.SIDs, want.others...)
	if exists {
		return a.cluster.pve.UpdateHARule(ctx, r)
	}
	return a.cluster.pve.CreateHARule(ctx, r)
}

// Reports whether a group has only some of its VMs, because an earlier Apply
// broke off.
func (m HARuleChange) begun(now HARule) bool {
	part := m.Want
	part.VMs = now.VMs
	return part.alike(now) && !slices.ContainsFunc(now.VMs, func(id int) bool {
		return !slices.Contains(m.Want.VMs, id) && (m.Have == nil || !slices.Contains(m.Have.VMs, id))
	})
}

// haGroup makes a group of PVE 8, and puts its VMs into it.
func (a *applier) haGroup(ctx context.Context, want HARule, exists bool, seen pve.HA) error {
	g := pve.HAGroup{Name: want.Name, Nodes: want.Nodes, Restricted: want.Strict, Comment: want.Comment}
	for _, have := range seen.Groups {
		if have.Name == want.Name {
			g.NoFailback, g.Digest = have.NoFailback, have.Digest
		}
	}
	var err error
	if exists {
		err = a.cluster.pve.UpdateHAGroup(ctx, g)
	} else {
		err = a.cluster.pve.CreateHAGroup(ctx, g)
	}
	if err != nil && !errors.Is(err, workstation.ErrNoAnswer) {
		return err
	}
	for _, r := range seen.Resources {
		member := slices.Contains(want.VMs, r.VMID)
		if member == (r.Group == want.Name) {
			continue
		}
		r.Group, r.Digest = "", "" // no digest, because each of these writes changes it
		if member {
			r.Group = want.Name
		}
		if err := a.cluster.pve.UpdateHAResource(ctx, r); err != nil && !errors.Is(err, workstation.ErrNoAnswer) {
			return err
		}
	}
	return nil
}

// knownTime limits the wait for the HA manager, which works in rounds of ten
// seconds.
const knownTime = time.Minute

// Waits until the HA manager has taken over the VMs that are new under high
// availability. Before its first round the HA manager knows no nodes. PVE then
// refuses every rule that keeps VMs apart ("rule defines more resources than
// available nodes"). After a minute the wait ends, and PVE decides.
func (a *applier) known(ctx context.Context, vmids []int) error {
	for waited := time.Duration(0); waited < knownTime; waited += time.Second {
		seen, err := a.cluster.pve.HA(ctx)
		if err != nil {
			return err
		}
		h := haOf(seen)
		if !slices.ContainsFunc(vmids, func(id int) bool { v, is := h.VM(id); return is && v.managed() && v.State == "" }) {
			return nil
		}
		if waited == 0 {
			a.say(0, "waiting for the HA manager to take the VMs over")
		}
		if err := pve.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
	return nil
}
