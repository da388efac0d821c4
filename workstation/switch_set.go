package workstation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/proxstation/proxstation"
)

// A DualBoot is a set of VMs of one node that share a card and take turns.
type DualBoot struct {
	// Members are the VMIDs, two or more.
	Members []int
	// Grace is how long a guest may take to shut down; 0 is three minutes.
	Grace time.Duration
	// Force lets a guest that did not shut down in that time be stopped as by
	// pulling the plug. Without it the switch fails and the guest goes on.
	Force bool
	// Boot is how long the next guest may take to be up; 0 is five minutes.
	Boot time.Duration
	// Up reports, by returning nil, that a guest is up. It is called again
	// until it does. Nil asks the guest agent where one is configured, and
	// otherwise takes a running VM for one that is up.
	Up func(ctx context.Context, vmid int) error
	// Healthy reports, by returning nil, that the card can be handed on. It is
	// called when the member that ran is gone and before the next one starts;
	// with an error nothing is started, because a start with a card that fell
	// off the bus can take the host down. The PVE API cannot tell; a controller
	// on the host can, with package iommu (Function.Lost). Nil is no check.
	Healthy func(ctx context.Context) error
	// Owner names this controller to others; empty is the host's name, the
	// process ID and a part that every [Node] has of its own. A controller of
	// the same name is taken for this one, started anew.
	Owner string
	// NoLease leaves out the note in the members' description that keeps two
	// controllers apart, for logins without VM.Config.Options. PVE's own
	// reservation still keeps two VMs from having the card at once.
	NoLease bool
}

// A SwitchError says in which phase a switch failed, and what state the VMs
// are in now.
type SwitchError struct {
	Phase Phase
	To    int
	// Running is the member that runs now, 0 if none does, -1 if the node does
	// not tell.
	Running int
	// Returned says that the VM that ran before runs again.
	Returned bool
	// Cause is what failed; Return what failed on the way back, if that did.
	Cause, Return error
}

// Error implements error.
func (e *SwitchError) Error() string {
	now := fmt.Sprintf("VM %d is running", e.Running)
	switch {
	case e.Returned:
		now = fmt.Sprintf("VM %d runs again", e.Running)
	case e.Running == 0:
		now = "none of the VMs is running"
	case e.Running < 0:
		now = "which VM is running could not be found out"
	}
	text := fmt.Sprintf("workstation: switch to VM %d failed (%s): %v; %s", e.To, e.Phase, e.Cause, now)
	if e.Return != nil {
		text += fmt.Sprintf("; the way back failed too: %v", e.Return)
	}
	return text
}

// Unwrap returns what failed.
func (e *SwitchError) Unwrap() []error {
	if e.Return == nil {
		return []error{e.Cause}
	}
	return []error{e.Cause, e.Return}
}

// withDefaults returns the set with its defaults, or an error if it is none.
func (db DualBoot) withDefaults() (DualBoot, error) {
	db.Members = slices.Sorted(slices.Values(db.Members))
	invalid := func(field, value, why string) (DualBoot, error) {
		return db, &InvalidError{Field: field, Value: value, Why: why}
	}
	distinct := len(slices.Compact(slices.Clone(db.Members)))
	switch {
	case distinct < 2 || distinct != len(db.Members):
		return invalid("members", fmt.Sprint(db.Members), "a DualBoot has two different VMs or more")
	case db.Members[0] < minVMID || db.Members[len(db.Members)-1] > maxVMID:
		return invalid("members", fmt.Sprint(db.Members), "VMIDs go from 100 to 999999999")
	case db.Grace < 0 || db.Boot < 0:
		return invalid("grace and boot", fmt.Sprintf("%s and %s", db.Grace, db.Boot), "no time is below zero")
	}
	db.Grace, db.Boot = cmp.Or(db.Grace, 3*time.Minute), cmp.Or(db.Boot, 5*time.Minute)
	return db, nil
}

// withTarget is withDefaults for a VM that must be a member.
func (db DualBoot) withTarget(vmid int) (DualBoot, error) {
	db, err := db.withDefaults()
	if err == nil && !slices.Contains(db.Members, vmid) {
		err = &InvalidError{VMID: vmid, Field: "members", Value: fmt.Sprint(db.Members), Why: "the VM is not one of them"}
	}
	return db, err
}

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

var errNotUp = errors.New("the guest is not up in time")
