package workstation

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/proxstation/proxstation/internal/printable"
)

// A Lease says which controller is switching a set of VMs that share a card. It
// is kept in the description of the member with the lowest VMID that exists, as
// a comment that PVE's web interface does not show. PVE's config digest decides which
// controller gets the lease, so controllers on several machines need no server
// of their own.
//
// In a cluster the description is in a file below /etc/pve/nodes. PVE passes
// every change on to the node that has the VM. That node compares the digest
// and writes while it holds a lock of its own for the VM (pve-guest-common
// PVE/AbstractConfig.pm, lock_config). So two controllers exclude each other,
// even if they send their requests to different nodes. pmxcfs shows the writes
// to all nodes in the same order, and refuses them without quorum.
//
// If the VM with the lease is on a node that is away, no other controller can
// take the lease over, and no other switch begins. The switch that owns the
// lease then writes the lease to another member, on a node that can be reached.
//
// A lease does not restrict PVE's web interface, the HA manager, or a person
// who edits /etc/pve.
//
// The clocks of machines are never compared. A controller takes over the lease
// of another controller after it has seen that lease unchanged for its TTL.
type Lease struct {
	// Owner names the controller, for people: [DualBoot.Owner].
	Owner string `json:"owner"`
	// ID is random and new at every write, so that a renewal can be seen.
	ID string `json:"id"`
	// From is the VM that ran when the switch began, or 0. If the owner died,
	// the controller that takes the lease over returns to this VM on failure.
	From int `json:"from,omitempty"`
	// To is the VM that is to get the card.
	To int `json:"to"`
	// Phase is the stage of the switch that the owner is in.
	Phase Phase `json:"phase"`
	// TTL is the time for which the lease counts without a renewal. In JSON it
	// is in nanoseconds.
	TTL time.Duration `json:"ttl"`
}

// String describes the lease for people. Control characters from other writers
// are made visible before they reach a terminal.
func (l Lease) String() string {
	if l.To == 0 {
		return printable.Line(l.Owner) + " has the lease"
	}
	return printable.Line(fmt.Sprintf("%s is switching to VM %d (phase %s)", l.Owner, l.To, l.Phase))
}

// A TTL counts as at least minTTL and at most maxTTL, whatever a lease says. So
// no controller waits for years, or takes a lease over before its owner had
// time to renew it.
const (
	minTTL = 30 * time.Second
	maxTTL = 2 * time.Hour
)

var leaseLine = regexp.MustCompile(`\n?<!-- proxstation-lease (\{.*?\}) -->`)

// readLease returns the lease in a VM's description, and false if the
// description holds no lease. A lease that cannot be read still counts for a
// short while.
func readLease(description string) (lease Lease, ok bool) {
	match := leaseLine.FindStringSubmatch(description)
	if match == nil {
		return Lease{}, false
	}
	if err := json.Unmarshal([]byte(match[1]), &lease); err != nil || lease.ID == "" {
		return Lease{Owner: "a controller whose lease cannot be read", ID: match[1], TTL: minTTL}, true
	}
	lease.TTL = min(max(lease.TTL, minTTL), maxTTL)
	return lease, true
}

// writeLease returns the description with the lease, which replaces any older
// lease.
func writeLease(description string, lease Lease) string {
	text, _ := json.Marshal(lease) // strings and numbers can always be encoded
	return withoutLease(description) + "\n<!-- proxstation-lease " + string(text) + " -->"
}

// withoutLease returns the description as its author wrote it.
func withoutLease(description string) string {
	return strings.TrimRight(leaseLine.ReplaceAllString(description, ""), "\n")
}

// leases remembers, for each VM with a lease of another controller, when a
// [Node] first saw this lease.
type leases struct {
	mu   sync.Mutex
	seen map[int]seenLease
}

type seenLease struct {
	id    string
	since time.Time
}

// This returns the time for which a lease still counts without a renewal: its
// TTL minus the time for which this Node has seen it unchanged. It uses no
// clock of another machine.
func (l *leases) left(place int, lease Lease) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == nil {
		l.seen = map[int]seenLease{}
	}
	if l.seen[place].id != lease.ID {
		l.seen[place] = seenLease{id: lease.ID, since: time.Now()}
	}
	return max(lease.TTL-time.Since(l.seen[place].since), 0)
}

// A leasedError says that another controller has the lease, and for how long.
type leasedError struct {
	lease Lease
	left  time.Duration
}

// Error implements error.
func (e *leasedError) Error() string {
	return fmt.Sprintf("%s: its lease ends in %s unless it is renewed", e.lease, e.left.Round(time.Second))
}

// This describes the wait. The text changes every ten seconds.
func (e *leasedError) waiting() string {
	return fmt.Sprintf("waiting for another controller, at most %s if it does not renew its lease: %s", (e.left + 9*time.Second).Truncate(10*time.Second), e.lease)
}
