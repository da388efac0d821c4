package pvetest

import (
	"net/http"
	"time"
)

// A reach says how the other nodes and the clients reach a node.
type reach struct {
	down      bool
	partition int           // nodes see each other if they are in the same partition
	delay     time.Duration // time by which each request takes longer, in real time
	last      *broadcast    // the last values that the other nodes received from the node
}

// The method "sees" reports whether the node reaches the other node. Every node
// reaches itself.
func (b *base) sees(other *Node) bool {
	return !b.down && !other.down && b.partition == other.partition
}

// ownPaths lists methods below /nodes/{node} that PVE never passes on to the
// named node, because their API description has no "proxyto". They are
// directories, methods that read data of all nodes, and methods that go to the
// named node by SSH.
var ownPaths = map[string]bool{
	"GET /nodes/{node}":                                  true,
	"GET /nodes/{node}/apt":                              true,
	"GET /nodes/{node}/capabilities/qemu/cpu":            true,
	"GET /nodes/{node}/capabilities/qemu/cpu-flags":      true,
	"GET /nodes/{node}/certificates":                     true,
	"GET /nodes/{node}/firewall":                         true,
	"GET /nodes/{node}/hardware":                         true,
	"GET /nodes/{node}/hardware/pci/{pci-id-or-mapping}": true,
	"GET /nodes/{node}/qemu/{vmid}/firewall":             true,
	"GET /nodes/{node}/qemu/{vmid}/rrddata":              true,
	"GET /nodes/{node}/qemu/{vmid}/snapshot/{snapname}":  true,
	"GET /nodes/{node}/rrddata":                          true,
	"GET /nodes/{node}/scan":                             true,
	"GET /nodes/{node}/storage/{storage}":                true,
	"GET /nodes/{node}/tasks/{upid}":                     true,
	"POST /nodes/{node}/qemu/{vmid}/termproxy":           true,
	"POST /nodes/{node}/qemu/{vmid}/vncproxy":            true,
	"POST /nodes/{node}/storage/{storage}/upload":        true,
}

// A passedOn is the answer of another node to a request that this node passed
// on.
type passedOn struct{ answer answer }

func (*passedOn) Error() string { return "the answer of another node" }

// passOn lets another node answer a request. Before PVE passes a request on, it
// checks the caller's login and privileges. The other node checks both again, and
// also the parameters (pve-manager PVE/HTTPServer.pm, rest_handler).
func (n *Node) passOn(r *http.Request, c *call, to *Node) error {
	if !n.sees(to) {
		return &passedOn{answer{status: 595, reason: "No route to host", delay: n.real(arpTime)}}
	}
	a := to.receive(r, c)
	switch {
	case a.hang, a.lost, a.delay > n.real(proxyTimeout):
		a = answer{status: 596, reason: "Connection timed out", delay: n.real(proxyTimeout)}
	case a.drop:
		a = answer{status: 596, reason: "Unexpected end-of-file", delay: a.delay}
	}
	return &passedOn{a}
}

const (
	// arpTime is the time for which Linux looks for the host that has an
	// address of the local network. It makes three attempts of one second each
	// (net.ipv4.neigh.default.mcast_solicit and retrans_time_ms).
	arpTime = 3 * time.Second
	// proxyTimeout is the time for which a node waits for another node's answer
	// (pve-http-server PVE/APIServer/AnyEvent.pm, proxy_request).
	proxyTimeout = 30 * time.Second
)

// noSSH returns the error of an SSH command to this host while the host does
// not answer (pve-cluster src/PVE/SSHInfo.pm).
func (b *base) noSSH(command string) error {
	return refuse("command '/usr/bin/ssh -o 'BatchMode=yes' -o 'HostKeyAlias=%s' -o 'UserKnownHostsFile=/etc/pve/nodes/%s/ssh_known_hosts' -o 'GlobalKnownHostsFile=none' %s -- %s' failed: exit code 255",
		b.host.Name, b.host.Name, b.host.address(), command)
}

// losePower cuts the power of the host. Its processes end immediately, and
// nobody reaches it.
func (b *base) losePower() {
	b.remember()
	n := b.member(b.host.Name)
	n.cutPower()
	n.down = true
	n.stopListening()
}

// bootHost boots a host that is down.
func (n *Node) bootHost() {
	if n.down {
		n.down, n.booted = false, n.now
		n.listenAgain()
	}
}
