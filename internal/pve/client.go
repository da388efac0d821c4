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

// Public turns an error of this package into the error that callers of the
// module get. Package workstation, which has the error types, sets it when the
// program starts. If Public is nil, errors stay as they are.
var Public func(error) error

// A Client sends requests to one node. It is safe for concurrent use.
type Client struct {
	api  *proxmox.Client
	node string
	// While this channel is full, the first request is under way, and other
	// requests wait. go-proxmox logs in with a password during the first
	// request. It would fail all other requests that are made at the same time.
	first chan struct{}
	ready *atomic.Bool
	slots chan struct{} // one slot for each request in flight
	// foreign says that the client belongs to a caller; see guard.
	foreign bool
	secrets *secrets
}

// InFlight is the number of requests that a client has under way at the same
// time. With 32 requests at a time, a node with sixteen VMs is read in two
// rounds. Up to InFlight connections stay open between these rounds.
const InFlight = 32

// answerTime is the time limit of a request. A node's own proxy gives up after
// 30 seconds (pve-http-server PVE/APIServer/AnyEvent.pm, proxy_request).
const answerTime = time.Minute

// New returns a client for a node. It makes its requests with the caller's
// client.
func New(api *proxmox.Client, node string) *Client {
	return &Client{api: api, node: node, first: make(chan struct{}, 1), ready: new(atomic.Bool), slots: make(chan struct{}, InFlight), foreign: true, secrets: new(secrets)}
}

// On returns a copy of the client for another node of the cluster.
func (c *Client) On(node string) *Client {
	other := *c
	other.node = node
	return &other
}

// explain prepares every error for the caller. It hides the secrets that the
// client knows. It also hides the secrets in passing, which belong only to this
// request.
func (c *Client) explain(err error, passing ...string) error {
	if session := c.api.Session(); session != nil {
		c.secrets.add(session.Ticket, session.CSRFPreventionToken)
	}
	switch e := err.(type) { //nolint:errorlint // what wraps an error of ours holds one that came through here
	case *Error:
		e.Message, e.cause = c.secrets.clean(e.Message, passing...), c.secrets.hush(e.cause, passing...)
	case *TaskError:
		e.Exit = c.secrets.clean(e.Exit)
	}
	if err == nil || Public == nil {
		return err
	}
	return Public(err)
}

// raw holds any data. It distinguishes an answer without data from an answer
// with null.
type raw struct {
	data  json.RawMessage
	there bool
}

// UnmarshalJSON implements [json.Unmarshaler].
func (r *raw) UnmarshalJSON(data []byte) error {
	r.data, r.there = append(r.data[:0], data...), true
	return nil
}

// call makes a request and decodes its data into v, which may be nil. An answer
// that is not JSON is an error, whatever its status is, because go-proxmox
// would treat a 595 as a success. If the answer to a GET is lost, call makes
// the GET again.
func (c *Client) call(ctx context.Context, method, path string, params any, v any) error {
	if r := roundOf(ctx); r != nil && method == http.MethodGet && v != nil && !strings.HasPrefix(path, "/nodes/") {
		return r.read(ctx, c, path, path, v)
	}
	return c.request(ctx, method, path, params, v)
}

func (c *Client) request(ctx context.Context, method, path string, params any, v any) error {
	passing := c.secrets.learn(params)
	var body []byte
	if params != nil {
		var err error
		if body, err = json.Marshal(params); err != nil {
			return err
		}
	}
	answer, err := c.ask(ctx, method, path, body, passing)
	for tries := 0; method == http.MethodGet && tries < len(pauses) && lost(err) && Sleep(ctx, pauses[tries]) == nil; tries++ {
		answer, err = c.ask(ctx, method, path, body, passing)
	}
	if err != nil {
		return err
	}
	return c.take(ctx, method, path, answer, v)
}

// poll makes a GET once. It does not try again if the answer is lost.
func (c *Client) poll(ctx context.Context, path string, query url.Values, v any) error {
	path = withQuery(path, query)
	answer, err := c.ask(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return err
	}
	return c.take(ctx, http.MethodGet, path, answer, v)
}

