package pvetest

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// haCurrent serves GET /cluster/ha/status/current (pve-ha-manager
// PVE/API2/HA/Status.pm).
func (n *Node) haCurrent(*call) (any, error) {
	h, name := n.ha, n.host.Name
	quorum := map[string]any{"id": "quorum", "type": "quorum", "node": name, "status": "OK", "quorate": 1}
	if !n.quorate() {
		quorum["status"], quorum["quorate"] = fmt.Sprintf("No quorum on node '%s'!", name), 0
	}
	list := []map[string]any{quorum}
	age := h.age(h.crm.stamp)
	if h.crm.master != "" {
		if age != "active" && quorum["quorate"] == 1 && len(h.resources) == 0 {
			age = "idle"
		}
		list = append(list, map[string]any{"id": "master", "type": "master", "node": h.crm.master, "timestamp": h.crm.stamp.Unix(),
			"status": fmt.Sprintf("%s (%s, %s)", h.crm.master, age, h.crm.stamp.Format(time.ANSIC))})
		name = h.crm.master
	}
	if !n.olderThan(9, 2) { // since ha-manager 5.1
		armed, watchdog := "standby", "CRM watchdog standby"
		if h.crm.master != "" && h.age(h.crm.stamp) == "active" {
			armed, watchdog = "armed", "CRM watchdog active"
		}
		list = append(list, map[string]any{"id": "fencing", "type": "fencing", "node": name, "armed-state": armed, "status": armed + " (" + watchdog + ")"})
	}
	for _, node := range slices.Sorted(maps.Keys(h.crm.nodes)) {
		list = append(list, n.lrmEntry(node))
	}
	for _, sid := range sorted(h.crm.services) {
		list = append(list, h.serviceEntry(sid))
	}
	for _, sid := range sorted(h.resources) {
		if h.crm.services[sid] == nil {
			list = append(list, h.serviceEntry(sid))
		}
	}
	return list, nil
}

// The method "age" returns PVE's words about the age of a manager's status.
func (h *haStack) age(stamp time.Time) string {
	if h.d.now.Sub(stamp) > 30*time.Second {
		return "old timestamp - dead?"
	}
	return "active"
}

func (n *Node) lrmEntry(node string) map[string]any {
	h := n.ha
	entry := map[string]any{"id": "lrm:" + node, "type": "lrm", "node": node}
	l := h.lrms[node]
	if l == nil || l.stamp.IsZero() {
		entry["status"] = node + " (unable to read lrm status)"
		return entry
	}
	state, watchdog := h.age(l.stamp), "watchdog standby"
	if state == "active" {
		state = l.state
		switch {
		case state == "active":
			watchdog = "watchdog active"
		case state == "wait_for_agent_lock" && h.count(node, active) == 0:
			state = "idle"
		}
	}
	if !n.olderThan(9, 2) {
		state += ", " + watchdog
	}
	entry["status"], entry["timestamp"] = fmt.Sprintf("%s (%s, %s)", node, state, l.stamp.Format(time.ANSIC)), l.stamp.Unix()
	return entry
}

func (h *haStack) serviceEntry(sid string) map[string]any {
	entry := map[string]any{"id": "service:" + sid, "type": "service", "sid": sid, "state": h.verbose(sid)}
	r, s := h.resources[sid], h.crm.services[sid]
	node := "---"
	if s != nil {
		node = s.node
		entry["crm_state"] = s.state
	} else if home, _ := h.home(r.id); home != nil {
		node = home.host.Name
	}
	if node != "---" {
		entry["node"] = node
	}
	entry["status"] = fmt.Sprintf("%s (%s, %s)", sid, node, entry["state"])
	if r != nil { // PVE shows the defaults of options that are not set
		entry["request_state"], entry["max_restart"], entry["max_relocate"] = r.state(), r.number("max_restart"), r.number("max_relocate")
		entry["failback"] = r.number("failback")
		for _, key := range []string{"group", "comment"} {
			if value, set := r.options[key]; set {
				entry[key] = value
			}
		}
	}
	return entry
}

// The method "verbose" returns the state of a service in PVE's words
// (PVE/HA/Tools.pm, get_verbose_service_state).
func (h *haStack) verbose(sid string) string {
	r, s := h.resources[sid], h.crm.services[sid]
	if r == nil {
		return "deleting"
	}
	home, _ := h.home(r.id)
	switch wanted := r.state(); {
	case wanted == "ignored":
		return "ignored"
	case home == nil:
		return "not found"
	case s == nil:
		return "queued"
	case s.state == "stopped" && wanted == "started":
		return "starting"
	case s.state == "stopped" && wanted == "disabled":
		return "disabled"
	case s.state == "started" && !s.running:
		return "starting"
	case s.state == "started" && wanted != "started":
		return "stopping"
	case s.state == "error" && wanted == "disabled":
		return "clearing error flag"
	}
	return s.state
}

// haManagerStatus serves GET /cluster/ha/status/manager_status.
func (n *Node) haManagerStatus(*call) (any, error) {
	h := n.ha
	manager := map[string]any{}
	if h.crm.master != "" {
		manager["master_node"], manager["timestamp"], manager["node_status"] = h.crm.master, h.crm.stamp.Unix(), h.crm.nodes
		services := map[string]any{}
		for sid, s := range h.crm.services {
			services[sid] = s.object()
		}
		manager["service_status"] = services
	}
	lrms := map[string]any{}
	for node := range h.crm.nodes {
		l := h.lrm(h.d.member(node))
		results := map[string]any{}
		for uid, code := range l.results {
			results[uid] = map[string]any{"exit_code": code}
		}
		lrms[node] = map[string]any{"mode": "active", "state": l.state, "timestamp": max(l.stamp.Unix(), 0), "results": results}
	}
	return map[string]any{"manager_status": manager, "lrm_status": lrms,
		"quorum": map[string]any{"node": n.host.Name, "quorate": bit(n.quorate())}}, nil
}

func (s *haService) object() map[string]any {
	object := map[string]any{"state": s.state, "node": s.node, "uid": s.uid}
	for key, value := range map[string]string{"target": s.target, "timeout": s.timeout} {
		if value != "" {
			object[key] = value
		}
	}
	if s.running {
		object["running"] = 1
	}
	if len(s.failed) > 0 {
		object["failed_nodes"] = s.failed
	}
	if len(s.command) > 0 {
		object["cmd"] = s.command
	}
	return object
}

// haOf returns the HA state that is shown in a VM's status (PVE/HA/Config.pm,
// get_service_status).
func (h *haStack) haOf(id int) map[string]any {
	if !h.managed(id) {
		return map[string]any{"managed": 0}
	}
	status := map[string]any{"managed": 1, "state": nil}
	if s := h.crm.services[sidOf(id)]; s != nil {
		status["state"] = s.state
	}
	return status
}

// markHA adds the HA state to a guest's entry in the cluster's list
// (pve-manager PVE/API2/Cluster.pm, resources).
func (h *haStack) markHA(resource map[string]any, id int) {
	if s := h.crm.services[sidOf(id)]; s != nil {
		resource["hastate"] = s.state
	} else if r := h.resources[sidOf(id)]; r != nil && r.options["state"] != "" {
		resource["hastate"] = r.options["state"]
	}
}
