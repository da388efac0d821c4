package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/workstation"
)

// An HASpec describes how high availability should be. It concerns only the VMs
// and rules that it names. Other VMs and rules stay as they are.
type HASpec struct {
	// VMs holds the VMs that should be under high availability. A field that is
	// not set keeps its value. If the VM is not under high availability yet,
	// such a field gets PVE's default.
	VMs []HAVM
	// Rules holds the rules that should exist, by name. A rule that exists
	// already is changed to match, but its kind cannot change. An empty Comment
	// keeps the existing comment.
	Rules []HARule
}

// An HAVMChange puts a VM under high availability, or changes its settings
// there.
type HAVMChange struct {
	Want HAVM
	Have *HAVM // nil if the VM is not under high availability
}

// An HARuleChange makes or changes a rule. On PVE 8 the rule is a group.
type HARuleChange struct {
	Want   HARule
	Have   *HARule // nil if there is no such rule
	Groups bool    // the cluster has the groups of PVE 8
}

// DiffHA returns the plan that makes high availability match the Spec. It is
// pure. The plan's findings come from [HA.Judge] for the state after the plan.
//
// The error joins an [workstation.InvalidError] for each part of the Spec that
// PVE would refuse: a rule for a VM that is not under high availability, a rule
// that keeps more VMs apart than there are nodes, two rules that bind one VM to
// nodes, rules that contradict each other, and on PVE 8 rules that keep VMs
// together or apart.
func DiffHA(spec HASpec, facts Facts, have HA) (Plan, error) {
	d := &haDiff{spec: spec, facts: facts, have: have, after: HA{Groups: have.Groups, Master: have.Master, Maintenance: have.Maintenance, VMs: slices.Clone(have.VMs), Rules: slices.Clone(have.Rules)}}
	var plan Plan
	for _, vm := range spec.VMs {
		if change, needed := d.vm(vm); needed {
			plan.HAVMs = append(plan.HAVMs, change)
		}
	}
	for _, rule := range spec.Rules {
		if change, needed := d.rule(rule); needed {
			plan.HARules = append(plan.HARules, change)
		}
	}
	conflicts := map[string]string{}
	if !have.Groups {
		conflicts = d.after.conflicts()
	}
	for _, change := range plan.HARules {
		if why := conflicts[change.Want.Name]; why != "" {
			d.refuse(0, "rule "+change.Want.Name, "", why)
		}
	}
	if err := errors.Join(d.problems...); err != nil {
		return Plan{}, err
	}
	plan.Findings = append(d.after.Judge(facts), d.mixed(plan)...)
	plan.judge(facts)
	return plan, nil
}

type haDiff struct {
	spec     HASpec
	facts    Facts
	have     HA
	after    HA
	problems []error
}

func (d *haDiff) refuse(vmid int, field, value, why string) {
	d.problems = append(d.problems, &workstation.InvalidError{VMID: vmid, Field: field, Value: value, Why: why})
}

func (d *haDiff) vm(want HAVM) (change HAVMChange, needed bool) {
	have, is := d.have.VM(want.VMID)
	i := slices.IndexFunc(d.facts.Guests, func(g Guest) bool { return g.VMID == want.VMID && !g.Container })
	states := []string{"", "started", "stopped", "disabled", "ignored"}
	switch {
	case !is && i < 0:
		d.refuse(want.VMID, "high availability", "", "the cluster has no such VM that the login may see")
		return change, false
	case !slices.Contains(states, want.Wanted):
		d.refuse(want.VMID, "state", want.Wanted, "PVE knows "+strings.Join(states[1:], ", "))
		return change, false
	case want.Failback != proxstation.Unknown && d.have.Groups && want.Failback != have.Failback:
		d.refuse(want.VMID, "failback", want.Failback.String(), "on PVE 8 this is a setting of the VM's group: ha-manager groupset GROUP --nofailback 1")
		return change, false
	}
	if !is && want.Wanted == "" {
		running := d.facts.Guests[i].Running
		if running == proxstation.Unknown {
			d.refuse(want.VMID, "state", "", "it is not known whether the VM runs, because its node is away: name the wanted state")
			return change, false
		}
		want.Wanted = map[bool]string{true: "started", false: "stopped"}[running == proxstation.Yes]
	}
	want = want.over(have)
	if !is {
		d.after.VMs = append(d.after.VMs, want)
		return HAVMChange{Want: want}, true
	}
	at := slices.IndexFunc(d.after.VMs, func(v HAVM) bool { return v.VMID == want.VMID })
	d.after.VMs[at] = want
	return HAVMChange{Want: want, Have: &have}, !want.alike(have)
}

