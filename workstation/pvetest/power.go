package pvetest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// startTime is how long the start task of a VM takes.
const startTime = 2 * time.Second

func (n *Node) start(c *call) answer {
	v, refused := n.vmOf(c)
	if v == nil {
		return refused
	}
	if slices.Contains(n.host.HA, v.id) {
		return n.startByHA(c, v)
	}
	t := n.begin("qmstart", text(v.id), c.who.user)
	t.cancel = func() { n.unreserve(v.id, 0) }
	return n.run(t, startTime/2, func() string { return n.bringUp(v, t) })
}

// startByHA answers as PVE does for a VM under HA: the task only asks the HA
// manager, which starts the VM some seconds later.
func (n *Node) startByHA(c *call, v *vm) answer {
	t := n.begin("hastart", text(v.id), c.who.user)
	return n.run(t, n.taskTime(), func() string {
		n.after(10*time.Second, func() {
			inner := n.begin("qmstart", text(v.id), "root@pam")
			n.run(inner, startTime/2, func() string { return n.bringUp(v, inner) })
		})
		return ""
	})
}

// bringUp does what a start task does, in the order of PVE: lock, checks,
// hookscript, PCI reservation, binding, QEMU. It returns what ends it.
func (n *Node) bringUp(v *vm, t *task) string {
	if n.vms[v.id] != v {
		return fmt.Sprintf("Configuration file 'nodes/%s/qemu-server/%d.conf' does not exist", n.host.Name, v.id)
	}
	if problem := cmp.Or(n.held(v, t), locked(v)); problem != "" {
		return problem
	}
	if v.running {
		return fmt.Sprintf("VM %d already running", v.id)
	}
	for _, warning := range n.stale(v) {
		t.say("WARN: %s", warning)
	}
	return n.powerOn(v)
}

// powerOn starts QEMU, or says why it does not come up.
func (n *Node) powerOn(v *vm) string {
	config := v.next()
	if problem := n.startable(v, config); problem != "" {
		return problem
	}
	devices, problem := n.devices(config)
	if problem != "" {
		return problem
	}
	pid := n.pid()
	if problem := n.reserve(v.id, pid, devices); problem != "" {
		return problem
	}
	if problem := n.launch(v, config, devices); problem != "" {
		n.unreserve(v.id, pid)
		return problem
	}
	v.config, v.pending, v.drop = config, map[string]string{}, map[string]bool{}
	v.running, v.pid, v.started, v.closing = true, pid, n.now, false
	guest := n.guest(v.id)
	v.answers = n.now.Add(guest.Boot)
	if guest.Panic {
		n.after(guest.Boot, func() {
			if v.pid == pid {
				n.off(v)
			}
		})
	}
	return ""
}

// startable checks what a start looks at before any device.
func (n *Node) startable(v *vm, config map[string]string) string {
	if config["template"] == "1" {
		return "you can't start a vm if it's a template"
	}
	for _, key := range sorted(config) {
		d := parseDrive(config[key])
		if !isDrive(key) || d.volume == "none" {
			continue
		}
		s, _, there := n.volume(d.volume)
		switch {
		case s == nil:
			return fmt.Sprintf("storage '%s' does not exist", d.volume)
		case s.Inactive:
			return fmt.Sprintf("storage '%s' is not online", s.Name)
		case !there:
			return fmt.Sprintf("volume '%s' does not exist", d.volume)
		}
	}
	if hook := config["hookscript"]; hook != "" {
		if _, _, there := n.volume(hook); !there {
			return fmt.Sprintf("hookscript error for %d on pre-start: script '%s' does not exist", v.id, hook)
		}
	}
	return ""
}

