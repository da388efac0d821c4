package file

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation/cluster"
)

// An HA puts a workstation under high availability: the HA manager of the
// cluster keeps it in a state, and recovers it when its node is lost (PVE
// manual, High Availability). If a workstation has no HA, the page does not
// change whether its VM is under high availability.
type HA struct {
	// State is the state in which the HA manager keeps the VM. Without it, a VM
	// keeps its state, and a VM that is new under high availability keeps
	// running or stays off. A member of a dualboot set has no State but ignored,
	// because a switch starts and stops the members.
	State HAState
	// Failback says whether the VM returns to a node that its rules prefer when
	// this node comes back. Without it, it stays as it is, and PVE's default is
	// yes.
	Failback proxstation.Answer
	// Nodes holds the nodes that the HA manager prefers for the VM, with their
	// priorities: {pve: 2, pve2: 1}. The node with the largest number comes
	// first.
	Nodes map[string]int
	// Strict says that the VM runs on no other node than Nodes.
	Strict bool
	// Apart names the workstations that are kept on other nodes than this one.
	Apart []string
	// Together names the workstations that are kept on the node of this one.
	Together []string
}

// An HAState is a state in which the HA manager keeps a VM: "started",
// "stopped", "disabled" or "ignored".
type HAState string

var haStates = []string{"started", "stopped", "disabled", "ignored"}

func (h *Home) ha() *HA { return h.HA }

// HA returns what the page asks of the HA manager, for [cluster.DiffHA]. The
// name of a rule contains the VMIDs of its workstations: nodes-140,
// apart-140-141, together-140-141. The parameter "without" lists workstations
// to leave out. Rules about these workstations are left out too.
func (p Page) HA(without ...string) cluster.HASpec {
	var spec cluster.HASpec
	left := func(name string) bool { return slices.Contains(without, name) }
	for _, name := range p.byVMID() {
		w := p.Workstations[name]
		h, id := w.ha(), w.VMID()
		if h == nil || left(name) {
			continue
		}
		spec.VMs = append(spec.VMs, cluster.HAVM{VMID: id, Wanted: string(h.State), Failback: h.Failback})
		if len(h.Nodes) > 0 {
			spec.Rules = append(spec.Rules, cluster.HARule{Name: fmt.Sprintf("nodes-%d", id), Kind: cluster.OnNodes, VMs: []int{id}, Nodes: maps.Clone(h.Nodes), Strict: h.Strict})
		}
		for _, kind := range tied {
			for _, other := range h.others(kind) {
				first, second := id, p.Workstations[other].VMID()
				rule := cluster.HARule{Name: fmt.Sprintf("%s-%d-%d", kind, min(first, second), max(first, second)), Kind: kind, VMs: []int{min(first, second), max(first, second)}}
				there := slices.ContainsFunc(spec.Rules, func(r cluster.HARule) bool { return r.Name == rule.Name })
				if !there && !left(other) {
					spec.Rules = append(spec.Rules, rule)
				}
			}
		}
	}
	slices.SortStableFunc(spec.Rules, func(a, b cluster.HARule) int { return cmp.Compare(a.Name, b.Name) })
	return spec
}

// byVMID returns the names of the workstations in the order of their VMIDs.
func (p Page) byVMID() []string {
	all := names(p.Workstations)
	slices.SortStableFunc(all, func(a, b string) int { return p.Workstations[a].VMID() - p.Workstations[b].VMID() })
	return all
}

// These are the kinds of rules that name two workstations.
var tied = []cluster.HAKind{cluster.Apart, cluster.Together}

// This returns the workstations that the page names in a rule of this kind.
func (h *HA) others(kind cluster.HAKind) []string {
	if kind == cluster.Apart {
		return h.Apart
	}
	return h.Together
}

// checkHA reports requests to the HA manager that PVE would refuse. It also
// reports a state for a member of a set, because a switch would change that
// state.
func (p Page) checkHA(errs *Errors, stations []string) {
	for _, name := range stations {
		w := p.Workstations[name]
		if w == nil || w.ha() == nil {
			continue
		}
		h, key := w.ha(), "workstations."+name+".ha"
		if h.State != "" && h.State != "ignored" && p.SetOf(name) != "" {
			errs.add(key+".state", "%s takes turns in the set %s, and a switch starts and stops its members: leave the state out", name, p.SetOf(name))
		}
		if h.Strict && len(h.Nodes) == 0 {
			errs.add(key+".strict", "strict needs nodes: add the nodes at %s.nodes", key)
		}
		for _, kind := range tied {
			for i, other := range h.others(kind) {
				here := fmt.Sprintf("%s.%s[%d]", key, kind, i)
				partner, there := p.Workstations[other]
				switch {
				case !there:
					errs.add(here, "no workstation of the page has the name %q: %s", other, unknown(stations, other))
				case other == name:
					errs.add(here, "this is the workstation itself: name another workstation")
				case partner != nil && partner.ha() == nil:
					errs.add(here, "%s is not under high availability: add ha: {} to that workstation", other)
				case partner != nil && kind == cluster.Apart && (slices.Contains(h.Together, other) || slices.Contains(partner.ha().Together, name)):
					errs.add(here, "the page also keeps %s together with %s: want either apart or together", other, name)
				}
			}
		}
	}
}
