package cluster

import (
	"fmt"
	"slices"

	"github.com/proxstation/proxstation"
)

// Advise returns the rules that VMs with a card need. Put them into the Rules
// of an [HASpec]. If a VM would not start on every node, a rule binds it to the
// nodes on which it would start. If two VMs want one card, a rule keeps them
// apart. Advise returns only rules that do not exist yet. If two VMs want one
// card and only one node has it, there is no rule for them, because PVE would
// refuse the rule. Only one of these VMs can run. Advise is pure. The VMs need
// not be under high availability yet.
//
// The rules name no node that could not be read. VMs whose configurations were
// not read get no rule.
func (h HA) Advise(f Facts, vmids ...int) []HARule {
	j := &haJudge{ha: h, facts: f}
	vmids = slices.Compact(slices.Sorted(slices.Values(vmids)))
	var rules []HARule
	nodes := map[int][]string{}
	for _, id := range vmids {
		r, err := h.Recovery(f, id)
		if err != nil {
			continue
		}
		able := []string{r.Home}
		for _, n := range r.Nodes {
			if n.Able == proxstation.Yes || j.takenOnly(id, n.Node) {
				able = append(able, n.Node)
			}
		}
		nodes[id] = slices.Sorted(slices.Values(able))
		if len(able) == len(f.Nodes) || len(h.inForce(id, OnNodes)) > 0 {
			continue
		}
		rule := HARule{Name: fmt.Sprintf("nodes-%d", id), Kind: OnNodes, VMs: []int{id}, Nodes: map[string]int{}, Strict: true}
		for _, node := range able {
			rule.Nodes[node] = 0
		}
		rules = append(rules, rule)
	}
	for i, a := range vmids {
		for _, b := range vmids[i+1:] {
			room := slices.Compact(slices.Sorted(slices.Values(slices.Concat(nodes[a], nodes[b]))))
			if !h.Groups && j.wantOne(a, b) && !j.apart(a, b) && len(room) > 1 {
				rules = append(rules, HARule{Name: fmt.Sprintf("apart-%d-%d", a, b), Kind: Apart, VMs: []int{a, b}})
			}
		}
	}
	return rules
}

func (j *haJudge) takenOnly(vmid int, node string) bool {
	to, _ := j.facts.Node(node)
	if to.away() != "" {
		return false
	}
	for _, home := range j.facts.readable() {
		if vm, has := home.VMs[vmid]; has {
			alone := to
			alone.Facts.VMs, alone.Facts.Unread = nil, nil
			return able(vm, home, alone, j.ha).answer == proxstation.Yes
		}
	}
	return false
}
