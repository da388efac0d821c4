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
	// malformed is the reason why the parameters cannot be read. PVE shows it
	// only to callers that it knows.
	malformed error
}

// An uploaded file is kept as its length and checksum only.
type uploaded struct {
	size   int64
	sha256 string
}

func (c *call) get(name string) string { return c.values.Get(name) }
func (c *call) has(name string) bool   { _, there := c.values[name]; return there }
func (c *call) number(name string) int { n, _ := strconv.Atoi(c.get(name)); return n }

// A Request is a request that the node received, for tests that count round
// trips or let each request fail in turn. Secret values (passwords, text that
// is written into a guest) are left out.
type Request struct {
	Method string
	Path   string            // below /api2/json
	Params map[string]string // without secrets
	Status int               // 0 while it is being answered, and if it was dropped
}

// String returns the request's method and path.
func (r Request) String() string { return printable.Line(r.Method + " " + r.Path) }

// A handler serves one method of the API.
type handler func(n *Node, c *call) (any, error)

// locked refuses a change of a VM while the key "lock" is set, unless root@pam
// does not care.
func (c *call) locked(v *vm) error {
	if c.get("skiplock") == "1" {
		return nil
	}
	return locked(v)
}
