package pvetest

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A FaultKind is a way in which a request or a task goes wrong.
type FaultKind string

// The ways in which things go wrong.
const (
	Refuse        FaultKind = "refuse"          // 500 with the message, nothing done
	Forbid        FaultKind = "forbid"          // 403, nothing done
	DropBefore    FaultKind = "drop before"     // connection closed, nothing done
	DropAfter     FaultKind = "drop after"      // connection closed, but done
	ErrorAfter    FaultKind = "500 after"       // 500 with the message, but done
	ProxyTimeout  FaultKind = "596"             // 596 from the proxy, but done
	ProxyDown     FaultKind = "595"             // 595 from the proxy, nothing done
	ExpireTicket  FaultKind = "expired ticket"  // 401 and every ticket is void
	Slow          FaultKind = "slow"            // done, and answered after Delay
	HangAfter     FaultKind = "hang"            // done, and never answered
	TaskFails     FaultKind = "task fails"      // the task begins and fails without effect
	TaskFailsLate FaultKind = "task fails late" // the task fails after its effect
	TaskHangs     FaultKind = "task hangs"      // the task runs without effect until it is stopped
	TaskWarns     FaultKind = "task warns"      // the task succeeds with WARNINGS: 1
)

// A Fault is something that goes wrong once, or as often as Times says.
type Fault struct {
	// Method and Path select requests; an empty Method is all, and Path is a
	// regular expression for the whole path below /api2/json, such as
	// ".*/141/status/start". One that never matches never strikes.
	Method, Path string
	// Task selects tasks by type ("qmstart") and VMID 0 is every VM; with it,
	// Method and Path are not looked at.
	Task string
	VMID int
	// Skip is how many that match go well before.
	Skip int
	// Times is how many go wrong; 0 is one, -1 is all.
	Times int
	// Kind is what happens.
	Kind FaultKind
	// Message is PVE's message; empty, there is a fitting one.
	Message string
	// Delay is for [Slow], in real time.
	Delay time.Duration

	pattern *regexp.Regexp
}

func (f *Fault) message() string { return cmp.Or(f.Message, "injected fault: "+string(f.Kind)) }

// Inject plans a fault. It panics if Path is no regular expression.
func (n *Node) Inject(fault Fault) {
	fault.pattern = regexp.MustCompile(`^(?:` + cmp.Or(fault.Path, ".*") + `)$`)
	fault.Times = cmp.Or(fault.Times, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = append(n.faults, &fault)
}

// ClearFaults forgets all faults that did not strike yet.
func (n *Node) ClearFaults() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = nil
}

// strike returns the fault that hits, and counts it.
func (n *Node) strike(hits func(*Fault) bool) *Fault {
	for i, f := range n.faults {
		if !hits(f) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times--; f.Times == 0 {
			n.faults = slices.Delete(n.faults, i, i+1)
		}
		return f
	}
	return nil
}

func (n *Node) taskFault(t *task) *Fault {
	return n.strike(func(f *Fault) bool {
		return f.Task == t.kind && (f.VMID == 0 || strings.TrimLeft(t.id, "0") == text(f.VMID))
	})
}

// faulty answers a request, wrongly if that is planned.
func (n *Node) faulty(r *http.Request, path string, work func() answer) answer {
	f := n.strike(func(f *Fault) bool {
		return f.Task == "" && (f.Method == "" || f.Method == r.Method) && f.pattern.MatchString(path)
	})
	if f == nil {
		return work()
	}
	switch f.Kind {
	case Refuse:
		return fail(http.StatusInternalServerError, "%s", f.message())
	case Forbid:
		return fail(http.StatusForbidden, "%s", cmp.Or(f.Message, "Permission check failed"))
	case DropBefore:
		return answer{drop: true}
	case ProxyDown:
		return answer{status: 595, reason: cmp.Or(f.Message, "Connection refused")}
	case ExpireTicket:
		clear(n.tickets)
		a := n.refused(n.authFailure("permission denied - invalid PVE ticket"))
		a.reason = cmp.Or(f.Message, a.reason)
		return a
	}
	a := work()
	switch f.Kind {
	case DropAfter:
		a.drop = true
	case ErrorAfter:
		return fail(http.StatusInternalServerError, "%s", f.message())
	case ProxyTimeout:
		return answer{status: 596, reason: cmp.Or(f.Message, "Broken pipe")}
	case Slow:
		a.delay = f.Delay
	case HangAfter:
		a.hang = true
	}
	return a
}
