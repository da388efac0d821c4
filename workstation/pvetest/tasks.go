package pvetest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A task is work that PVE does in the background.
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
	cancel func() // undoes what is under way, on DELETE
	fault  *Fault // planned failure, if any
}

func (t *task) running() bool { return t.end.IsZero() }

// begin makes a task that is running.
func (n *Node) begin(kind, id, user string) *task {
	t := &task{kind: kind, id: id, user: user, pid: n.pid(), start: n.now}
	t.upid = fmt.Sprintf("UPID:%s:%08X:%08X:%08X:%s:%s:%s:", n.host.Name, t.pid, n.now.UnixMilli()&0xffffffff, n.now.Unix(), kind, id, user)
	t.fault = n.taskFault(t)
	n.tasks = append(n.tasks, t)
	return t
}

func (t *task) say(format string, args ...any) {
	t.log = append(t.log, strings.Split(strings.TrimRight(fmt.Sprintf(format, args...), "\n"), "\n")...)
}

// finish ends a task. An empty problem is success.
func (n *Node) finish(t *task, problem string) {
	if !t.running() {
		return
	}
	if problem == "" && t.fault != nil && t.fault.Kind == TaskFailsLate {
		problem = t.fault.message()
	}
	t.end, t.exit = n.now, "OK"
	if problem != "" {
		t.exit = problem
		t.say("TASK ERROR: %s", problem)
		return
	}
	warnings := 0
	for _, line := range t.log {
		if strings.HasPrefix(line, "WARN") {
			warnings++
		}
	}
	if warnings > 0 {
		t.exit = fmt.Sprintf("WARNINGS: %d", warnings)
		t.say("TASK %s", t.exit)
		return
	}
	t.say("TASK OK")
}

// run lets a task do its work after d and end. The planned fault of the task,
// if there is one, strikes before or after the work.
func (n *Node) run(t *task, d time.Duration, work func() (problem string)) answer {
	n.after(d, func() {
		switch {
		case !t.running():
		case t.fault != nil && t.fault.Kind == TaskHangs:
		case t.fault != nil && t.fault.Kind == TaskFails:
			if t.cancel != nil {
				t.cancel()
			}
			n.finish(t, t.fault.message())
		default:
			if problem := work(); problem != stillRunning {
				n.finish(t, problem)
			}
		}
	})
	return ok(t.upid)
}

func (n *Node) task(upid string) *task {
	i := slices.IndexFunc(n.tasks, func(t *task) bool { return t.upid == upid })
	if i < 0 {
		return nil
	}
	return n.tasks[i]
}

// runningTask returns a task that is at work on a VM, or nil.
func (n *Node) runningTask(vmid int) *task {
	for _, t := range n.tasks {
		if t.running() && t.id == fmt.Sprint(vmid) {
			return t
		}
	}
	return nil
}

func (n *Node) taskOf(c *call) (*task, answer) {
	t := n.task(c.get("upid"))
	if t == nil {
		return nil, fail(http.StatusInternalServerError, "no such task")
	}
	if t.user != c.who.user && !c.who.may("/nodes/"+n.host.Name, "Sys.Audit") {
		return nil, fail(http.StatusForbidden, "Permission check failed (/nodes/%s, Sys.Audit)", n.host.Name)
	}
	return t, answer{}
}

func (n *Node) taskStatus(c *call) answer {
	t, refused := n.taskOf(c)
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
		"pstart": t.start.Unix() & 0xffffff, "starttime": t.start.Unix(),
	}
	if isToken {
		object["tokenid"] = token
	}
	return object
}

func (n *Node) taskLog(c *call) answer {
	t, refused := n.taskOf(c)
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

func (n *Node) listTasks(c *call) answer {
	list := []map[string]any{}
	for _, t := range slices.Backward(n.tasks) {
		source := c.get("source")
		switch {
		case c.has("vmid") && t.id != c.get("vmid"),
			c.has("typefilter") && t.kind != c.get("typefilter"),
			source == "active" && !t.running(),
			(source == "" || source == "archive") && t.running(),
			t.user != c.who.user && !c.who.may("/nodes/"+n.host.Name, "Sys.Audit"):
			continue
		}
		object := t.object(n)
		if !t.running() {
			object["endtime"], object["status"] = t.end.Unix(), t.exit
		}
		list = append(list, object)
	}
	return ok(list)
}

func (n *Node) stopTask(c *call) answer {
	t, refused := n.taskOf(c)
	if t == nil {
		return refused
	}
	if t.running() {
		if t.cancel != nil {
			t.cancel()
		}
		n.finish(t, "interrupted by signal")
	}
	return ok(nil)
}
