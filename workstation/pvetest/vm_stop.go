package pvetest

import (
	"cmp"
	"time"
)

// cleanupTime is the time that qmeventd needs to notice the end of a VM's
// process and to clean up.
const cleanupTime = 500 * time.Millisecond

// The method "quit" ends a VM's process. If the VM meanwhile has another
// process than pid, quit does nothing.
func (n *Node) quit(v *vm, pid int) {
	if !v.running || v.pid != pid {
		return
	}
	n.inUse -= v.memory
	v.running, v.paused, v.asleep, v.waiting, v.closing, v.pid, v.devices, v.commands = false, false, false, false, false, 0, nil, nil
	n.after(cleanupTime, func() { n.cleanup(v) })
}

// The method "cleanup" does the work after the end of a VM's process. It
// removes reservations and applies pending changes. If the VM is being
// rebooted, cleanup starts it again.
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

// The method "off" turns a VM off immediately, including the clean-up.
func (n *Node) off(v *vm) {
	if v.running {
		n.quit(v, v.pid)
		n.cleanup(v)
	}
}

// stop serves POST status/stop. It ends QEMU without asking the guest.
func (n *Node) stop(c *call) (any, error) {
	id := c.number("vmid")
	if n.ha.managed(id) {
		if c.get("overrule-shutdown") == "1" {
			return nil, wrong("overrule-shutdown", "Not applicable for HA resources.")
		}
		return n.stopByHA(c, "0")
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

// shutdown serves POST status/shutdown. The task asks the guest through its
// agent or by ACPI, and waits until the VM is off.
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
	if n.ha.managed(id) {
		return n.stopByHA(c, cmp.Or(c.get("timeout"), "60"))
	}
	return n.endTask("qmshutdown", id, c.who.user, e).upid, nil
}

// reboot serves POST status/reboot. Its task shuts the VM down, and another
// task starts the VM again. Between these tasks, another VM can take the VM's
// devices.
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

// An ending describes the way to end a VM's process.
type ending struct {
	ask      bool          // whether to ask the guest to shut down, instead of ending QEMU
	force    bool          // whether to send SIGTERM after the time of patience
	again    bool          // whether to start the VM again
	patience time.Duration // time to wait for the end
	skipLock bool          // ignore the key "lock"
}

// endTask starts a task that ends a VM (qemu-server PVE/QemuServer.pm,
// _do_vm_stop). The task holds the lock of the configuration file until the VM
// is off or the task fails.
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

// The method "ask" asks the guest to shut down. It uses the agent if the agent
// can answer, and ACPI if not. By ACPI, nothing happens if the guest ignores
// ACPI, or if the VM has no ACPI (acpi: 0) and thus no power button. The result
// is false only if the agent answers with an error.
func (n *Node) ask(v *vm) bool {
	guest, pid := n.guest(v.id), v.pid
	byAgent := enabled(v.config["agent"]) && n.agentProblem(v) == nil
	switch {
	case byAgent && guest.Refuse:
		return false
	case v.closing, !byAgent && (guest.IgnoreACPI || v.config["acpi"] == "0"):
		return true
	}
	v.closing = true
	if !guest.Hang {
		n.after(guest.Shutdown, func() { n.quit(v, pid) })
	}
	return true
}

// The method "watch" checks every second whether the VM is off, until the time
// of patience is over.
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
