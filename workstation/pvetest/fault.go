package pvetest

import (
	"cmp"
	"regexp"
	"time"
)

// A FaultKind is a way in which a request or a task fails.
type FaultKind string

// The kinds of faults.
const (
	Refuse        FaultKind = "refuse"           // the answer is 500 with the message; nothing is done
	Forbid        FaultKind = "forbid"           // the answer is 403; nothing is done
	DropBefore    FaultKind = "drop before"      // the connection is closed; nothing is done
	DropAfter     FaultKind = "drop after"       // the request is done, then the connection is closed
	ErrorAfter    FaultKind = "500 after"        // the request is done, but the answer is 500 with the message
	ProxyTimeout  FaultKind = "596"              // the request is done, but the proxy answers 596
	ProxyDown     FaultKind = "595"              // the proxy answers 595; nothing is done
	ExpireTicket  FaultKind = "expired ticket"   // the answer is 401; all tickets become invalid
	Slow          FaultKind = "slow"             // the request is done; the answer comes after Delay
	HangAfter     FaultKind = "hang"             // the request is done; the answer never comes
	PowerBefore   FaultKind = "power cut before" // the node loses its power before the request or the task does anything
	PowerAfter    FaultKind = "power cut after"  // the node loses its power after the request or the task has done its work
	TaskFails     FaultKind = "task fails"       // the task fails before it has any effect
	TaskFailsLate FaultKind = "task fails late"  // the task fails after its effect
	TaskHangs     FaultKind = "task hangs"       // the task runs without effect until it is stopped
	TaskWarns     FaultKind = "task warns"       // the task succeeds with WARNINGS: 1
)

// A Fault is a planned failure. It happens once, or as often as Times says.
type Fault struct {
	// Method and Path select requests. An empty Method selects all methods.
	// Path is a regular expression that must match the whole path below
	// /api2/json, such as ".*/141/status/start". If it matches no path, the
	// fault never happens.
	Method, Path string
	// Task selects tasks by type, such as "qmstart". If Task is set, Method and
	// Path are ignored. VMID selects the tasks of one VM. If VMID is 0, the
	// tasks of all VMs are selected.
	Task string
	VMID int
	// Skip is the number of matching requests or tasks that succeed before the
	// fault begins.
	Skip int
	// Times is the number of matching requests or tasks that fail. 0 means one,
	// and -1 means all of them.
	Times int
	// Kind is the way in which the requests or tasks fail.
	Kind FaultKind
	// Message is PVE's error message. If it is empty, the node chooses a
	// suitable message.
	Message string
	// Delay is the delay of a [Slow] answer, in real time.
	Delay time.Duration

	pattern *regexp.Regexp
}

func (f *Fault) message() string { return cmp.Or(f.Message, "injected fault: "+string(f.Kind)) }
