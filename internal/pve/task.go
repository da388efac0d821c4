package pve

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A UPID names a task: "UPID:pve:0003F8A2:...:qmstart:140:root@pam:".
type UPID string

// upidFormat is PVE's format of a UPID (pve-common PVE/Tools.pm, upid_decode).
var upidFormat = regexp.MustCompile(`^UPID:[\w.-]+(?::[0-9A-Fa-f]{8,9}){3}:[^:\s]+:[^:\s]*:[^:\s]+:$`)

// part returns a field of the UPID. It returns "" if the UPID is not valid.
func (u UPID) part(i int) string {
	if !upidFormat.MatchString(string(u)) {
		return ""
	}
	return strings.Split(string(u), ":")[i]
}

// Node returns the node on which the task runs.
func (u UPID) Node() string { return u.part(1) }

// Type returns the kind of the task: "qmstart".
func (u UPID) Type() string { return u.part(5) }

// ID returns the ID of the object on which the task works, mostly a VMID.
func (u UPID) ID() string { return u.part(6) }

// VMID returns the VM that the task is about, or 0 if the task is not about a
// VM.
func (u UPID) VMID() int {
	id, _ := strconv.Atoi(u.ID()) // an ID that is not a number names no VM
	return id
}

// A TaskResult is the result of a task that succeeded.
type TaskResult struct {
	Warnings int      // "WARNINGS: n"
	Log      []string // the lines with warnings in the log
}

// These constants say how often a task is polled. Most tasks are short, and
// callers want to see the end of a long task soon. Four requests a second are
// enough for both purposes. PVE answers each request from one file (pve-common
// PVE/ProcFSTools.pm, RESTEnvironment).
const (
	firstPoll = 100 * time.Millisecond
	lastPoll  = 250 * time.Millisecond
	// tellEvery is the time between two events for a caller. For each event,
	// the task's log is read.
	tellEvery = time.Second
	// patience is the number of consecutive polls that may stay without an
	// answer. After a poll without an answer, the next poll follows a second
	// later.
	patience = 20
)

// Wait waits until the task has ended or the context is done. About once a
// second it calls tick with the time since the start. tick may be nil. Wait
// reads no log of a task that ends well. If a task fails, the error is a
// [TaskError]. If an answer gets lost, Wait asks again.
func (c *Client) Wait(ctx context.Context, task UPID, tick func(elapsed time.Duration)) (TaskResult, error) {
	if task == "" {
		return TaskResult{}, nil
	}
	if task.Type() == "" {
		return TaskResult{}, c.explain(&Error{Method: "GET", Path: "/tasks", Message: "the answer is not the name of a task"})
	}
	c = c.On(task.Node()) // the task stays on its node, even if the VM has moved to another node
	began, told, lost := time.Now(), time.Time{}, 0
	for pause := firstPoll; ; pause = min(pause*3/2, lastPoll) {
		var status struct {
			Status, ExitStatus string
		}
		err := c.poll(ctx, c.here("/tasks/%s/status", url.PathEscape(string(task))), nil, &status)
		switch {
		case errors.Is(err, ErrNoAnswer) && ctx.Err() == nil && lost < patience:
			lost++
			pause = time.Second
		case err != nil:
			return TaskResult{}, err
		case status.Status == "stopped":
			return c.ended(ctx, task, status.ExitStatus)
		case tick != nil && time.Since(told) >= tellEvery:
			told = time.Now()
			tick(time.Since(began))
			fallthrough
		default:
			lost = 0
		}
		if err := Sleep(ctx, pause); err != nil {
			return TaskResult{}, fmt.Errorf("pve: waiting for task %s of %s: %w", task.Type(), task.ID(), err)
		}
	}
}

