package workstation

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"
)

// A DualBoot is a set of VMs of one node that share a card and take turns.
type DualBoot struct {
	// Members are the VMIDs, two or more.
	Members []int
	// Grace is how long a guest may take to shut down; 0 is three minutes.
	Grace time.Duration
	// Force lets a guest that did not shut down in that time be stopped as by
	// pulling the plug, on the way back too. Without it no guest is stopped in
	// this way: the switch fails and the guest goes on.
	Force bool
	// Wake lets a guest that sleeps (S3) be woken, so that it can be asked to
	// shut down, or is up if it is the one that is switched to. Without it such
	// a guest is in the way, unless Force allows to pull its plug.
	Wake bool
	// Boot is how long the next guest may take to be up; 0 is five minutes.
	Boot time.Duration
	// NotUp says what becomes of a guest that has started and is not up in that
	// time. The zero value leaves the card with it.
	NotUp NotUp
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
	// TakeOver is the ID of another controller's lease that is taken over at
	// once, because a person knows that its owner is dead: [Lease].ID of
	// [DualBootStatus].Lease. An owner that is alive renews its lease with
	// another ID, which is an error that matches [ErrLeased].
	TakeOver string
	// NoLease leaves out the note in the members' description that keeps two
	// controllers apart, for logins without VM.Config.Options. PVE's own
	// reservation still keeps two VMs from having the card at once.
	NoLease bool
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
	if longest := max(db.stopTime()+db.Boot, 2*db.Boot) + leaseSlack; longest > maxTTL || max(db.Grace, db.Boot) > maxTTL {
		return invalid("grace and boot", fmt.Sprintf("%s and %s", db.Grace, db.Boot), fmt.Sprintf("a switch must not take longer than its lease may count, %s", maxTTL))
	}
	if int(db.NotUp) >= len(notUpNames) {
		return invalid("not up", db.NotUp.String(), "the choices are NotUpKeep and NotUpReturn")
	}
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
