package workstation_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A caller's own client with our transport follows no redirect, neither in an
// upload nor to the same host.
func TestTransportForACallersClient(t *testing.T) {
	t.Parallel()
	var followed atomic.Int64
	var server *httptest.Server
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch {
		case strings.HasPrefix(r.URL.Path, "/elsewhere"):
			followed.Add(1)
		case strings.HasSuffix(r.URL.Path, "/status"):
			_, _ = io.WriteString(w, `{"data":{"type":"dir","content":"iso","active":1,"avail":1000}}`)
		case strings.HasSuffix(r.URL.Path, "/content"):
			_, _ = io.WriteString(w, `{"data":[]}`)
		default:
			http.Redirect(w, r, server.URL+"/elsewhere", http.StatusFound)
		}
	}))
	t.Cleanup(server.Close)
	node := workstation.Open(proxmox.NewClient(server.URL+"/api2/json", proxmox.WithAPIToken(tokenID, tokenSecret),
		proxmox.WithHTTPClient(&http.Client{Transport: workstation.Transport(server.Client().Transport)})), "pve", nil)
	startErr := node.Start(t.Context(), 140)
	uploadErr := node.Upload(t.Context(), "local:iso/x.iso", strings.NewReader("a disk"), nil)
	for _, err := range []error{startErr, uploadErr} {
		if !errors.Is(err, workstation.ErrNotPVE) || !strings.Contains(err.Error(), "/elsewhere") {
			t.Errorf("%v", err)
		}
	}
	if n := followed.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// The default transport and a transport that the caller wrote are used
// unchanged.
func TestTransportOfOthers(t *testing.T) {
	t.Parallel()
	sim := pvetest.New(pair(), nil)
	node := workstation.Open(proxmox.NewClient(sim.URL(), proxmox.WithAPIToken(tokenID, tokenSecret),
		proxmox.WithHTTPClient(&http.Client{Transport: workstation.Transport(sim.Transport())})), "pve", nil)
	sim.Inject(pvetest.Fault{Path: "/nodes/pve/qemu", Kind: pvetest.Forbid})
	var refused *workstation.RequestError
	if _, err := node.Observe(t.Context()); !errors.As(err, &refused) || refused.Status != 403 || refused.Message == "" {
		t.Errorf("%v", err)
	}
	if workstation.Transport(nil) == nil || http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost != 0 {
		t.Error("the default transport was changed")
	}
}
