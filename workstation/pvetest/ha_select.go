package pvetest

import (
	"cmp"
	"maps"
	"slices"
)

// compiledRules holds the feasible rules, in the form in which the CRM uses
// them (pve-ha-manager PVE/HA/Rules.pm, transform and compile).
type compiledRules struct {
	nodes    map[string]map[string]int  // priorities of nodes, by service; -1 for a node that a non-strict rule does not name
	together map[string]map[string]bool // services that must be on the same node, by service
	apart    map[string]map[string]bool // services that must be on other nodes, by service
}

// knownNodes returns the number of nodes that the CRM knows. Before its first
// round the CRM knows no nodes. PVE then refuses every rule that keeps services
// apart, because such a rule needs a node for each service.
func (h *haStack) knownNodes() int { return len(h.crm.nodes) }

func (h *haStack) compiled() compiledRules {
	if h.inRound != nil {
		return *h.inRound
	}
	c := compiledRules{nodes: map[string]map[string]int{}, together: map[string]map[string]bool{}, apart: map[string]map[string]bool{}}
	all := h.allRules()
	problems := infeasible(all, h.knownNodes())
	maps.DeleteFunc(all, func(name string, r *haRule) bool { return r.disabled || problems[name] != nil })
	positive := maps.Clone(all)
	maps.DeleteFunc(positive, func(_ string, r *haRule) bool { return r.affinity != "positive" })
	sets, _ := bundles(positive)
	for _, set := range sets {
		pair(c.together, set)
	}
	for _, name := range inOrder(all) {
		switch r := all[name]; {
		case r.kind == "node-affinity":
			h.compileNodes(c, r, sets)
		case r.affinity == "negative":
			pair(c.apart, r.resources)
		}
	}
	for _, set := range sets { // a service that is apart from one service of a bundle is apart from the whole bundle
		avoided := map[string]bool{}
		for sid := range set {
			maps.Copy(avoided, c.apart[sid])
		}
		for sid := range set {
			for other := range avoided {
				link(c.apart, sid, other)
				link(c.apart, other, sid)
			}
		}
	}
	return c
}

// compileNodes applies a node affinity to its services. If other services must
// be together with one of these services, the node affinity applies to them
// too.
func (h *haStack) compileNodes(c compiledRules, r *haRule, sets []map[string]bool) {
	nodes := maps.Clone(r.nodes)
	for name := range h.crm.nodes {
		if _, named := nodes[name]; !named && r.strict != "1" {
			nodes[name] = -1
		}
	}
	for sid := range r.resources {
		c.nodes[sid] = nodes
	}
	for _, set := range sets {
		if len(common(set, r.resources)) > 0 {
			for sid := range set {
				c.nodes[sid] = nodes
			}
		}
	}
}

func pair(links map[string]map[string]bool, set map[string]bool) {
	for a := range set {
		for b := range set {
			if a != b {
				link(links, a, b)
			}
		}
	}
}

func link(links map[string]map[string]bool, a, b string) {
	if links[a] == nil {
		links[a] = map[string]bool{}
	}
	links[a][b] = true
}

// A preference is the kind of node that selectNode prefers among the nodes that
// the rules allow.
type preference int

const (
	stay      preference = iota // the current node
	bestNode                    // the node with the fewest services
	otherNode                   // a node on which the service has not failed
)

// selectNode returns the node for a service, or "" if no node is allowed
// (PVE/HA/Manager.pm, select_service_node with the scheduler "basic").
func (h *haStack) selectNode(sid string, r *haResource, prefer preference) string {
	s, rules := h.crm.services[sid], h.compiled()
	allowed, preferred := h.affine(rules, sid)
	if len(preferred) == 0 {
		return ""
	}
	together, apart := h.neighbours(rules, sid)
	if prefer == stay && !h.failback(r) && allowed[s.node] && (together[s.node] > 0 || !apart[s.node]) {
		return s.node
	}
	if prefer == otherNode {
		for _, node := range s.failed {
			delete(preferred, node)
		}
	}
	maps.DeleteFunc(preferred, func(node string, _ bool) bool { return apart[node] })
	most := ""
	for _, node := range sorted(together) {
		if preferred[node] && together[node] > together[most] {
			most = node
		}
	}
	maps.DeleteFunc(preferred, func(node string, _ bool) bool { return most != "" && node != most })
	switch {
	case len(preferred) == 0:
		return ""
	case prefer == stay && preferred[s.node]:
		return s.node
	}
	load := h.load()
	nodes := slices.SortedFunc(maps.Keys(preferred), func(a, b string) int { return cmp.Or(cmp.Compare(load[a], load[b]), cmp.Compare(a, b)) })
	if at := slices.Index(nodes, s.node); prefer == otherNode && at >= 0 && at < len(nodes)-1 {
		return nodes[at+1]
	}
	return nodes[0]
}

// The method "affine" returns the nodes that are online and allowed for a
// service, and the nodes among them with the highest priority
// (PVE/HA/Rules/NodeAffinity.pm, get_node_affinity).
func (h *haStack) affine(rules compiledRules, sid string) (allowed, preferred map[string]bool) {
	allowed, preferred = map[string]bool{}, map[string]bool{}
	best := -2
	for node, state := range h.crm.nodes {
		priority, named := rules.nodes[sid][node]
		if state != "online" || rules.nodes[sid] != nil && !named {
			continue
		}
		allowed[node] = true
		if priority > best {
			best = priority
			clear(preferred)
		}
		if priority == best {
			preferred[node] = true
		}
	}
	return allowed, preferred
}

// neighbours finds the services that rules keep together with a service, or
// apart from it. The map "together" counts, by node, the services that must be
// on the same node as the service. The map "apart" holds the nodes of the
// services that must be on other nodes (PVE/HA/Rules/ResourceAffinity.pm,
// get_resource_affinity).
func (h *haStack) neighbours(rules compiledRules, sid string) (together map[string]int, apart map[string]bool) {
	together, apart = map[string]int{}, map[string]bool{}
	for other := range rules.together[sid] {
		if node, target := h.occupies(other); cmp.Or(target, node) != "" {
			together[cmp.Or(target, node)]++
		}
	}
	for other := range rules.apart[sid] {
		node, target := h.occupies(other)
		apart[node], apart[target] = true, true // "" is no node
	}
	return together, apart
}

// The method "occupies" returns the node that a service uses, and the node to
// which the service moves. Instead of a node that is not online it returns ""
// (PVE/HA/Usage.pm, get_used_service_nodes).
func (h *haStack) occupies(sid string) (node, target string) {
	s := h.crm.services[sid]
	if s == nil || s.state == "stopped" || s.state == "request_start" {
		return "", ""
	}
	if h.crm.nodes[s.node] == "online" {
		node = s.node
	}
	if (s.state == "migrate" || s.state == "relocate") && h.crm.nodes[s.target] == "online" {
		target = s.target
	}
	return node, target
}

// The method "load" returns the number of services on each node
// (PVE/HA/Usage/Basic.pm).
func (h *haStack) load() map[string]int {
	load := map[string]int{}
	for sid := range h.crm.services {
		node, target := h.occupies(sid)
		load[node]++
		if target != node {
			load[target]++
		}
	}
	return load
}
