package pvetest

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// A base is the state that all parts of a node share: its description, its
// time, its random numbers, and the VMs.
type base struct {
	host     Host
	release  pveschema.Version
	random   *rand.Rand
	order    *rand.Rand // random order of lists
	now      time.Time  // the node's time
	due      events
	sequence int
	pids     int
	vms      map[int]*vm
	inUse    int64 // memory of the running VMs, in bytes
	lowest   int   // no VMID below it is free
}

// An event is an action of the node at a later time.
type event struct {
	at       time.Time
	sequence int
	happen   func()
}

// events is a heap whose first element is the next event.
type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return cmp.Or(e[i].at.Compare(e[j].at), cmp.Compare(e[i].sequence, e[j].sequence)) < 0
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	next := (*e)[last]
	*e = (*e)[:last]
	return next
}

// after schedules an event d from now.
func (b *base) after(d time.Duration, happen func()) {
	b.sequence++
	heap.Push(&b.due, event{b.now.Add(d), b.sequence, happen})
}

// advanceTo runs all events that are due by a time, each at its own time.
func (b *base) advanceTo(until time.Time) {
	for len(b.due) > 0 && !b.due[0].at.After(until) {
		next, _ := heap.Pop(&b.due).(event)
		b.now = next.at
		next.happen()
	}
	if until.After(b.now) { // the clock may have been set back
		b.now = until
	}
}

// addVM adds a VM; removeVM removes it. Other code does not change the map of
// VMs.
func (b *base) addVM(v *vm) { b.vms[v.id] = v }

func (b *base) removeVM(id int) {
	delete(b.vms, id)
	b.lowest = min(b.lowest, id)
}

// freeID returns the lowest free VMID.
func (b *base) freeID() int {
	b.lowest = max(b.lowest, 100)
	for b.guestKind(b.lowest) != "" {
		b.lowest++
	}
	return b.lowest
}

// pid returns the process ID of a new process.
func (b *base) pid() int {
	b.pids += 1 + b.random.IntN(40)
	return b.pids
}

func (b *base) uuid() string {
	r := b.random
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Uint64()>>16)
}

// anyOrder shuffles a list. PVE lists the keys of a hash in a different order
// each time, so a client must not rely on the first entry.
func (b *base) anyOrder(list []map[string]any) []map[string]any {
	b.order.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// guest returns the behaviour of a VM's guest, with defaults filled in.
func (b *base) guest(vmid int) Guest {
	g := b.host.Guests[vmid]
	g.Boot, g.Shutdown = cmp.Or(g.Boot, 10*time.Second), cmp.Or(g.Shutdown, 5*time.Second)
	return g
}

func (b *base) keepGuest(id int, guest Guest) {
	if b.host.Guests == nil {
		b.host.Guests = map[int]Guest{}
	}
	b.host.Guests[id] = guest
}

// guestKind returns the kind of the guest with a VMID in PVE's words: "VM" or
// "CT". It returns "" if the VMID is free.
func (b *base) guestKind(id int) string {
	if _, container := b.host.Containers[id]; container {
		return "CT"
	}
	if _, vm := b.vms[id]; vm {
		return "VM"
	}
	return ""
}

// noConfig is PVE's refusal of a VM that does not exist.
func (b *base) noConfig(vmid int) error {
	return refuse("Configuration file 'nodes/%s/qemu-server/%d.conf' does not exist", b.host.Name, vmid)
}

// olderThan reports whether the node's PVE is older than the given release.
func (b *base) olderThan(major, minor int) bool {
	return cmp.Or(cmp.Compare(b.release.Major, major), cmp.Compare(b.release.Minor, minor)) < 0
}

// qemu returns the QEMU version of the node's PVE (release notes of PVE 8.4,
// 9.1 and 9.2).
func (b *base) qemu() string {
	switch {
	case b.olderThan(9, 0):
		return "9.2.0"
	case b.olderThan(9, 2):
		return "10.1.2"
	}
	return "11.0.0"
}

// freeMemory returns the bytes of memory that the host and the running VMs do
// not use.
func (b *base) freeMemory() int64 { return b.host.Memory - 2<<30 - b.inUse } // the host itself uses 2 GiB

// bridgeExists returns PVE's refusal of a bridge that the node does not have.
func (b *base) bridgeExists(bridge string) error {
	if bridge == "" || slices.Contains(b.host.Bridges, bridge) {
		return nil
	}
	return refuse("bridge '%s' does not exist", bridge)
}
