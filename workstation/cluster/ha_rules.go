package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Returns the rules that PVE refuses because of other rules, each with the
// reason. Disabled rules do not count (pve-ha-manager PVE/HA/Rules.pm and
// PVE/HA/Rules/ResourceAffinity.pm, the functions check_…).
func (h HA) conflicts() map[string]string {
	why := map[string]string{}
	var groups []HARule
	for _, r := range h.Rules {
		if r.Disabled || r.Kind == OnNodes {
			continue
		}
		h.priorities(r, why)
		if r.Kind == Together {
			groups = join(groups, r)
		}
	}
	for _, g := range groups {
		if nodes := h.nodeRules(g); len(nodes) > 1 {
			refuse(why, fmt.Sprintf("%s are kept together by %s, and bound to nodes by %s: let one rule bind them all", vmList(g.VMs), ruleNames(h.within(g)), ruleNames(nodes)), append(nodes, h.within(g)...))
		}
	}
	for _, r := range h.Rules {
		if r.Disabled || r.Kind != Apart {
			continue
		}
		for _, g := range groups {
			if common := shared(r, g); len(common) > 1 {
				refuse(why, fmt.Sprintf("rule %s keeps %s apart, and they are kept together by %s: remove a rule with ha-manager rules remove NAME", r.Name, vmList(common), ruleNames(h.within(g))), append(h.within(g), r))
			}
		}
		h.room(r, why)
	}
	return why
}

func refuse(why map[string]string, reason string, rules []HARule) {
	for _, r := range rules {
		why[r.Name] = reason
	}
}

// ruleNames names rules: "rule desk and rule other".
func ruleNames(rules []HARule) string {
	var names []string
	for _, r := range rules {
		names = append(names, "rule "+r.Name)
	}
	return strings.Join(names, " and ")
}

// Returns the enabled rules that keep VMs together and name a VM of the given
// group.
func (h HA) within(group HARule) (rules []HARule) {
	for _, r := range h.Rules {
		if r.Kind == Together && !r.Disabled && len(shared(r, group)) > 0 {
			rules = append(rules, r)
		}
	}
	return rules
}

// PVE refuses two rules together if one rule keeps a VM together with or apart
// from other VMs, and the other rule binds this VM to nodes with several
// priorities. The method then refuses the rule r and all rules that bind VMs of
// r to nodes.
func (h HA) priorities(r HARule, why map[string]string) {
	nodes := h.nodeRules(r)
	for _, n := range nodes {
		if levels := slices.Compact(slices.Sorted(maps.Values(n.Nodes))); len(levels) > 1 {
			refuse(why, fmt.Sprintf("rule %s keeps %s %s, and rule %s gives nodes several priorities: PVE refuses both together, so give all nodes one priority", r.Name, vmList(r.VMs), r.Kind, n.Name), append(nodes, r))
		}
	}
}

// Refuses a rule that keeps VMs apart if the VMs may run on fewer nodes than
// there are VMs. Other rules bind the VMs to these nodes.
func (h HA) room(r HARule, why map[string]string) {
	nodes := h.nodeRules(r)
	allowed, located := map[string]bool{}, map[int]bool{}
	for _, n := range nodes {
		for node := range n.Nodes {
			allowed[node] = true
		}
		for _, id := range shared(n, r) {
			located[id] = true
		}
	}
	if len(allowed) < len(located) {
		refuse(why, fmt.Sprintf("rule %s keeps %s apart, and rules bind them to %d nodes: PVE wants a node for each", r.Name, vmList(slices.Collect(maps.Keys(located))), len(allowed)), append(nodes, r))
	}
}

// nodeRules returns the rules of the kind OnNodes that name a VM of the given
// rule.
func (h HA) nodeRules(of HARule) (rules []HARule) {
	for _, r := range h.Rules {
		if r.Kind == OnNodes && !r.Disabled && len(shared(r, of)) > 0 {
			rules = append(rules, r)
		}
	}
	return rules
}

func shared(a, b HARule) (ids []int) {
	for _, id := range a.VMs {
		if slices.Contains(b.VMs, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// The function "join" adds a rule to the groups of VMs that are kept together.
// Rules that have a VM in common make up one group.
func join(groups []HARule, r HARule) []HARule {
	merged := HARule{VMs: slices.Clone(r.VMs)}
	var rest []HARule
	for _, g := range groups {
		if len(shared(g, merged)) == 0 {
			rest = append(rest, g)
			continue
		}
		merged.VMs = append(merged.VMs, g.VMs...)
	}
	slices.Sort(merged.VMs)
	merged.VMs = slices.Compact(merged.VMs)
	return append(rest, merged)
}
