package pvetest

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"sync"
	"time"
)

// Options control a [Node]. Nil is fine.
type Options struct {
	// Speed is how much faster the node's time runs than real time; 0 is 1.
	// In a testing/synctest bubble leave it alone: time is free there.
	Speed float64
	// Seed makes process IDs, tickets and MAC addresses repeat; 0 is 1.
	Seed uint64
}

// A Node is a PVE node in this process. It is an [http.Handler] for the API
// below /api2/json; [Node.Start] serves it as a node does, with TLS on a port
// of its own, and [Node.Transport] without any network.
//
// Its time stands still between requests: each request first lets everything
// happen that was due since the last. So it needs no goroutines, and works
// inside a testing/synctest bubble.
type Node struct {
	speed  float64
	began  time.Time // real time of New
	server *httptest.Server

	mu       sync.Mutex
	host     Host
	random   *rand.Rand
	now      time.Time // the node's time
	due      []event
	sequence int
	pids     int
	vms      map[int]*vm
	tasks    []*task
	storages map[string]*storage
	mappings map[string]*Mapping
	tickets  map[string]*ticket
	reserved map[string]reservation // by PCI address
	faults   []*Fault
	trace    []Request
	lost     map[string]bool // PCI functions that fell off the bus
}

// An event is something that will happen in the node.
type event struct {
	at       time.Time
	sequence int
	happen   func()
}

// New returns a node that is as the host describes. It panics if the
// description contradicts itself: a VM whose disk is on no storage.
func New(host Host, opts *Options) *Node {
	if opts == nil {
		opts = &Options{}
	}
	n := &Node{
		speed: cmp.Or(opts.Speed, 1), began: time.Now(), host: host, now: time.Now(),
		random: rand.New(rand.NewPCG(cmp.Or(opts.Seed, 1), 0)), pids: 1200,
		vms: map[int]*vm{}, storages: map[string]*storage{}, mappings: map[string]*Mapping{},
		tickets: map[string]*ticket{}, reserved: map[string]reservation{}, lost: map[string]bool{},
	}
	n.host.PCI = slices.Clone(host.PCI)
	n.host.Guests = maps.Clone(host.Guests)
	n.host.Backups = slices.Clone(host.Backups)
	for _, s := range host.Storages {
		n.storages[s.Name] = newStorage(s)
	}
	for _, m := range host.Mappings {
		n.mappings[m.ID] = &Mapping{ID: m.ID, Map: slices.Clone(m.Map), MDev: m.MDev}
	}
	for _, v := range host.VMs {
		n.adopt(v)
	}
	return n
}

// adopt makes a VM of the description, with its volumes.
func (n *Node) adopt(v VM) {
	machine := &vm{id: v.ID, config: maps.Clone(v.Config), pending: map[string]string{}, drop: map[string]bool{}}
	n.vms[v.ID] = machine
	for key, value := range v.Config {
		drive := parseDrive(value)
		if !isDrive(key) || drive.media() == "cdrom" || drive.volume == "none" {
			continue
		}
		s, name, ok := n.volume(drive.volume)
		if !ok && s == nil {
			panic(fmt.Sprintf("pvetest: VM %d: %s is on no storage of the host", v.ID, key))
		}
		if !ok {
			s.volumes[name] = &Volume{Name: name, Size: parseSize(drive.options["size"]), VMID: v.ID, Format: "raw"}
		}
	}
	if v.Running {
		if problem := n.powerOn(machine); problem != "" {
			panic(fmt.Sprintf("pvetest: VM %d cannot run: %s", v.ID, problem))
		}
	}
}

// after lets something happen d from now.
func (n *Node) after(d time.Duration, happen func()) {
	n.sequence++
	n.due = append(n.due, event{n.now.Add(d), n.sequence, happen})
}

// advance lets everything happen that is due, each at its own time.
func (n *Node) advance() {
	until := n.began.Add(time.Duration(float64(time.Since(n.began)) * n.speed))
	for len(n.due) > 0 {
		next := slices.MinFunc(n.due, func(a, b event) int {
			return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.sequence, b.sequence))
		})
		if next.at.After(until) {
			break
		}
		n.due = slices.DeleteFunc(n.due, func(e event) bool { return e.sequence == next.sequence })
		n.now = next.at
		next.happen()
	}
	n.now = until
}

// pid returns the process ID of a new process.
func (n *Node) pid() int {
	n.pids += 1 + n.random.IntN(40)
	return n.pids
}

func (n *Node) guest(vmid int) Guest {
	g := n.host.Guests[vmid]
	g.Boot, g.Shutdown = cmp.Or(g.Boot, 10*time.Second), cmp.Or(g.Shutdown, 5*time.Second)
	return g
}
