package pve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/luthermonson/go-proxmox"
)

// A Client speaks to one node. It is safe for concurrent use.
type Client struct {
	// Explain returns the error that a caller of the client gets for an error
	// of this package: workstation makes its own types of ours. Nil returns
	// the error as it is.
	Explain func(error) error

	api  *proxmox.Client
	node string
	// The first request goes alone: with a password go-proxmox logs in at it,
	// and fails the requests that are under way beside it.
	first chan struct{}
	ready *atomic.Bool
	slots chan struct{} // of the requests in flight
}

// inFlight is how many requests a client has under way at once. It is enough
// for a node with sixteen VMs to be read in two rounds, and as many connections
// stay open between them.
const inFlight = 32

// answerTime is how long a request may take. A node's own proxy gives up after
// 30 seconds (pve-http-server PVE/APIServer/AnyEvent.pm, proxy_request).
const answerTime = time.Minute

// New returns a client for a node that is reached with the caller's client.
func New(api *proxmox.Client, node string) *Client {
	return &Client{api: api, node: node, first: make(chan struct{}, 1), ready: new(atomic.Bool), slots: make(chan struct{}, inFlight)}
}

// On returns the same client for another node of the cluster.
func (c *Client) On(node string) *Client {
	other := *c
	other.node = node
	return &other
}

// explain is the one place that errors pass on their way to a caller.
func (c *Client) explain(err error) error {
	if err == nil || c.Explain == nil {
		return err
	}
	return c.Explain(err)
}

// raw takes any data, and tells an answer without data from one with null.
type raw struct {
	data  json.RawMessage
	there bool
}

// UnmarshalJSON implements [json.Unmarshaler].
func (r *raw) UnmarshalJSON(data []byte) error {
	r.data, r.there = append(r.data[:0], data...), true
	return nil
}

// call makes a request and decodes its data into v, which may be nil. An
// answer that is not JSON is an error, whatever its status: go-proxmox would
// take a 595 for success. A GET whose answer gets lost is made again.
func (c *Client) call(ctx context.Context, method, path string, params any, v any) error {
	var body []byte
	if params != nil {
		var err error
		if body, err = json.Marshal(params); err != nil {
			return err
		}
	}
	answer, err := c.ask(ctx, method, path, body)
	for tries := 0; method == http.MethodGet && tries < len(pauses) && lost(err) && Sleep(ctx, pauses[tries]) == nil; tries++ {
		answer, err = c.ask(ctx, method, path, body)
	}
	if err != nil {
		return err
	}
	return decode(method, path, answer, v)
}

// poll is a GET whose answer is asked for again by the caller, or cannot be.
func (c *Client) poll(ctx context.Context, path string, query url.Values, v any) error {
	path = withQuery(path, query)
	answer, err := c.ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return decode(http.MethodGet, path, answer, v)
}

// ask makes a request once.
func (c *Client) ask(ctx context.Context, method, path string, body []byte) (answer raw, err error) {
	err = c.send(ctx, method, path, body, &answer)
	switch {
	case err != nil && ctx.Err() != nil:
		return raw{}, fmt.Errorf("pve: %s %s: %w", method, path, context.Cause(ctx))
	case err != nil:
		return raw{}, c.explain(wrap(method, path, err))
	}
	return answer, nil
}

// pauses are those before a GET is made again whose answer got lost. PVE's own
// proxy loses answers when the node is busy: 595 to 599 (pve-http-server
// PVE/APIServer/AnyEvent.pm, proxy_request).
var pauses = []time.Duration{200 * time.Millisecond, 600 * time.Millisecond, 1800 * time.Millisecond}

// lost reports whether an answer was lost on its way: a proxy says so, or the
// connection was closed. A node that cannot be reached, or is silent, will not
// be there a moment later.
func lost(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	var broken *net.OpError
	return e.Status != 0 && errors.Is(e, ErrNoAnswer) || errors.Is(e.cause, io.EOF) || errors.Is(e.cause, io.ErrUnexpectedEOF) ||
		errors.As(e.cause, &broken) && (broken.Op == "read" || broken.Op == "write")
}

func decode(method, path string, answer raw, v any) error {
	if v == nil || !answer.there {
		return nil
	}
	if err := json.Unmarshal(answer.data, v); err != nil {
		return fmt.Errorf("pve: %s %s: unexpected answer: %w", method, path, err)
	}
	return nil
}

// send makes a request. One that go-proxmox failed because it logged in for
// another meanwhile is made again.
func (c *Client) send(ctx context.Context, method, path string, body []byte, answer *raw) error {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	limited, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if !c.ready.Load() {
		select {
		case c.first <- struct{}{}:
		case <-limited.Done():
			return errNoAnswer
		}
		if c.ready.Load() {
			<-c.first
		} else {
			defer func() { <-c.first }()
		}
	}
	err := c.api.Req(limited, method, path, body, answer)
	if errors.Is(err, proxmox.ErrNotAuthorized) && c.api.Session() != nil {
		err = c.api.Req(limited, method, path, body, answer)
	}
	switch {
	case err == nil || statusText.MatchString(err.Error()) || badRequest.MatchString(err.Error()):
		c.ready.Store(true) // it answers, and knows who asks
	case limited.Err() != nil && ctx.Err() == nil:
		return errNoAnswer
	}
	return err
}

var errNoAnswer = fmt.Errorf("no answer in %s", answerTime)

func (c *Client) get(ctx context.Context, path string, query url.Values, v any) error {
	return c.call(ctx, http.MethodGet, withQuery(path, query), nil, v)
}

func (c *Client) post(ctx context.Context, path string, params, v any) error {
	return c.call(ctx, http.MethodPost, path, params, v)
}

func (c *Client) delete(ctx context.Context, path string, v any) error {
	return c.call(ctx, http.MethodDelete, path, nil, v)
}

func withQuery(path string, query url.Values) string {
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// here returns a path below the node.
func (c *Client) here(format string, args ...any) string {
	return "/nodes/" + url.PathEscape(c.node) + fmt.Sprintf(format, args...)
}

func (c *Client) vm(vmid int, rest string) string { return c.here("/qemu/%d%s", vmid, rest) }

// text is a JSON value in the form that PVE's configuration files have.
type text string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *text) UnmarshalJSON(data []byte) error {
	var s string
	switch {
	case string(data) == "null":
	case data[0] == '"':
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
	case string(data) == "true":
		s = "1"
	case string(data) == "false":
		s = "0"
	default:
		s = string(data)
	}
	*t = text(s)
	return nil
}

// number is a number that PVE sends as a number, as text, or as "N/A".
type number struct {
	value int64
	known bool
}

// UnmarshalJSON implements [json.Unmarshaler].
func (n *number) UnmarshalJSON(data []byte) error {
	digits := strings.Trim(string(data), `"`)
	var f float64
	if err := json.Unmarshal([]byte(digits), &f); err == nil && digits != "null" {
		n.value, n.known = int64(f), true
	}
	return nil
}

// flag is a boolean that PVE sends as 0 or 1, as text, or leaves out.
type flag bool

// UnmarshalJSON implements [json.Unmarshaler].
func (f *flag) UnmarshalJSON(data []byte) error {
	switch strings.Trim(string(data), `"`) {
	case "1", "true", "yes":
		*f = true
	}
	return nil
}
