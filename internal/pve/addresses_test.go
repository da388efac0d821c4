package pve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A desk is a node's address. It answers with its own name, or it fails. It
// records the requests that reach it.
type desk struct {
	name string
	fail func(*http.Request) error // called after the request has been recorded
	dead bool                      // set if nothing can be sent to the address

	mu  sync.Mutex
	got []string
}

func (d *desk) RoundTrip(r *http.Request) (*http.Response, error) {
	if d.dead {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	body := ""
	if r.Body != nil {
		data, _ := io.ReadAll(r.Body)
		body = " " + string(data)
	}
	d.mu.Lock()
	d.got = append(d.got, r.Method+" "+r.URL.Host+strings.TrimPrefix(r.URL.Path, "/api2/json")+body)
	d.mu.Unlock()
	if d.fail != nil {
		if err := d.fail(r); err != nil {
			return nil, err
		}
	}
	return &http.Response{Status: "200 OK", StatusCode: 200, Header: http.Header{}, Request: r,
		Body: io.NopCloser(strings.NewReader(`{"data":[{"node":"` + d.name + `"}]}`))}, nil
}

// broken returns the error of a connection that ends before the answer.
func broken(*http.Request) error {
	return &net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}
}

// The function "silent" waits for the end of the request and never answers.
func silent(r *http.Request) error { <-r.Context().Done(); return r.Context().Err() }

// The function "at" returns a client of a cluster whose addresses are the
// desks.
func at(t *testing.T, desks ...*desk) *pve.Client {
	t.Helper()
	var endpoints []pve.Endpoint
	for i, d := range desks {
		endpoints = append(endpoints, pve.Endpoint{URL: fmt.Sprintf("https://n%d:8006", i+1), Token: "u@pve!t=s", Transport: d})
	}
	joined, _, err := pve.Join(endpoints, 64)
	if err != nil {
		t.Fatal(err)
	}
	client, err := pve.Dial(joined)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// A request that fails goes to the next address, unless it may have had an
// effect.
func TestARequestGoesToTheNextAddress(t *testing.T) {
	t.Parallel()
	const get, post = "GET n%d:8006/nodes", `PUT n%d:8006/nodes//qemu/1/sendkey {"key":"a"}`
	for name, test := range map[string]struct {
		first      *desk
		write      bool
		fails      bool
		got1, got2 []string // the requests that reached each address, out of two requests
	}{
		"a GET, all is well":             {first: &desk{}, got1: []string{get, get}},
		"a GET, nothing can be sent":     {first: &desk{dead: true}, got2: []string{get, get}},
		"a write, nothing can be sent":   {first: &desk{dead: true}, write: true, got2: []string{post, post}},
		"a GET, its connection breaks":   {first: &desk{fail: broken}, got1: []string{get}, got2: []string{get, get}},
		"a write, its connection breaks": {first: &desk{fail: broken}, write: true, fails: true, got1: []string{post}, got2: []string{post}},
		"a write, the address has no right certificate": {first: &desk{fail: func(*http.Request) error { return &pve.CertificateError{Host: "n1"} }}, write: true,
			got1: []string{post}, got2: []string{post, post}},
		"a GET, silence": {first: &desk{fail: silent}, fails: true, got1: []string{get}, got2: []string{get}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				second := &desk{name: "b"}
				c := at(t, test.first, second)
				work := func() error {
					if test.write {
						return c.SendKey(t.Context(), 1, "a")
					}
					_, err := c.Nodes(t.Context())
					return err
				}
				if err := work(); test.fails != errors.Is(err, pve.ErrNoAnswer) {
					t.Errorf("the first request: %v", err)
				}
				if err := work(); err != nil {
					t.Errorf("the second request: %v", err)
				}
				for i, d := range []*desk{test.first, second} {
					var want []string
					for _, format := range [][]string{test.got1, test.got2}[i] {
						want = append(want, fmt.Sprintf(format, i+1))
					}
					if !slices.Equal(d.got, want) {
						t.Errorf("address %d got %q, want %q", i+1, d.got, want)
					}
				}
			})
		})
	}
}

