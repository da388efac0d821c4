package pvetest

import (
	"net/http"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// answer takes a request through the node as PVE does: who is it, is there
// such a method, may they, are the parameters right, and only then the work.
func (n *Node) answer(r *http.Request) answer {
	path, isAPI := strings.CutPrefix(r.URL.Path, "/api2/json")
	values, file, err := parameters(r)
	seen := Request{Method: r.Method, Path: path, Params: public(path, values)}
	if n.onRequest != nil {
		n.onRequest(seen)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	entry := len(n.trace)
	n.trace = append(n.trace, seen)
	var a answer
	switch {
	case !isAPI:
		a = n.respond(nil, refuseWith(http.StatusNotImplemented, "no such uri"))
	case err != nil:
		a = n.respond(nil, refuseWith(http.StatusBadRequest, "%v", err))
	default:
		c := &call{context: r.Context(), path: path, values: values, uploaded: file}
		a = n.faulty(r, path, func() answer { return n.respond(n.dispatch(r, c)) })
	}
	if !a.drop {
		n.trace[entry].Status = a.status
	}
	return a
}

// dispatch does what PVE does for all methods, in its order (pve-manager
// PVE/HTTPServer.pm, auth_handler and rest_handler).
func (n *Node) dispatch(r *http.Request, c *call) (any, error) {
	endpoint, names, found := pveschema.Lookup(r.Method, c.path)
	who, err := n.authenticate(r, found && endpoint.User == "world")
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, unimplemented(r.Method, c.path)
	}
	c.endpoint, c.who = endpoint, who
	for name, value := range names {
		if c.has(name) && c.get(name) != value {
			return nil, wrong(name, "duplicate parameter (already defined in URI) with conflicting values!")
		}
		c.values[name] = []string{value}
	}
	if endpoint.NoToken && who.token {
		return nil, refuseWith(http.StatusForbidden, "Permission check failed (URI '%s' not available with API token, need proper ticket.", c.path)
	}
	if err := who.lacks(endpoint.Check, names); err != nil {
		return nil, err
	}
	if node, inPath := names["node"]; inPath && node != n.host.Name && node != "localhost" {
		return nil, refuse("hostname lookup '%s' failed - failed to get address info for: %s: Name or service not known", node, node)
	}
	if problems := endpoint.VerifyAt(pveschema.ParseVersion(n.host.Version), c.values); len(problems) > 0 {
		return nil, invalid(problems)
	}
	if c.get("skiplock") == "1" && !who.root() {
		return nil, wrong("skiplock", "Only root may use this option.")
	}
	handle, served := n.handlers[endpoint.Method+" "+endpoint.Path]
	if !served {
		return nil, unimplemented(r.Method, c.path)
	}
	return handle(n, c)
}
