package pvetest

import (
	"regexp"
	"strings"
)

var upid = regexp.MustCompile(`^UPID:[a-zA-Z0-9-]+:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:[^:\s]+:[^:\s]*:[^:\s]+:$`)

// taskOf returns the task that a call names. The owner of the task may see and
// change the task. Other users need a privilege on the node.
func (w *workers) taskOf(c *call, privilege string) (*task, error) {
	if !upid.MatchString(c.get("upid")) {
		return nil, wrong("upid", "unable to parse worker upid")
	}
	t := w.byUPID[c.get("upid")]
	if t == nil {
		return nil, wrong("upid", "no such task")
	}
	if t.user != c.who.user {
		if err := c.who.needs("/nodes/"+w.host.Name, privilege); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (w *workers) taskStatus(c *call) (any, error) {
	t, err := w.taskOf(c, "Sys.Audit")
	if err != nil {
		return nil, err
	}
	status := t.object(w.host.Name)
	status["status"] = "running"
	if !t.running() {
		status["status"], status["exitstatus"] = "stopped", t.exit
	}
	return status, nil
}

func (t *task) object(node string) map[string]any {
	user, token, isToken := strings.Cut(t.user, "!")
	object := map[string]any{
		"upid": t.upid, "node": node, "type": t.kind, "id": t.id, "user": user, "pid": t.pid,
		"pstart": t.pstart(), "starttime": t.start.Unix(),
	}
	if isToken {
		object["tokenid"] = token
	}
	return object
}

func (w *workers) taskLog(c *call) (any, error) {
	t, err := w.taskOf(c, "Sys.Audit")
	if err != nil {
		return nil, err
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
	return lines, nil
}

// listTasks lists the tasks that have ended. On request it lists the running
// tasks, or all tasks.
func (w *workers) listTasks(c *call) (any, error) {
	list := []map[string]any{}
	skip, limit := c.number("start"), 50
	if c.has("limit") {
		limit = c.number("limit")
	}
	for i := len(w.tasks) - 1; i >= 0 && len(list) < limit; i-- {
		if t := w.tasks[i]; !w.listed(c, t) {
			continue
		} else if skip > 0 {
			skip--
		} else {
			list = append(list, t.listObject(w.host.Name))
		}
	}
	return list, nil
}

func (w *workers) listed(c *call, t *task) bool {
	source := c.get("source")
	switch {
	case c.has("vmid") && t.id != c.get("vmid"),
		c.has("typefilter") && t.kind != c.get("typefilter"),
		c.has("since") && t.start.Unix() < int64(c.number("since")),
		c.has("until") && t.start.Unix() > int64(c.number("until")),
		c.get("errors") == "1" && (t.running() || t.exit == "OK"),
		source == "active" && !t.running(),
		(source == "" || source == "archive") && t.running():
		return false
	}
	return t.user == c.who.user || c.who.may("/nodes/"+w.host.Name, "Sys.Audit")
}

func (t *task) listObject(node string) map[string]any {
	object := t.object(node)
	if !t.running() {
		object["endtime"], object["status"] = t.end.Unix(), t.exit
	}
	return object
}

// clusterTasks serves GET /cluster/tasks. It lists the recent tasks of all
// nodes, whether they run or have ended. For a node that is out of reach, it
// lists the last known tasks.
func (n *Node) clusterTasks(c *call) (any, error) {
	list := []map[string]any{}
	for _, of := range n.peers {
		tasks := of.recentTasks
		if last := of.last; last != nil && !n.sees(of) {
			tasks = func() []map[string]any { return last.tasks }
		}
		for _, task := range tasks() {
			if c.who.may("/", "Sys.Audit") || task["user"] == c.who.user {
				list = append(list, task)
			}
		}
	}
	return list, nil
}

// recentTasks returns the newest tasks of the node, in the form that pmxcfs
// distributes to all nodes (pve-common PVE/RESTEnvironment.pm, active_workers).
func (w *workers) recentTasks() []map[string]any {
	list := []map[string]any{}
	for i := len(w.tasks) - 1; i >= 0 && len(list) < 25; i-- {
		t := w.tasks[i]
		object := t.listObject(w.host.Name)
		object["saved"] = text(bit(!t.running()))
		delete(object, "pstart")
		if !t.running() {
			delete(object, "pid")
		}
		list = append(list, object)
	}
	return list
}

// stopTask serves DELETE tasks/{upid}. It kills the worker of the task.
func (w *workers) stopTask(c *call) (any, error) {
	t, err := w.taskOf(c, "Sys.Modify")
	if err != nil {
		return nil, err
	}
	w.interrupt(t)
	return null()
}
