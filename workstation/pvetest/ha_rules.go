package pvetest

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// An haRule is a section of rules.cfg, which PVE has since version 9
// (pve-ha-manager PVE/HA/Rules). A rule of the kind "node-affinity" names nodes
// for its resources. A rule of the kind "resource-affinity" keeps its resources
// together or apart.
type haRule struct {
	kind      string
	order     int
	disabled  bool
	resources map[string]bool // set of service IDs
	nodes     map[string]int  // priorities, by node
	strict    string          // "1", "0" or not set
	affinity  string          // "positive" or "negative"
	comment   string
}

// The method "options" converts the rule to the options of its section in
// rules.cfg.
func (r *haRule) options() map[string]string {
	options := map[string]string{"resources": strings.Join(slices.Sorted(maps.Keys(r.resources)), ",")}
	var nodes []string
	for _, node := range sorted(r.nodes) {
		if r.nodes[node] > 0 {
			node += fmt.Sprintf(":%d", r.nodes[node])
		}
		nodes = append(nodes, node)
	}
	for key, value := range map[string]string{"nodes": strings.Join(nodes, ","), "strict": r.strict, "affinity": r.affinity, "comment": r.comment} {
		if value != "" {
			options[key] = value
		}
	}
	if r.disabled {
		options["disable"] = "1"
	}
	return options
}

func (h *haStack) rulesDigest() string {
	file := ""
	for _, name := range inOrder(h.rules) {
		file += section(h.rules[name].kind, name, h.rules[name].options())
	}
	return digestOf(file)
}

// inOrder returns the names of rules, sorted by the rules' order.
func inOrder(rules map[string]*haRule) []string {
	names := sorted(rules)
	slices.SortStableFunc(names, func(a, b string) int { return rules[a].order - rules[b].order })
	return names
}

// allRules returns the configured rules together with the rules that PVE makes
// from groups.
func (h *haStack) allRules() map[string]*haRule {
	all := maps.Clone(h.rules)
	for name, rule := range h.groupRules() {
		rule.order += len(h.rules)
		all[name] = rule
	}
	return all
}

func (h *haStack) ruleObject(name string, rule *haRule, problems map[string][]string) map[string]any {
	object := shown(rule.options())
	object["rule"], object["type"], object["order"], object["digest"] = name, rule.kind, rule.order, h.rulesDigest()
	if len(problems) > 0 {
		object["errors"] = problems
	}
	return object
}

// withRules returns the handler of a method about rules, which PVE has since
// version 9.
func withRules(work func(n *Node, c *call) (any, error)) handler {
	return func(n *Node, c *call) (any, error) {
		if n.olderThan(9, 0) {
			return nil, unimplemented(c.endpoint.Method, c.path)
		}
		return work(n, c)
	}
}

func (n *Node) haRules(c *call) (any, error) {
	list, all := []map[string]any{}, n.ha.allRules()
	problems := infeasible(all, n.ha.knownNodes())
	for _, name := range inOrder(all) {
		rule := all[name]
		if c.has("type") && c.get("type") != rule.kind || c.has("resource") && !rule.resources[c.get("resource")] {
			continue
		}
		list = append(list, n.ha.ruleObject(name, rule, problems[name]))
	}
	return list, nil
}

func (n *Node) haRule(c *call) (any, error) {
	name, all := c.get("rule"), n.ha.allRules()
	if all[name] == nil {
		return nil, refuse("no such ha rule '%s'", name)
	}
	return n.ha.ruleObject(name, all[name], infeasible(all, n.ha.knownNodes())[name]), nil
}

func (n *Node) createHARule(c *call) (any, error) {
	const failed = "create ha rule failed: "
	name := c.get("rule")
	rule := &haRule{kind: c.get("type")}
	if !n.ha.migrated() {
		return nil, refuse("cannot create ha rule: ha groups have not been migrated yet")
	}
	if err := rule.take(c); err != nil {
		return nil, err
	}
	if missing := rule.missing(); missing != "" {
		return nil, refuse("missing value for required option '%s'", missing)
	}
	if n.ha.rules[name] != nil {
		return nil, refuse(failed+"HA rule '%s' already defined", name)
	}
	for _, other := range n.ha.rules {
		rule.order = max(rule.order, other.order)
	}
	rule.order++
	if err := n.ha.validRule(c, rule); err != nil {
		return nil, refuse("%s%v", failed, err)
	}
	return nil, n.ha.keepRule(failed, name, rule)
}

