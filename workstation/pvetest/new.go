package pvetest

import (
	"crypto/tls"
	"fmt"
	"maps"
	"strings"
	"time"
)

// Options controls a [Node]. A nil *Options is the same as the zero Options.
type Options struct {
	// The field Now is the clock that sets the node's time. If it is nil,
	// time.Now is the clock. Delays within a request (a slow answer, a lock)
	// use real time.
	Now func() time.Time
	// Speed is the factor by which the node's time runs faster than the clock.
	// 0 means 1. Tickets also expire faster: at a Speed of 100, after 72
	// seconds. Connect of package workstation logs in again as soon as a ticket
	// has expired. go-proxmox itself logs in again only after an hour. In a
	// testing/synctest bubble, waiting takes no real time, so leave Speed at 0.
	Speed float64
	// Seed determines process IDs, tickets and MAC addresses. The same Seed
	// gives the same values. 0 means 1.
	Seed uint64
	// OnRequest is called for each request of a client before the node handles
	// the request. When the node passes a request on to another node, OnRequest
	// is not called again. OnRequest may call the methods of the node and of
	// its cluster. For example, it can act as another user between two requests
	// of the client under test, or cut the power.
	OnRequest func(Request)
	// Certificate is the TLS certificate of the node, with its key and its
	// chain. If it is nil, the node makes a certificate and an authority of its
	// own.
	Certificate *tls.Certificate
	// Agents holds real guest agents of VMs, by VMID. A VM without an entry has
	// the agent that Host.Guests describes.
	Agents map[int]Agent
	// TraceLimit is the number of requests that [Node.Trace] keeps. It keeps
	// the newest requests. A limit is useful for nodes that run for days. 0
	// means no limit.
	TraceLimit int
}

// New returns a node with the state that the host describes. The node is the
// only node of its [Cluster]. New panics if the description contradicts itself,
// for example if the disk of a VM is on no storage.
func New(host Host, opts *Options) *Node { return NewCluster([]Host{host}, opts).Nodes()[0] }

// newNode returns a node of a cluster, without its storages and VMs.
func newNode(d *datacenter, h Host, shared *directory, opts *Options) *Node {
	b := d.newBase(h)
	return &Node{
		base: b, trace: trace{limit: opts.TraceLimit},
		accounts: accounts{base: b, directory: shared},
		hardware: hardware{base: b, reserved: map[string]reservation{}, lost: map[string]bool{}},
		store:    store{base: b, storages: map[string]*storage{}},
		workers:  workers{base: b, locks: map[int]*task{}, byUPID: map[string]*task{}},
		pki:      pki{given: opts.Certificate, name: h.Name, address: h.address()},
	}
}

// The method "populate" makes the VMs that the description contains. It starts
// those VMs that are running in the description.
func (n *Node) populate() {
	for _, v := range n.host.VMs {
		n.adopt(v)
	}
	for _, v := range n.host.VMs {
		if !v.Running {
			continue
		}
		machine := n.vms[v.ID]
		delete(machine.config, "lock") // without the lock the VM can start; the lock is set again below
		if err := n.powerOn(machine); err != nil {
			panic(fmt.Sprintf("pvetest: VM %d cannot run: %v", v.ID, err))
		}
		if lock := v.Config["lock"]; lock != "" {
			machine.config["lock"] = lock
		}
	}
}

// The method "adopt" adds a VM of the description and makes its volumes.
func (n *Node) adopt(v VM) {
	if other, _ := n.ownerOf(v.ID); other != nil {
		panic(fmt.Sprintf("pvetest: VMID %d is on %s and on %s", v.ID, other.host.Name, n.host.Name))
	}
	machine := newVM(v.ID)
	maps.Copy(machine.config, v.Config)
	n.addVM(machine)
	for _, key := range sorted(v.Config) {
		drive := parseDrive(v.Config[key])
		if !isDrive(key) && !strings.HasPrefix(key, "unused") || drive.media() == "cdrom" && !drive.cloudinit() || drive.volume == "none" {
			continue
		}
		if strings.HasPrefix(drive.volume, "/") { // a disk of the host itself
			continue
		}
		s, name, there := n.volume(drive.volume)
		if s == nil {
			panic(fmt.Sprintf("pvetest: VM %d: %s is on no storage of the host", v.ID, key))
		}
		if !there {
			s.put(&Volume{Name: name, Size: parseSize(drive.options["size"]), VMID: v.ID, Format: "raw"})
		}
	}
}
