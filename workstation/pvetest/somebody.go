package pvetest

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The methods of this file act as somebody else does: a person at the web
// interface, a backup job, the hardware.

// PowerOn starts a VM at once behind the client's back. The error is PVE's
// refusal.
func (n *Node) PowerOn(id int) error { return n.act(id, n.powerOn) }

// PowerOff ends a VM's process at once. If the VM does not exist, it returns an
// error.
func (n *Node) PowerOff(id int) error {
	return n.act(id, func(v *vm) error { n.off(v); return nil })
}

// Edit changes a VM's configuration as root@pam does in the web
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

// Lock locks a VM as a backup ("backup") or a migration ("migrate") does; an
// empty lock unlocks it. If the VM does not exist, it returns an error.
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
// paused, with the VM's devices, until somebody starts the VM or the backup
// ends (qemu-server PVE/VZDump/QemuServer.pm, enforce_vm_running_for_backup).
// The error is PVE's refusal.
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

// EndBackup ends the backup that BeginBackup began. The VM is off again unless
// somebody started it meanwhile. If the VM does not exist, it returns an error.
func (n *Node) EndBackup(id int) error {
	return n.act(id, func(v *vm) error {
		delete(v.config, "lock")
		if v.waiting {
			n.off(v)
		}
		return nil
	})
}

// Suspend pauses a VM's guest, as a person does. If the VM does not exist, it
// returns an error.
func (n *Node) Suspend(id int) error {
	return n.act(id, func(v *vm) error { v.paused = v.running; return nil })
}

// Sleep lets a VM's guest fall asleep (S3). If the VM does not exist, it
// returns an error.
func (n *Node) Sleep(id int) error {
	return n.act(id, func(v *vm) error { v.paused, v.asleep = v.running, v.running; return nil })
}

// OpenConsole opens a VM's console in the web interface, which starts a task
// that runs until [Node.EndTasks]. If the VM does not exist, it returns an
// error.
func (n *Node) OpenConsole(id int) error {
	return n.act(id, func(v *vm) error { n.fork("vncproxy", text(v.id), "root@pam"); return nil })
}

// DestroyVM removes a VM with its disks, whatever its state. If the VM does not
// exist, it returns an error.
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

// EndTasks stops every task that runs, as a person does who sees them hang.
func (n *Node) EndTasks() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	for _, t := range n.tasks {
		n.interrupt(t)
	}
}

// LoseCard lets every function of the device at an address ("0000:01:00")
// fall off the bus, as a failed reset does: no VM starts with it until the
// host restarts ([Node.Restart]).
func (n *Node) LoseCard(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	for _, f := range n.functions(address) {
		n.lost[f.Address] = true
	}
}

// MoveCard gives the functions of a device ("0000:01:00") another address
// and IOMMU group, as a card in another slot or a firmware update does.
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

// FillStorage lets others write so many bytes to a storage.
func (n *Node) FillStorage(name string, size int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	if s := n.storages[name]; s != nil {
		s.others += size
	}
}

// Logout makes every ticket void, as a restart of the daemon with new keys
// does.
func (n *Node) Logout() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.tickets)
}

// Restart is a power cut: every VM is off, tasks are gone in the middle, cards
// that fell off the bus are back, and VMs with onboot start, in the order of
// their startup key and number. Two of them that want one card race.
func (n *Node) Restart() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	for _, t := range n.tasks {
		if t.running() {
			t.end, t.exit = n.now, "unexpected status"
		}
	}
	n.due, n.inUse = nil, 0
	clear(n.locks)
	clear(n.reserved)
	clear(n.lost)
	var boot []int
	for _, id := range sortedIDs(n.vms) {
		v := n.vms[id]
		v.running, v.paused, v.asleep, v.waiting, v.closing, v.reboot, v.pid, v.devices, v.commands = false, false, false, false, false, false, 0, nil, nil
		if v.config["onboot"] == "1" {
			boot = append(boot, id)
		}
	}
	slices.SortStableFunc(boot, func(a, b int) int { return n.bootOrder(a) - n.bootOrder(b) })
	for _, id := range boot {
		n.startTask(id, "root@pam", false)
	}
}

func (n *Node) bootOrder(id int) int {
	return atoi(strings.TrimPrefix(n.vms[id].config["startup"], "order="), 1<<20)
}

// SetGuest changes how the guest of a VM behaves from now on.
func (n *Node) SetGuest(id int, guest Guest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	n.keepGuest(id, guest)
}

// Inject plans a fault. It panics if Path is not a regular expression.
func (n *Node) Inject(fault Fault) {
	fault.pattern = regexp.MustCompile(`^(?:` + cmp.Or(fault.Path, ".*") + `)$`)
	fault.Times = cmp.Or(fault.Times, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = append(n.faults, &fault)
}

// ClearFaults forgets all faults that did not strike yet.
func (n *Node) ClearFaults() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = nil
}
