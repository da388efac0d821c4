package pvetest

import (
	"slices"
	"strings"
)

// note remembers a request and returns its number.
func (n *Node) note(r Request) int {
	t := &n.trace
	t.requests = append(t.requests, r)
	if t.limit > 0 && len(t.requests) > 2*t.limit { // now and then, so that it costs nothing
		over := len(t.requests) - t.limit
		t.requests, t.dropped = slices.Delete(t.requests, 0, over), t.dropped+over
	}
	return t.dropped + len(t.requests) - 1
}

// answered keeps the status of a request that is still remembered.
func (n *Node) answered(number, status int) {
	if i := number - n.trace.dropped; i >= 0 {
		n.trace.requests[i].Status = status
	}
}

// Trace returns the requests so far, in order: all, or as many of the newest as
// Options.TraceLimit says.
func (n *Node) Trace() []Request {
	n.mu.Lock()
	defer n.mu.Unlock()
	from := 0
	if limit := n.trace.limit; limit > 0 {
		from = max(len(n.trace.requests)-limit, 0)
	}
	return slices.Clone(n.trace.requests[from:])
}

// Writes returns the requests so far that could change something: all but
// those with GET, and a login.
func (n *Node) Writes() []Request {
	return slices.DeleteFunc(n.Trace(), func(r Request) bool {
		return r.Method == "GET" || r.Path == "/access/ticket" || strings.HasSuffix(r.Path, "/agent/ping")
	})
}
