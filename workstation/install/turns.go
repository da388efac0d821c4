package install

import (
	"context"
	"fmt"
	"slices"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
)

// Turns reads the sets to which the plan's guests belong, on all nodes of the
// cluster. It returns a blocker for each reason why a guest may not start: the
// cluster has no quorum, another member runs, a member may run on a node that
// is away, or a switch is under way. A switch shuts the running member down.
// [Apply] does not do that: it refuses before it changes anything.
//
// The parameter "beside" lists VMs that are ignored, because the caller shuts
// them down before the plan is applied. Turns makes no request if no guest has
// a set.
//
// [workstation.Node.Status] lists the privileges and the errors.
func (p Plan) Turns(ctx context.Context, node *workstation.Node, beside ...int) ([]proxstation.Finding, error) {
	for _, s := range p.SetUps { // guests of this plan do not block each other: Apply shuts a guest down before it sets up the next member of its set
		beside = append(slices.Clone(beside), s.VMID)
	}
	var findings []proxstation.Finding
	for _, s := range p.SetUps {
		found, err := s.turn(ctx, node, beside...)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			if !slices.Contains(findings, f) {
				findings = append(findings, f)
			}
		}
	}
	return findings, nil
}

// turn reads the guest's set and judges whether the guest may start.
func (s SetUp) turn(ctx context.Context, node *workstation.Node, beside ...int) ([]proxstation.Finding, error) {
	if len(s.guest.Set.Members) == 0 {
		return nil, nil
	}
	status, err := node.Status(ctx, s.guest.Set)
	if err != nil {
		return nil, err
	}
	return blocked(s.VMID, s.Name, status, beside), nil
}

// The function "blocked" returns the reasons why a member of a set may not
// start now. If the member runs already, there is no reason. The function does
// no I/O.
func blocked(vmid int, name string, status workstation.DualBootStatus, beside []int) []proxstation.Finding {
	var findings []proxstation.Finding
	if status.Lease != nil {
		findings = append(findings, proxstation.Finding{ID: "install.leased", Severity: proxstation.Blocker, Subject: fmt.Sprintf("VM %d %s", vmid, name), Seen: status.Lease.String(),
			Why: "A switch of the VMs that take turns is under way, and may start another of them.",
			Fix: "Wait until the switch has ended, and begin again. If its program is dead, the next switch takes its lease over."})
	}
	for _, m := range status.Members {
		for _, why := range m.Why { // each member's status may have findings about the whole cluster
			if (why.ID == "switch.no-quorum" || why.ID == "switch.node-not-off") && !slices.Contains(findings, why) {
				findings = append(findings, why)
			}
		}
		f := proxstation.Finding{Severity: proxstation.Blocker, Subject: fmt.Sprintf("VM %d %s", vmid, name)}
		who := fmt.Sprintf("VM %d %s", m.VMID, m.Name)
		switch {
		case m.VMID == vmid && m.Running:
			return nil // even while the switch to this member goes on
		case m.VMID == vmid:
			continue
		case slices.Contains(beside, m.VMID):
			continue
		case m.Running:
			f.ID, f.Seen = "install.member-runs", fmt.Sprintf("%s runs on node %s", who, m.Node)
			f.Why = "They take turns, so only one of them runs at a time, and a set-up shuts no other VM down."
			f.Fix = fmt.Sprintf("Shut the guest of VM %d down (qm shutdown %[1]d, on node %s), and begin again.", m.VMID, m.Node)
		case m.Away:
			f.ID, f.Seen = "install.member-away", fmt.Sprintf("%s is on node %s, which is away", who, m.Node)
			for _, why := range m.Why {
				if why.ID == "switch.target-away" {
					f.Seen += " (" + why.Seen + ")"
				}
			}
			f.Why = fmt.Sprintf("They take turns, and VM %d may still run there, where nobody sees it.", m.VMID)
			f.Fix = fmt.Sprintf("Bring node %s or its network back, and begin again; if somebody has seen that the node is off, name it among the nodes that are off (homelab: -node-off %[1]s).", m.Node)
		default:
			continue
		}
		findings = append(findings, f)
	}
	return findings
}

// refuse returns the error. If there is no error but there are findings, it
// returns a [workstation.BlockedError].
func refuse(what string, findings []proxstation.Finding, err error) error {
	if err != nil || len(findings) == 0 {
		return err
	}
	return &workstation.BlockedError{What: what, Findings: findings}
}
