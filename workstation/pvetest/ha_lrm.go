package pvetest

import (
	"maps"
	"slices"
	"time"
)

// An haLRM is the local resource manager of a node (lrm_status and
// /etc/pve/priv/lock/ha_agent_{node}_lock).
type haLRM struct {
	state   string // "wait_for_agent_lock", "active" or "lost_agent_lock"
	stamp   time.Time
	holder  string          // node that holds the lock
	renewed time.Time       // when the lock was renewed
	idle    int             // number of rounds without a service
	results map[string]int  // results of work, by the uid of the service's state
	workers map[string]bool // services whose work has not ended
	tries   map[string]int  // number of failed starts, by service
}

// maxWorkers is the number of services on which an LRM works at the same time
// (PVE/HA/Env/PVE2.pm, get_max_workers).
const maxWorkers = 4

// idleRounds is the number of rounds without services after which an LRM gives
// its lock back (PVE/HA/LRM.pm, $max_active_idle_rounds).
const idleRounds = 60

func (h *haStack) lrm(n *Node) *haLRM {
	l := h.lrms[n.host.Name]
	if l == nil {
		l = &haLRM{state: "wait_for_agent_lock", results: map[string]int{}, workers: map[string]bool{}, tries: map[string]int{}}
		h.lrms[n.host.Name] = l
	}
	return l
}

// The method "lock" takes or renews the lock of a node's services, and reports
// whether that worked. A lock that nobody renews expires.
func (h *haStack) lock(l *haLRM, holder string) bool {
	now := h.d.now
	if l.holder != "" && l.holder != holder && now.Sub(l.renewed) < lockLife {
		return false
	}
	l.holder, l.renewed = holder, now
	return true
}

// lrmRound does one round of a node's LRM (PVE/HA/LRM.pm, work).
func (h *haStack) lrmRound(n *Node, l *haLRM) {
	if n.down {
		return
	}
	name, online := n.host.Name, n.quorate()
	fenced := h.crm.nodes[name] == "fence" || h.count(name, func(s *haService) bool { return s.state == "fence" }) > 0
	mine := online && !fenced && h.lock(l, name)
	switch {
	case l.state == "active" && !mine:
		l.state = "lost_agent_lock"
	case l.state == "lost_agent_lock" && mine:
		l.state = "active"
	case l.state == "wait_for_agent_lock" && mine:
		l.state = "active"
		if h.count(name, active) == 0 {
			l.state, l.holder = "wait_for_agent_lock", ""
		}
	}
	if l.state == "lost_agent_lock" {
		h.watchdog(n, l.renewed)
	}
	if !online {
		return
	}
	l.stamp = h.d.now
	if l.state != "active" {
		return
	}
	if l.idle++; h.count(name, func(s *haService) bool { return s.node == name }) > 0 || len(l.workers) > 0 {
		l.idle = 0
	}
	if l.idle > idleRounds {
		l.state, l.holder, l.idle = "wait_for_agent_lock", "", 0
		return
	}
	h.manageResources(n, l)
}

// The method "count" returns the number of services that are on a node or move
// to it. It counts only the services for which the function "kind" returns
// true.
func (h *haStack) count(node string, kind func(*haService) bool) (count int) {
	for _, s := range h.crm.services {
		if (s.node == node || s.target == node) && kind(s) {
			count++
		}
	}
	return count
}

// The function "active" reports whether a service keeps an LRM at work
// (PVE/HA/Tools.pm, count_active_services).
func active(s *haService) bool {
	return !slices.Contains([]string{"stopped", "freeze", "error", "request_start"}, s.state)
}

// manageResources begins the work that the states of the node's services
// require.
func (h *haStack) manageResources(n *Node, l *haLRM) {
	awaited := map[string]bool{}
	for _, s := range h.crm.services {
		awaited[s.uid] = true
	}
	maps.DeleteFunc(l.results, func(uid string, _ int) bool { return !awaited[uid] })
	for _, sid := range sorted(h.crm.services) {
		s := h.crm.services[sid]
		_, done := l.results[s.uid]
		switch {
		case s.node != n.host.Name, s.state == "recovery", s.state == "request_start", s.state == "fence",
			done && s.state != "stopped", l.workers[sid], len(l.workers) >= maxWorkers:
			continue
		}
		h.work(n, l, sid, s)
	}
}

// The method "work" starts, stops or moves a service, as its state requires. If
// this needs a task, the result is recorded when the task has ended
// (PVE/HA/LRM.pm, exec_resource_agent).
func (h *haStack) work(n *Node, l *haLRM, sid string, s *haService) {
	id, state, uid, target := h.resources[sid].id, s.state, s.uid, s.target
	v := n.vms[id]
	up := v != nil && v.running && (v.config["lock"] != "backup" || !v.waiting)
	end := func(code int) { h.worked(l, sid, state, uid, code) }
	check := func(good func() bool) func() {
		l.workers[sid] = true
		return func() { end(bit(!good())) }
	}
	runs := func() bool { return n.vms[id] != nil && n.vms[id].running }
	switch {
	case state == "error":
		end(haSuccess)
	case v == nil:
		end(haWrongNode)
	case state == "started" && up, (state == "request_stop" || state == "stopped") && !up, target == n.host.Name:
		end(haSuccess)
	case state == "started":
		n.startTask(id, "root@pam", false).whenDone(check(runs))
	case state == "request_stop" || state == "stopped":
		n.haStop(id, s.timeout).whenDone(check(func() bool { return !runs() }))
	case state == "relocate" && up:
		l.workers[sid] = true
		n.haStop(id, "").whenDone(func() { h.move(n, id, target, false, check(func() bool { return n.vms[id] == nil })) })
	default:
		h.move(n, id, target, state == "migrate", check(func() bool { return n.vms[id] == nil }))
	}
}

// The method "worked" stores the result of an LRM's work. If a start failed,
// the LRM first tries again before it reports the failure to the CRM
// (handle_service_exitcode).
func (h *haStack) worked(l *haLRM, sid, state, uid string, code int) {
	delete(l.workers, sid)
	if state == "started" {
		tried := l.tries[sid]
		l.tries[sid] = 0
		if r := h.resources[sid]; code == haError && r != nil && tried < r.number("max_restart") {
			l.tries[sid] = tried + 1
			return
		}
	}
	l.results[uid] = code
}

// haStop starts the task with which the LRM stops a VM. If the timeout is 0,
// the task ends QEMU. Otherwise the task first asks the guest to shut down
// (PVE/HA/Resources/PVEVM.pm, shutdown).
func (n *Node) haStop(id int, timeout string) *task {
	if timeout == "0" {
		return n.endTask("qmstop", id, "root@pam", ending{patience: time.Minute, force: true})
	}
	patience := time.Duration(atoi(timeout, 60)) * time.Second
	return n.endTask("qmshutdown", id, "root@pam", ending{ask: true, force: true, patience: patience})
}

// The method "move" starts the task with which the LRM moves a VM. The function
// "done" is called at the end of the task. The VM's local disks move with the
// VM, and local devices do not prevent the move (PVE/HA/Resources/PVEVM.pm,
// migrate).
func (h *haStack) move(n *Node, id int, target string, online bool, done func()) {
	v, to := n.vms[id], h.d.member(target)
	if v == nil || to == nil || locked(v) != nil || v.running && !online || n.available(v.config) != nil || to.available(v.config) != nil {
		done() // the move was refused, so there is no task
		return
	}
	m := &migration{from: n, to: to, v: v, online: online, force: true, withDisks: true}
	m.start("root@pam").whenDone(done)
}
