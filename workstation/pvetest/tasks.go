package pvetest

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// A task is work that PVE does in the background (pve-common
// PVE/RESTEnvironment.pm, fork_worker).
type task struct {
	upid   string
	kind   string // "qmstart"
	id     string // what it is about, mostly a VMID
	user   string
	pid    int
	start  time.Time
	end    time.Time // zero while it runs
	exit   string    // "OK", or why not
	log    []string
	warns  int
	fault  *Fault // planned failure, if any
	cancel func() // undoes what is under way, on DELETE
}

func (t *task) running() bool { return t.end.IsZero() }

func (t *task) pstart() int64 { return t.start.UnixMilli() / 10 & 0xfffffff }

// fork makes a task that is running.
func (n *Node) fork(kind, id, user string) *task {
	t := &task{kind: kind, id: id, user: user, pid: n.pid(), start: n.now}
	t.upid = fmt.Sprintf("UPID:%s:%08X:%08X:%08X:%s:%s:%s:", n.host.Name, t.pid, t.pstart(), n.now.Unix(), kind, id, user)
	t.fault = n.taskFault(t)
	n.tasks = append(n.tasks, t)
	return t
}

// say adds to the task's log what PVE prints.
func (t *task) say(format string, args ...any) {
	t.log = append(t.log, strings.Split(strings.TrimRight(fmt.Sprintf(format, args...), "\n"), "\n")...)
}

// warn adds a warning that counts (log_warn; what Perl's own warn prints is a
// line of the log like others).
func (t *task) warn(format string, args ...any) {
	t.warns++
	t.say("WARN: "+format, args...)
}

// step lets a task go on after d, if it still runs then.
func (n *Node) step(t *task, d time.Duration, work func()) {
	n.after(d, func() {
		if t.running() {
			work()
		}
	})
}

// taskTime is how long the node's short work takes.
func (n *Node) taskTime() time.Duration {
	return 300*time.Millisecond + time.Duration(n.random.IntN(400))*time.Millisecond
}

// A job is a task that does its work in one step.
type job struct {
	kind  string
	vmid  int    // whose configuration it locks, if any
	id    string // what the task is about, if it is no VM
	takes time.Duration
	work  func(t *task) (problem string)
}

// do begins a job and answers with its UPID.
func (n *Node) do(c *call, j job) answer {
	id := j.id
	if id == "" && j.vmid != 0 {
		id = text(j.vmid)
	}
	t := n.fork(j.kind, id, c.who.user)
	n.withLock(t, j.vmid, func() {
		n.step(t, j.takes, func() { n.finish(t, j.work(t)) })
	})
	return ok(t.upid)
}

// spoiled lets the task's planned fault strike before it does anything.
func (n *Node) spoiled(t *task) bool {
	switch {
	case t.fault == nil:
	case t.fault.Kind == TaskFails:
		if t.cancel != nil {
			t.cancel()
		}
		n.finish(t, t.fault.message())
		return true
	case t.fault.Kind == TaskHangs:
		return true
	}
	return false
}

// finish ends a task. An empty problem is success.
func (n *Node) finish(t *task, problem string) {
	if !t.running() {
		return
	}
	if problem == "" && t.fault != nil {
		switch t.fault.Kind {
		case TaskFailsLate:
			problem = t.fault.message()
		case TaskWarns:
			t.warn("%s", t.fault.message())
		}
	}
	switch {
	case problem != "":
		t.exit = strings.ReplaceAll(strings.TrimRight(problem, "\n"), "\n", " ")
		t.say("TASK ERROR: %s", t.exit)
	case t.warns > 0:
		t.exit = fmt.Sprintf("WARNINGS: %d", t.warns)
		t.say("TASK %s", t.exit)
	default:
		t.exit = "OK"
		t.say("TASK OK")
	}
	t.end = n.now
	n.unlock(t)
}

var upid = regexp.MustCompile(`^UPID:[a-zA-Z0-9-]+:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:[^:\s]+:[^:\s]*:[^:\s]+:$`)

func (n *Node) task(name string) *task {
	for _, t := range n.tasks {
		if t.upid == name {
			return t
		}
	}
	return nil
}

