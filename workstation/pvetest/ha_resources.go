package pvetest

import (
	"maps"
	"slices"
	"strings"
)

// resourceOptions lists the options of a VM under high availability
// (pve-ha-manager PVE/HA/Resources/PVEVM.pm).
var resourceOptions = []string{"state", "group", "comment", "failback", "max_restart", "max_relocate"}

// sid returns the service ID that a call names. A call may name it as "vm:140",
// or as "140" for short (PVE/HA/Config.pm, parse_sid).
func (n *Node) sid(c *call) (sid string, id int, err error) {
	sid = c.get("sid")
	if kind, name, full := strings.Cut(sid, ":"); full {
		id = atoi(name, 0)
		if kind == "ct" {
			id = 0 // not a VM; the embedded node has only the names of containers
		}
		return sid, id, nil
	}
	if id = atoi(sid, 0); !n.exists(id) {
		return "", 0, refuse("unable to detect SID from VMID - VM/CT %s does not exist", sid)
	}
	return sidOf(id), id, nil
}

func (n *Node) haResources(c *call) (any, error) {
	list := []map[string]any{}
	for _, sid := range sorted(n.ha.resources) {
		if kind, _, _ := strings.Cut(sid, ":"); c.has("type") && c.get("type") != kind {
			continue
		}
		object := n.ha.resourceObject(sid)
		if group := n.ha.resources[sid].options["group"]; object["group"] != nil && n.ha.groups[group] == nil {
			object["errors"] = map[string]any{"group": "group '" + group + "' does not exist"}
		}
		list = append(list, object)
	}
	return n.anyOrder(list), nil
}

func (h *haStack) resourceObject(sid string) map[string]any {
	object := shown(h.resources[sid].options)
	if h.migrated() {
		delete(object, "group")
	}
	object["sid"], object["type"], object["digest"] = sid, "vm", h.resourcesDigest()
	return object
}

func (n *Node) haResource(c *call) (any, error) {
	sid, _, err := n.sid(c)
	switch {
	case err != nil:
		return nil, err
	case n.ha.resources[sid] == nil:
		return nil, refuse("no such resource '%s'", sid)
	}
	return n.ha.resourceObject(sid), nil
}

func (n *Node) createResource(c *call) (any, error) {
	sid, id, err := n.sid(c)
	if err != nil {
		return nil, err
	}
	kind, _, _ := strings.Cut(sid, ":")
	_, guest := n.ownerOf(id)
	switch {
	case c.has("type") && c.get("type") != kind:
		return nil, refuse("types does not match")
	case c.has("group") && !n.olderThan(9, 0) && n.ha.migrated():
		return nil, refuse("invalid parameter 'group': ha groups have been migrated to rules")
	case guest == "":
		return nil, refuse("resource '%s' does not exist in cluster", sid)
	case guest != "VM":
		return nil, refuse("resource '%s' - guest with ID %d is not a VM", sid, id)
	case n.ha.resources[sid] != nil:
		return nil, refuse("create resource failed: resource ID '%s' already defined", sid)
	}
	r := &haResource{id: id, options: map[string]string{}}
	n.ha.resources[sid] = r
	n.ha.wake()
	return nil, changeOptions(c, r.options, resourceOptions, nil)
}

// updateResource serves PUT /cluster/ha/resources/{sid}. If a service is in the
// state "error", the only requested state that PVE accepts is "disabled".
func (n *Node) updateResource(c *call) (any, error) {
	failed := "update resources config failed: "
	if n.olderThan(9, 0) {
		failed = "update resource failed: "
	}
	sid, _, err := n.sid(c)
	if err != nil {
		return nil, err
	}
	if group := c.get("group"); group != "" {
		switch {
		case !n.olderThan(9, 0) && n.ha.migrated():
			return nil, refuse("invalid parameter 'group': ha groups have been migrated to rules")
		case n.ha.groups[group] == nil:
			return nil, refuse("HA group '%s' does not exist", group)
		}
	}
	if err := n.ha.inError(sid, c.get("state")); err != nil {
		return nil, err
	}
	r := n.ha.resources[sid]
	switch {
	case c.has("digest") && c.get("digest") != n.ha.resourcesDigest():
		return nil, refuse("%s", failed+modified)
	case r == nil:
		return nil, refuse(failed+"no such resource '%s'", sid)
	}
	options := maps.Clone(r.options)
	if err := changeOptions(c, options, resourceOptions, nil); err != nil {
		return nil, refuse("%s%v", failed, err)
	}
	r.options = options
	n.ha.wake()
	return null()
}

