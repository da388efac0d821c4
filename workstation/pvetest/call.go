package pvetest

import (
	"context"
	"strconv"

	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/internal/pveschema"
)

// A call is a request for an existing method: the caller, the method and the
// parameters.
type call struct {
	context  context.Context
	endpoint *pveschema.Endpoint
	path     string
	values   pveschema.Values
	uploaded uploaded
	who      identity
	// The field "entry" is the node that received the call. If the method is in
	// the set "ownPaths", the path may name another node, because such a method
	// is not passed on.
	entry *Node
	// malformed is the error from the parsing of the parameters. PVE shows it
	// only to callers that are logged in.
	malformed error
}

// The type "uploaded" holds the length and checksum of an uploaded file. The
// content is not kept.
type uploaded struct {
	size   int64
	sha256 string
}

func (c *call) get(name string) string { return c.values.Get(name) }
func (c *call) has(name string) bool   { _, there := c.values[name]; return there }
func (c *call) number(name string) int { n, _ := strconv.Atoi(c.get(name)); return n }

// A Request is a request that the node received. Tests use it to count round
// trips, or to let each request fail in turn. It does not contain secret values
// (passwords, text that is written into a guest).
type Request struct {
	Node   string // name of the node that received it
	Method string
	Path   string            // path below /api2/json
	Params map[string]string // parameters without secrets
	Status int               // status of the answer; 0 before the answer, and if the answer was dropped
}

// String returns the request's method and path.
func (r Request) String() string { return printable.Line(r.Method + " " + r.Path) }

// A handler serves one method of the API.
type handler func(n *Node, c *call) (any, error)

// The method "locked" refuses a change of a VM whose configuration has the key
// "lock", unless the call has skiplock=1.
func (c *call) locked(v *vm) error {
	if c.get("skiplock") == "1" {
		return nil
	}
	return locked(v)
}