// ask makes a request once.
func (c *Client) ask(ctx context.Context, method, path string, body []byte, passing []string) (answer raw, err error) {
	err = c.send(ctx, method, path, body, &answer)
	switch {
	case err != nil && ctx.Err() != nil:
		return raw{}, fmt.Errorf("pve: %s %s: %w", method, path, context.Cause(ctx))
	case err != nil:
		return raw{}, c.explain(wrap(method, path, err), passing...)
	}
	return answer, nil
}

// take decodes an answer into v. v may be nil.
func (c *Client) take(ctx context.Context, method, path string, answer raw, v any) error {
	if v == nil || !answer.there {
		return nil
	}
	odd, err := decode(ctx, path, answer.data, v)
	c.odd(ctx, method, path, odd...)
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("pve: %s %s: %w", method, path, err)
	case err != nil:
		return c.explain(wrap(method, path, err))
	}
	return nil
}

// The method "odd" reports the values of an answer that cannot be used.
func (c *Client) odd(ctx context.Context, method, path string, values ...string) {
	report, _ := ctx.Value(oddKey{}).(func(Odd))
	for _, value := range values {
		if report != nil {
			report(Odd{Method: method, Path: path, Value: c.secrets.clean(value)})
		}
	}
}

// pauses holds the waiting times before a GET with a lost answer is made again.
// PVE's own proxy loses answers when the node is busy: 595 to 599
// (pve-http-server PVE/APIServer/AnyEvent.pm, proxy_request).
var pauses = []time.Duration{200 * time.Millisecond, 600 * time.Millisecond, 1800 * time.Millisecond}

// The function "lost" reports whether an answer was lost on its way, because a
// proxy says so or because the connection was closed. It returns false for a
// node that cannot be reached or is silent, because such a node will not be
// back a moment later.
func lost(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	var broken *net.OpError
	return e.Status != 0 && errors.Is(e, ErrNoAnswer) || errors.Is(e.cause, io.EOF) || errors.Is(e.cause, io.ErrUnexpectedEOF) ||
		errors.As(e.cause, &broken) && (broken.Op == "read" || broken.Op == "write")
}

// send makes a request. The request may fail because another request made
// go-proxmox log in at the same time. In this case, send makes the request once
// more.
func (c *Client) send(ctx context.Context, method, path string, body []byte, answer *raw) (err error) {
	limit := min(answerTime, limitOf(ctx))
	answered, err := c.enter(ctx, path)
	if err != nil {
		return err
	}
	defer func() { answered(err) }()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if !c.ready.Load() {
		select {
		case c.first <- struct{}{}:
		case <-limited.Done():
			return noAnswer(limit)
		}
		if c.ready.Load() {
			<-c.first
		} else {
			defer func() { <-c.first }()
		}
	}
	err = c.req(limited, method, path, body, answer)
	if errors.Is(err, proxmox.ErrNotAuthorized) && c.api.Session() != nil {
		err = c.req(limited, method, path, body, answer)
	}
	switch {
	case err == nil || statusText.MatchString(err.Error()) || badRequest.MatchString(err.Error()):
		c.ready.Store(true) // the node answers, and accepts the login
	case limited.Err() != nil && ctx.Err() == nil:
		return noAnswer(limit)
	}
	return err
}

func (c *Client) req(ctx context.Context, method, path string, body []byte, answer *raw) error {
	if !c.foreign {
		return c.api.Req(ctx, method, path, body, answer)
	}
	var g guard
	err := c.api.Req(g.watch(ctx), method, path, body, answer)
	g.stop()
	if where := g.elsewhere(); where != "" {
		return fmt.Errorf("%w: the node redirects the request to %s, to which nothing was sent", ErrNotPVE, where)
	}
	return err
}

// enter waits until the request may begin. It returns the function that the
// caller must call when the request has ended. If the context has a [Round],
// the round says when the request may begin. Otherwise the client does.
func (c *Client) enter(ctx context.Context, path string) (answered func(error), err error) {
	if r := roundOf(ctx); r != nil {
		return r.enter(ctx, path)
	}
	select {
	case c.slots <- struct{}{}:
		return func(error) { <-c.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func noAnswer(limit time.Duration) error { return fmt.Errorf("no answer in %s", limit) }

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

// The method "here" returns a path of the API below the client's node.
func (c *Client) here(format string, args ...any) string {
	return "/nodes/" + url.PathEscape(c.node) + fmt.Sprintf(format, args...)
}

func (c *Client) vm(vmid int, rest string) string { return c.here("/qemu/%d%s", vmid, rest) }
