package pvetest

import (
	"cmp"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// The method "answer" handles a request in PVE's order. It checks the caller,
// the method, the privileges and the parameters before it does the work.
func (n *Node) answer(r *http.Request) answer {
	match := apiPath.FindStringSubmatch(r.URL.Path)
	isAPI := match != nil
	format, raw := "", r.URL.Path
	if isAPI {
		format, raw = match[1], cmp.Or(match[2], "/")
	}
	values, file, err := parameters(r)
	seen := Request{Node: n.host.Name, Method: r.Method, Path: clean(raw), Params: public(raw, values)}
	if n.onRequest != nil {
		n.onRequest(seen)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	var a answer
	switch {
	case n.down:
		return answer{down: true}
	case !slices.Contains([]string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete}, r.Method):
		a = n.noted(seen, func() answer {
			return answer{status: http.StatusNotImplemented, reason: "method '" + r.Method + "' not available"}
		})
	case !isAPI:
		a = n.noted(seen, func() answer { return n.respond(nil, plainly(http.StatusNotImplemented, "no such uri")) })
	case format != "json" && format != "extjs":
		a = n.noted(seen, func() answer {
			return n.respond(nil, plainly(http.StatusNotImplemented, "no formatter for uri "+raw+", "+format))
		})
	default:
		a = n.receive(r, &call{context: r.Context(), path: raw, values: values, uploaded: file, malformed: err})
	}
	if format == "extjs" {
		a = a.extjs()
	}
	return a
}

// The method "receive" answers a call that came from a client, or from another
// node that passed it on.
func (n *Node) receive(r *http.Request, c *call) answer {
	seen := Request{Node: n.host.Name, Method: r.Method, Path: clean(c.path), Params: public(c.path, c.values)}
	a := n.noted(seen, func() answer {
		return n.faulty(r, seen.Path, func() answer { return n.respond(n.dispatch(r, c)) })
	})
	a.delay += n.delay
	return a
}

// The method "noted" adds a request and the status of its answer to the trace.
func (n *Node) noted(seen Request, work func() answer) answer {
	entry := n.note(seen)
	a := work()
	if !a.drop && !a.lost {
		n.answered(entry, a.status)
	}
	return a
}

// apiPath matches the path of a request. It separates the format of the answer
// from the path of the method (pve-http-server PVE/APIServer/AnyEvent.pm,
// $split_abs_uri).
var apiPath = regexp.MustCompile(`^/api2/+([a-z][a-z0-9]+)(/.*)?$`)

// The function "clean" returns a path without the empty parts that "//" makes.
func clean(path string) string {
	return "/" + strings.Join(strings.FieldsFunc(path, func(r rune) bool { return r == '/' }), "/")
}

// The method "dispatch" does the checks that PVE makes for all methods, in
// PVE's order, and calls the handler (pve-manager PVE/HTTPServer.pm,
// auth_handler and rest_handler).
func (n *Node) dispatch(r *http.Request, c *call) (any, error) {
	endpoint, names, found := pveschema.Lookup(r.Method, c.path)
	who, err := n.authenticate(r, found && endpoint.User == "world")
	switch {
	case err != nil:
		return nil, err
	case c.malformed != nil:
		return nil, c.malformed
	case !found && r.Method == http.MethodGet && clean(c.path) == root.path:
		return root.list(), nil
	case !found && pveschema.Exists(r.Method, c.path):
		return nil, unserved(r.Method, c.path)
	case !found:
		return nil, unimplemented(r.Method, c.path)
	}
	original := *c // the call in the form in which another node gets it
	original.values = maps.Clone(c.values)
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
	check, err := c.resolve(endpoint.Check)
	if err != nil {
		return nil, err
	}
	if err := who.lacks(check, names); err != nil {
		return nil, err
	}
	at, err := n.nodeOf(c, names)
	switch {
	case err != nil:
		return nil, err
	case at != n && !ownPaths[endpoint.Method+" "+endpoint.Path]:
		return nil, n.passOn(r, &original, at)
	}
	return n.handle(r, c, at)
}

// nodeOf returns the node on which a call works. If the call names no other
// node, this is the node itself.
func (n *Node) nodeOf(c *call, names map[string]string) (*Node, error) {
	name := names["node"]
	if strings.HasPrefix(c.endpoint.Path, "/cluster/mapping/") {
		name = c.get("check-node") // proxyto_callback of pve-manager PVE/API2/Cluster/Mapping
	}
	if name == "" || name == "localhost" {
		return n, nil
	}
	if at := n.member(name); at != nil {
		return at, nil
	}
	return nil, refuse("hostname lookup '%s' failed - failed to get address info for: %s: Name or service not known", name, name)
}

// The method "handle" checks the parameters of a call and calls the handler of
// its method. The parameter "at" is the node on which the method works.
func (n *Node) handle(r *http.Request, c *call, at *Node) (any, error) {
	if problems := c.endpoint.VerifyAt(n.release, c.values); len(problems) > 0 {
		return nil, invalid(problems)
	}
	if c.get("skiplock") == "1" && !c.who.root() {
		return nil, wrong("skiplock", "Only root may use this option.")
	}
	work, served := handlers()[c.endpoint.Method+" "+c.endpoint.Path]
	if !served {
		return nil, unserved(r.Method, c.path)
	}
	if err := n.mayChangeCluster(c); err != nil {
		return nil, err
	}
	c.entry = n
	return work(at, c)
}
