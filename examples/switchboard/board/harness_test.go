package board

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

var duo = workstation.DualBoot{Members: []int{140, 141}, Owner: "test"}

// pair returns a host on which the first VM has the card.
func pair() pvetest.Host {
	host := pvetest.Reference()
	host.Mappings = []pvetest.Mapping{{ID: "rtx5070ti", Map: []string{"node=pve,path=0000:01:00,id=10de:2c05,iommugroup=12,subsystem-id=1462:5315"}}}
	for i, name := range []string{"windows", "linux-ai"} {
		host.VMs = append(host.VMs, pvetest.VM{ID: 140 + i, Running: i == 0, Config: map[string]string{"name": name, "memory": "16384", "machine": "q35", "bios": "ovmf",
			"agent": "enabled=1", "hostpci0": "mapping=rtx5070ti,pcie=1", "scsi0": []string{"local-lvm:vm-140-disk-0,size=64G", "local-lvm:vm-141-disk-0,size=64G"}[i]}})
	}
	return host
}

// A counted is a node that counts the calls of its methods Status and Observe.
type counted struct {
	*workstation.Node
	mu               sync.Mutex
	statuses, visits int
	hang             chan struct{} // if not nil, Status hangs until this channel is closed
}

func (c *counted) Status(ctx context.Context, db workstation.DualBoot) (workstation.DualBootStatus, error) {
	c.mu.Lock()
	c.statuses++
	hang := c.hang
	c.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-ctx.Done():
			return workstation.DualBootStatus{}, ctx.Err()
		}
	}
	return c.Node.Status(ctx, db)
}

func (c *counted) Observe(ctx context.Context) (workstation.Facts, error) {
	c.mu.Lock()
	c.visits++
	c.mu.Unlock()
	return c.Node.Observe(ctx)
}

func (c *counted) asked() (statuses, visits int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.statuses, c.visits
}

// A bench is a board of an embedded node, in virtual time.
type bench struct {
	t       *testing.T
	sim     *pvetest.Node
	node    *counted
	board   *Board
	handler http.Handler
	said    []string // the lines that the board reported
	stop    context.CancelFunc
}

// play runs a test on a board, in the test's own synctest bubble.
func play(t *testing.T, host pvetest.Host, opts Options, do func(t *testing.T, b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(host, nil)
		token := host.RootTokens[0]
		node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: "https://pve.example:8006", Token: "root@pam!" + token.ID + "=" + token.Secret, Transport: sim.Transport()}, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{t: t, sim: sim, node: &counted{Node: node}}
		var mu sync.Mutex
		opts.Host, opts.Labels = "pve", map[int]string{140: "Windows", 141: "Linux AI"}
		opts.Report = func(line string) { mu.Lock(); b.said = append(b.said, line); mu.Unlock() }
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		b.stop = cancel
		b.board = New(ctx, b.node, duo, opts)
		b.handler = b.board.Handler()
		time.Sleep(time.Minute) // the guest boots in this time
		do(t, b)
		b.board.Close()
		if err := sim.Check(); err != nil {
			t.Error(err)
		}
	})
}

// ask makes a request. It sends a body that begins with "{" as JSON, and any
// other body as a form.
func (b *bench) ask(method, path, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), method, path, strings.NewReader(body))
	r.Host, r.RemoteAddr = "127.0.0.1:8140", "192.0.2.7:1234"
	switch {
	case strings.HasPrefix(body, "{"):
		r.Header.Set("Content-Type", "application/json")
	case body != "":
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

// want makes a request. It checks the status of the answer, and that the answer
// contains a text.
func (b *bench) want(status int, text, method, path, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	b.t.Helper()
	w := b.ask(method, path, body, change...)
	if w.Code != status || !strings.Contains(w.Body.String(), text) {
		b.t.Errorf("%s %s %s: %d, want %d and %q:\n%s", method, path, body, w.Code, status, text, w.Body)
	}
	return w
}

// view returns the answer to GET /api/status.
func (b *bench) view() View {
	b.t.Helper()
	var v View
	decodeAs(b.t, b.ask("GET", "/api/status", ""), &v)
	return v
}

func decodeAs(t *testing.T, w *httptest.ResponseRecorder, into any) {
	t.Helper()
	if kind := w.Header().Get("Content-Type"); kind != "application/json" {
		t.Errorf("%d with Content-Type %s", w.Code, kind)
	}
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		t.Errorf("%v: %s", err, w.Body)
	}
}

// form returns the fields of a form on a page. The parameter "path" selects the
// form that posts to this path.
func form(t *testing.T, page, path string) string {
	t.Helper()
	_, rest, found := strings.Cut(page, `<form method="post" action="`+path+`"`)
	if !found {
		t.Fatalf("no form posts to %s:\n%s", path, page)
	}
	rest, _, _ = strings.Cut(rest, "</form>")
	fields := url.Values{}
	for {
		_, after, more := strings.Cut(rest, `<input type="hidden" name="`)
		if !more {
			return fields.Encode()
		}
		name, after, _ := strings.Cut(after, `" value="`)
		value, after, _ := strings.Cut(after, `"`)
		fields.Set(name, value)
		rest = after
	}
}

var locked = proxstation.Finding{ID: "switch.locked", Severity: proxstation.Blocker, Subject: "VM 141 linux-ai", Seen: "lock: backup",
	Why: "PVE does not start a locked VM", Fix: "wait for the backup to end"}

// jobDone reports whether no job is under way.
func (b *Board) jobDone() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.job == nil
}
