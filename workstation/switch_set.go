package workstation

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// A DualBoot is a set of VMs that take turns: at most one of them runs. They
// share a card of one node, or have cards on several nodes of a cluster.
type DualBoot struct {
	// Members holds the VMIDs of the set, two or more.
	Members []int
	// Grace is how long a guest may take to shut down. 0 means three minutes.
	Grace time.Duration
	// Force allows the switch to pull the plug of a guest that did not shut
	// down in time. This includes the way back. Without Force, the switch fails
	// and the guest goes on running.
	Force bool
	// Wake allows a switch to wake a guest that sleeps (S3). A sleeping member
	// is woken so that it can be asked to shut down. A sleeping target is up
	// once it is woken. Without Wake, a sleeping guest stops the switch, unless
	// Force is set.
	Wake bool
	// Boot is how long the next guest may take to be up. 0 means five minutes.
	Boot time.Duration
	// ReturnIfNotUp lets the switch shut down a target that has started but is
	// not up within Boot, and start the VM that ran before. If the target's
	// guest does not shut down, it keeps the card, unless Force is set. Without
	// ReturnIfNotUp, the started VM keeps the card, because its guest may be
	// installing updates. The switch then fails, and its error says that the VM
	// keeps the card.
	ReturnIfNotUp bool
	// Up reports whether a guest is up: it returns nil then. It is called again
	// and again until it returns nil. If Up is nil, the guest agent is asked. A
	// VM without an agent counts as up as soon as it runs.
	Up func(ctx context.Context, vmid int) error
	// Healthy returns nil if the card may be given to the next member. It is
	// called when the old member is off, before the next member starts. After
	// an error nothing is started, because a start with a card that fell off
	// the bus can bring the host down. The PVE API does not show this state; a
	// controller on the host can find it with package iommu (Function.Lost). If
	// Healthy is nil, the card is not checked.
	Healthy func(ctx context.Context) error
	// Owner is the name by which other controllers know this controller. If it
	// is empty, the name is made from the host's name, the process ID and a
	// part that differs for every [Node]. After a restart, a controller with
	// the same name counts as the same controller.
	Owner string
	// TakeOver is the ID of a lease to take over at once, because a person
	// knows that its owner is dead. It is the ID in [DualBootStatus].Lease. If
	// the owner is alive after all, it has renewed the lease under another ID,
	// and the error matches [ErrLeased].
	TakeOver string
	// NoLease lets a switch work without a lease, for logins without
	// VM.Config.Options. Then two controllers can disturb each other's
	// switches, but PVE's own reservation still keeps two VMs from having the
	// card at once.
	NoLease bool
	// NodesOff names nodes of the cluster that a person has seen switched off.
	// Without it, no switch begins while a member is on a node that the cluster
	// has lost sight of, because that node may still run its VMs. The members
	// on the nodes in NodesOff count as off. If one of these nodes can be
	// reached after all, no switch begins.
	NodesOff []string
}

// withDefaults returns the set with its defaults, or an error if the set is not
// valid.
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
		return invalid("grace and boot", fmt.Sprintf("%s and %s", db.Grace, db.Boot), "a time cannot be below zero")
	}
	db.Grace, db.Boot = cmp.Or(db.Grace, 3*time.Minute), cmp.Or(db.Boot, 5*time.Minute)
	if longest := max(db.stopTime()+db.Boot, 2*db.Boot) + leaseSlack; longest > maxTTL || max(db.Grace, db.Boot) > maxTTL {
		return invalid("grace and boot", fmt.Sprintf("%s and %s", db.Grace, db.Boot), fmt.Sprintf("a switch must not take longer than its lease can last, %s", maxTTL))
	}
	return db, nil
}

// withTarget returns the set with its defaults. It also checks that the VM is a
// member.
func (db DualBoot) withTarget(vmid int) (DualBoot, error) {
	db, err := db.withDefaults()
	if err == nil && !slices.Contains(db.Members, vmid) {
		err = &InvalidError{VMID: vmid, Field: "members", Value: fmt.Sprint(db.Members), Why: "the VM is not one of them"}
	}
	return db, err
}
