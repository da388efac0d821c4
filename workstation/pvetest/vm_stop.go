package pvetest

import (
	"slices"
	"time"
)

// cleanupTime is how long qmeventd takes to notice that a VM's process ended
// by itself, and to clean up after it.
const cleanupTime = 500 * time.Millisecond

// quit is the end of a VM's process, unless it is another by now.
func (n *Node) quit(v *vm, pid int) {
	if !v.running || v.pid != pid {
		return
	}
	n.inUse -= v.memory
	v.running, v.paused, v.asleep, v.waiting, v.closing, v.pid, v.devices, v.commands = false, false, false, false, false, 0, nil, nil
	n.after(cleanupTime, func() { n.cleanup(v) })
}

// cleanup is what follows the end of a process: reservations are given back,
// what was pending is in force, and a VM that was to reboot starts again.
func (n *Node) cleanup(v *vm) {
	if v.running || n.vms[v.id] != v {
		return
	}
	n.unreserve(v.id)
	n.applyPending(rootUser, v, map[string]string{})
	if v.reboot {
		v.reboot = false
		n.startTask(v.id, "root@pam", false)
	}
}

// off ends a VM at once, clean-up included.
func (n *Node) off(v *vm) {
	if v.running {
		n.quit(v, v.pid)
		n.cleanup(v)
	}
}

// stop is POST status/stop: QEMU quits.
func (n *Node) stop(c *call) (any, error) {
	id := c.number("vmid")
	if slices.Contains(n.host.HA, id) {
		return n.byHA(c, "stop", func() { n.endTask("qmstop", id, "root@pam", ending{}) })
	}
	e := ending{patience: seconds(c, 60), force: true, skipLock: c.get("skiplock") == "1"}
	if c.get("overrule-shutdown") == "1" {
		for _, t := range n.tasks {
			if t.running() && t.kind == "qmshutdown" && t.id == text(id) {
				n.interrupt(t)
			}
		}
	}
	return n.endTask("qmstop", id, c.who.user, e).upid, nil
}

// shutdown is POST status/shutdown: the guest is asked, through its agent or
// by ACPI, and waited for.
func (n *Node) shutdown(c *call) (any, error) {
	id := c.number("vmid")
	e := ending{ask: true, patience: seconds(c, 60), force: c.get("forceStop") == "1", skipLock: c.get("skiplock") == "1"}
	if v := n.vms[id]; v != nil && v.paused {
		if !e.force {
			return nil, refuse("VM is paused - cannot shutdown")
		}
		e.ask = false
	}
	if v := n.vms[id]; v != nil && !c.has("timeout") {
		if down := atoi(property(v.config["startup"], "down"), 0); down > 0 {
			e.patience = time.Duration(down) * time.Second
		}
	}
	if slices.Contains(n.host.HA, id) {
		e.force = true
		return n.byHA(c, "stop", func() { n.endTask("qmshutdown", id, "root@pam", e) })
	}
	return n.endTask("qmshutdown", id, c.who.user, e).upid, nil
}

// reboot is POST status/reboot: its task shuts the VM down, and another task
// starts the VM again. In between, another VM may take its devices.
func (n *Node) reboot(c *call, v *vm) (any, error) {
	switch {
	case v.paused:
		return nil, refuse("VM is paused - cannot shutdown")
	case !v.running:
		return nil, refuse("VM %d not running", v.id)
	}
	return n.endTask("qmreboot", v.id, c.who.user, ending{ask: true, again: true, patience: seconds(c, 60)}).upid, nil
}

func seconds(c *call, otherwise int) time.Duration {
	if c.has("timeout") {
		otherwise = c.number("timeout")
	}
	return time.Duration(otherwise) * time.Second
}

// An ending is how a VM's process is to end.
type ending struct {
	ask      bool          // the guest, instead of QEMU
	force    bool          // SIGTERM when patience is over
	again    bool          // start once more
	patience time.Duration // how long to wait
	skipLock bool          // whatever the key "lock" says
}

// endTask begins a task that ends a VM (qemu-server PVE/QemuServer.pm,
// _do_vm_stop). It holds the configuration's lock for as long as it takes.
func (n *Node) endTask(kind string, id int, user string, e ending) *task {
	t := n.fork(kind, text(id), user)
	n.withLock(t, id, func() {
		v := n.vms[id]
		switch {
		case v == nil:
			n.finish(t, refuse("unable to find configuration file for VM %d - no such machine", id))
		case !v.running:
			n.finish(t, nil)
		case locked(v) != nil && !e.skipLock:
			n.finish(t, locked(v))
		default:
			v.reboot = e.again
			t.cancel = func() { v.reboot = false }
			n.end(t, v, e)
		}
	})
	return t
}

func (n *Node) end(t *task, v *vm, e ending) {
	pid := v.pid
	switch {
	case !e.ask:
		n.after(time.Second, func() { n.quit(v, pid) })
	case !n.ask(v):
		if !e.force {
			v.reboot = false
			n.finish(t, refuse("VM quit/powerdown failed"))
			return
		}
		t.say("VM quit/powerdown failed - terminating now with SIGTERM")
		n.after(time.Second, func() { n.quit(v, pid) })
	}
	n.watch(t, v, e)
}

// ask lets the guest begin to shut down, if it listens. It returns false if
// the agent answers with an error.
func (n *Node) ask(v *vm) bool {
	guest, pid := n.guest(v.id), v.pid
	byAgent := enabled(v.config["agent"]) && n.agentProblem(v) == nil
	switch {
	case byAgent && guest.Refuse:
		return false
	case v.closing, guest.IgnoreACPI && !byAgent:
		return true
	}
	v.closing = true
	if !guest.Hang {
		n.after(guest.Shutdown, func() { n.quit(v, pid) })
	}
	return true
}

// watch looks every second whether the VM is off, until patience is over.
func (n *Node) watch(t *task, v *vm, e ending) {
	pid, left, forced := v.pid, e.patience, false
	var look func()
	look = func() {
		switch {
		case v.pid != pid || !v.running:
			n.cleanup(v)
			n.finish(t, nil)
			return
		case left > 0 || forced:
		case e.force:
			t.say("VM still running - terminating now with SIGTERM")
			n.after(500*time.Millisecond, func() { n.quit(v, pid) })
			forced = true
		default:
			v.reboot = false
			n.finish(t, refuse("VM quit/powerdown failed - got timeout"))
			return
		}
		left -= time.Second
		n.step(t, time.Second, look)
	}
	look()
}
