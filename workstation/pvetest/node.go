package pvetest

import (
	"context"
	"crypto/tls"
	"net/http/httptest"
	"sync"
	"time"
)

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
	pki       pki
	agents    map[int]Agent

	mu    sync.Mutex
	trace trace
	// consoles counts the consoles that were asked for, to number their ports.
	consoles int
	cluster  cluster
	*base
	accounts
	hardware
	store
	workers
}

// advance lets everything happen that was due since the last request.
func (n *Node) advance() {
	n.advanceTo(n.began.Add(time.Duration(float64(n.clock().Sub(n.began)) * n.speed)))
}

// pause lets the node's time go on by d within a request, while other requests
// are served. It returns false if the client has gone.
func (n *Node) pause(ctx context.Context, d time.Duration) bool {
	n.mu.Unlock()
	timer := time.NewTimer(n.real(d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	n.mu.Lock()
	n.advance()
	return ctx.Err() == nil
}

// real returns how long a time of the node is in real time.
func (n *Node) real(d time.Duration) time.Duration { return time.Duration(float64(d) / n.speed) }

// await waits within a request until nobody holds the lock of a VM's
// configuration file.
func (n *Node) await(c *call, vmid int) error {
	for waited := time.Duration(0); n.locks[vmid] != nil; waited += lockPoll {
		if waited >= lockTimeout {
			return lockProblem(vmid)
		}
		if !n.pause(c.context, lockPoll) {
			return errGone
		}
	}
	return nil
}

// onVM wraps a handler for one VM: it refuses the call if the VM does not
// exist.
func onVM(work func(n *Node, c *call, v *vm) (any, error)) handler {
	return func(n *Node, c *call) (any, error) {
		v, err := n.vmOf(c)
		if err != nil {
			return nil, err
		}
		return work(n, c, v)
	}
}

// vmOf returns the VM that a call is about.
func (n *Node) vmOf(c *call) (*vm, error) {
	if v, exists := n.vms[c.number("vmid")]; exists {
		return v, nil
	}
	return nil, n.noConfig(c.number("vmid"))
}

// A pki is the certificate of a node and the authority behind it.
type pki struct {
	once      sync.Once
	given     *tls.Certificate
	name      string
	address   string
	leaf      tls.Certificate
	authority []byte // DER
}

// A trace holds the requests that the node received, or only the newest of
// them.
type trace struct {
	limit    int // 0 is none
	requests []Request
	dropped  int // before those
}

// A cluster holds the state that belongs to the datacenter rather than to the
// node.
type cluster struct {
	options map[string]string // datacenter.cfg
}
