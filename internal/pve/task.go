package pve

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/proxstation/proxstation/internal/macos"
)

// A UPID names a task: "UPID:pve:0003F8A2:...:qmstart:140:root@pam:".
type UPID string

// part returns a field of the UPID, "" where it has too few.
func (u UPID) part(i int) string {
	fields := strings.Split(string(u), ":")
	if len(fields) != 9 {
		return ""
	}
	return fields[i]
}

// Type returns what the task does: "qmstart".
func (u UPID) Type() string { return u.part(5) }

// ID returns what it is about, mostly a VMID.
func (u UPID) ID() string { return u.part(6) }

// VMID returns the VM the task is about, 0 if it is about none.
func (u UPID) VMID() int {
	id, _ := strconv.Atoi(u.ID()) // what is no number is no VM
	return id
}

// TaskProgress is what a running task has said.
type TaskProgress struct {
	UPID     UPID
	Elapsed  time.Duration
	LastLine string // of its log, empty if there is nothing new
}

// TaskResult is the end of a task that did its work.
type TaskResult struct {
	Warnings int      // "WARNINGS: n"
	Log      []string // the lines of the log with the warnings
}

// The pace of polling: short first, because most tasks are, then slower.
const (
	firstPoll = 100 * time.Millisecond
	lastPoll  = time.Second
	// patience is how many polls in a row may fail for lack of an answer.
	patience = 20
)

// Wait waits until the task has ended or the context is done. A task that did
// not do its work is a [TaskError]. Answers that get lost on the way are asked
// for again.
func (c *Client) Wait(ctx context.Context, task UPID, progress func(TaskProgress)) (TaskResult, error) {
	if task == "" {
		return TaskResult{}, nil
	}
	if task.Type() == "" {
		return TaskResult{}, fmt.Errorf("pve: %q is no task", task)
	}
	began, lost, lines := time.Now(), 0, 0
	for pause := firstPoll; ; pause = min(pause*3/2, lastPoll) {
		var status struct {
			Status, ExitStatus string
		}
		err := c.poll(ctx, c.here("/tasks/%s/status", url.PathEscape(string(task))), nil, &status)
		switch {
		case errors.Is(err, ErrNoAnswer) && ctx.Err() == nil && lost < patience:
			lost++
		case err != nil:
			return TaskResult{}, err
		case status.Status == "stopped":
			return c.ended(ctx, task, status.ExitStatus)
		default:
			lost = 0
			if progress != nil {
				var line string
				line, lines = c.newLine(ctx, task, lines)
				progress(TaskProgress{UPID: task, Elapsed: time.Since(began), LastLine: line})
			}
		}
		if err := Sleep(ctx, pause); err != nil {
			return TaskResult{}, fmt.Errorf("pve: waiting for task %s of %s: %w", task.Type(), task.ID(), err)
		}
	}
}

// Sleep waits for d, or until the context is done and then returns its cause.
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
		warnings, _ := strconv.Atoi(n) // one at least, it says
		log, _ := c.log(ctx, task, 0)  // what the warnings were is less than that the task did its work
		log = slices.DeleteFunc(log, func(line string) bool { return !strings.HasPrefix(line, "WARN") && !strings.Contains(line, "warning") })
		return TaskResult{Warnings: max(warnings, 1), Log: log}, nil
	}
	lines, _ := c.log(ctx, task, 0) // the exit says why; the log only more
	return TaskResult{}, c.explain(&TaskError{UPID: task, Exit: macos.HideOSK(exit), Log: lines[max(0, len(lines)-10):]})
}

// newLine returns the last line of the log if there are more than before.
func (c *Client) newLine(ctx context.Context, task UPID, before int) (line string, lines int) {
	log, err := c.log(ctx, task, before)
	if err != nil || len(log) == 0 {
		return "", before
	}
	return log[len(log)-1], before + len(log)
}

func (c *Client) log(ctx context.Context, task UPID, start int) ([]string, error) {
	var entries []struct {
		N int
		T string
	}
	query := url.Values{"start": {strconv.Itoa(start)}, "limit": {"500"}}
	err := c.get(ctx, c.here("/tasks/%s/log", url.PathEscape(string(task))), query, &entries)
	var lines []string
	for _, e := range entries {
		if e.T != "no content" {
			lines = append(lines, macos.HideOSK(e.T))
		}
	}
	return lines, err
}

// A Task is one that runs or ran.
type Task struct {
	UPID UPID
	Type string
	User string
}

// RunningTasks returns the tasks at work on a VM. An open console is a task
// too, and does nothing to it (qemu-server PVE/API2/Qemu.pm, vncproxy).
func (c *Client) RunningTasks(ctx context.Context, vmid int) ([]Task, error) {
	var entries []Task
	query := url.Values{"source": {"active"}, "vmid": {strconv.Itoa(vmid)}}
	err := c.get(ctx, c.here("/tasks"), query, &entries)
	return slices.DeleteFunc(entries, func(t Task) bool { return t.Type == "vncproxy" }), err
}

// StopTask aborts a task.
func (c *Client) StopTask(ctx context.Context, task UPID) error {
	return c.delete(ctx, c.here("/tasks/%s", url.PathEscape(string(task))), nil)
}