// launch is what fails in QEMU itself.
func (n *Node) launch(v *vm, config map[string]string, devices []string) string {
	if free, want := n.freeMemory(), int64(atoi(config["memory"], 512))<<20; want > free {
		return fmt.Sprintf("start failed: QEMU exited with code 1: kvm: cannot set up guest memory 'pc.ram': Cannot allocate memory (%d MiB free)", free>>20)
	}
	for _, address := range devices {
		if n.host.NoIOMMU {
			return "cannot prepare PCI pass-through, IOMMU not present"
		}
		if n.lost[address] {
			return fmt.Sprintf("start failed: QEMU exited with code 1: kvm: -device vfio-pci,host=%s: vfio %s: error getting device from group: Unknown header type 7f", address, address)
		}
	}
	return ""
}

func (n *Node) freeMemory() int64 {
	free := n.host.Memory - 2<<30 // what the host itself uses
	for _, v := range n.vms {
		if v.running {
			free -= int64(atoi(v.config["memory"], 512)) << 20
		}
	}
	return free
}

// off is the end of a QEMU process.
func (n *Node) off(v *vm) {
	if !v.running {
		return
	}
	n.unreserve(v.id, v.pid)
	v.running, v.pid, v.closing, v.commands = false, 0, false, nil
	v.config, v.pending, v.drop = v.next(), map[string]string{}, map[string]bool{}
}

func (n *Node) stop(c *call) answer {
	v, refused := n.vmOf(c)
	if v == nil {
		return refused
	}
	t := n.begin("qmstop", text(v.id), c.who.user)
	return n.run(t, n.taskTime(), func() string {
		if problem := cmp.Or(n.held(v, t), locked(v)); v.running && problem != "" {
			return problem
		}
		n.off(v)
		return ""
	})
}

// shutdown asks the guest, through its agent or by ACPI, and waits for as long
// as the caller said (60 seconds otherwise).
func (n *Node) shutdown(c *call) answer {
	v, refused := n.vmOf(c)
	if v == nil {
		return refused
	}
	timeout := 60 * time.Second
	if c.has("timeout") {
		timeout = time.Duration(c.number("timeout")) * time.Second
	}
	t := n.begin("qmshutdown", text(v.id), c.who.user)
	var problem string
	return n.run(t, 100*time.Millisecond, func() string {
		if problem = cmp.Or(n.held(v, t), locked(v)); !v.running || problem != "" {
			return problem
		}
		n.askToClose(v)
		return n.awaitOff(v, t, timeout, c.get("forceStop") == "1")
	})
}

// askToClose lets the guest begin to shut down, if it listens.
func (n *Node) askToClose(v *vm) {
	guest := n.guest(v.id)
	byAgent := n.agentProblem(v) == ""
	if v.closing || guest.IgnoreACPI && !byAgent {
		return
	}
	v.closing = true
	if pid := v.pid; !guest.Hang {
		n.after(guest.Shutdown, func() {
			if v.pid == pid {
				n.off(v)
			}
		})
	}
}

// awaitOff keeps the task running until the VM is off or the time is up. It
// returns a marker that makes run leave the task alone.
func (n *Node) awaitOff(v *vm, t *task, left time.Duration, force bool) string {
	pid := v.pid
	var look func()
	look = func() {
		left -= time.Second
		switch {
		case !t.running():
		case v.pid != pid:
			n.finish(t, "")
		case left > 0:
			n.after(time.Second, look)
		case force:
			t.say("VM still running - terminating now with SIGTERM")
			n.off(v)
			n.finish(t, "")
		default:
			n.finish(t, "VM quit/powerdown failed - got timeout")
		}
	}
	n.after(time.Second, look)
	return stillRunning
}

// stillRunning is what work returns that goes on after it.
const stillRunning = "\x00"

func (n *Node) reboot(c *call) answer {
	v, refused := n.vmOf(c)
	if v == nil {
		return refused
	}
	if !v.running {
		return fail(http.StatusInternalServerError, "VM %d not running", v.id)
	}
	t := n.begin("qmreboot", text(v.id), c.who.user)
	return n.run(t, n.guest(v.id).Shutdown, func() string {
		n.off(v)
		return n.powerOn(v)
	})
}
