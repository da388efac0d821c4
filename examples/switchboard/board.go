package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/proxstation/proxstation/workstation"
)

//go:embed board.html
var page []byte

// A board is the server behind the page.
type board struct {
	ctx  context.Context // of a switch: it outlives the request that began it
	node *workstation.Node
	duo  workstation.DualBoot
	name string
	out  io.Writer // where the end of each switch is told
	work sync.WaitGroup

	asking sync.Mutex // one status at a time, for however many pages
	last   view
	seen   time.Time // when last was made

	mu   sync.Mutex
	busy int      // the VM that is switched to, 0 for none
	log  []string // what the last switch said
}

// A view is what the page shows.
type view struct {
	Members []member `json:"members"`
	Lease   *lease   `json:"lease,omitempty"`
	Busy    int      `json:"busy,omitempty"`
	Log     []string `json:"log"`
	Error   string   `json:"error,omitempty"`
}

// A lease is the lease of another controller, dead or alive, in the VMs.
type lease struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// A member is a button: its VM, and the reason why the VM cannot be started.
type member struct {
	VMID     int      `json:"vmid"`
	Name     string   `json:"name"`
	Running  bool     `json:"running"`
	Since    string   `json:"since,omitempty"`
	CanStart string   `json:"canStart"`
	Why      []string `json:"why,omitempty"`
}

func newBoard(ctx context.Context, node *workstation.Node, duo workstation.DualBoot, name string, out io.Writer) *board {
	return &board{ctx: ctx, node: node, duo: duo, name: name, out: out, log: []string{}}
}

func (b *board) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) })
	mux.HandleFunc("GET /status", b.status)
	mux.HandleFunc("POST /switch/{vmid}", b.toggle)
	return b.ours(http.NewCrossOriginProtection().Handler(mux))
}

// ours refuses requests under a host name that is not this page's. Another site
// could make its own name lead here, and to a browser it would then have the
// same origin.
func (b *board) ours(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if host != "localhost" && net.ParseIP(host) == nil && (host != b.name || b.name == "") {
			http.Error(w, "start switchboard with -name to ask for it by a name", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (b *board) status(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
	defer cancel()
	v := b.look(ctx)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a reader that has gone needs no answer
}

// look returns the state that the page shows. It asks the node at most once a
// second.
func (b *board) look(ctx context.Context) view {
	b.asking.Lock()
	defer b.asking.Unlock()
	if time.Since(b.seen) > time.Second && ctx.Err() == nil {
		status, err := b.node.Status(ctx, b.duo)
		b.last, b.seen = shown(status, err), time.Now()
	}
	v := b.last
	b.mu.Lock()
	defer b.mu.Unlock()
	v.Busy, v.Log = b.busy, b.log
	if v.Busy != 0 {
		v.Lease = nil // it is this page's own, or the log says who is waited for
	}
	return v
}

// shown makes a view of a status.
func shown(status workstation.DualBootStatus, err error) view {
	v := view{Members: []member{}}
	if err != nil {
		v.Error = err.Error()
	}
	for _, m := range status.Members {
		one := member{VMID: m.VMID, Name: m.Name, Running: m.Running, CanStart: m.CanStart.String()}
		if m.Running {
			one.Since = time.Now().Add(-status.For).Format(time.DateTime)
		}
		for _, f := range m.Why {
			one.Why = append(one.Why, f.String())
		}
		v.Members = append(v.Members, one)
	}
	if l := status.Lease; l != nil {
		v.Lease = &lease{ID: l.ID, Text: fmt.Sprintf("%s; its lease counts for %s more if it is not renewed", l, status.LeaseLeft.Round(time.Second))}
	}
	return v
}

// toggle begins a switch and does not wait for it. The parameter takeOver is the
// ID of a lease that a person wants to take over.
func (b *board) toggle(w http.ResponseWriter, r *http.Request) {
	vmid, err := strconv.Atoi(r.PathValue("vmid"))
	if err != nil {
		http.Error(w, "no VMID", http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.busy != 0 {
		http.Error(w, fmt.Sprintf("a switch to VM %d is under way", b.busy), http.StatusConflict)
		return
	}
	b.busy, b.log = vmid, []string{}
	duo := b.duo
	duo.TakeOver = r.FormValue("takeOver")
	b.work.Go(func() { b.do(duo, vmid) })
	w.WriteHeader(http.StatusAccepted)
}

func (b *board) do(duo workstation.DualBoot, vmid int) {
	err := b.node.Switch(b.ctx, duo, vmid, func(e workstation.Event) { b.say(string(e.Phase) + ": " + e.Message) })
	if err != nil {
		b.say(err.Error())
		fmt.Fprintln(b.out, err)
	} else {
		fmt.Fprintf(b.out, "VM %d has the card\n", vmid)
	}
	b.asking.Lock()
	b.seen = time.Time{} // what was seen is over
	b.asking.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy = 0
}

// say adds a line to the log, once.
func (b *board) say(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.log); n == 0 || b.log[n-1] != line {
		b.log = append(b.log[:n:n], line)
	}
}
