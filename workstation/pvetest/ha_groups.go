package pvetest

import (
	"maps"
	"slices"
	"strings"
)

// An haGroup is a section of groups.cfg, which PVE uses up to version 8
// (pve-ha-manager PVE/HA/Groups.pm). While a cluster is upgraded to PVE 9, the
// groups exist until all nodes have PVE 9. Then the CRM makes rules from the
// groups.
type haGroup struct{ options map[string]string }

var groupOptions = []string{"nodes", "restricted", "nofailback", "comment"}

func (h *haStack) groupsDigest() string {
	file := ""
	for _, name := range sorted(h.groups) {
		file += section("group", name, h.groups[name].options)
	}
	return digestOf(file)
}

func (h *haStack) groupObject(name string) map[string]any {
	object := shown(h.groups[name].options)
	object["group"], object["type"], object["digest"] = name, "group", h.groupsDigest()
	return object
}

// withGroups returns the handler of a method about groups. On PVE 9 the handler
// refuses the method if the cluster has no groups.
func withGroups(doing string, work func(n *Node, c *call) (any, error)) handler {
	return func(n *Node, c *call) (any, error) {
		if !n.olderThan(9, 0) && n.ha.migrated() {
			return nil, refuse("cannot %s: ha groups have been migrated to rules", doing)
		}
		return work(n, c)
	}
}

func (n *Node) haGroups(*call) (any, error) {
	list := []map[string]any{}
	for name := range n.ha.groups {
		list = append(list, n.ha.groupObject(name))
	}
	return n.anyOrder(list), nil
}

func (n *Node) haGroup(c *call) (any, error) {
	if n.ha.groups[c.get("group")] == nil {
		return nil, refuse("no such ha group '%s'", c.get("group"))
	}
	return n.ha.groupObject(c.get("group")), nil
}

func (n *Node) createHAGroup(c *call) (any, error) {
	name := c.get("group")
	if n.ha.groups[name] != nil {
		return nil, refuse("create ha group failed: ha group ID '%s' already defined", name)
	}
	g := &haGroup{options: map[string]string{}}
	n.ha.groups[name] = g
	return nil, changeOptions(c, g.options, groupOptions, nil)
}

func (n *Node) updateHAGroup(c *call) (any, error) {
	const failed = "update ha group failed: "
	g := n.ha.groups[c.get("group")]
	switch {
	case c.has("digest") && c.get("digest") != n.ha.groupsDigest():
		return nil, refuse(failed + modified)
	case g == nil:
		return nil, refuse(failed+"no such ha group '%s'", c.get("group"))
	}
	options := maps.Clone(g.options)
	if err := changeOptions(c, options, groupOptions, []string{"nodes"}); err != nil {
		return nil, refuse("%s%v", failed, err)
	}
	g.options = options
	return null()
}

func (n *Node) deleteHAGroup(c *call) (any, error) {
	name := c.get("group")
	for _, sid := range sorted(n.ha.resources) {
		if n.ha.resources[sid].options["group"] == name {
			return nil, refuse("delete ha group failed: ha group is used by service '%s'", sid)
		}
	}
	delete(n.ha.groups, name)
	return null()
}

// priorities reads a list of nodes with priorities, such as "pve1:2,pve2"
// (PVE/HA/Tools.pm, parse_node_priority).
func priorities(list string) map[string]int {
	nodes := map[string]int{}
	for _, entry := range splitList(list) {
		name, priority, _ := strings.Cut(entry, ":")
		nodes[name] = atoi(priority, 0)
	}
	return nodes
}

// groupRules returns the rules that PVE makes from groups: a node affinity for
// each group that has resources (PVE/HA/Groups.pm, migrate_groups_to_rules).
func (h *haStack) groupRules() map[string]*haRule {
	rules := map[string]*haRule{}
	for _, sid := range sorted(h.resources) {
		name := h.resources[sid].options["group"]
		g := h.groups[name]
		if g == nil {
			continue
		}
		rule := rules["ha-group-"+name]
		if rule == nil {
			rule = &haRule{kind: "node-affinity", resources: map[string]bool{}, nodes: priorities(g.options["nodes"]), order: len(rules) + 1,
				strict: g.options["restricted"], comment: g.options["comment"]}
			if rule.comment == "" {
				rule.comment = "Generated from HA group '" + name + "'."
			}
			rules["ha-group-"+name] = rule
		}
		rule.resources[sid] = true
	}
	return rules
}

// migrateGroups replaces the groups with rules when all nodes are online and
// have PVE 9 (PVE/HA/Manager.pm, try_persistent_group_migration).
func (h *haStack) migrateGroups() {
	ready := !slices.ContainsFunc(h.d.peers, func(n *Node) bool {
		return n.olderThan(9, 0) || h.crm.nodes[n.host.Name] != "online"
	})
	if h.migrated() || !ready {
		return
	}
	maps.Copy(h.rules, h.groupRules())
	for _, r := range h.resources {
		if g := h.groups[r.options["group"]]; g != nil && g.options["nofailback"] == "1" {
			r.options["failback"] = "0"
		}
		delete(r.options, "group")
	}
	clear(h.groups)
}

// failback reports whether a service goes back to a better node when that node
// returns. If the resource is in a group, the option "nofailback" of the group
// decides (PVE/HA/Groups.pm, migrate_groups_to_resources).
func (h *haStack) failback(r *haResource) bool {
	if g := h.groups[r.options["group"]]; g != nil {
		return g.options["nofailback"] != "1"
	}
	return r.number("failback") == 1
}
