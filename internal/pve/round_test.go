package pve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation/internal/pve"
)

// hall is a cluster whose nodes need 20 ms for an answer. Nodes named "hangs…"
// never answer.
type hall struct {
	answer string

	mu             sync.Mutex
	inFlight, most map[string]int // by node; the key "" stands for all nodes together
	requests       map[string]int // the number of requests by path
}

func newHall(answer string) *hall {
	return &hall{answer: answer, inFlight: map[string]int{}, most: map[string]int{}, requests: map[string]int{}}
}

func (h *hall) RoundTrip(r *http.Request) (*http.Response, error) {
	path := strings.TrimPrefix(r.URL.Path, "/api2/json")
	node, _, _ := strings.Cut(strings.TrimPrefix(path, "/nodes/"), "/")
	h.mu.Lock()
	h.requests[path]++
	for _, key := range []string{"", node} {
		h.inFlight[key]++
		h.most[key] = max(h.most[key], h.inFlight[key])
	}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.inFlight[""]--
		h.inFlight[node]--
		h.mu.Unlock()
	}()
	if strings.HasPrefix(node, "hangs") {
		return nil, silent(r)
	}
	time.Sleep(20 * time.Millisecond)
	return &http.Response{Status: "200 OK", StatusCode: 200, Header: http.Header{}, Request: r, Body: io.NopCloser(strings.NewReader(h.answer))}, nil
}

func (h *hall) client(t *testing.T) *pve.Client {
	t.Helper()
	c, err := pve.Dial(pve.Endpoint{URL: "https://n1:8006", Token: "u@pve!t=s", Transport: h})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Nodes that hang do not delay the other nodes, and the round keeps its limits.
func TestARoundSharesItsSlots(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		hang, answer int // the number of nodes that hang or answer
		each         int // requests to each node that answers
		within       time.Duration
		least, most  int // the requests in flight at a node that answers
	}{
		// The 4 nodes begin with 16 slots each. The slots of the nodes that
		// hang are lost.
		"half of the nodes hang": {hang: 2, answer: 2, each: 64, within: 5 * 20 * time.Millisecond, least: 16, most: 32},
		// The node begins with 2 slots, and each answer adds a slot. So the
		// number of requests at a time doubles: 2, 4, 8, 16, 32.
		"one node has all the work": {hang: 0, answer: 1, each: 62 + 10*32, within: 15 * 20 * time.Millisecond, least: 32, most: 32},
		"all but one node hang":     {hang: 31, answer: 1, each: 8, within: 5 * 20 * time.Millisecond, least: 2, most: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHall(`{"data":[]}`)
				c := h.client(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				ctx, round := pve.WithRound(pve.WithLimit(ctx, time.Minute), 64)
				nodes := test.hang + test.answer
				if name == "one node has all the work" {
					nodes = 32
				}
				round.Share(nodes)
				began := time.Now()
				var silent, busy sync.WaitGroup
				for n := range test.hang {
					for i := range 40 {
						silent.Go(func() { _, _ = c.On(fmt.Sprint("hangs", n)).Config(ctx, i) })
					}
				}
				synctest.Wait()
				for n := range test.answer {
					for i := range test.each {
						busy.Go(func() {
							if _, err := c.On(fmt.Sprint("n", n)).Config(ctx, i); err != nil {
								t.Error(err)
							}
						})
					}
				}
				busy.Wait()
				took := time.Since(began)
				cancel()
				silent.Wait()
				if took > test.within || h.most["n0"] < test.least || h.most["n0"] > test.most || h.most[""] > 64 {
					t.Errorf("it took %s, with %d requests in flight at a node and %d in all; want %s, %d to %d and at most 64", took, h.most["n0"], h.most[""], test.within, test.least, test.most)
				}
			})
		})
	}
}

// If an answer is the same on all nodes, the request is made only once, and
// each node reports the odd values in the answer.
func TestARoundAsksOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHall(`{"data":[{"vmid":100,"node":"a","type":"qemu","status":"running","name":{"not":"a text"}}]}`)
		c := h.client(t)
		ctx, round := pve.WithRound(t.Context(), 64)
		round.Share(3)
		var mu sync.Mutex
		odd, guests := map[string]int{}, 0
		var group sync.WaitGroup
		for _, name := range []string{"a", "b", "c"} {
			group.Go(func() {
				ctx := pve.WithOdd(ctx, func(pve.Odd) { mu.Lock(); odd[name]++; mu.Unlock() })
				for range 2 {
					list, err := c.On(name).Guests(ctx)
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					guests += len(list)
					mu.Unlock()
				}
				if _, err := c.On(name).Config(ctx, 100); err == nil {
					t.Error("a list is no configuration")
				}
			})
		}
		group.Wait()
		if h.requests["/cluster/resources"] != 1 || guests != 6 || odd["a"] != 2 || odd["c"] != 2 {
			t.Errorf("%d requests, %d guests, odd values %v", h.requests["/cluster/resources"], guests, odd)
		}
		for _, name := range []string{"a", "b", "c"} {
			if n := h.requests["/nodes/"+name+"/qemu/100/config"]; n != 1 {
				t.Errorf("%d requests to node %s", n, name)
			}
		}
		if _, err := c.Guests(t.Context()); err != nil || h.requests["/cluster/resources"] != 2 {
			t.Errorf("after the round: %v, %d requests", err, h.requests["/cluster/resources"])
		}
	})
}

// If a caller gives up, the shared request continues for the other callers.
func TestARoundOutlivesACaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHall(`{"data":[]}`)
		c := h.client(t)
		ctx, _ := pve.WithRound(t.Context(), 64)
		hasty, cancel := context.WithTimeoutCause(ctx, 5*time.Millisecond, errors.New("too slow"))
		defer cancel()
		done := make(chan error)
		go func() { _, err := c.Guests(hasty); done <- err }()
		if _, err := c.Guests(ctx); err != nil || h.requests["/cluster/resources"] != 1 {
			t.Errorf("%v, %d requests", err, h.requests["/cluster/resources"])
		}
		if err := <-done; err == nil || !strings.Contains(err.Error(), "too slow") {
			t.Errorf("the caller in a hurry: %v", err)
		}
	})
}
