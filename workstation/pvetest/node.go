package pvetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options control a [Node]. Nil is fine.
type Options struct {
	// Now is the clock that the node's time follows; nil is time.Now. What
	// makes a request wait (a slow answer, a lock) waits in real time.
	Now func() time.Time
	// Speed is how much faster the node's time runs than the clock; 0 is 1.
	// Its tickets end that much sooner too: at 100 after 72 seconds, and
	// go-proxmox by itself logs in again only after an hour (Connect of package
	// workstation does at once). In a testing/synctest bubble leave it alone:
	// time is free there.
	Speed float64
	// Seed makes process IDs, tickets and MAC addresses repeat; 0 is 1.
	Seed uint64
	// OnRequest is called with each request before the node looks at it. It
	// may call the methods of the node: to let somebody else act between two
	// requests of the client under test.
	OnRequest func(Request)
}

// A Node is a PVE node in this process. It is an [http.Handler] for the API
// below /api2/json; [Node.Start] serves it as a node does, with TLS on a port
// of its own, and [Node.Transport] without any network.
//
// Its time stands still between requests: each request first lets everything
// happen that was due since the last. So it needs no goroutines, and works
// inside a testing/synctest bubble.
type Node struct {
	clock     func() time.Time
	speed     float64
	began     time.Time // clock time of New
	onRequest func(Request)
	handlers  map[string]handler
	server    *httptest.Server

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
	locks    map[int]*task          // who holds the lock of a VM's configuration file
	faults   []*Fault
	trace    []Request
	lost     map[string]bool // PCI functions that fell off the bus
	taken    []string        // functions that the host needed and a VM took
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
		clock: opts.Now, speed: cmp.Or(opts.Speed, 1), onRequest: opts.OnRequest, handlers: handlers(), host: host.clone(),
		random: rand.New(rand.NewPCG(cmp.Or(opts.Seed, 1), 0)), pids: 1200,
		vms: map[int]*vm{}, storages: map[string]*storage{}, mappings: map[string]*Mapping{}, locks: map[int]*task{},
		tickets: map[string]*ticket{}, reserved: map[string]reservation{}, lost: map[string]bool{},
	}
	if n.clock == nil {
		n.clock = time.Now
	}
	n.began = n.clock()
	n.now = n.began
	for _, s := range n.host.Storages {
		n.storages[s.Name] = newStorage(s)
	}
	for _, m := range n.host.Mappings {
		n.mappings[m.ID] = &m
	}
	for _, v := range n.host.VMs {
		n.adopt(v)
	}
	for _, v := range n.host.VMs {
		if !v.Running {
			continue
		}
		machine := n.vms[v.ID]
		delete(machine.config, "lock") // which came later than the start
		if problem := n.powerOn(machine); problem != "" {
			panic(fmt.Sprintf("pvetest: VM %d cannot run: %s", v.ID, problem))
		}
		if lock := v.Config["lock"]; lock != "" {
			machine.config["lock"] = lock
		}
	}
	return n
}

// adopt makes a VM of the description, with its volumes.
func (n *Node) adopt(v VM) {
	machine := newVM(v.ID)
	maps.Copy(machine.config, v.Config)
	n.vms[v.ID] = machine
	for _, key := range sorted(v.Config) {
		drive := parseDrive(v.Config[key])
		if !isDrive(key) && !strings.HasPrefix(key, "unused") || drive.media() == "cdrom" || drive.volume == "none" {
			continue
		}
		s, name, there := n.volume(drive.volume)
		if s == nil {
			panic(fmt.Sprintf("pvetest: VM %d: %s is on no storage of the host", v.ID, key))
		}
		if !there {
			s.volumes[name] = &Volume{Name: name, Size: parseSize(drive.options["size"]), VMID: v.ID, Format: "raw"}
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
	until := n.began.Add(time.Duration(float64(n.clock().Sub(n.began)) * n.speed))
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
	if until.After(n.now) { // a clock may be set back
		n.now = until
	}
}

// pause lets d of the node's time pass within a request, in which others go
// on. It returns false if the client has gone.
func (n *Node) pause(ctx context.Context, d time.Duration) bool {
	n.mu.Unlock()
	timer := time.NewTimer(time.Duration(float64(d) / n.speed))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	n.mu.Lock()
	n.advance()
	return ctx.Err() == nil
}

// pid returns the process ID of a new process.
func (n *Node) pid() int {
	n.pids += 1 + n.random.IntN(40)
	return n.pids
}
