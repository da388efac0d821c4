package workstation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/homes"
	"github.com/proxstation/proxstation/internal/pve"
)

// haTime is added to every time limit of a VM under high availability, because
// the HA manager of the cluster and the HA manager of the node each look for
// work only every ten seconds (pve-ha-manager PVE/HA/CRM.pm, LRM.pm).
const haTime = time.Minute

// For a VM under high availability, PVE's start and shutdown only set the HA
// state that the manager is to reach, and end then. They need VM.PowerMgmt
// (qemu-server PVE/API2/Qemu.pm, hastart and hastop). The direct way, PUT
// /cluster/ha/resources/{sid}, needs Sys.Console on / and shuts down with a
// fixed limit of 60 seconds (pve-ha-manager PVE/HA/Resources/PVEVM.pm,
// shutdown).

// underHA reports whether a VM was under high availability when the switch was
// judged.
func (s *switching) underHA(id int) bool { return slices.Contains(s.facts.HA, id) }

// haTime returns the time that is added to a limit of a VM: 0 without high
// availability.
func (s *switching) haTime(id int) time.Duration {
	if s.underHA(id) {
		return haTime
	}
	return 0
}

// This returns the running VMs together with the members that are off now but
// that the HA manager is about to start.
func (s *switching) wanted(ctx context.Context, running []pve.VMStatus) ([]pve.VMStatus, error) {
	for _, id := range s.db.Members {
		if !s.underHA(id) || slices.ContainsFunc(running, func(v pve.VMStatus) bool { return v.VMID == id }) || slices.Contains(s.db.NodesOff, s.node.vms.Home(id)) {
			continue
		}
		status, err := s.node.vms.Status(ctx, id)
		if err != nil {
			return nil, err
		}
		if !status.Off() {
			running = append(running, status)
		}
	}
	return running, nil
}

// errHA reports a VM that the HA manager does not start on its node.
var errHA = errors.New("the HA manager does not start the VM on this node")

// awaitHA waits until the HA manager has started a VM. After a failed start,
// the manager would try again, then move the VM to another node and try there
// (pve-ha-manager PVE/HA/Manager.pm, next_state_started). awaitHA returns an
// error after the first failed start already, as for a VM without high
// availability.
func (n *Node) awaitHA(ctx context.Context, id int, task pve.UPID, limit time.Duration) error {
	if task.Type() != "hastart" {
		return nil
	}
	return until(ctx, limit+haTime, func(ctx context.Context) (bool, error) {
		status, err := n.vms.Status(ctx, id)
		if err != nil || status.Running {
			return err == nil, nil // a request that failed says nothing about the VM: ask again
		}
		failed, err := homes.At(ctx, n.vms, id, func(c *pve.Client) (error, error) { return c.LastFailure(ctx, id, "qmstart", task) })
		switch {
		case err == nil && failed != nil:
			return false, failed
		case status.HAState == "error" || pve.HAMoves[status.HAState] != "":
			return false, fmt.Errorf("workstation: VM %d: %w: state %s", id, errHA, status.HAState)
		}
		return false, nil // the login may not see the manager's tasks
	})
}

// withdraw takes back the request to the HA manager to start the target, so
// that the target stays off while the member that ran before starts. It
// restores the HA state that the target had before the switch.
func (s *switching) withdraw(ctx context.Context, status pve.VMStatus) error {
	id := status.VMID
	if !status.HA || s.started.IsZero() && status.Off() {
		return nil
	}
	s.say(id, fmt.Sprintf("VM %d is no longer to be started by the HA manager", id))
	var asked time.Time
	err := until(ctx, returnTime, func(ctx context.Context) (bool, error) {
		now, err := s.node.vms.Status(ctx, id)
		if err != nil || now.Off() && (now.HAState == "error" || !s.requested(ctx, id)) {
			status = now
			return err == nil, err
		}
		if time.Since(asked) > haRound { // the manager forgets the request when it moves the VM: ask again
			asked = time.Now()
			_, err = homes.At(ctx, s.node.vms, id, func(c *pve.Client) (pve.UPID, error) { return c.Shutdown(ctx, id, s.db.Grace, true) })
		}
		return false, err
	})
	if err != nil {
		return err
	}
	s.haLeft = s.setBack(ctx, status)
	return nil
}

// This reports whether the HA manager may still carry out an earlier request to
// start the target. If the login cannot read the request, this is assumed for
// as long as the manager may take to act.
func (s *switching) requested(ctx context.Context, id int) bool {
	state, err := s.node.pve.HARequest(ctx, id)
	if err != nil {
		return time.Since(s.started) < haTime
	}
	return state == "started"
}

// haRound is the time after which a request to the HA manager is repeated.
const haRound = 20 * time.Second

// setBack restores the HA state that the target had, unless that state is
// "stopped". In the state "error", the manager accepts only the request
// "disabled", and leaves the VM alone until it gets this request.
func (s *switching) setBack(ctx context.Context, status pve.VMStatus) error {
	id := status.VMID
	if status.HAState != "error" && s.haWas != "disabled" {
		return nil
	}
	if err := s.node.pve.RequestHA(ctx, id, "disabled"); err != nil || s.haWas == "disabled" {
		return err
	}
	err := until(ctx, haTime, func(ctx context.Context) (bool, error) {
		now, err := s.node.vms.Status(ctx, id)
		return err == nil && now.HAState == "stopped", err
	})
	if err != nil {
		return err
	}
	return s.node.pve.RequestHA(ctx, id, "stopped")
}

// adviseCluster reports the problems that only a cluster or high availability
// leaves behind: members on nodes that are away, a lost quorum, and the
// target's HA state.
func (s *switching) adviseCluster(ctx context.Context, e *SwitchError) []proxstation.Finding {
	var findings []proxstation.Finding
	if s.node.vms.Clustered() {
		_ = s.node.vms.Look(ctx) // without an answer, the last report counts
	}
	facts := s.facts
	facts.away = s.node.vms.Lost()
	for _, id := range s.db.Members {
		v := facts.VMs[id]
		if v.Node = s.node.vms.Home(id); id != e.Running && facts.lostSight(s.db, v) {
			f := memberAway(v, facts)
			f.Severity = proxstation.Warning
			findings = append(findings, f)
		}
	}
	if err := errors.Join(e.Cause, e.Return); errors.Is(err, pve.ErrNoQuorum) {
		f := noQuorum(firstLine(err))
		f.Severity = proxstation.Warning
		findings = append(findings, f)
	}
	if s.haLeft != nil {
		findings = append(findings, proxstation.Finding{ID: "switch.ha-left", Severity: proxstation.Warning, Subject: facts.VMs[s.to].String(), Seen: s.haLeft.Error(),
			Why: "The HA state of the VM could not be set back, and PVE's answer stands here.",
			Fix: fmt.Sprintf("ha-manager set vm:%d --state disabled; then --state %s.", s.to, cmp.Or(s.haWas, "stopped"))})
	}
	return findings
}
