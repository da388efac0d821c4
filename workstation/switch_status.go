package workstation

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/pve"
)

// A DualBootStatus says who has the card and who could have it.
type DualBootStatus struct {
	// Running is the member that runs, 0 if none does.
	Running int
	// For is how long it has been running.
	For time.Duration
	// Members are all members in the order of their VMIDs.
	Members []MemberStatus
	// Lease is that of a controller at work, nil if there is none.
	Lease *Lease
}

// A MemberStatus is the state of one member of a [DualBoot].
type MemberStatus struct {
	VMID    int
	Name    string
	Running bool
	// CanStart says whether a switch to it would begin; Why holds what is in
	// the way, and warnings.
	CanStart proxstation.Answer
	Why      []proxstation.Finding
}

// Status says who has the card, since when, and who could have it. A member
// that does not exist is told of in its Why; the errors are those of
// [Node.Observe], and an [InvalidError] for a set that is none.
func (n *Node) Status(ctx context.Context, db DualBoot) (DualBootStatus, error) {
	db, err := db.withDefaults()
	if err != nil {
		return DualBootStatus{}, err
	}
	facts, err := n.Observe(ctx)
	if err != nil {
		return DualBootStatus{}, err
	}
	var status DualBootStatus
	for _, id := range db.Members {
		v, exists := facts.VMs[id]
		m := MemberStatus{VMID: id, Name: v.Name, Running: v.Running, Why: Preflight(db, id, facts)}
		m.CanStart = proxstation.AnswerOf(exists && proxstation.Worst(m.Why) < proxstation.Blocker)
		status.Members = append(status.Members, m)
		if v.Running {
			status.Running = id
			live, err := n.pve.Status(ctx, id)
			if err != nil {
				return DualBootStatus{}, err
			}
			status.For = live.Uptime
		}
	}
	if lease, held := readLease(facts.VMs[db.Members[0]].Config["description"]); held {
		status.Lease = &lease
	}
	return status, nil
}

// running returns the members that run.
func (n *Node) running(ctx context.Context, db DualBoot) ([]int, error) {
	list, err := n.pve.VMs(ctx)
	if err != nil {
		return nil, err
	}
	var running []int
	for _, v := range list {
		if v.Running && slices.Contains(db.Members, v.VMID) {
			running = append(running, v.VMID)
		}
	}
	return running, nil
}

// Watch yields the status of a set again and again, every so often but at most
// once a second, until the context ends or the caller stops. An error is yielded too, and the next
// status after it.
func (n *Node) Watch(ctx context.Context, db DualBoot, every time.Duration) iter.Seq2[DualBootStatus, error] {
	every = max(every, time.Second) // a status takes the node a dozen requests
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
