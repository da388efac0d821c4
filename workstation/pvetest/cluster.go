package pvetest

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// A Cluster is several PVE nodes in this process. They share the same things as
// real nodes: users and their tickets, the access control list, pools,
// storage.cfg, resource mappings, datacenter.cfg, jobs, high availability and
// VMIDs. Each node has its own devices, local volumes, running VMs, tasks and
// version. All nodes see the same content of a shared storage.
//
// Every node answers for all others: like PVE, it passes a request about
// another node on to that node. Such a request is in the traces of both nodes,
// and the planned faults of both apply.
type Cluster struct{ d *datacenter }

// NewCluster returns a cluster with the state that the hosts describe. The
// names of the hosts must differ. If several hosts describe the same thing,
// such as a user, the first description applies. Entries of resource mappings
// are merged. Hosts without an address get consecutive addresses. NewCluster
// panics if two descriptions contradict each other, or if a description
// contradicts itself, as [New] does.
func NewCluster(hosts []Host, opts *Options) *Cluster {
	if opts == nil {
		opts = &Options{}
	}
	if len(hosts) == 0 {
		panic("pvetest: a cluster without nodes")
	}
	hosts = slices.Clone(hosts)
	for i, h := range hosts {
		hosts[i] = h.clone()
		hosts[i].Address = cmp.Or(h.Address, fmt.Sprintf("192.168.1.%d/24", 10+i))
	}
	d := newDatacenter(hosts, opts)
	shared := newDirectory(hosts)
	for _, h := range hosts {
		if d.member(h.Name) != nil {
			panic("pvetest: two nodes have the name " + h.Name)
		}
		d.peers = append(d.peers, newNode(d, h, shared, opts))
	}
	d.describeStorages()
	for _, n := range d.peers {
		n.populate()
	}
	d.ha.settle()
	return &Cluster{d}
}

// Node returns the node with the given name. It panics if there is no such node.
func (c *Cluster) Node(name string) *Node {
	n := c.d.member(name)
	if n == nil {
		panic("pvetest: no node " + name)
	}
	return n
}

// Nodes returns all nodes, in the order of their descriptions.
func (c *Cluster) Nodes() []*Node { return slices.Clone(c.d.peers) }

// Start serves each node with TLS on its own port of the loopback interface,
// until [Cluster.Close] is called. The nodes' certificates are signed by one
// authority.
func (c *Cluster) Start() *Cluster {
	for _, n := range c.d.peers {
		n.Start()
	}
	return c
}

// Close stops the servers of [Cluster.Start].
func (c *Cluster) Close() {
	for _, n := range c.d.peers {
		n.Close()
	}
}

// Down cuts the power of a node. Its running VMs and tasks end immediately, and
// nobody reaches the node until [Cluster.Up] is called.
func (c *Cluster) Down(name string) {
	n := c.Node(name)
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	c.d.advance()
	n.losePower()
}

// Up boots a node that is down. It does not start VMs with onboot. If the node
// is up, nothing happens.
func (c *Cluster) Up(name string) {
	n := c.Node(name)
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	c.d.advance()
	n.bootHost()
}

// Partition splits the network. The named nodes reach only each other, and the
// other nodes reach only each other. Clients still reach all nodes. Partition
// without names makes the network whole again. A part of the cluster without
// the majority of the votes has no quorum: its /etc/pve can only be read.
func (c *Cluster) Partition(names ...string) {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	c.d.advance()
	c.d.remember()
	for _, n := range c.d.peers {
		n.partition = bit(slices.Contains(names, n.host.Name))
	}
}

// Delay makes each request to a node take longer, in real time. This includes
// requests that another node passes on to the node.
func (c *Cluster) Delay(name string, d time.Duration) {
	n := c.Node(name)
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	n.delay = d
}

// Where returns the name of the node that has a VM, or "" if there is no such
// VM.
func (c *Cluster) Where(vmid int) string {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	c.d.advance()
	if n, kind := c.d.ownerOf(vmid); kind == "VM" {
		return n.host.Name
	}
	return ""
}

// Check returns an error for every state that must never occur: the states for
// which [Node.Check] returns an error, and a VMID that two nodes have.
func (c *Cluster) Check() error {
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	c.d.advance()
	var problems []error
	owners, named := map[int]string{}, c.d.naming()
	for _, n := range c.d.peers {
		if err := n.check(named); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", n.host.Name, err))
		}
		for _, id := range sortedIDs(n.guests()) {
			if owners[id] != "" {
				problems = append(problems, fmt.Errorf("pvetest: guest %d is on %s and on %s", id, owners[id], n.host.Name))
			}
			owners[id] = n.host.Name
		}
	}
	return errors.Join(problems...)
}

// Transport returns a transport that reaches the nodes without a network. It
// finds the node by the name or the address in the URL, such as
// https://NAME:8006/api2/json. The connection to a node that is down fails.
func (c *Cluster) Transport() http.RoundTripper { return clusterTransport{c.d} }
