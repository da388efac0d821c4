package pvetest

import "slices"

// The exit codes with which an LRM reports its results (pve-ha-manager
// PVE/HA/Tools.pm).
const (
	haSuccess   = 0
	haError     = 1
	haTryAgain  = 2
	haWrongNode = 3
)

// The method "next" computes the next state of a service (PVE/HA/Manager.pm,
// next_state_...).
func (h *haStack) next(sid string, r *haResource, s *haService) {
	result, known := h.result(s.uid)
	switch s.state {
	case "stopped":
		h.nextStopped(r, s)
	case "request_start":
		h.change(s, "started")
	case "started":
		h.nextStarted(sid, r, s, result, known)
	case "request_stop":
		switch {
		case known && result == haSuccess:
			h.change(s, "stopped")
		case known:
			h.change(s, "error")
		case h.away(s.node):
			h.change(s, "fence")
		}
	case "migrate", "relocate":
		h.nextMoved(r, s, result, known)
	case "recovery":
		h.nextRecovery(sid, r, s)
	case "error":
		if r.state() == "disabled" {
			s.failed = nil
			h.change(s, "stopped")
		}
	}
}

// The method "result" returns the LRM's result for the state with a uid. If
// there is no result yet, "known" is false.
func (h *haStack) result(uid string) (code int, known bool) {
	for _, l := range h.lrms {
		if code, known = l.results[uid]; known {
			return code, true
		}
	}
	return 0, false
}

func (h *haStack) nextStopped(r *haResource, s *haService) {
	if n, _ := h.home(r.id); n != nil {
		s.node = n.host.Name
	}
	if command := s.command; len(command) > 0 {
		s.command = nil
		if command[0] != "stop" && h.crm.nodes[command[1]] == "online" && command[1] != s.node {
			h.change(s, command[0])
			s.target = command[1]
			return
		}
	}
	switch {
	case r.state() == "disabled":
	case h.away(s.node):
		h.change(s, "fence")
	case r.state() == "started":
		h.change(s, "request_start")
	}
}

func (h *haStack) nextStarted(sid string, r *haResource, s *haService, result int, known bool) {
	switch {
	case h.away(s.node):
		h.change(s, "fence")
		return
	case h.crm.nodes[s.node] != "online":
		return
	case r.state() != "started":
		h.change(s, "request_stop")
		return
	case len(s.command) > 0:
		h.obey(r, s)
		return
	}
	prefer := stay
	switch {
	case known && result == haSuccess:
		s.failed, s.running = nil, true
	case known:
		s.running = false
		s.failed = append(s.failed, s.node)
		if result != haError && result != haWrongNode || len(s.failed) > r.number("max_relocate") {
			h.change(s, "error")
			return
		}
		prefer = otherNode
	}
	if node := h.selectNode(sid, r, prefer); node != "" && node != s.node {
		h.change(s, "migrate")
		s.target = node
	} else if known {
		s.uid = h.uid() // a new uid makes the LRM check the service again, and start a VM that went down
	}
}

// The method "obey" carries out a command for a started service. A stop also
// changes the requested state.
func (h *haStack) obey(r *haResource, s *haService) {
	command := s.command
	s.command = nil
	switch {
	case command[0] == "stop":
		h.change(s, "request_stop")
		s.timeout = command[1]
		r.options["state"] = "stopped"
	case h.crm.nodes[command[1]] == "online" && command[1] != s.node:
		h.change(s, command[0])
		s.target = command[1]
	}
}

func (h *haStack) nextMoved(r *haResource, s *haService, result int, known bool) {
	target := s.target
	switch {
	case known && result == haWrongNode:
		h.change(s, "error")
		return
	case known:
		state := "request_stop"
		if r.state() == "started" {
			state = "started"
		}
		h.change(s, state)
		if result == haSuccess {
			s.node = target
		}
		return
	case h.away(s.node):
		h.change(s, "fence")
	}
}

// removableLocks lists locks of VMs. If a VM's node has been fenced, the work
// that set such a lock has ended. The VM's configuration then loses the lock
// ($fence_recovery_cleanup).
var removableLocks = []string{"backup", "mounted", "migrate", "clone", "rollback", "snapshot", "snapshot-delete", "suspending", "suspended"}

// nextRecovery moves a service of a fenced node to another node. Like PVE, it
// does not check whether the new node has the VM's disks and devices. If the
// new node lacks them, the start fails. If no node is allowed, the CRM tries
// again in each round.
func (h *haStack) nextRecovery(sid string, r *haResource, s *haService) {
	node := h.selectNode(sid, r, bestNode)
	from, v := h.home(r.id)
	to := h.d.member(node)
	if node == "" || v == nil || to == nil {
		if r.state() == "disabled" {
			s.failed = nil
			h.change(s, "stopped")
		}
		return
	}
	if slices.Contains(removableLocks, v.config["lock"]) {
		delete(v.config, "lock")
	}
	if from != to {
		v.moveTo(from, to)
	}
	state := "request_stop"
	if r.state() == "started" {
		state = "started"
	}
	s.node = node
	h.change(s, state)
}
