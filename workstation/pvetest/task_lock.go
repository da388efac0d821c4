package pvetest

import (
	"time"
)

// lockTimeout is the time for which PVE waits for the lock of a VM's
// configuration file (pve-guest-common PVE/AbstractConfig.pm, lock_config).
// lockPoll is the interval between our attempts.
const (
	lockTimeout = 10 * time.Second
	lockPoll    = 100 * time.Millisecond
)

// PVE has two kinds of locks. The lock in this file is the lock of the
// configuration file: a task holds it while it works, and other tasks wait for
// it. The other kind is the key "lock" in the configuration: it is set during a
// backup or a migration, and most requests fail at once while it is set.

// withLock runs work when the task has the lock of a VM's configuration file.
// If the task does not get the lock in time, it fails.
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
	w.step(t, 50*time.Millisecond, try) // the time in which a worker starts
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
