package pvetest

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The methods in this file act on the node from outside the client under test:
// as a person at the web interface, as a backup job, or as the hardware.

// PowerOn starts a VM immediately, without a request of the client. The error
// is PVE's refusal.
func (n *Node) PowerOn(id int) error { return n.act(id, n.powerOn) }

// PowerOff ends a VM's process immediately. If the VM does not exist, it
// returns an error.
func (n *Node) PowerOff(id int) error {
	return n.act(id, func(v *vm) error { n.off(v); return nil })
}

// Edit changes one key of a VM's configuration, as root@pam can in the web
// interface. An empty value deletes the key. The error is PVE's refusal.
func (n *Node) Edit(id int, key, value string) error {
	return n.act(id, func(v *vm) error {
		ch := change{set: map[string]string{key: value}}
		if value == "" {
			ch = change{remove: []string{key}}
		}
		return n.update(rootUser, v, ch)
	})
}

// Lock sets the key lock of a VM's configuration, for example to "backup" as a
// backup does, or to "migrate" as a migration does. If lock is empty, it
// unlocks the VM. If the VM does not exist, it returns an error.
func (n *Node) Lock(id int, lock string) error {
	return n.act(id, func(v *vm) error {
		delete(v.config, "lock")
		if lock != "" {
			v.config["lock"] = lock
		}
		return nil
	})
}

// BeginBackup locks a VM as a backup job does. If the VM is off, it starts QEMU
// with the VM's devices but keeps the guest paused until somebody starts the VM
// or the backup ends (qemu-server PVE/VZDump/QemuServer.pm,
// enforce_vm_running_for_backup). The error is PVE's refusal.
func (n *Node) BeginBackup(id int) error {
	return n.act(id, func(v *vm) error {
		if !v.running {
			if err := n.powerOn(v); err != nil {
				return err
			}
			v.paused, v.waiting = true, true
		}
		v.config["lock"] = "backup"
		return nil
	})
}

// EndBackup ends the backup that BeginBackup began. If BeginBackup started
// QEMU, the VM is turned off, unless somebody has started the VM meanwhile. If
// the VM does not exist, it returns an error.
func (n *Node) EndBackup(id int) error {
	return n.act(id, func(v *vm) error {
		delete(v.config, "lock")
		if v.waiting {
			n.off(v)
		}
		return nil
	})
}

// Suspend pauses a VM, as a person can in the web interface. If the VM does not
// exist, it returns an error.
func (n *Node) Suspend(id int) error {
	return n.act(id, func(v *vm) error { v.paused = v.running; return nil })
}

// Sleep puts a VM's guest to sleep (S3). If the VM does not exist, it returns
// an error.
func (n *Node) Sleep(id int) error {
	return n.act(id, func(v *vm) error { v.paused, v.asleep = v.running, v.running; return nil })
}

// OpenConsole opens a VM's console in the web interface. This starts a task
// that runs until [Node.EndTasks] is called. If the VM does not exist, it
// returns an error.
func (n *Node) OpenConsole(id int) error {
	return n.act(id, func(v *vm) error { n.fork("vncproxy", text(v.id), "root@pam"); return nil })
}

// DestroyVM removes a VM with its disks, even if it is running or locked. If
// the VM does not exist, it returns an error.
func (n *Node) DestroyVM(id int) error {
	return n.act(id, func(v *vm) error { n.off(v); n.erase(v, true); return nil })
}

func (n *Node) act(id int, work func(*vm) error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	v := n.vms[id]
	if v == nil {
		return fmt.Errorf("pvetest: no VM %d", id)
	}
	if err := work(v); err != nil {
		return fmt.Errorf("pvetest: %w", err)
	}
	return nil
}

// EndTasks stops every running task, as a person can in the web interface.
func (n *Node) EndTasks() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	for _, t := range n.tasks {
		n.interrupt(t)
	}
}

// LoseCard makes every function of the device at an address ("0000:01:00") fall
// off the bus, as a failed reset does. No VM starts with the device until the
// host restarts ([Node.Restart]).
func (n *Node) LoseCard(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	for _, f := range n.functions(address) {
		n.lost[f.Address] = true
	}
}

// MoveCard gives the functions of a device ("0000:01:00") another address and
// IOMMU group, as after a firmware update or after somebody put the card into
// another slot.
func (n *Node) MoveCard(from, to string, group int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	for i, f := range n.host.PCI {
		if function, found := strings.CutPrefix(f.Address, from); found {
			n.host.PCI[i].Address, n.host.PCI[i].Group = to+function, group
		}
	}
}

// FillStorage adds size bytes to the used space of a storage, as if other
// programs had written these bytes.
func (n *Node) FillStorage(name string, size int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	if s := n.storages[name]; s != nil {
		s.others += size
	}
}

// Logout makes every ticket invalid, as a restart of the daemon with new keys
// does.
func (n *Node) Logout() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.tickets)
}

// Restart simulates a power cut. Every VM is then off, running tasks are gone,
// and cards that fell off the bus are back. Then the VMs with onboot start,
// sorted by the key startup and then by the VMID. If two VMs need the same
// card, only one of them gets it. Restart does not start VMs under high
// availability, because the HA manager does.
func (n *Node) Restart() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	n.losePower()
	n.bootHost()
	var boot []int
	for _, id := range sortedIDs(n.vms) {
		if n.vms[id].config["onboot"] == "1" && !n.ha.managed(id) { // pve-manager PVE/API2/Nodes.pm, startall
			boot = append(boot, id)
		}
	}
	slices.SortStableFunc(boot, func(a, b int) int { return n.bootOrder(a) - n.bootOrder(b) })
	for _, id := range boot {
		n.startTask(id, "root@pam", false)
	}
}

// cutPower ends every process of the host immediately.
func (n *Node) cutPower() {
	for _, t := range n.tasks {
		if t.running() {
			t.end, t.exit = n.now, "unexpected status"
		}
	}
	n.boots++
	n.ha.powerLost(n)
	n.inUse = 0
	clear(n.locks)
	clear(n.reserved)
	clear(n.lost)
	for _, v := range n.vms {
		v.running, v.paused, v.asleep, v.waiting, v.closing, v.reboot, v.pid, v.devices, v.commands = false, false, false, false, false, false, 0, nil, nil
	}
}

func (n *Node) bootOrder(id int) int {
	return atoi(strings.TrimPrefix(n.vms[id].config["startup"], "order="), 1<<20)
}

// SetGuest replaces the behaviour of a VM's guest, with immediate effect.
func (n *Node) SetGuest(id int, guest Guest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	n.keepGuest(id, guest)
}

// Inject plans a fault. It panics if fault.Path is not a regular expression.
func (n *Node) Inject(fault Fault) {
	fault.pattern = regexp.MustCompile(`^(?:` + cmp.Or(fault.Path, ".*") + `)$`)
	fault.Times = cmp.Or(fault.Times, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = append(n.faults, &fault)
}

// ClearFaults removes all planned faults that have not happened yet.
func (n *Node) ClearFaults() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = nil
}
