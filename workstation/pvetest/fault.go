package pvetest

import (
	"cmp"
	"regexp"
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
	// Method and Path select requests. An empty Method selects all methods.
	// Path is a regular expression for the whole path below /api2/json, such as
	// ".*/141/status/start"; if no path matches, the fault never happens.
	Method, Path string
	// Task selects tasks by type ("qmstart"). With it, Method and Path are
	// ignored. A VMID of 0 selects the tasks of all VMs.
	Task string
	VMID int
	// Skip is how many matching requests or tasks succeed before the fault
	// begins.
	Skip int
	// Times is how many matching requests or tasks fail; 0 means one, -1 means
	// all.
	Times int
	// Kind is what happens.
	Kind FaultKind
	// Message is PVE's message. If it is empty, the node chooses a fitting one.
	Message string
	// Delay is for [Slow], in real time.
	Delay time.Duration

	pattern *regexp.Regexp
}

func (f *Fault) message() string { return cmp.Or(f.Message, "injected fault: "+string(f.Kind)) }
