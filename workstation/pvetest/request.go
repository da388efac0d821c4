package pvetest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// A Request is one that the node got, for tests that count round trips or go
// through every point at which something can fail. Values that are secret
// (passwords, what is written into a guest) are left out.
type Request struct {
	Method string
	Path   string            // below /api2/json
	Params map[string]string // without secrets
	Status int               // 0 while it is being answered, and if it was dropped
}

// String returns the request's method and path.
func (r Request) String() string { return r.Method + " " + r.Path }

// A call is a request on its way through the node.
type call struct {
	context  context.Context
	endpoint *pveschema.Endpoint
	path     string
	values   pveschema.Values
	uploaded uploaded
	who      identity
}

func (c *call) get(name string) string { return c.values.Get(name) }
func (c *call) has(name string) bool   { _, there := c.values[name]; return there }
func (c *call) number(name string) int { n, _ := strconv.Atoi(c.get(name)); return n }

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
		a = fail(http.StatusNotImplemented, "no such uri")
	case err != nil:
		a = fail(http.StatusBadRequest, "%v", err)
	default:
		c := &call{context: r.Context(), path: path, values: values, uploaded: file}
		a = n.faulty(r, path, func() answer { return n.dispatch(r, c) })
	}
	if !a.drop {
		n.trace[entry].Status = a.status
	}
	return a
}

// dispatch does what PVE does for all methods, in its order (pve-manager
// PVE/HTTPServer.pm, auth_handler and rest_handler).
func (n *Node) dispatch(r *http.Request, c *call) answer {
	endpoint, names, found := pveschema.Lookup(r.Method, c.path)
	who, refusal := n.authenticate(r, found && endpoint.User == "world")
	if refusal != "" {
		return n.refused(refusal)
	}
	if !found {
		return fail(http.StatusNotImplemented, "Method '%s %s' not implemented", r.Method, c.path)
	}
	c.endpoint, c.who = endpoint, who
	for name, value := range names {
		if c.has(name) && c.get(name) != value {
			return invalid(map[string]string{name: "duplicate parameter (already defined in URI) with conflicting values!"})
		}
		c.values[name] = []string{value}
	}
	if endpoint.NoToken && who.token {
		return fail(http.StatusForbidden, "Permission check failed (URI '%s' not available with API token, need proper ticket.", c.path)
	}
	if missing := n.checkAll(who, endpoint.Check, names); missing != "" {
		return fail(http.StatusForbidden, "Permission check failed (%s)", missing)
	}
	if node, inPath := names["node"]; inPath && node != n.host.Name && node != "localhost" {
		return fail(http.StatusInternalServerError,
			"hostname lookup '%s' failed - failed to get address info for: %s: Name or service not known", node, node)
	}
	if problems := endpoint.Verify(c.values); len(problems) > 0 {
		return invalid(problems)
	}
	handle, served := n.handlers[endpoint.Method+" "+endpoint.Path]
	if !served {
		return fail(http.StatusNotImplemented, "Method '%s %s' not implemented", r.Method, c.path)
	}
	return handle(n, c)
}

// parameters reads the query, and a body in either of the two forms that PVE
// takes: a form, or JSON.
func parameters(r *http.Request) (values pveschema.Values, file uploaded, err error) {
	values = pveschema.Values(r.URL.Query())
	kind, options, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "multipart/form-data" {
		file, err = multipartForm(r.Body, options["boundary"], values)
		return values, file, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return values, file, err
	case len(body) > maxBody:
		return values, file, fmt.Errorf("for data too large")
	case r.Method != http.MethodPost && r.Method != http.MethodPut:
		return values, file, nil // PVE looks into no other body
	case kind == "application/json" && len(body) > 0:
		var object map[string]any
		if err := json.Unmarshal(body, &object); err != nil {
			return values, file, fmt.Errorf("unable to decode JSON parameters: %w", err)
		}
		for name, value := range object {
			if value != nil {
				values[name] = texts(value)
			}
		}
		return values, file, nil
	}
	form, err := url.ParseQuery(string(body))
	maps.Copy(values, form)
	return values, file, err
}

// maxBody is the largest body of a request that is no upload (pve-http-server
// PVE/APIServer/AnyEvent.pm, $limit_max_post).
const maxBody = 512 << 10

// texts gives JSON values the form they have in a form.
func texts(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case bool:
		return []string{map[bool]string{false: "0", true: "1"}[v]}
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}
	case []any:
		var list []string
		for _, element := range v {
			list = append(list, texts(element)...)
		}
		return list
	}
	text, _ := json.Marshal(value) // it came from JSON
	return []string{string(text)}
}

// public returns the parameters without what is secret.
func public(path string, values pveschema.Values) map[string]string {
	shown := map[string]string{}
	for name := range values {
		shown[name] = values.Get(name)
		if strings.Contains(name, "password") || strings.Contains(path, "/agent/") || name == "sshkeys" {
			shown[name] = "..."
		}
	}
	return shown
}
