package pvetest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
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

// Trace returns the requests so far, in order.
func (n *Node) Trace() []Request {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.trace)
}

// A call is a request on its way through the node.
type call struct {
	endpoint *pveschema.Endpoint
	path     string
	values   pveschema.Values
	who      identity
}

func (c *call) get(name string) string { return c.values.Get(name) }
func (c *call) has(name string) bool   { _, there := c.values[name]; return there }
func (c *call) number(name string) int { n, _ := strconv.Atoi(c.get(name)); return n }

// answer takes a request through the node as PVE does: who is it, is there
// such a method, are the parameters right, may they, and only then the work.
func (n *Node) answer(r *http.Request) answer {
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<20))
	if err != nil {
		return fail(http.StatusBadRequest, "%v", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	path, isAPI := strings.CutPrefix(r.URL.Path, "/api2/json")
	if !isAPI {
		return fail(http.StatusNotFound, "no such file '%s'", r.URL.Path)
	}
	values, err := parameters(r, body)
	entry := len(n.trace)
	n.trace = append(n.trace, Request{Method: r.Method, Path: path, Params: public(path, values)})
	if err != nil {
		return fail(http.StatusBadRequest, "%v", err)
	}
	a := n.faulty(r, path, func() answer { return n.dispatch(r, path, values) })
	if !a.drop {
		n.trace[entry].Status = a.status
	}
	return a
}

func (n *Node) dispatch(r *http.Request, path string, values pveschema.Values) answer {
	endpoint, names, found := pveschema.Lookup(r.Method, path)
	who, refusal := n.authenticate(r, found && endpoint.User == "world")
	if refusal != "" {
		return fail(http.StatusUnauthorized, "%s", refusal)
	}
	if !found {
		return fail(http.StatusNotImplemented, "Method '%s %s' not implemented", r.Method, path)
	}
	if endpoint.NoToken && who.token {
		return fail(http.StatusForbidden, "Permission check failed - API token access is not allowed for this method")
	}
	if node, inPath := names["node"]; inPath && node != n.host.Name {
		return fail(http.StatusInternalServerError,
			"hostname lookup '%s' failed - failed to get address info for: %s: Name or service not known", node, node)
	}
	for name, value := range names {
		values[name] = []string{value}
	}
	c := &call{endpoint: endpoint, path: path, values: values, who: who}
	if problems := endpoint.Verify(values); len(problems) > 0 {
		return invalid(problems)
	}
	if missing := n.checkAll(who, endpoint.Check, names); missing != "" {
		return fail(http.StatusForbidden, "Permission check failed (%s)", missing)
	}
	handle, served := handlers[endpoint.Method+" "+endpoint.Path]
	if !served {
		return fail(http.StatusNotImplemented, "Method '%s %s' not implemented", r.Method, path)
	}
	return handle(n, c)
}

// parameters reads the query, and a body in either of the two forms that PVE
// takes: a form, or JSON.
func parameters(r *http.Request, body []byte) (pveschema.Values, error) {
	values := pveschema.Values(maps.Clone(map[string][]string(r.URL.Query())))
	if values == nil {
		values = pveschema.Values{}
	}
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch {
	case len(body) == 0 || strings.HasPrefix(kind, "multipart/"):
		return values, nil
	case kind == "application/json":
		var object map[string]any
		if err := json.Unmarshal(body, &object); err != nil {
			return nil, fmt.Errorf("unable to decode JSON parameters: %w", err)
		}
		for name, value := range object {
			if value != nil {
				values[name] = texts(value)
			}
		}
		return values, nil
	}
	form, err := url.ParseQuery(string(body))
	maps.Copy(values, form)
	return values, err
}

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