// inError refuses a requested state for a service in the state "error"
// (PVE/API2/HA/Resources.pm, check_service_state).
func (h *haStack) inError(sid, state string) error {
	r, service := h.resources[sid], h.crm.services[sid]
	if r == nil || r.state() == "ignored" || service == nil || service.state != "error" || state == "disabled" {
		return nil
	}
	return refuse("service '%s' in error state, must be disabled and fixed first", sid)
}

func (n *Node) deleteResource(c *call) (any, error) {
	sid, _, err := n.sid(c)
	switch {
	case err != nil:
		return nil, err
	case n.ha.resources[sid] == nil:
		return nil, refuse("cannot delete service '%s', not HA managed!", sid)
	}
	n.ha.remove(sid, c.get("purge") != "0")
	return null()
}

// remove deletes a resource from the configuration. If purge is set, it also
// deletes the resource from all rules. If a rule then has no resources, the
// rule is deleted too (PVE/HA/Config.pm, delete_service_from_config).
func (h *haStack) remove(sid string, purge bool) {
	if h.resources[sid] == nil {
		return
	}
	delete(h.resources, sid)
	h.wake()
	for _, name := range sorted(h.rules) {
		if rule := h.rules[name]; purge && rule.resources[sid] {
			delete(rule.resources, sid)
			if len(rule.resources) == 0 {
				delete(h.rules, name)
			}
		}
	}
}

// moveResource serves POST migrate and POST relocate of a resource. It only
// leaves a command for the CRM.
func (n *Node) moveResource(c *call) (any, error) {
	sid, id, err := n.sid(c)
	if err != nil {
		return nil, err
	}
	if !n.ha.managed(id) {
		return nil, refuse("resource '%s' is not HA managed", sid)
	}
	if err := n.ha.inError(sid, ""); err != nil {
		return nil, err
	}
	what, node := c.path[strings.LastIndex(c.path, "/")+1:], c.get("node")
	n.ha.command(what, sid, node)
	answer := map[string]any{"sid": sid, "requested-node": node}
	if n.olderThan(9, 0) {
		return null()
	}
	together, blocking := n.ha.motion(sid)
	if len(together) > 0 {
		answer["comigrated-resources"] = together
	}
	if len(blocking[node]) > 0 {
		answer["blocking-resources"] = blocking[node]
	}
	return answer, nil
}

// The method "command" queues a command for the CRM (queue_crm_commands).
func (h *haStack) command(words ...string) {
	h.commands = append(h.commands, words)
	h.wake()
}

// The method "motion" returns the services that move together with a service.
// For each node that is online, it also returns the services that block a move
// to the node (PVE/HA/Config.pm, get_resource_motion_info).
func (h *haStack) motion(sid string) (together []string, blocking map[string][]map[string]any) {
	rules := h.compiled()
	blocking = map[string][]map[string]any{}
	for _, other := range slices.Sorted(maps.Keys(rules.together[sid])) {
		if h.crm.services[other] != nil {
			together = append(together, other)
		}
	}
	for node, state := range h.crm.nodes {
		for _, other := range slices.Sorted(maps.Keys(rules.apart[sid])) {
			s := h.crm.services[other]
			if state == "online" && s != nil && (s.node == "" || s.node == node) && (s.target == "" || s.target == node) {
				blocking[node] = append(blocking[node], map[string]any{"sid": other, "cause": "resource-affinity"})
			}
		}
	}
	return together, blocking
}
