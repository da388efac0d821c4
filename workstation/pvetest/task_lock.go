package pvetest

import (
	"time"
)

// lockTimeout is how long PVE waits for the lock of a VM's configuration file
// (pve-guest-common PVE/AbstractConfig.pm, lock_config), and lockPoll how often
// we look.
const (
	lockTimeout = 10 * time.Second
	lockPoll    = 100 * time.Millisecond
)

// Two things are called a lock in PVE. This is the lock of the configuration
// file, which a task holds while it works and which others wait for. The other
// is the key "lock" in the configuration, which says that a backup or a
// migration is under way and makes most things fail at once.

// withLock lets a task go on when it has the lock of a VM's configuration
// file. A task that does not get it in time fails.
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
	w.step(t, 50*time.Millisecond, try) // the worker's own start
}

func lockProblem(vmid int) error {
	return refuse("can't lock file '/var/lock/qemu-server/lock-%d.conf' - got timeout", vmid)
}

// unlock gives back what a task holds.
func (w *workers) unlock(t *task) {
	for vmid, holder := range w.locks {
		if holder == t {
			delete(w.locks, vmid)
		}
	}
}
