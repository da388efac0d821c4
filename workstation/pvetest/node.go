package pvetest

import (
	"context"
	"net/http/httptest"
	"time"
)

// A Node is a PVE node in this process. It is an [http.Handler] for the API
// below /api2/json. [Node.Start] serves it with TLS on its own port, as a real
// node does. [Node.Transport] reaches it without any network.
//
// The node's time stands still between requests. Each request first runs all
// events that became due since the last request. So the node needs no
// goroutines, and works inside a testing/synctest bubble.
type Node struct {
	server *httptest.Server // the server that Start started
	// The field "listening" is the server that serves requests now. Each boot
	// of the host replaces it.
	listening *httptest.Server
	pki       pki
	trace     trace
	// consoles is the number of consoles opened so far. It determines the port
	// of the next console.
	consoles int
	*base
	accounts
	hardware
	store
	workers
}

// Name returns the node's name.
func (n *Node) Name() string { return n.host.Name }

// The method "pause" waits within a request for the duration d of the node's
// time. Meanwhile other requests are served. It returns false if the client has
// gone, or if the host has lost its power.
func (n *Node) pause(ctx context.Context, d time.Duration) bool {
	boots := n.boots
	n.mu.Unlock()
	timer := time.NewTimer(n.real(d))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	n.mu.Lock()
	n.advance()
	return ctx.Err() == nil && n.boots == boots
}

// The method "await" waits within a request until no task holds the lock of a
// VM's configuration file.
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

// onVM returns a handler that finds the VM of a call. If the VM does not exist,
// the handler returns a refusal.
func onVM(work func(n *Node, c *call, v *vm) (any, error)) handler {
	return func(n *Node, c *call) (any, error) {
		v, err := n.vmOf(c)
		if err != nil {
			return nil, err
		}
		return work(n, c, v)
	}
}

// vmOf returns the VM that a call names.
func (n *Node) vmOf(c *call) (*vm, error) {
	if v, exists := n.vms[c.number("vmid")]; exists {
		return v, nil
	}
	return nil, n.noConfig(c.number("vmid"))
}

// A trace holds the requests that the node received. If it has a limit, it
// holds only the newest requests.
type trace struct {
	limit    int // number of requests to keep; 0 means no limit
	requests []Request
	dropped  int // number of older requests that were dropped
}