// The method "over" returns v with its unset fields filled in. An unset field
// gets the value of have. If have has no value either, the field gets PVE's
// default.
func (v HAVM) over(have HAVM) HAVM {
	one := 1
	v.Wanted, v.Comment = cmp.Or(v.Wanted, have.Wanted), cmp.Or(v.Comment, have.Comment)
	v.Failback = cmp.Or(v.Failback, have.Failback, proxstation.Yes)
	v.Restarts, v.Moves = cmp.Or(v.Restarts, have.Restarts, &one), cmp.Or(v.Moves, have.Moves, &one)
	v.State, v.Node, v.group, v.digest = have.State, have.Node, have.group, have.digest
	return v
}

func (v HAVM) alike(w HAVM) bool {
	return v.Wanted == w.Wanted && v.Failback == w.Failback && *v.Restarts == *w.Restarts && *v.Moves == *w.Moves && v.Comment == w.Comment
}

func (d *haDiff) rule(want HARule) (change HARuleChange, needed bool) {
	have, is := d.have.Rule(want.Name)
	want.VMs = slices.Compact(slices.Sorted(slices.Values(want.VMs)))
	if why := d.impossible(want, have, is); why != "" {
		d.refuse(0, "rule "+want.Name, "", why)
		return change, false
	}
	want.Comment, want.others, want.digest = cmp.Or(want.Comment, have.Comment), have.others, have.digest
	if !is {
		d.after.Rules = append(d.after.Rules, want)
		return HARuleChange{Want: want, Groups: d.have.Groups}, true
	}
	at := slices.IndexFunc(d.after.Rules, func(r HARule) bool { return r.Name == want.Name })
	d.after.Rules[at] = want
	return HARuleChange{Want: want, Have: &have, Groups: d.have.Groups}, !want.alike(have)
}

// Reports whether two rules have the same effect and comment.
func (r HARule) alike(other HARule) bool {
	return r.Kind == other.Kind && slices.Equal(r.VMs, other.VMs) && maps.Equal(r.Nodes, other.Nodes) && r.Strict == other.Strict && r.Disabled == other.Disabled && r.Comment == other.Comment
}

// Returns the reason why PVE would refuse a rule, or "" (pve-ha-manager
// PVE/API2/HA/Rules.pm and the checks of PVE/HA/Rules).
func (d *haDiff) impossible(want, have HARule, is bool) string {
	switch {
	case !qmconf.IsMappingID(want.Name):
		return "a name is a letter, then letters, digits, \"-\" and \"_\", two at least"
	case want.Kind < OnNodes || want.Kind > Apart:
		return "it has no kind"
	case is && have.Kind != want.Kind:
		return fmt.Sprintf("there is a rule of this name that is for %q: PVE cannot change the kind of a rule, so choose another name", have.Kind)
	case d.have.Groups && want.Kind != OnNodes:
		return "PVE 8 has groups of nodes, and no rules that keep VMs together or apart: bind each VM to other nodes, or upgrade all nodes to PVE 9"
	case d.have.Groups && want.Disabled:
		return "a group of PVE 8 cannot be disabled"
	case len(want.VMs) == 0 || want.Kind != OnNodes && len(want.VMs) < 2:
		return "it names too few VMs"
	case want.Kind == Apart && len(want.VMs) > len(d.facts.Nodes):
		return fmt.Sprintf("it keeps %d VMs apart, and the cluster has %d nodes: PVE refuses such a rule", len(want.VMs), len(d.facts.Nodes))
	case want.Kind != OnNodes && (len(want.Nodes) > 0 || want.Strict):
		return "only a rule of the kind \"on nodes\" names nodes"
	case want.Kind == OnNodes && len(want.Nodes) == 0:
		return "it names no node"
	}
	for _, node := range slices.Sorted(maps.Keys(want.Nodes)) {
		if _, is := d.facts.Node(node); !is || want.Nodes[node] < 0 {
			return "the cluster has no node " + node + ", or its priority is below 0"
		}
	}
	for _, id := range want.VMs {
		if _, is := d.after.VM(id); !is {
			return fmt.Sprintf("VM %d is not under high availability: add it to the VMs of the Spec", id)
		}
		for _, other := range d.after.inForce(id, OnNodes) {
			if want.Kind == OnNodes && !want.Disabled && other.Name != want.Name {
				return fmt.Sprintf("VM %d is bound to nodes by rule %s already: change that rule", id, other.Name)
			}
		}
	}
	return ""
}

