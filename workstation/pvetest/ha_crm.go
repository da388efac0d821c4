package pvetest

import (
	"slices"
	"strings"
	"time"
)

// The times of the HA manager. The CRM works every ten seconds. An LRM with
// services also works every ten seconds. An LRM without services works every
// five seconds (pve-ha-manager PVE/HA/CRM.pm and LRM.pm, work). A node that is
// away is fenced after a minute (PVE/HA/NodeStatus.pm, $fence_delay), but not
// before its lock has expired (PVE/HA/Env/PVE2.pm, get_pve_lock). If the LRM of
// a host cannot renew its lock, the host's watchdog resets the host
// (src/watchdog-mux.c, CLIENT_WATCHDOG_TIMEOUT).
const (
	haTick       = 5 * time.Second
	fenceDelay   = 60 * time.Second
	lockLife     = 120 * time.Second
	watchdogTime = 60 * time.Second
)

// An haCRM is the state of the active CRM (manager_status).
type haCRM struct {
	master   string // node of the active CRM; "" if none was active yet
	renewed  time.Time
	stamp    time.Time            // time of the newest round
	nodes    map[string]string    // node_status: "online", "unknown", "fence"
	seen     map[string]time.Time // when the active CRM last saw a node online
	services map[string]*haService
}

// The method "wake" starts the rounds of the managers, if they have anything to
// do.
func (h *haStack) wake() {
	if !h.ticking {
		h.ticking = true
		h.d.schedule(haTick, h.tick)
	}
}

// The method "tick" runs every five seconds. In every second call the CRM does
// a round. In the calls between them, the active LRMs do a round. All other
// LRMs do a round in each call.
func (h *haStack) tick() {
	h.ticks++
	if h.ticks%2 == 1 {
		h.crmRound()
	}
	for _, n := range h.d.peers {
		if l := h.lrm(n); h.ticks%2 == 0 || l.state != "active" {
			h.lrmRound(n, l)
		}
	}
	h.ticking = len(h.resources)+len(h.crm.services)+len(h.commands) > 0
	if h.ticking {
		h.d.schedule(haTick, h.tick)
	}
}

// crmRound finds the active CRM and lets it work. If the active CRM's node is
// away, another node takes over when the lock of the CRM has expired.
func (h *haStack) crmRound() {
	now := h.d.now
	master := h.d.member(h.crm.master)
	switch {
	case master != nil && master.quorate():
	case master != nil && now.Sub(h.crm.renewed) < lockLife:
		h.watchdog(master, h.crm.renewed)
		return
	default:
		nodes := h.d.peers
		i := slices.IndexFunc(nodes, (*Node).quorate)
		if i < 0 {
			return
		}
		h.crm.master, h.crm.seen = nodes[i].host.Name, map[string]time.Time{}
	}
	h.crm.renewed, h.crm.stamp = now, now
	h.manage()
}

// The method "watchdog" resets a running host that could not renew a lock for
// too long.
func (h *haStack) watchdog(n *Node, renewed time.Time) {
	if !n.down && h.d.now.Sub(renewed) >= watchdogTime {
		n.watchdogReset()
	}
}

// bootTime is the time from the reset of a host until its node is up again.
const bootTime = 90 * time.Second

// watchdogReset cuts the power of the host and boots it again, as its watchdog
// does.
func (n *Node) watchdogReset() {
	n.remember()
	n.cutPower()
	n.down = true
	n.schedule(bootTime, func() { n.down, n.booted = false, n.now })
}

// The method "manage" does one round of the active CRM (PVE/HA/Manager.pm,
// manage).
func (h *haStack) manage() {
	h.updateNodes()
	h.migrateGroups()
	for _, sid := range sorted(h.resources) {
		r := h.resources[sid]
		if n, _ := h.home(r.id); h.crm.services[sid] == nil && r.state() != "ignored" && n != nil {
			state := "request_stop"
			if r.state() == "started" {
				state = "request_start"
			}
			h.crm.services[sid] = &haService{state: state, node: n.host.Name, uid: h.uid()}
		}
	}
	for _, sid := range sorted(h.crm.services) {
		if r := h.resources[sid]; r == nil || r.state() == "ignored" {
			delete(h.crm.services, sid)
		}
	}
	rules := h.compiled()
	h.inRound = &rules
	defer func() { h.inRound = nil }()
	commands := h.commands
	h.commands = nil
	for _, words := range commands {
		h.take(words)
	}
	for again := true; again; {
		again = false
		for _, sid := range sorted(h.crm.services) {
			before := h.crm.services[sid].state
			h.next(sid, h.resources[sid], h.crm.services[sid])
			again = again || h.crm.services[sid].state != before
		}
		again = h.fence() || again
	}
}

