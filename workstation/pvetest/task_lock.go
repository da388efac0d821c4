package pvetest

import (
	"time"
)

// lockTimeout is the time for which PVE waits for the lock of a VM's
// configuration file (pve-guest-common PVE/AbstractConfig.pm, lock_config).
// lockPoll is the time between two attempts of the embedded node.
const (
	lockTimeout = 10 * time.Second
	lockPoll    = 100 * time.Millisecond
)

// PVE has two kinds of locks. This file implements the lock of the
// configuration file. A task holds this lock while it works, and other tasks
// wait for it. The other kind is the key "lock" in the configuration. It is set
// during a backup or a migration, and while it is set, most requests fail
// without waiting.

// withLock calls the function "work" when the task has the lock of a VM's
// configuration file. If the task does not get the lock in time, the task
// fails.
func (w *workers) withLock(t *task, vmid int, work func()) {
	waited := time.Duration(0)
	var try func()
	try = func() {
		switch holder := w.locks[vmid]; {
		case vmid == 0 || holder == nil || holder == t:
			if waited > 0 {
				t.say(" OK")
			}
			if vmid != 0 {
				w.locks[vmid] = t
			}
			if !w.spoiled(t) {
				work()
			}
		case waited >= lockTimeout:
			w.finish(t, lockProblem(vmid))
		default:
			if waited == 0 {
				t.say("trying to acquire lock...")
			}
			waited += lockPoll
			w.step(t, lockPoll, try)
		}
	}
	w.step(t, 50*time.Millisecond, try) // a worker needs this time to start
}

func lockProblem(vmid int) error {
	return refuse("can't lock file '/var/lock/qemu-server/lock-%d.conf' - got timeout", vmid)
}

// unlock releases the locks that a task holds.
func (w *workers) unlock(t *task) {
	for vmid, holder := range w.locks {
		if holder == t {
			delete(w.locks, vmid)
		}
	}
}