// An address that answers other requests stays the current address, although
// one request hangs.
func TestASlowRequestKeepsItsAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, second := &desk{fail: func(r *http.Request) error {
			if strings.HasSuffix(r.URL.Path, "/qemu") {
				return silent(r)
			}
			return nil
		}}, &desk{}
		c := at(t, first, second)
		done := make(chan error)
		go func() { _, err := c.VMs(t.Context()); done <- err }()
		time.Sleep(time.Second)
		if _, err := c.Nodes(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, pve.ErrNoAnswer) {
			t.Errorf("the slow request: %v", err)
		}
		if _, err := c.Nodes(t.Context()); err != nil || len(second.got) > 0 {
			t.Errorf("the other address got %q, %v", second.got, err)
		}
	})
}

func TestNoAddressAnswers(t *testing.T) {
	t.Parallel()
	wrong := &desk{fail: func(*http.Request) error {
		return &pve.CertificateError{Host: "n1", Fingerprint: "AA", Why: "unknown authority"}
	}}
	_, err := at(t, wrong, &desk{dead: true}).Probe(t.Context())
	var certificate *pve.CertificateError
	if !errors.As(err, &certificate) {
		t.Errorf("the certificate is not told: %v", err)
	}
	_, err = at(t, &desk{dead: true}, &desk{dead: true}).Nodes(t.Context())
	if !errors.Is(err, pve.ErrNoAnswer) || !strings.Contains(err.Error(), "n1:8006") || !strings.Contains(err.Error(), "n2:8006") {
		t.Errorf("not every address is told: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	first, second := &desk{fail: silent}, &desk{}
	if _, err := at(t, first, second).Nodes(ctx); err == nil || !strings.Contains(err.Error(), "enough") || len(second.got) > 0 {
		t.Errorf("cancelled: %v, and %q at the second address", err, second.got)
	}
}

func TestEndpointsOfOneCluster(t *testing.T) {
	t.Parallel()
	login := pve.Endpoint{URL: "https://a:8006", Token: "u@pve!t=hunter2"}
	for name, endpoints := range map[string][]pve.Endpoint{
		"no endpoint":        {},
		"no https":           {login, {URL: "http://b:8006"}},
		"no address":         {login, {}},
		"two logins":         {login, {URL: "https://b:8006", Token: "u@pve!t=hunter3"}},
		"two kinds of login": {login, {URL: "https://b:8006", Username: "root@pam", Password: "x"}},
		"a fingerprint":      {login, {URL: "https://b:8006", Fingerprint: "xx"}},
	} {
		if _, _, err := pve.Join(endpoints, 64); !errors.Is(err, pve.ErrInvalid) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, addresses, err := pve.Join([]pve.Endpoint{login, {URL: "https://b:8006"}, {URL: "https://c:8006", Token: login.Token}}, 64); err != nil || addresses.Len() != 3 {
		t.Errorf("one login for three addresses: %v", err)
	}
}

// Over a real network, a write goes to the next address if no connection to the
// first address can be made, because nobody listens there or because TLS does
// not begin.
func TestAddressesOverTheNetwork(t *testing.T) {
	t.Parallel()
	sim := pvetest.New(pvetest.Reference(), nil).Start()
	t.Cleanup(sim.Close)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mute.Close() })
	go func() {
		for {
			connection, err := mute.Accept()
			if err != nil {
				return
			}
			connection.Close()
		}
	}()
	joined, _, err := pve.Join([]pve.Endpoint{
		{URL: "https://" + closed.Addr().String(), Username: "root@pam", Password: "secret", RootCAs: sim.CertPool()},
		{URL: "https://" + mute.Addr().String()}, {URL: strings.TrimSuffix(sim.URL(), "/api2/json")},
	}, 64)
	if err != nil {
		t.Fatal(err)
	}
	client, err := pve.Dial(joined)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Probe(t.Context()); err != nil { // Probe logs in, with a POST
		t.Error(err)
	}
}
