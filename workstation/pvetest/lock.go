package pvetest

import (
	"fmt"
	"net/http"
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
func (n *Node) withLock(t *task, vmid int, work func()) {
	waited := time.Duration(0)
	var try func()
	try = func() {
		switch holder := n.locks[vmid]; {
		case vmid == 0 || holder == nil || holder == t:
			if waited > 0 {
				t.say(" OK")
			}
			if vmid != 0 {
				n.locks[vmid] = t
			}
			if !n.spoiled(t) {
				work()
			}
		case waited >= lockTimeout:
			n.finish(t, lockProblem(vmid))
		default:
			if waited == 0 {
				t.say("trying to acquire lock...")
			}
			waited += lockPoll
			n.step(t, lockPoll, try)
		}
	}
	n.step(t, 50*time.Millisecond, try) // the worker's own start
}

func lockProblem(vmid int) string {
	return fmt.Sprintf("can't lock file '/var/lock/qemu-server/lock-%d.conf' - got timeout", vmid)
}

// unlock gives back what a task holds.
func (n *Node) unlock(t *task) {
	for vmid, holder := range n.locks {
		if holder == t {
			delete(n.locks, vmid)
		}
	}
}

// await waits within a request until nobody holds the lock of a VM's
// configuration file.
func (n *Node) await(c *call, vmid int) (answer, bool) {
	for waited := time.Duration(0); n.locks[vmid] != nil; waited += lockPoll {
		if waited >= lockTimeout {
			return fail(http.StatusInternalServerError, "%s", lockProblem(vmid)), false
		}
		if !n.pause(c.context, lockPoll) {
			return answer{drop: true}, false
		}
	}
	return answer{}, true
}

// locked returns PVE's refusal of a change while the key "lock" is set.
func locked(v *vm) string {
	if lock := v.config["lock"]; lock != "" {
		return fmt.Sprintf("VM is locked (%s)", lock)
	}
	return ""
}
