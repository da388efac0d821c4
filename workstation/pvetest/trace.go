package pvetest

import (
	"slices"
	"strings"
)

// The method "note" adds a request to the trace and returns its number.
func (n *Node) note(r Request) int {
	t := &n.trace
	t.requests = append(t.requests, r)
	if t.limit > 0 && len(t.requests) > 2*t.limit { // old requests are dropped rarely, because each deletion copies the other requests
		over := len(t.requests) - t.limit
		t.requests, t.dropped = slices.Delete(t.requests, 0, over), t.dropped+over
	}
	return t.dropped + len(t.requests) - 1
}

// The method "answered" records the status of a request that is still in the
// trace.
func (n *Node) answered(number, status int) {
	if i := number - n.trace.dropped; i >= 0 {
		n.trace.requests[i].Status = status
	}
}

// Trace returns the requests so far, in order. If Options.TraceLimit is set, it
// returns only the newest requests, up to this number.
func (n *Node) Trace() []Request {
	n.mu.Lock()
	defer n.mu.Unlock()
	from := 0
	if limit := n.trace.limit; limit > 0 {
		from = max(len(n.trace.requests)-limit, 0)
	}
	return slices.Clone(n.trace.requests[from:])
}

// Writes returns the requests so far that could change something: all except
// GET requests and logins.
func (n *Node) Writes() []Request {
	return slices.DeleteFunc(n.Trace(), func(r Request) bool {
		return r.Method == "GET" || r.Path == "/access/ticket" || strings.HasSuffix(r.Path, "/agent/ping")
	})
}
