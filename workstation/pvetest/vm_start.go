package pvetest

import (
	"strings"
	"time"
)

// The durations of the parts of a start: the time until the devices are
// reserved, and the time from then until QEMU runs.
const (
	reserveTime = 300 * time.Millisecond
	launchTime  = 2 * time.Second
)

// start serves POST status/start. The answer is always a task, even if the VM
// does not exist.
func (n *Node) start(c *call) (any, error) {
	id := c.number("vmid")
	if n.ha.managed(id) {
		return n.startByHA(c)
	}
	return n.startTask(id, c.who.user, c.get("skiplock") == "1").upid, nil
}

// startTask starts a task that starts a VM. Its steps are in PVE's order: lock,
// checks, hookscript, reservation, binding, QEMU (qemu-server
// PVE/QemuServer.pm, vm_start).
func (n *Node) startTask(id int, user string, skipLock bool) *task {
	t := n.fork("qmstart", text(id), user)
	n.withLock(t, id, func() {
		v := n.vms[id]
		if v != nil && v.running && v.config["lock"] == "backup" { // QEMU already runs, because a backup started it
			n.unpause(v)
			n.finish(t, nil)
			return
		}
		if err := n.mayStart(v, id, skipLock); err != nil {
			n.finish(t, err)
			return
		}
		t.cancel = func() { n.unreserve(id) }
		n.step(t, reserveTime, func() {
			chosen, err := n.readyToStart(v, t)
			if err != nil {
				n.unreserveStopped(v)
				n.finish(t, err)
				return
			}
			n.step(t, launchTime, func() { n.finish(t, n.launch(v, t, chosen)) })
		})
	})
	return t
}

func (n *Node) mayStart(v *vm, id int, skipLock bool) error {
	switch {
	case v == nil:
		return n.noConfig(id)
	case v.config["template"] == "1":
		return refuse("you can't start a vm if it's a template")
	case v.config["lock"] != "" && v.config["lock"] != "suspended" && !skipLock:
		return locked(v)
	case v.running:
		return refuse("VM %d already running", id)
	}
	return nil
}

// readyToStart does the steps before the start of QEMU. It applies pending
// changes, even if the start fails later.
func (n *Node) readyToStart(v *vm, t *task) (chosen []PCI, err error) {
	n.applyPending(rootUser, v, map[string]string{}) // if a change fails, it stays pending
	if hook := v.config["hookscript"]; hook != "" {
		if _, _, there := n.volume(hook); !there {
			return nil, refuse("hookscript error for %d on pre-start: script '%s' does not exist", v.id, hook)
		}
	}
	if err := n.activate(v.config); err != nil {
		return nil, err
	}
	devices, err := n.hostPCI(v.config)
	if err == nil {
		chosen, err = n.choose(v, t.say, devices)
	}
	if err == nil {
		err = n.reserve(v, t.say, addresses(chosen), n.now.Add(startTimeout(v)))
	}
	if err == nil {
		err = n.prepare(t.say, chosen)
	}
	return chosen, err
}

// startTimeout returns the time for which PVE waits for QEMU and keeps a
// reservation. It grows with the VM's memory, because QEMU must pin this memory
// (config_aware_timeout).
func startTimeout(v *vm) time.Duration {
	gibibytes := atoi(v.config["memory"], 512) >> 10
	return time.Duration(max(30, min(gibibytes*2, 300))+5) * time.Second
}

// The method "activate" returns an error if a volume of the VM cannot be used.
func (n *Node) activate(config map[string]string) error {
	for _, key := range sorted(config) {
		d := parseDrive(config[key])
		if !isDrive(key) || d.volume == "none" || d.volume == "cdrom" || strings.HasPrefix(d.volume, "/") {
			continue
		}
		s, name, there := n.volume(d.volume)
		pool, _, _ := strings.Cut(d.volume, ":")
		switch {
		case s == nil:
			return refuse("storage '%s' does not exist", pool)
		case s.inactive:
			return refuse("storage '%s' is not online", pool)
		case !there:
			return s.missing(name)
		}
	}
	return nil
}

