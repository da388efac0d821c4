package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/workstation"
)

// A Plan is data: the changes that [Cluster.Apply] will make. Its String is the
// text that a person approves.
type Plan struct {
	// Placements says where each workstation of the Spec is or will be.
	Placements []Placement
	// Mappings holds the changes of resource mappings.
	Mappings []MappingChange
	// Images holds the images that are brought to their nodes.
	Images []BringImage
	// Moves holds the VMs that are moved to another node. [MoveFacts.Plan]
	// plans moves, [Diff] does not.
	Moves []Move
	// HAVMs and HARules hold the changes of high availability. [DiffHA] plans
	// these changes, [Diff] does not.
	HAVMs   []HAVMChange
	HARules []HARuleChange
	// Nodes holds the plans of the nodes that have changes or findings, in the
	// order of their names.
	Nodes []workstation.Plan
	// Findings holds warnings and blockers of the cluster as a whole. The
	// findings of a node are in the node's plan.
	Findings []proxstation.Finding
}

// Diff places the workstations of the Spec, and returns the changes that make
// the cluster match the Spec. It is pure. The errors are the errors of [Place],
// and with an error there is no plan.
//
// A node that was not read causes no error. If a new VM could only be made on
// such a node, Diff returns a finding, leaves out this VM, and plans the
// others. Diff also leaves out VMs that exist on a node that was not read.
//
// The plan of each node comes from [workstation.Diff]: guests that are not in
// the Spec stay as they are, and nothing is destroyed or moved.
func Diff(spec Spec, facts Facts) (Plan, error) {
	p := placed(spec, facts)
	plan := Plan{Placements: p.placements, Mappings: p.mapper.changes, Images: p.brings, Findings: p.findings}
	plan.Findings = append(plan.Findings, facts.drift(p.mapper.after)...)
	if len(p.problems) == 0 {
		for _, node := range facts.Nodes {
			on := p.nodes[node.Name]
			if on == nil || len(on.vms) == 0 {
				continue
			}
			slices.SortFunc(on.vms, func(a, b workstation.VM) int { return a.ID - b.ID })
			one, err := workstation.Diff(workstation.Spec{VMs: on.vms, Place: spec.Place}, on.facts)
			if err != nil {
				p.problems = append(p.problems, fmt.Errorf("cluster: node %s: %w", node.Name, err))
			}
			if !one.Empty() || len(one.Findings) > 0 {
				plan.Nodes = append(plan.Nodes, one)
			}
		}
	}
	if err := errors.Join(p.problems...); err != nil {
		return Plan{}, err
	}
	plan.judge(facts)
	return plan, nil
}

// Adds the findings about the plan as a whole.
func (p *Plan) judge(facts Facts) {
	if p.Empty() {
		return
	}
	p.Findings = append(p.Findings, facts.Findings...)
	for _, c := range p.Changes() {
		var missing []string
		for _, facts := range facts.readable()[:1] { // one node is enough, because the changes need the same privileges on each node
			for _, lacks := range facts.Lacks(c.Needs...) {
				missing = append(missing, lacks.String())
			}
		}
		if len(missing) > 0 {
			p.Findings = append(p.Findings, proxstation.Finding{ID: "workstation.privilege", Severity: proxstation.Blocker, Subject: c.Object,
				Seen: "the login lacks " + strings.Join(missing, ", "), Why: "PVE would refuse this step.", Fix: "Add them to the login's role (PVE manual, User Management)."})
		}
	}
}

// Changes returns the changes of mappings, images and moves, in the order in
// which Apply makes them. The changes of each node are in its plan in Nodes.
func (p Plan) Changes() []workstation.StepChange {
	var changes []workstation.StepChange
	for _, m := range p.Mappings {
		changes = append(changes, m.change())
	}
	for _, b := range p.Images {
		changes = append(changes, b.change())
	}
	for _, m := range p.Moves {
		changes = append(changes, m.change())
	}
	for _, m := range p.HAVMs {
		changes = append(changes, m.change())
	}
	for _, m := range p.HARules {
		changes = append(changes, m.change())
	}
	return changes
}

// Empty reports whether nothing has to be done.
func (p Plan) Empty() bool {
	return len(p.Changes()) == 0 && !slices.ContainsFunc(p.Nodes, func(n workstation.Plan) bool { return !n.Empty() })
}

// Destroys reports whether a step of the plan destroys data. Plans of [Diff]
// and [MoveFacts.Plan] do not.
func (p Plan) Destroys() bool {
	return slices.ContainsFunc(p.Nodes, workstation.Plan.Destroys)
}

// all returns the findings of the cluster and of all nodes.
func (p Plan) all() []proxstation.Finding {
	all := slices.Clone(p.Findings)
	for _, n := range p.Nodes {
		all = append(all, n.Findings...)
	}
	return all
}

// String returns the plan as a text for a person to approve: where each VM goes
// and why, then the changes.
func (p Plan) String() string {
	var b strings.Builder
	b.WriteString("Plan for the cluster")
	if p.Empty() {
		b.WriteString(": nothing to do")
	}
	b.WriteString("\n")
	for _, placement := range p.Placements {
		b.WriteString(placement.String())
	}
	for _, change := range p.Changes() {
		b.WriteString("\n" + change.String())
	}
	for _, n := range p.Nodes {
		b.WriteString("\n" + n.String())
	}
	for _, f := range p.Findings {
		b.WriteString("\n" + printable.Text(f.String()) + "\n")
	}
	return b.String()
}