func (n *Node) updateHARule(c *call) (any, error) {
	const failed = "update HA rules failed: "
	name := c.get("rule")
	old := n.ha.rules[name]
	switch {
	case !n.ha.migrated():
		return nil, refuse("cannot update ha rule: ha groups have not been migrated yet")
	case c.has("digest") && c.get("digest") != n.ha.rulesDigest():
		return nil, refuse(failed + modified)
	case old == nil:
		return nil, refuse(failed+"HA rule '%s' does not exist", name)
	}
	rule := *old
	if err := rule.take(c); err != nil {
		return nil, refuse("%s%v", failed, err)
	}
	if err := n.ha.validRule(c, &rule); err != nil {
		return nil, refuse("%s%v", failed, err)
	}
	for _, key := range splitList(c.get("delete")) {
		if err := rule.drop(c, key); err != nil {
			return nil, refuse("%s%v", failed, err)
		}
	}
	return nil, n.ha.keepRule(failed, name, &rule)
}

func (n *Node) deleteHARule(c *call) (any, error) {
	delete(n.ha.rules, c.get("rule"))
	return null()
}

// The method "take" copies the call's parameters into the fields of a rule. It
// refuses a parameter that belongs to another kind of rule.
func (r *haRule) take(c *call) error {
	for _, key := range []string{"nodes", "strict", "affinity"} {
		if other := (key == "affinity") != (r.kind == "resource-affinity"); c.has(key) && other {
			return refuse("unexpected property '%s'", key)
		}
	}
	if c.has("resources") {
		r.resources = map[string]bool{}
		for _, sid := range splitList(c.get("resources")) {
			r.resources[sid] = true
		}
	}
	if c.has("nodes") {
		r.nodes = priorities(c.get("nodes"))
	}
	for key, field := range map[string]*string{"strict": &r.strict, "affinity": &r.affinity, "comment": &r.comment} {
		if c.has(key) {
			*field = c.get(key)
		}
	}
	r.disabled = r.disabled || c.get("disable") == "1" // PVE ignores disable=0
	return nil
}

// The method "missing" returns the name of a required option that the rule
// lacks, or "".
func (r *haRule) missing() string {
	switch {
	case r.resources == nil:
		return "resources"
	case r.kind == "node-affinity" && r.nodes == nil:
		return "nodes"
	case r.kind == "resource-affinity" && r.affinity == "":
		return "affinity"
	}
	return ""
}

// The method "drop" deletes an option of a rule.
func (r *haRule) drop(c *call, key string) error {
	own := "affinity"
	if r.kind == "node-affinity" {
		own = "nodes"
	}
	switch {
	case key == "resources" || key == own:
		return refuse("unable to delete required option '%s'", key)
	case key != "comment" && key != "disable" && (key != "strict" || r.kind != "node-affinity"):
		return refuse("no such option '%s'", key)
	case c.has(key) && (key != "disable" || c.get(key) == "1"):
		return refuse("cannot set and delete property '%s' at the same time!", key)
	case key == "disable":
		r.disabled = false
	case key == "strict":
		r.strict = ""
	default:
		r.comment = ""
	}
	return nil
}

// validRule refuses a call that names resources or nodes that do not exist
// (PVE/API2/HA/Rules.pm, $assert_valid_resources_param).
func (h *haStack) validRule(c *call, r *haRule) error {
	var resources, nodes []string
	for sid := range r.resources {
		if h.resources[sid] == nil {
			resources = append(resources, sid)
		}
	}
	for node := range r.nodes {
		if h.d.member(node) == nil {
			nodes = append(nodes, node)
		}
	}
	slices.Sort(resources)
	slices.Sort(nodes)
	switch {
	case c.has("resources") && len(r.resources) == 0:
		return refuse("no resources were specified")
	case c.has("resources") && len(resources) > 0:
		return refuse("cannot use unmanaged resource(s) %s.", strings.Join(resources, ", "))
	case c.has("nodes") && len(r.nodes) == 0:
		return refuse("no nodes were specified")
	case c.has("nodes") && len(nodes) > 0:
		return refuse("cannot use non-existent node(s) %s.", strings.Join(nodes, ", "))
	}
	return nil
}

// keepRule stores a rule, unless it conflicts with the other rules.
func (h *haStack) keepRule(failed, name string, rule *haRule) error {
	all := h.allRules()
	all[name] = rule
	if problems := infeasible(all, h.knownNodes())[name]; len(problems) > 0 {
		said := map[string]string{}
		for option, list := range problems {
			said[option] = strings.Join(list, ", ")
		}
		return refuse("%s%v", failed, &refusal{status: http.StatusBadRequest, message: "Rule '" + name + "' is invalid.", errors: said})
	}
	h.rules[name] = rule
	return nil
}
