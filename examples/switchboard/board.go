package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/proxstation/proxstation/workstation"
)

//go:embed board.html
var page []byte

// A board is the page's other half.
type board struct {
	ctx  context.Context // of a switch: it outlives the request that began it
	node *workstation.Node
	duo  workstation.DualBoot
	name string
	work sync.WaitGroup

	mu   sync.Mutex
	busy int      // the VM that is switched to, 0 for none
	log  []string // what the last switch said
}

// A view is what the page shows.
type view struct {
	Members []member `json:"members"`
	Busy    int      `json:"busy,omitempty"`
	Log     []string `json:"log"`
	Error   string   `json:"error,omitempty"`
}

// A member is a button: the VM behind it, and what is in its way.
type member struct {
	VMID     int      `json:"vmid"`
	Name     string   `json:"name"`
	Running  bool     `json:"running"`
	Since    string   `json:"since,omitempty"`
	CanStart string   `json:"canStart"`
	Why      []string `json:"why,omitempty"`
}

func newBoard(ctx context.Context, node *workstation.Node, duo workstation.DualBoot, name string) *board {
	return &board{ctx: ctx, node: node, duo: duo, name: name, log: []string{}}
}

func (b *board) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) })
	mux.HandleFunc("GET /status", b.status)
	mux.HandleFunc("POST /switch/{vmid}", b.toggle)
	return b.ours(http.NewCrossOriginProtection().Handler(mux))
}

// ours refuses requests by a name that is not this page's: another site's name
// that was made to lead here would be the same origin to a browser.
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
	status, err := b.node.Status(ctx, b.duo)
	b.mu.Lock()
	v := view{Busy: b.busy, Log: b.log, Members: []member{}}
	b.mu.Unlock()
	if err != nil {
		v.Error = err.Error()
	}
	for _, m := range status.Members {
		shown := member{VMID: m.VMID, Name: m.Name, Running: m.Running, CanStart: m.CanStart.String()}
		if m.Running {
			shown.Since = time.Now().Add(-status.For).Format(time.DateTime)
		}
		for _, f := range m.Why {
			shown.Why = append(shown.Why, f.String())
		}
		v.Members = append(v.Members, shown)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a reader that has gone needs no answer
}

// toggle begins a switch and does not wait for it.
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
	b.work.Go(func() { b.do(vmid) })
	w.WriteHeader(http.StatusAccepted)
}

func (b *board) do(vmid int) {
	err := b.node.Switch(b.ctx, b.duo, vmid, func(e workstation.Event) { b.say(string(e.Phase) + ": " + e.Message) })
	if err != nil {
		b.say(err.Error())
	}
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
