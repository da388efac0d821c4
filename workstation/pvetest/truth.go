package pvetest

import (
	"maps"
	"slices"
	"time"

	"github.com/proxstation/proxstation/internal/printable"
)

// A State is the true state of a VM, independent of API answers and faults.
type State struct {
	ID      int
	Config  map[string]string // in force, "lock" included
	Pending map[string]string // changes that wait for the next start
	Digest  string
	Running bool
	Since   time.Time // time of the start, in the node's time
	Devices []string  // PCI functions that the running VM has
}

// VM returns the true state of a VM. If the VM does not exist, ok is false.
func (n *Node) VM(id int) (state State, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	v, ok := n.vms[id]
	if !ok {
		return State{}, false
	}
	return State{ID: v.id, Config: maps.Clone(v.config), Pending: maps.Clone(v.pending), Digest: v.digest(),
		Running: v.running, Since: v.started, Devices: addresses(v.devices)}, true
}

// VMs returns the VMIDs of all existing VMs, in order.
func (n *Node) VMs() []int { return n.which(func(*vm) bool { return true }) }

// Running returns the VMIDs of all running VMs, in order.
func (n *Node) Running() []int { return n.which(func(v *vm) bool { return v.running }) }

func (n *Node) which(wanted func(*vm) bool) []int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	var list []int
	for _, id := range slices.Sorted(maps.Keys(n.vms)) {
		if wanted(n.vms[id]) {
			list = append(list, id)
		}
	}
	return list
}

// Volumes returns the volumes of all VMs by ID ("local-lvm:vm-140-disk-0").
func (n *Node) Volumes() map[string]Volume {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	return n.ownedVolumes()
}

func (n *Node) ownedVolumes() map[string]Volume {
	owned := map[string]Volume{}
	for _, s := range n.storages {
		for name, v := range s.volumes {
			if v.VMID != 0 {
				owned[s.Name+":"+name] = *v
			}
		}
	}
	return owned
}

// Reservations maps the address of each reserved PCI function to the VMID of
// the VM that has it.
func (n *Node) Reservations() map[string]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	owners := map[string]int{}
	for address, r := range n.reserved {
		owners[address] = r.vmid
	}
	return owners
}

// Guest returns the behaviour of a VM's guest, and the files in it.
func (n *Node) Guest(id int) Guest {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	g := n.guest(id)
	g.Files = maps.Clone(g.Files)
	return g
}

// A Task is the true state of a task, independent of API answers and faults.
type Task struct {
	UPID string
	Type string // "qmstart"
	ID   string // usually a VMID
	User string
	Exit string // "" while it runs
	Log  []string
}

// Tasks returns all tasks so far, in the order of their start.
func (n *Node) Tasks() []Task {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	var list []Task
	for _, t := range n.tasks {
		list = append(list, Task{UPID: t.upid, Type: t.kind, ID: t.id, User: t.user, Exit: t.exit, Log: slices.Clone(t.log)})
	}
	return list
}

// Idle reports whether no task is running.
func (n *Node) Idle() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	return !slices.ContainsFunc(n.tasks, (*task).running)
}

// String returns the task's type, its object and its exit status.
func (t Task) String() string { return printable.Sprintf("%s %s: %s", t.Type, t.ID, t.Exit) }
