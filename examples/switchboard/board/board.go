package board

import (
	"context"
	"sync"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
)

// A Node is the part of a [workstation.Node] that a board uses.
type Node interface {
	// Status reports which VM has the card, and which VMs could have it.
	Status(ctx context.Context, db workstation.DualBoot) (workstation.DualBootStatus, error)
	// Observe reads the host. The page shows its storages and findings.
	Observe(ctx context.Context) (workstation.Facts, error)
	// Switch gives the card to the VM whose VMID is to.
	Switch(ctx context.Context, db workstation.DualBoot, to int, progress func(workstation.Event)) error
	// Shutdown shuts down a guest on the node. For a guest on another node of
	// the cluster, the board calls the Shutdown of that node. It gets that node
	// from the method On of [workstation.Node].
	Shutdown(ctx context.Context, vmid int, patience time.Duration) error
}

// Options holds the settings of a [Board].
type Options struct {
	// Host is the name under which the page shows the node.
	Host string
	// Labels holds the names under which the page shows VMs, by VMID. A VM
	// without a label is shown by its name on the node.
	Labels map[int]string
	// Secret is the secret that every person and every program has to give. The
	// zero Secret lets everybody in.
	Secret proxstation.Secret
	// Names holds the host names under which the page may be requested.
	// localhost and IP addresses are always allowed.
	Names []string
	// Report is called with one line for each outcome and for each wrong
	// secret. It may be nil.
	Report func(line string)
}

// A Board shows a set of VMs that share a card, and switches between them. It
// reads the node once for all viewers.
type Board struct {
	jobs  context.Context // context of switches, which outlive the request
	reads context.Context // context of reads from the node, and of connections to viewers
	stop  context.CancelFunc
	node  Node
	duo   workstation.DualBoot
	opts  Options
	door  *door
	work  sync.WaitGroup
	state *reading[workstation.DualBootStatus]
	host  *reading[workstation.Facts]

	mu      sync.Mutex
	viewers int
	rest    context.CancelFunc // stops the reads that happen while somebody views the page
	change  chan struct{}      // closed when the view changes
	job     *job               // nil if no job is under way
	outcome *Outcome           // outcome of the last job; nil before the first job has ended, and after a person dismissed it
}

// These constants say how often the node is read while somebody views the page.
// A status takes seven requests, and an observation takes some dozens.
const (
	stateEvery = 2 * time.Second
	hostEvery  = time.Minute
)

// New returns a board. When the context ends, a running switch ends as
// [workstation.Node.Switch] describes: it restores the former state, or reports
// the parts that it could not restore. The caller must call [Board.Close] at
// the end.
func New(ctx context.Context, node Node, duo workstation.DualBoot, opts Options) *Board {
	if duo.Grace == 0 {
		duo.Grace = 3 * time.Minute // the page shows the values of Grace and Boot
	}
	if duo.Boot == 0 {
		duo.Boot = 5 * time.Minute
	}
	if opts.Report == nil {
		opts.Report = func(string) {}
	}
	b := &Board{jobs: ctx, node: node, duo: duo, opts: opts, door: newDoor(opts.Secret), change: make(chan struct{})}
	b.reads, b.stop = context.WithCancel(context.WithoutCancel(ctx))
	status := func(ctx context.Context) (workstation.DualBootStatus, error) { return node.Status(ctx, duo) }
	b.state = &reading[workstation.DualBootStatus]{ctx: b.reads, every: stateEvery, changed: b.changed, ask: status}
	b.host = &reading[workstation.Facts]{ctx: b.reads, every: hostEvery, changed: b.changed, ask: node.Observe}
	return b
}

// Close waits until a running switch has ended and viewers were shown its
// outcome. Then it closes the viewers' connections.
func (b *Board) Close() {
	b.mu.Lock()
	j := b.job
	b.mu.Unlock()
	if j != nil {
		<-j.done
	}
	b.stop()
	b.work.Wait()
	b.state.wait()
	b.host.wait()
}

// changed wakes every goroutine that waits for a change of the view.
func (b *Board) changed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wake()
}

// wake does the same as changed, for callers that hold the lock.
func (b *Board) wake() {
	close(b.change)
	b.change = make(chan struct{})
}

// watch makes the board read the node repeatedly while somebody views the page.
// The viewer calls done at the end.
func (b *Board) watch() (done func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.viewers++; b.viewers == 1 {
		var ctx context.Context
		ctx, b.rest = context.WithCancel(b.reads)
		b.work.Go(func() { b.state.keep(ctx) })
		b.work.Go(func() { b.host.keep(ctx) })
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.viewers--; b.viewers == 0 {
			b.rest()
		}
	}
}

// look returns the current view. If the last answer is old, it first reads the
// node. It waits for the node, but no longer than a person waits for a page.
func (b *Board) look(ctx context.Context) View {
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() { b.state.fresh(ctx) })
	both.Go(func() { b.host.fresh(ctx) })
	both.Wait()
	v, _ := b.now()
	return v
}

// The method "now" returns the view that the last answers give, and a channel
// that is closed when the view changes.
func (b *Board) now() (View, <-chan struct{}) {
	state, host := b.state.read(), b.host.read()
	b.mu.Lock()
	defer b.mu.Unlock()
	v := judge(b.duo, b.opts, state, host, time.Now())
	if b.job != nil {
		v.Job = b.job.shown(v)
	}
	v.Outcome = b.outcome
	return v, b.change
}
