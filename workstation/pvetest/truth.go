package pvetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A State is the truth about a VM, which no API answer and no fault colours.
type State struct {
	ID      int
	Config  map[string]string // in force
	Pending map[string]string // waits for the next start
	Running bool
	Since   time.Time // of the start, in the node's time
	Devices []string  // PCI functions that the running VM has
}

// VM returns the truth about a VM; ok is false if there is none.
func (n *Node) VM(id int) (state State, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	v, ok := n.vms[id]
	if !ok {
		return State{}, false
	}
	return n.state(v), true
}

func (n *Node) state(v *vm) State {
	s := State{ID: v.id, Config: maps.Clone(v.config), Pending: maps.Clone(v.pending), Running: v.running, Since: v.started}
	for _, address := range slices.Sorted(maps.Keys(n.reserved)) {
		if n.reserved[address] == (reservation{v.id, v.pid}) {
			s.Devices = append(s.Devices, address)
		}
	}
	return s
}

// Running returns the VMs that run, in order.
func (n *Node) Running() []int {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	var running []int
	for _, id := range slices.Sorted(maps.Keys(n.vms)) {
		if n.vms[id].running {
			running = append(running, id)
		}
	}
	return running
}

// Volumes returns the IDs of all volumes that belong to VMs, in order.
func (n *Node) Volumes() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	return n.ownedVolumes()
}

func (n *Node) ownedVolumes() []string {
	var ids []string
	for _, s := range n.storages {
		for name, v := range s.volumes {
			if v.VMID != 0 {
				ids = append(ids, s.Name+":"+name)
			}
		}
	}
	slices.Sort(ids)
	return ids
}

// Check returns an error for everything that must never be: two running VMs
// with one PCI function, a disk that no VM or two VMs name, a disk that is
// named and gone.
func (n *Node) Check() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	var problems []error
	owners, named := map[string]int{}, map[string]int{}
	for _, id := range slices.Sorted(maps.Keys(n.vms)) {
		v := n.vms[id]
		if v.running {
			devices, _ := n.devices(v.config)
			for _, address := range devices {
				if other, twice := owners[address]; twice {
					problems = append(problems, fmt.Errorf("pvetest: VMs %d and %d both run with %s", other, id, address))
				}
				owners[address] = id
			}
		}
		for key, value := range v.next() {
			d := parseDrive(value)
			if (!isDrive(key) && !strings.HasPrefix(key, "unused")) || d.media() == "cdrom" || d.volume == "none" {
				continue
			}
			if other, twice := named[d.volume]; twice {
				problems = append(problems, fmt.Errorf("pvetest: VMs %d and %d both name %s", other, id, d.volume))
			}
			named[d.volume] = id
			if _, _, there := n.volume(d.volume); !there {
				problems = append(problems, fmt.Errorf("pvetest: VM %d has lost %s (%s)", id, key, d.volume))
			}
		}
	}
	for _, id := range n.ownedVolumes() {
		if _, known := named[id]; !known && !strings.Contains(id, "cloudinit") {
			problems = append(problems, fmt.Errorf("pvetest: %s is orphaned", id))
		}
	}
	return errors.Join(problems...)
}

// Idle reports whether no task runs.
func (n *Node) Idle() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	return !slices.ContainsFunc(n.tasks, (*task).running)
}

// The following act as somebody else does: a person at the web interface, a
// backup job, the hardware.

// PowerOn starts a VM behind the client's back. The error is PVE's refusal.
func (n *Node) PowerOn(id int) error {
	return n.act(id, n.powerOn)
}

// PowerOff ends a VM's process at once.
func (n *Node) PowerOff(id int) error {
	return n.act(id, func(v *vm) string { n.off(v); return "" })
}

// Lock locks a VM's configuration as a backup or a migration does; an empty
// lock releases it.
func (n *Node) Lock(id int, lock string) error {
	return n.act(id, func(v *vm) string {
		delete(v.config, "lock")
		if lock != "" {
			v.config["lock"] = lock
		}
		return ""
	})
}

// Edit changes a VM's configuration as a person in the web interface does. An
// empty value deletes the key.
func (n *Node) Edit(id int, key, value string) error {
	return n.act(id, func(v *vm) string {
		if value == "" {
			return n.change(v, change{remove: []string{key}})
		}
		return n.change(v, change{set: map[string]string{key: value}})
	})
}

func (n *Node) act(id int, work func(*vm) string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	v := n.vms[id]
	if v == nil {
		return fmt.Errorf("pvetest: no VM %d", id)
	}
	if problem := work(v); problem != "" {
		return errors.New(problem)
	}
	return nil
}

// SetGuest changes how the guest of a VM behaves from now on.
func (n *Node) SetGuest(id int, guest Guest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	if n.host.Guests == nil {
		n.host.Guests = map[int]Guest{}
	}
	n.host.Guests[id] = guest
}

// LoseCard lets every function of the device at an address ("0000:01:00")
// fall off the bus, as a failed reset does: no VM starts with it until the
// host restarts.
func (n *Node) LoseCard(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, f := range n.functions(address) {
		n.lost[f.Address] = true
	}
}

// MoveCard gives the functions of a device another address and IOMMU group,
// as a card in another slot or a firmware update does.
func (n *Node) MoveCard(from, to string, group int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, f := range n.host.PCI {
		if function, found := strings.CutPrefix(f.Address, from); found {
			n.host.PCI[i].Address, n.host.PCI[i].Group = to+function, group
		}
	}
}
