package pve_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/luthermonson/go-proxmox"
	"golang.org/x/sync/errgroup"

	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// ours returns a client with our own login. theirs returns a client with the
// sessions of go-proxmox.
func ours(t *testing.T, sim *pvetest.Node) *pve.Client {
	t.Helper()
	c, err := pve.Dial(pve.Endpoint{URL: sim.URL(), Username: "root@pam", Password: "secret", Transport: sim.Transport()})
	if err != nil {
		t.Fatal(err)
	}
	return c.On("pve")
}

func theirs(_ *testing.T, sim *pvetest.Node) *pve.Client {
	return pve.New(proxmox.NewClient(sim.URL(), proxmox.WithHTTPClient(sim.HTTPClient()),
		proxmox.WithCredentials(&proxmox.Credentials{Username: "root@pam", Password: "secret"})), "pve")
}

// The function "many" makes many requests at the same time.
func many(ctx context.Context, c *pve.Client) error {
	var group errgroup.Group
	for range 12 {
		group.Go(func() error { _, err := c.VMs(ctx); return err })
	}
	return group.Wait()
}

func logins(sim *pvetest.Node) (n int) {
	for _, r := range sim.Trace() {
		if r.Path == "/access/ticket" {
			n++
		}
	}
	return n
}

func TestLogin(t *testing.T) {
	t.Parallel()
	for name, dial := range map[string]func(*testing.T, *pvetest.Node) *pve.Client{"ours": ours, "theirs": theirs} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sim := pvetest.New(host(), nil)
				c := dial(t, sim)
				for i := range 3 {
					if err := many(t.Context(), c); err != nil {
						t.Errorf("after %d idle times: %v", i, err)
					}
					time.Sleep(3 * time.Hour) // after this time, the ticket is no longer valid
				}
			})
		})
	}
}

func TestLoginAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(host(), nil)
		c := ours(t, sim)
		for i := range 3 {
			if err := many(t.Context(), c); err != nil || logins(sim) != i+1 {
				t.Errorf("after %d lost tickets: %d logins, %v", i, logins(sim), err)
			}
			sim.Logout()
		}
		if err := c.SetConfig(t.Context(), 141, pve.Change{Set: map[string]string{"description": "after it"}}); err != nil {
			t.Error(err)
		}
		if state, _ := sim.VM(141); state.Config["description"] != "after it" || len(sim.Writes()) != 2 { // the write was refused once and then repeated
			t.Errorf("%q after %v", state.Config["description"], sim.Writes())
		}
	})
}

// A ticket is renewed before it expires, because an upload that was refused
// cannot be repeated.
func TestLoginRenews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(host(), nil)
		c := ours(t, sim)
		for range 5 {
			if _, err := c.Upload(t.Context(), pve.File{Storage: "local", Content: "iso", Name: "a.iso"}, strings.NewReader("a disk"), 6); err != nil {
				t.Error(err)
			}
			time.Sleep(90 * time.Minute)
		}
		if logins(sim) != 5 {
			t.Errorf("%d logins", logins(sim))
		}
	})
}

func TestLoginThatFails(t *testing.T) {
	t.Parallel()
	answer := func(code int, text string) http.RoundTripper {
		return roundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: code, Status: fmt.Sprint(code, " ", text), Body: io.NopCloser(strings.NewReader(text))}, nil
		})
	}
	for name, test := range map[string]struct {
		transport http.RoundTripper
		is        error
	}{
		"a wrong password":  {pvetest.New(host(), nil).Transport(), pve.ErrLogin},
		"a second factor":   {answer(200, `{"data":{"ticket":"PVE:!tfa!x","NeedTFA":1}}`), pve.ErrLogin},
		"something else":    {answer(200, "<html>"), pve.ErrNotPVE},
		"no ticket":         {answer(200, `{"data":{}}`), pve.ErrNotPVE},
		"a node in between": {answer(595, "Connection refused"), pve.ErrNoAnswer},
	} {
		c, err := pve.Dial(pve.Endpoint{URL: "https://pve:8006", Username: "root@pam", Password: "wrong", Transport: test.transport})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Probe(t.Context()); !errors.Is(err, test.is) || strings.Contains(err.Error(), "wrong") {
			t.Errorf("%s: %v, want %v", name, err, test.is)
		}
	}
}

// If a login gets no answer, it is given up after some time, so that the next
// login may work.
func TestALoginThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(host(), nil)
		c := ours(t, sim)
		sim.Inject(pvetest.Fault{Path: "/access/ticket", Kind: pvetest.HangAfter})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Upload(ctx, pve.File{Storage: "local", Content: "iso", Name: "a.iso"}, strings.NewReader("a disk"), 6); err == nil {
			t.Error("an upload without a login")
		}
		time.Sleep(2 * time.Minute)
		if err := many(t.Context(), c); err != nil {
			t.Error(err)
		}
	})
}

// Requests that wait for the first request stop waiting if the node never
// answers.
func TestASilentNode(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, sim *pvetest.Node, c *pve.Client) {
		sim.Inject(pvetest.Fault{Path: ".*", Kind: pvetest.HangAfter, Times: -1})
		began := time.Now()
		if err := many(t.Context(), c); !errors.Is(err, pve.ErrNoAnswer) || time.Since(began) != time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// A request returns an error if the node never answers.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, sim *pvetest.Node, c *pve.Client) {
		sim.Inject(pvetest.Fault{Path: "/nodes/pve/qemu", Kind: pvetest.HangAfter})
		began := time.Now()
		if err := many(t.Context(), c); !errors.Is(err, pve.ErrNoAnswer) || errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}