// Follow waits like Wait, and passes the log to the caller: about once a second
// it calls line with the log's last line, if there are new lines. line may be
// nil.
func (c *Client) Follow(ctx context.Context, task UPID, line func(string)) (TaskResult, error) {
	if line == nil {
		return c.Wait(ctx, task, nil)
	}
	seen := 0
	return c.Wait(ctx, task, func(time.Duration) {
		log, err := c.log(ctx, task, seen)
		if err != nil || len(log) == 0 {
			return // the end of the task will show the error
		}
		seen += len(log)
		line(log[len(log)-1])
	})
}

// Sleep waits for the duration d. If the context ends first, Sleep returns the
// context's cause immediately.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Client) ended(ctx context.Context, task UPID, exit string) (TaskResult, error) {
	if exit == "OK" {
		return TaskResult{}, nil
	}
	if n, found := strings.CutPrefix(exit, "WARNINGS: "); found {
		warnings, _ := strconv.Atoi(n) // if this is not a number, one warning is counted
		log, _ := c.log(ctx, task, 0)  // the task succeeded, even if its warnings cannot be read
		log = slices.DeleteFunc(log, func(line string) bool { return !strings.HasPrefix(line, "WARN") && !strings.Contains(line, "warning") })
		return TaskResult{Warnings: max(warnings, 1), Log: log}, nil
	}
	lines, _ := c.log(ctx, task, 0) // the exit status gives the reason, even if the log cannot be read
	return TaskResult{}, c.explain(&TaskError{UPID: task, Exit: exit, Log: lines[max(0, len(lines)-10):]})
}

// log returns up to 500 lines of a task's log, from the line with the number
// start on.
func (c *Client) log(ctx context.Context, task UPID, start int) ([]string, error) {
	var entries []struct {
		T text
	}
	query := url.Values{"start": {strconv.Itoa(start)}, "limit": {"500"}}
	err := c.get(ctx, c.here("/tasks/%s/log", url.PathEscape(string(task))), query, &entries)
	var lines []string
	for _, e := range entries {
		if e.T != "no content" {
			lines = append(lines, c.secrets.clean(string(e.T)))
		}
	}
	return lines, err
}

// A Task is a running task.
type Task struct {
	UPID UPID
	Type string
	User string
}

// RunningTasks returns the running tasks of a VM. It leaves out open consoles,
// which are tasks too but do nothing to the VM (qemu-server PVE/API2/Qemu.pm,
// vncproxy).
func (c *Client) RunningTasks(ctx context.Context, vmid int) ([]Task, error) {
	var entries []Task
	query := url.Values{"source": {"active"}, "vmid": {strconv.Itoa(vmid)}}
	err := c.get(ctx, c.here("/tasks"), query, &entries)
	return slices.DeleteFunc(entries, func(t Task) bool { return t.Type == "vncproxy" }), err
}

// LastFailure returns the [TaskError] of a VM's newest failed task of one kind.
// It looks only at tasks that began after the task with the UPID since. If no
// such task failed, it returns nil. The tasks of the HA manager belong to
// root@pam, and PVE lists them only with Sys.Audit on the node.
func (c *Client) LastFailure(ctx context.Context, vmid int, kind string, since UPID) (error, error) {
	began, _ := strconv.ParseInt(since.part(4), 16, 64) // 0 if since is not a valid UPID
	var entries []struct {
		UPID   UPID
		Status string
	}
	query := url.Values{"vmid": {strconv.Itoa(vmid)}, "typefilter": {kind}, "errors": {"1"}, "since": {strconv.FormatInt(began, 10)}, "limit": {"1"}}
	if err := c.get(ctx, c.here("/tasks"), query, &entries); err != nil || len(entries) == 0 {
		return nil, err
	}
	_, failed := c.ended(ctx, entries[0].UPID, entries[0].Status)
	return failed, nil
}

// StopTask aborts a task.
func (c *Client) StopTask(ctx context.Context, task UPID) error {
	if task.Node() != "" {
		c = c.On(task.Node())
	}
	return c.delete(ctx, c.here("/tasks/%s", url.PathEscape(string(task))), nil)
}
