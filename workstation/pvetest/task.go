package pvetest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A task is work that PVE does in the background (pve-common
// PVE/RESTEnvironment.pm, fork_worker).
type task struct {
	upid   string
	kind   string // "qmstart"
	id     string // the object of the task, usually a VMID
	user   string
	pid    int
	start  time.Time
	end    time.Time // zero while the task runs
	exit   string    // "OK", or the error
	log    []string
	warns  int
	fault  *Fault // planned failure; nil if no failure is planned
	cancel func() // undoes unfinished work when the task is stopped
	done   func() // called at the end of the task
}

func (t *task) running() bool { return t.end.IsZero() }

func (t *task) pstart() int64 { return t.start.UnixMilli() / 10 & 0xfffffff }

// workers holds the tasks of the node, the locks of these tasks, and the
// planned faults.
type workers struct {
	*base
	tasks  []*task          // all tasks, in the order of their start
	byUPID map[string]*task // the same tasks, by UPID
	locks  map[int]*task    // task that holds the lock of a VM's configuration file
	faults []*Fault
}

// The method "fork" starts a task.
func (w *workers) fork(kind, id, user string) *task {
	t := &task{kind: kind, id: id, user: user, pid: w.pid(), start: w.now}
	t.upid = fmt.Sprintf("UPID:%s:%08X:%08X:%08X:%s:%s:%s:", w.host.Name, t.pid, t.pstart(), w.now.Unix(), kind, id, user)
	t.fault = w.taskFault(t)
	w.tasks, w.byUPID[t.upid] = append(w.tasks, t), t
	return t
}

// The method "say" adds PVE's output to the task's log. If t is nil, because
// the work is not part of a task, the output is dropped.
func (t *task) say(format string, args ...any) {
	if t == nil {
		return
	}
	t.log = append(t.log, strings.Split(strings.TrimRight(fmt.Sprintf(format, args...), "\n"), "\n")...)
}

// The method "warn" adds a warning to the task's log and counts it, as PVE's
// log_warn does. PVE does not count the output of Perl's own function warn.
func (t *task) warn(format string, args ...any) {
	if t == nil {
		return
	}
	t.warns++
	t.say("WARN: "+format, args...)
}

// The method "step" continues a task after the duration d, if the task still
// runs then.
func (w *workers) step(t *task, d time.Duration, work func()) {
	w.after(d, func() {
		if t.running() {
			work()
		}
	})
}

// taskTime returns the duration of a short task.
func (w *workers) taskTime() time.Duration {
	return 300*time.Millisecond + time.Duration(w.random.IntN(400))*time.Millisecond
}

// A job is a task that does its work in one step.
type job struct {
	kind  string
	vmid  int    // VM whose configuration is locked, or 0
	id    string // object of the task, if it is not a VM
	takes time.Duration
	work  func(t *task) error
	// writes is set for a job that begins with a write to the VM's configuration
	// file.
	writes bool
}

// The method "do" starts a job and returns the UPID of its task.
func (w *workers) do(c *call, j job) (any, error) {
	id := j.id
	if id == "" && j.vmid != 0 {
		id = text(j.vmid)
	}
	t := w.fork(j.kind, id, c.who.user)
	w.withLock(t, j.vmid, func() {
		w.step(t, j.takes, func() {
			if j.writes {
				if err := w.mayWriteConfig(j.vmid); err != nil {
					w.finish(t, err)
					return
				}
			}
			w.finish(t, j.work(t))
		})
	})
	return t.upid, nil
}

// doVM starts a job on a VM, as the method "do" does. The task fails if the VM
// is gone or locked when the job begins.
func (w *workers) doVM(c *call, v *vm, kind string, work func(t *task) error) (any, error) {
	return w.do(c, job{kind: kind, vmid: v.id, takes: w.taskTime(), work: func(t *task) error {
		if w.vms[v.id] != v {
			return w.noConfig(v.id)
		}
		if err := c.locked(v); err != nil {
			return err
		}
		return work(t)
	}})
}

// The method "spoiled" applies a planned fault that prevents the task's work.
// It reports whether there was such a fault.
func (w *workers) spoiled(t *task) bool {
	switch {
	case t.fault == nil:
	case t.fault.Kind == TaskFails:
		if t.cancel != nil {
			t.cancel()
		}
		w.finish(t, refuse("%s", t.fault.message()))
		return true
	case t.fault.Kind == PowerBefore:
		w.losePower()
		return true
	case t.fault.Kind == TaskHangs:
		return true
	}
	return false
}

// The method "finish" ends a task. If err is nil, the task succeeds.
func (w *workers) finish(t *task, err error) {
	if !t.running() {
		return
	}
	if err == nil && t.fault != nil {
		switch t.fault.Kind {
		case PowerAfter:
			w.losePower()
			return
		case TaskFailsLate:
			err = refuse("%s", t.fault.message())
		case TaskWarns:
			t.warn("%s", t.fault.message())
		}
	}
	switch {
	case err != nil:
		t.exit = strings.ReplaceAll(strings.TrimRight(err.Error(), "\n"), "\n", " ")
		t.say("TASK ERROR: %s", t.exit)
	case t.warns > 0:
		t.exit = fmt.Sprintf("WARNINGS: %d", t.warns)
		t.say("TASK %s", t.exit)
	default:
		t.exit = "OK"
		t.say("TASK OK")
	}
	t.end = w.now
	w.unlock(t)
	if t.done != nil {
		t.done()
	}
}

// whenDone calls a function at the end of the task. If the host loses its power,
// the function is not called.
func (t *task) whenDone(done func()) {
	t.done = done
	if !t.running() {
		done()
	}
}

// The method "interrupt" stops a running task.
func (w *workers) interrupt(t *task) {
	if t.running() {
		if t.cancel != nil {
			t.cancel()
		}
		w.finish(t, refuse("received interrupt"))
	}
}

// The method "strike" returns the planned fault that happens now, and counts
// that it happened. If no fault happens now, it returns nil.
func (w *workers) strike(hits func(*Fault) bool) *Fault {
	for i, f := range w.faults {
		if !hits(f) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times--; f.Times == 0 {
			w.faults = slices.Delete(w.faults, i, i+1)
		}
		return f
	}
	return nil
}

func (w *workers) taskFault(t *task) *Fault {
	return w.strike(func(f *Fault) bool {
		return f.Task == t.kind && (f.VMID == 0 || strings.TrimLeft(t.id, "0") == text(f.VMID))
	})
}
