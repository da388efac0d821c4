package workstation

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/pve"
)

// A DualBootStatus says which member has the card, and which members could get
// it.
type DualBootStatus struct {
	// Running is the member that runs, or 0 if no member runs. It is -1 if
	// nobody knows: no member is seen to run, but a member's node is away.
	Running int
	// For is how long the VM in Running has been running.
	For time.Duration
	// Members holds the state of every member, in the order of their VMIDs.
	Members []MemberStatus
	// Lease is the lease of a controller that is at work, or nil.
	Lease *Lease
	// LeaseLeft is the longest time for which the lease still counts if its
	// owner does not renew it. It starts as the TTL when this [Node] first sees
	// the lease, and runs down. When it is 0, the next switch may take the
	// lease over.
	LeaseLeft time.Duration
}

// A MemberStatus is the state of one member of a [DualBoot].
type MemberStatus struct {
	VMID int
	Name string
	// Node is the node on which the VM is.
	Node    string
	Running bool
	// Away says that the node is away, so that the VM may run although Running
	// is false. Why names the evidence.
	Away bool
	// CanStart says whether a switch to the VM would begin. It is Unknown if a
	// necessary part could not be read. Why holds the blockers, the parts that
	// could not be read, and warnings.
	CanStart proxstation.Answer
	Why      []proxstation.Finding
}

// Status returns which member has the card, since when, and which members could
// get it. It reads only the facts that a switch needs. On a node where only
// members run, it makes seven requests, all at the same time. It makes three
// more requests for each further node with members, and one more for each VM
// that runs on any of these nodes and is not a member.
//
// If a member does not exist, or its node is away, the member's Why reports
// that. The error names the request that was not answered. If Members is not a
// valid set, the error is an [InvalidError].
func (n *Node) Status(ctx context.Context, db DualBoot) (DualBootStatus, error) {
	db, err := db.withDefaults()
	if err != nil {
		return DualBootStatus{}, err
	}
	facts, err := n.observeSet(ctx, db)
	if err != nil {
		return DualBootStatus{}, err
	}
	status := db.status(facts)
	for _, id := range db.Members {
		if lease, held := readLease(facts.of(id).VMs[id].Config["description"]); held && status.Lease == nil {
			status.Lease, status.LeaseLeft = &lease, n.leases.left(id, lease)
		}
	}
	return status, nil
}

// status makes the status from the facts of a set.
func (db DualBoot) status(set setFacts) DualBootStatus {
	var status DualBootStatus
	for _, id := range db.Members {
		facts := set.of(id)
		v := facts.VMs[id]
		m := MemberStatus{VMID: id, Name: v.Name, Node: v.Node, Running: v.Running, Away: facts.lostSight(db, v), Why: Preflight(db, id, facts)}
		switch unread := slices.ContainsFunc(m.Why, func(f proxstation.Finding) bool { return f.ID == idUnread }); {
		case proxstation.Worst(m.Why) == proxstation.Blocker:
			m.CanStart = proxstation.No
		case !unread:
			m.CanStart = proxstation.Yes
		}
		status.Members = append(status.Members, m)
		switch {
		case v.Running:
			status.Running, status.For = id, v.Uptime
		case status.Running == 0 && m.Away:
			status.Running = -1
		}
	}
	return status
}

// Watch yields the status of a set at the given interval, but at most once a
// second. It ends when the context ends or the caller stops. It yields errors
// too, and goes on after them.
func (n *Node) Watch(ctx context.Context, db DualBoot, every time.Duration) iter.Seq2[DualBootStatus, error] {
	every = max(every, time.Second) // a status costs the node a dozen requests
	return func(yield func(DualBootStatus, error) bool) {
		for {
			status, err := n.Status(ctx, db)
			if ctx.Err() != nil || !yield(status, err) {
				return
			}
			if pve.Sleep(ctx, every) != nil {
				return
			}
		}
	}
}
