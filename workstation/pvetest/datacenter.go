package pvetest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// A datacenter holds the state that the nodes of a cluster have in common: the
// time, and the content of /etc/pve, which pmxcfs copies to all nodes. One lock
// guards the datacenter and all its nodes.
type datacenter struct {
	mu sync.Mutex
	timeline
	random *rand.Rand
	order  *rand.Rand // makes the random order of lists
	name   string     // name of the cluster
	peers  []*Node    // all nodes, in the order of their IDs, which begin at 1
	lowest int        // no VMID below this number is free

	options      map[string]string   // datacenter.cfg
	mappings     map[string]*Mapping // mapping/pci.cfg
	poolGuests   map[string][]int    // VMIDs by the name of their pool (user.cfg)
	backupJobs   []BackupJob         // jobs.cfg
	ha           *haStack
	replications map[string]*replicationJob // replication.cfg, by ID
	replicating  bool                       // whether nodes look for due replications each minute
	behaviours   map[int]Guest              // behaviours of guests, by VMID
	agents       map[int]Agent
	authority    authority
	onRequest    func(Request)
}

// newDatacenter merges the hosts' descriptions of the cluster.
func newDatacenter(hosts []Host, opts *Options) *datacenter {
	seed := cmp.Or(opts.Seed, 1)
	d := &datacenter{
		random: rand.New(rand.NewPCG(seed, 0)), order: rand.New(rand.NewPCG(seed, 1)), name: "homelab", agents: opts.Agents, onRequest: opts.OnRequest,
		options: map[string]string{}, mappings: map[string]*Mapping{}, poolGuests: map[string][]int{}, behaviours: map[int]Guest{},
		timeline: newTimeline(opts),
	}
	d.ha, d.replications = newHA(d), map[string]*replicationJob{}
	for _, h := range hosts {
		d.join(h)
	}
	return d
}

// The method "join" adds a host's description of the cluster. If an earlier
// host described the same thing, the earlier description applies. Mappings get
// the entries of all hosts.
func (d *datacenter) join(h Host) {
	for _, m := range h.Mappings {
		if known := d.mappings[m.ID]; known != nil {
			known.Map = append(known.Map, slices.DeleteFunc(m.Map, func(entry string) bool { return slices.Contains(known.Map, entry) })...)
			continue
		}
		d.mappings[m.ID] = &m
	}
	for name, guests := range h.Pools {
		d.poolGuests[name] = union(d.poolGuests[name], guests)
	}
	for _, job := range h.Backups {
		if !slices.ContainsFunc(d.backupJobs, func(known BackupJob) bool { return known.ID == job.ID }) {
			d.backupJobs = append(d.backupJobs, job)
		}
	}
	d.ha.describe(h)
	for id, guest := range h.Guests {
		if _, known := d.behaviours[id]; !known {
			d.behaviours[id] = guest
		}
	}
}

// The function "union" appends the VMIDs that a list lacks.
func union(list, more []int) []int {
	for _, id := range more {
		if !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}

// The method "alone" reports whether there is only one node. Like a newly
// installed PVE, such a node does not belong to a cluster.
func (d *datacenter) alone() bool { return len(d.peers) == 1 }

// The method "member" returns the node with a name, or nil.
func (d *datacenter) member(name string) *Node {
	for _, n := range d.peers {
		if n.host.Name == name {
			return n
		}
	}
	return nil
}

// ownerOf returns the node that has a guest, and the kind of the guest in PVE's
// words: "VM" or "CT". If the VMID is free, ownerOf returns nil and "".
func (d *datacenter) ownerOf(id int) (owner *Node, kind string) {
	for _, n := range d.peers {
		if _, container := n.host.Containers[id]; container {
			return n, "CT"
		}
		if _, vm := n.vms[id]; vm {
			return n, "VM"
		}
	}
	return nil, ""
}

// allGuests returns the VMIDs of all guests of the cluster, in order.
func (d *datacenter) allGuests() []int {
	var all []int
	for _, n := range d.peers {
		all = append(all, sortedIDs(n.guests())...)
	}
	slices.Sort(all)
	return all
}

// The method "exists" reports whether any node has a guest with the VMID.
func (d *datacenter) exists(id int) bool {
	owner, _ := d.ownerOf(id)
	return owner != nil
}

// freeID returns the lowest free VMID.
func (d *datacenter) freeID() int {
	d.lowest = max(d.lowest, 100)
	for d.exists(d.lowest) {
		d.lowest++
	}
	return d.lowest
}

func (d *datacenter) uuid() string {
	r := d.random
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), r.Uint64()>>16)
}

// anyOrder shuffles a list. PVE lists the keys of a hash in a different order
// each time, so a client must not rely on the first entry.
func (d *datacenter) anyOrder(list []map[string]any) []map[string]any {
	d.order.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// newBase returns the state of one node.
func (d *datacenter) newBase(h Host) *base {
	return &base{datacenter: d, host: h, release: pveschema.ParseVersion(h.Version), pids: 1200, vms: map[int]*vm{}, booted: d.now.AddDate(0, 0, -1)}
}