// Warns if the plan has rules and a node of the cluster still runs PVE 8, which
// knows no rules.
func (d *haDiff) mixed(plan Plan) (findings []proxstation.Finding) {
	for _, node := range d.facts.readable() {
		if len(plan.HARules) > 0 && !d.have.Groups && node.Version != "" && release(node.Version)[0] < 9 {
			findings = append(findings, proxstation.Finding{ID: "cluster.ha-mixed", Severity: proxstation.Warning, Subject: "node " + node.Node, Seen: "PVE " + node.Version,
				Why: "PVE 8 knows no rules: while the HA manager runs on this node, the rules are not followed.", Fix: "Upgrade the node to PVE 9: pve8to9 --full shows what is to be done."})
		}
	}
	return findings
}

func (m HAVMChange) change() workstation.StepChange {
	c := workstation.StepChange{Sign: workstation.SignAdd, Object: fmt.Sprintf("high availability of VM %d", m.Want.VMID), Needs: haNeeds}
	var have HAVM
	if m.Have != nil {
		have, c.Sign = *m.Have, workstation.SignModify
	}
	number := func(n *int) string {
		if n == nil {
			return ""
		}
		return fmt.Sprint(*n)
	}
	failback := func(v HAVM) string { return strings.TrimPrefix(v.Failback.String(), "unknown") }
	c.Lines = haLines(m.Have != nil, [][3]string{{"state", have.Wanted, m.Want.Wanted}, {"failback", failback(have), failback(m.Want)},
		{"max_restart", number(have.Restarts), number(m.Want.Restarts)}, {"max_relocate", number(have.Moves), number(m.Want.Moves)}, {"comment", have.Comment, m.Want.Comment}})
	return c
}

func (m HARuleChange) change() workstation.StepChange {
	c := workstation.StepChange{Sign: workstation.SignAdd, Object: "rule " + m.Want.Name + " of high availability", Needs: haNeeds}
	if m.Groups {
		c.Object = "group " + m.Want.Name + " of high availability"
	}
	var have HARule
	if m.Have != nil {
		have, c.Sign = *m.Have, workstation.SignModify
	}
	yes := func(is bool) string { return map[bool]string{true: "yes"}[is] }
	kind := ""
	if m.Have != nil {
		kind = have.Kind.String()
	}
	c.Lines = haLines(m.Have != nil, [][3]string{{"kind", kind, m.Want.Kind.String()}, {"VMs", vmList(have.VMs), vmList(m.Want.VMs)},
		{"nodes", pve.FormatHANodes(have.Nodes), pve.FormatHANodes(m.Want.Nodes)}, {"strict", yes(have.Strict), yes(m.Want.Strict)},
		{"disabled", yes(have.Disabled), yes(m.Want.Disabled)}, {"comment", have.Comment, m.Want.Comment}})
	return c
}

var haNeeds = []workstation.Privilege{{Path: "/", Name: "Sys.Console"}}

// haLines returns a line for each value that changes: key, before, after.
func haLines(exists bool, values [][3]string) (lines []workstation.StepLine) {
	for _, v := range values {
		sign := workstation.SignModify
		switch {
		case v[1] == v[2]:
			continue
		case v[1] == "" || !exists:
			sign = workstation.SignAdd
		case v[2] == "":
			sign = workstation.SignDestroy
		}
		lines = append(lines, workstation.StepLine{Sign: sign, Key: v[0], Have: v[1], Want: v[2]})
	}
	return lines
}
