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

// A Round is one look at many nodes of a cluster, through the address of one
// node. It bounds the requests of all nodes together. A GET that is about no
// node is made once, and every node gets its answer; so is a GET that all nodes
// answer alike.
//
// Each node begins with an equal share of the slots. Every answer of a node
// gives it one slot more, up to [InFlight]. A node that never answers keeps no
// more than its share, so it does not delay the other nodes.
type Round struct {
	ctx   context.Context
	slots chan struct{}

	mu     sync.Mutex
	first  int // the share with which a node begins
	shares map[string]*share
	once   map[question]*shared
}

// A question is what a GET is about, and the type of the value that holds its
// answer.
type question struct {
	about string
	kind  reflect.Type
}

// A share bounds the requests to one node.
type share struct {
	free  chan struct{}
	spare int // the slots that the node has not earned yet
}

// A shared answer belongs to every node that asks for it.
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
// many slots. Requests that nodes share end with ctx.
func WithRound(ctx context.Context, slots int) (context.Context, *Round) {
	r := &Round{slots: make(chan struct{}, slots), first: min(slots, InFlight), shares: map[string]*share{}, once: map[question]*shared{}}
	r.ctx = context.WithValue(ctx, roundKey{}, r)
	return r.ctx, r
}

// Share divides the slots among this many nodes. It has no effect on nodes that
// were asked already.
func (r *Round) Share(nodes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.first = min(max(cap(r.slots)/max(nodes, 1), 1), InFlight)
}

// enter waits until a request may begin. answered ends the request.
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

// leave gives a node's slot back, and one more if the node has answered.
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

// share returns the share of the node that a path names, nil for other paths.
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

// read gives v the answer to a GET that is made once for each key. The callers
// share what the answer holds, and must not change it.
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

// getAlike makes a GET below a node whose answer is the same on every node that
// has the key. In a [Round], one node answers it for all.
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
	return c.call(ctx, http.MethodGet, path, nil, v) // the node that was asked may be the one that hangs
}

type limitKey struct{}

// WithLimit returns a context whose requests each get this time at most.
func WithLimit(ctx context.Context, limit time.Duration) context.Context {
	return context.WithValue(ctx, limitKey{}, limit)
}

func limitOf(ctx context.Context) time.Duration {
	if limit, limited := ctx.Value(limitKey{}).(time.Duration); limited {
		return limit
	}
	return answerTime
}