// The method "launch" starts QEMU.
func (n *Node) launch(v *vm, t *task, chosen []PCI) error {
	if err := n.startable(v.config); err != nil {
		n.unreserve(v.id)
		return err
	}
	said := n.launchable(v, chosen)
	if said == nil {
		said = n.argsFit(v.config)
	}
	want := int64(atoi(v.config["memory"], 512)) << 20
	if want > n.freeMemory() {
		said = refuse("kvm: cannot set up guest memory 'pc.ram': Cannot allocate memory")
	}
	if said != nil {
		t.say("%v", said)
		n.unreserve(v.id)
		return refuse("start failed: QEMU exited with code 1")
	}
	v.running, v.pid, v.started, v.devices, v.memory = true, n.pid(), n.now, chosen, want
	n.inUse += want
	v.closing, v.paused, v.asleep, v.waiting, v.commands = false, false, false, false, map[int]*command{}
	n.settle(v)
	n.boot(v)
	if v.config["lock"] == "suspended" {
		delete(v.config, "lock")
	}
	if old, is := oldMachine(v.config["machine"]); is {
		t.warn("current machine version '%s' is deprecated - see the documentation and change to a newer one", old)
	}
	return nil
}

// The method "startable" returns the errors that PVE finds while it writes
// QEMU's command line (qemu-server PVE/QemuServer.pm, config_to_command;
// PVE/QemuServer/Memory.pm).
func (n *Node) startable(config map[string]string) error {
	memory, sockets := atoi(config["memory"], 512), atoi(config["sockets"], 1)
	page := map[string]int{"2": 2, "1024": 1024, "any": 2}[config["hugepages"]]
	switch cores := sockets * atoi(config["cores"], 1); {
	case cores > n.host.Cores && n.host.Cores > 0:
		return refuse("MAX %d vcpus allowed per VM on this node", n.host.Cores)
	case page == 0:
		return n.bridgesExist(config)
	case config["numa"] != "1":
		return refuse("numa needs to be enabled to use hugepages at /usr/share/perl5/PVE/QemuServer/Memory.pm line 388.")
	case memory/sockets%page != 0:
		return refuse("Memory size %d is not a multiple of the requested hugepages size %d", memory/sockets, page)
	}
	return n.bridgesExist(config)
}

func (n *Node) bridgesExist(config map[string]string) error {
	for i := range 32 {
		if err := n.bridgeExists(property(config["net"+text(i)], "bridge")); err != nil {
			return err
		}
	}
	return nil
}

// oldMachine reports whether QEMU considers a pinned machine version
// deprecated. A version is deprecated after three years.
func oldMachine(machine string) (version string, is bool) {
	kind, _, _ := strings.Cut(machine, ",")
	number, pinned := strings.CutPrefix(kind, "pc-q35-")
	if !pinned {
		number, pinned = strings.CutPrefix(kind, "pc-i440fx-")
	}
	major, _, _ := strings.Cut(number, ".")
	return strings.TrimPrefix(strings.TrimPrefix(kind, "pc-q35-"), "pc-i440fx-"), pinned && atoi(major, 99) < 7
}

// The method "unpause" starts a guest that has not started yet, or continues a
// paused guest.
func (n *Node) unpause(v *vm) {
	if v.waiting {
		n.boot(v)
	}
	v.paused, v.asleep, v.waiting = false, false, false
}

// boot boots the guest.
func (n *Node) boot(v *vm) {
	guest, pid := n.guest(v.id), v.pid
	v.answers = n.now.Add(guest.Boot)
	if guest.Panic {
		n.after(guest.Boot, func() { n.quit(v, pid) })
	}
}

// powerOn starts a VM immediately, without a task. The error is PVE's refusal.
func (n *Node) powerOn(v *vm) error {
	if err := n.mayStart(v, v.id, false); err != nil {
		return err
	}
	chosen, err := n.readyToStart(v, nil)
	if err != nil {
		n.unreserveStopped(v)
		return err
	}
	return n.launch(v, nil, chosen)
}

// unreserveStopped releases the devices that a failed start had reserved.
func (n *Node) unreserveStopped(v *vm) {
	if v == nil || !v.running {
		n.unreserve(v.id)
	}
}
