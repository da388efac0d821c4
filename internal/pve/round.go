package pve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"time"
)

// A Round is one reading of many nodes of a cluster, through the address of one
// node. It limits the requests to all nodes together. Some GETs are made only
// once, and all nodes share the answer: a GET that is not about a particular
// node, and a GET to which all nodes have the same answer.
//
// Each node begins with an equal share of the slots. With every answer, a node
// gets one slot more, up to [InFlight]. A node that never answers keeps no more
// than its first share, so it does not delay the other nodes.
type Round struct {
	ctx   context.Context
	slots chan struct{}

	mu     sync.Mutex
	first  int // the number of slots with which a node begins
	shares map[string]*share
	once   map[question]*shared
}

// A question identifies a GET by its subject, and by the type of the value that
// holds the answer.
type question struct {
	about string
	kind  reflect.Type
}

// A share limits the requests to one node.
type share struct {
	free  chan struct{}
	spare int // the slots that the node can still earn
}

// A shared answer is the answer for every node that makes the same GET.
type shared struct {
	done  chan struct{}
	value reflect.Value
	odd   []Odd
	err   error
}

type roundKey struct{}

func roundOf(ctx context.Context) *Round {
	r, _ := ctx.Value(roundKey{}).(*Round)
	return r
}

// WithRound returns a context whose requests belong to a new round with this
// many slots. A request whose answer several nodes share is cancelled only when
// ctx ends.
func WithRound(ctx context.Context, slots int) (context.Context, *Round) {
	r := &Round{slots: make(chan struct{}, slots), first: min(slots, InFlight), shares: map[string]*share{}, once: map[question]*shared{}}
	r.ctx = context.WithValue(ctx, roundKey{}, r)
	return r.ctx, r
}

// Share divides the slots among this many nodes. It does not change the shares
// of nodes to which requests have already been made.
func (r *Round) Share(nodes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.first = min(max(cap(r.slots)/max(nodes, 1), 1), InFlight)
}

// enter waits until a request may begin. The caller must call the function
// answered when the request has ended.
func (r *Round) enter(ctx context.Context, path string) (answered func(error), err error) {
	node := r.share(path)
	if node != nil {
		select {
		case <-node.free:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	select {
	case r.slots <- struct{}{}:
		return func(err error) {
			<-r.slots
			r.leave(node, err == nil || !errors.Is(wrap(http.MethodGet, path, err), ErrNoAnswer))
		}, nil
	case <-ctx.Done():
		r.leave(node, false)
		return nil, ctx.Err()
	}
}

// leave takes a slot back from a node. If the node has answered, it also gives
// the node one slot more.
func (r *Round) leave(s *share, answered bool) {
	if s == nil {
		return
	}
	s.free <- struct{}{}
	r.mu.Lock()
	defer r.mu.Unlock()
	if answered && s.spare > 0 {
		s.spare--
		s.free <- struct{}{}
	}
}

// share returns the share of the node in a path, or nil for a path without a
// node.
func (r *Round) share(path string) *share {
	rest, isNode := strings.CutPrefix(path, "/nodes/")
	if !isNode {
		return nil
	}
	name, _, _ := strings.Cut(rest, "/")
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.shares[name]
	if s == nil {
		s = &share{free: make(chan struct{}, InFlight), spare: InFlight - r.first}
		for range r.first {
			s.free <- struct{}{}
		}
		r.shares[name] = s
	}
	return s
}

// read stores in v the answer to a GET. Calls with equal values of "about" and
// equal types of v share one GET. They also share the values in the answer, so
// no caller may change the values.
func (r *Round) read(ctx context.Context, c *Client, about, path string, v any) error {
	to := reflect.ValueOf(v).Elem()
	key := question{about, to.Type()}
	r.mu.Lock()
	s, asked := r.once[key]
	if !asked {
		s = &shared{done: make(chan struct{}), value: reflect.New(to.Type())}
		r.once[key] = s
		go func() {
			defer close(s.done)
			ctx := WithOdd(r.ctx, func(o Odd) { s.odd = append(s.odd, o) })
			s.err = c.request(ctx, http.MethodGet, path, nil, s.value.Interface())
		}()
	}
	r.mu.Unlock()
	select {
	case <-s.done:
	case <-ctx.Done():
		return fmt.Errorf("pve: GET %s: %w", path, context.Cause(ctx))
	}
	if s.err == nil {
		to.Set(s.value.Elem())
	}
	if report, _ := ctx.Value(oddKey{}).(func(Odd)); report != nil {
		for _, o := range s.odd {
			report(o)
		}
	}
	return s.err
}

// getAlike makes a GET on a path of one node. All nodes with the same key have
// the same answer to this GET. In a [Round], one node therefore answers for all
// of them.
func (c *Client) getAlike(ctx context.Context, key, path string, query url.Values, v any) error {
	path = withQuery(path, query)
	r := roundOf(ctx)
	if r == nil {
		return c.call(ctx, http.MethodGet, path, nil, v)
	}
	err := r.read(ctx, c, key, path, v)
	if err == nil || ctx.Err() != nil {
		return err
	}
	return c.call(ctx, http.MethodGet, path, nil, v) // the node that was to answer for all may hang, so this node is asked too
}

type limitKey struct{}

// WithLimit returns a context that limits the time of each request.
func WithLimit(ctx context.Context, limit time.Duration) context.Context {
	return context.WithValue(ctx, limitKey{}, limit)
}

func limitOf(ctx context.Context) time.Duration {
	if limit, limited := ctx.Value(limitKey{}).(time.Duration); limited {
		return limit
	}
	return answerTime
}
