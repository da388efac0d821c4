package pve_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// asked returns the number of requests with a method and a path.
func asked(sim *pvetest.Node, method, path string) (n int) {
	for _, r := range sim.Trace() {
		if r.Method == method && r.Path == path {
			n++
		}
	}
	return n
}

func TestLostAnswersAreAskedForAgain(t *testing.T) {
	t.Parallel()
	for _, kind := range []pvetest.FaultKind{pvetest.ProxyDown, pvetest.ProxyTimeout, pvetest.DropBefore, pvetest.DropAfter} {
		for times, want := range map[int]error{1: nil, 3: nil, 4: pve.ErrNoAnswer} {
			inBubble(t, func(t *testing.T, sim *pvetest.Node, c *pve.Client) {
				sim.Inject(pvetest.Fault{Path: "/nodes/pve/qemu", Kind: kind, Times: times})
				began := time.Now()
				_, err := c.VMs(t.Context())
				if !errors.Is(err, want) || asked(sim, "GET", "/nodes/pve/qemu") != min(times+1, 4) || time.Since(began) > 3*time.Second {
					t.Errorf("%s, %d times: %v after %s and %d requests", kind, times, err, time.Since(began), asked(sim, "GET", "/nodes/pve/qemu"))
				}
			})
		}
	}
}

// Writes and refused requests are not repeated, because a write may have had an
// effect, and a refusal will not change.
func TestNothingElseIsAskedForAgain(t *testing.T) {
	t.Parallel()
	const path = "/nodes/pve/qemu/141/config"
	for _, test := range []struct {
		kind   pvetest.FaultKind
		method string
		do     func(context.Context, *pve.Client) error
	}{
		{pvetest.ProxyDown, "PUT", func(ctx context.Context, c *pve.Client) error {
			return c.SetConfig(ctx, 141, pve.Change{Set: map[string]string{"name": "x"}})
		}},
		{pvetest.DropAfter, "POST", func(ctx context.Context, c *pve.Client) error {
			_, err := c.ChangeConfig(ctx, 141, pve.Change{Set: map[string]string{"name": "x"}})
			return err
		}},
		{pvetest.Refuse, "GET", func(ctx context.Context, c *pve.Client) error { _, err := c.Config(ctx, 141); return err }},
		{pvetest.Forbid, "GET", func(ctx context.Context, c *pve.Client) error { _, err := c.Config(ctx, 141); return err }},
	} {
		inBubble(t, func(t *testing.T, sim *pvetest.Node, c *pve.Client) {
			sim.Inject(pvetest.Fault{Path: path, Kind: test.kind})
			if err := test.do(t.Context(), c); err == nil || asked(sim, test.method, path) != 1 {
				t.Errorf("%s %s: %v after %d requests", test.kind, test.method, err, asked(sim, test.method, path))
			}
		})
	}
}

func TestAskingAgainEndsWithTheContext(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, sim *pvetest.Node, c *pve.Client) {
		sim.Inject(pvetest.Fault{Path: "/nodes/pve/qemu", Kind: pvetest.ProxyDown, Times: -1})
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := c.VMs(ctx); !errors.Is(err, pve.ErrNoAnswer) || time.Since(began) != 500*time.Millisecond || asked(sim, "GET", "/nodes/pve/qemu") != 2 {
			t.Errorf("%v after %s and %d requests", err, time.Since(began), asked(sim, "GET", "/nodes/pve/qemu"))
		}
	})
}

// If a connection was reset, the answer is lost and the request is repeated. If
// a node cannot be reached, the request is not repeated.
func TestConnectionsThatEnd(t *testing.T) {
	t.Parallel()
	for op, want := range map[string]int{"read": 4, "write": 4, "dial": 1, "remote error": 1} {
		synctest.Test(t, func(t *testing.T) {
			requests := 0
			transport := roundTripper(func(*http.Request) (*http.Response, error) {
				requests++
				return nil, &net.OpError{Op: op, Net: "tcp", Err: syscall.ECONNRESET}
			})
			c := pve.New(proxmox.NewClient("https://pve/api2/json", proxmox.WithHTTPClient(&http.Client{Transport: transport}), proxmox.WithAPIToken(token, secret)), "pve")
			if _, err := c.VMs(t.Context()); !errors.Is(err, pve.ErrNoAnswer) || requests != want {
				t.Errorf("%s: %v after %d requests, want %d", op, err, requests, want)
			}
		})
	}
}

// PVE's message about a volume that does not exist matches ErrNotFound.
func TestWhatIsNotFound(t *testing.T) {
	t.Parallel()
	for _, message := range []string{"no such logical volume pve/vm-140-disk-0", "unable to create VM 302 - no such logical volume pve/vm-301-disk-0",
		"Configuration file 'nodes/pve/qemu-server/140.conf' does not exist", "unable to find configuration file for VM 140 on node 'pve'",
		"storage 'nope' does not exist", "PCI device mapping not found for 'nope'", "mapping 'nope' not found", "no such task"} {
		if !errors.Is(&pve.Error{Status: 500, Message: message}, pve.ErrNotFound) || !errors.Is(&pve.TaskError{Exit: message}, pve.ErrNotFound) {
			t.Errorf("%q is not ErrNotFound", message)
		}
	}
	for _, message := range []string{"invalid bootorder: device 'scsi1' does not exist'", "VM 140 not running", ""} {
		if errors.Is(&pve.Error{Status: 500, Message: message}, pve.ErrNotFound) {
			t.Errorf("%q is ErrNotFound", message)
		}
	}
}