// updateNodes records which nodes are online (PVE/HA/NodeStatus.pm, update).
func (h *haStack) updateNodes() {
	for _, n := range h.d.peers {
		name := n.host.Name
		state, online := h.crm.nodes[name], n.quorate()
		if online {
			h.crm.seen[name] = h.d.now
		}
		switch {
		case state == "fence":
		case online:
			h.crm.nodes[name] = "online"
		default:
			h.crm.nodes[name] = "unknown"
		}
	}
}

// The method "away" reports whether a node has been away for so long that it
// must be fenced (node_is_offline_delayed). If the active CRM has never seen
// the node online, the time counts from the CRM's first round.
func (h *haStack) away(node string) bool {
	if h.crm.nodes[node] == "online" {
		return false
	}
	seen, known := h.crm.seen[node]
	if !known {
		h.crm.seen[node] = h.d.now
		return false
	}
	return h.d.now.Sub(seen) >= fenceDelay
}

// The method "fence" tries to get the lock of each node that must be fenced.
// The CRM gets the lock when the lock has expired. By then the watchdog has
// reset the node, so no service runs on it any more. The node's services then
// get the state "recovery" (fence_node). fence reports whether a state changed.
func (h *haStack) fence() (changed bool) {
	fenced := map[string]bool{}
	for _, sid := range sorted(h.crm.services) {
		s := h.crm.services[sid]
		if s.state != "fence" {
			continue
		}
		if _, asked := fenced[s.node]; !asked {
			fenced[s.node] = h.fenceNode(s.node)
		}
		if fenced[s.node] {
			h.change(s, "recovery")
			changed = true
		}
	}
	for node, state := range h.crm.nodes {
		if _, asked := fenced[node]; state == "fence" && !asked {
			changed = h.fenceNode(node) || changed
		}
	}
	return changed
}

func (h *haStack) fenceNode(node string) bool {
	h.crm.nodes[node] = "fence"
	n := h.d.member(node)
	if n == nil || !h.lock(h.lrm(n), "crm") {
		return false
	}
	h.crm.nodes[node] = "unknown"
	return true
}

// The method "take" carries out a command for the CRM (update_crm_commands).
func (h *haStack) take(words []string) {
	s := h.crm.services[words[1]]
	if s == nil {
		return
	}
	if words[0] == "stop" {
		s.command = []string{"stop", words[2]}
		return
	}
	target := words[2]
	if h.crm.nodes[target] != "online" || target == s.node {
		return
	}
	rules := h.compiled()
	for other := range rules.apart[words[1]] {
		if o := h.crm.services[other]; o != nil && o.node == target && (o.target == "" || o.target == target) {
			return
		}
	}
	s.command = []string{words[0], target}
	for other := range rules.together[words[1]] {
		if o := h.crm.services[other]; o != nil && o.node != target && o.target != target {
			o.command = []string{words[0], target}
		}
	}
}

// The method "change" gives a service a new state ($change_service_state). The
// data of the old state is forgotten, except the nodes on which the service
// failed.
func (h *haStack) change(s *haService, state string) {
	*s = haService{state: state, node: s.node, failed: s.failed, uid: h.uid()}
}

// powerLost resets the LRM of a host that lost its power. The LRM's lock stays
// until it expires.
func (h *haStack) powerLost(n *Node) {
	l := h.lrm(n)
	*l = haLRM{state: "wait_for_agent_lock", holder: strings.TrimSuffix(l.holder, "/old") + "/old", renewed: l.renewed, results: map[string]int{}, workers: map[string]bool{}, tries: map[string]int{}}
}