// taskOf returns the task of a call, which its owner may see and change, and
// others with a privilege on the node.
func (n *Node) taskOf(c *call, privilege string) (*task, answer) {
	if !upid.MatchString(c.get("upid")) {
		return nil, invalid(map[string]string{"upid": "unable to parse worker upid"})
	}
	t := n.task(c.get("upid"))
	if t == nil {
		return nil, invalid(map[string]string{"upid": "no such task"})
	}
	if t.user != c.who.user {
		if a, allowed := c.who.needs("/nodes/"+n.host.Name, privilege); !allowed {
			return nil, a
		}
	}
	return t, answer{}
}

func (n *Node) taskStatus(c *call) answer {
	t, refused := n.taskOf(c, "Sys.Audit")
	if t == nil {
		return refused
	}
	status := t.object(n)
	status["status"] = "running"
	if !t.running() {
		status["status"], status["exitstatus"] = "stopped", t.exit
	}
	return ok(status)
}

func (t *task) object(n *Node) map[string]any {
	user, token, isToken := strings.Cut(t.user, "!")
	object := map[string]any{
		"upid": t.upid, "node": n.host.Name, "type": t.kind, "id": t.id, "user": user, "pid": t.pid,
		"pstart": t.pstart(), "starttime": t.start.Unix(),
	}
	if isToken {
		object["tokenid"] = token
	}
	return object
}

func (n *Node) taskLog(c *call) answer {
	t, refused := n.taskOf(c, "Sys.Audit")
	if t == nil {
		return refused
	}
	start, limit := c.number("start"), 50
	if c.has("limit") {
		limit = c.number("limit")
	}
	lines := []map[string]any{}
	for i, line := range t.log {
		if i >= start && (limit == 0 || len(lines) < limit) {
			lines = append(lines, map[string]any{"n": i + 1, "t": line})
		}
	}
	if len(t.log) == 0 {
		lines = append(lines, map[string]any{"n": 1, "t": "no content"})
	}
	return ok(lines)
}

// listTasks lists tasks that have ended, unless the caller wants those at work
// or all.
func (n *Node) listTasks(c *call) answer {
	list := []map[string]any{}
	skip, limit := c.number("start"), 50
	if c.has("limit") {
		limit = c.number("limit")
	}
	for i := len(n.tasks) - 1; i >= 0 && len(list) < limit; i-- {
		if t := n.tasks[i]; !n.listed(c, t) {
			continue
		} else if skip > 0 {
			skip--
		} else {
			list = append(list, t.listObject(n))
		}
	}
	return ok(list)
}

func (n *Node) listed(c *call, t *task) bool {
	source := c.get("source")
	switch {
	case c.has("vmid") && t.id != c.get("vmid"),
		c.has("typefilter") && t.kind != c.get("typefilter"),
		c.get("errors") == "1" && (t.running() || t.exit == "OK"),
		source == "active" && !t.running(),
		(source == "" || source == "archive") && t.running():
		return false
	}
	return t.user == c.who.user || c.who.may("/nodes/"+n.host.Name, "Sys.Audit")
}

func (t *task) listObject(n *Node) map[string]any {
	object := t.object(n)
	if !t.running() {
		object["endtime"], object["status"] = t.end.Unix(), t.exit
	}
	return object
}

// clusterTasks is GET /cluster/tasks: recent tasks, at work or ended.
func (n *Node) clusterTasks(c *call) answer {
	list := []map[string]any{}
	for i := len(n.tasks) - 1; i >= 0 && len(list) < 25; i-- {
		if t := n.tasks[i]; t.user == c.who.user || c.who.may("/nodes/"+n.host.Name, "Sys.Audit") {
			object := t.listObject(n)
			object["saved"] = text(bit(!t.running()))
			list = append(list, object)
		}
	}
	return ok(list)
}

// stopTask is DELETE tasks/{upid}: the worker is killed.
func (n *Node) stopTask(c *call) answer {
	t, refused := n.taskOf(c, "Sys.Modify")
	if t == nil {
		return refused
	}
	n.interrupt(t)
	return ok(nil)
}

func (n *Node) interrupt(t *task) {
	if t.running() {
		if t.cancel != nil {
			t.cancel()
		}
		n.finish(t, "received interrupt")
	}
}
