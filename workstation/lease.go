package workstation

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// A Lease says which controller is at work on a set of VMs that share a card.
// It lives in the description of the member with the lowest VMID, as a comment
// that PVE's web UI does not show. PVE's config digest decides who gets it, so
// that controllers on several machines need no server of their own.
//
// No clock is compared between machines: a controller that finds the lease of
// another takes it over after it has watched it unchanged for its TTL.
type Lease struct {
	// Owner names the controller, for people: [DualBoot.Owner].
	Owner string `json:"owner"`
	// ID is random and new at every write, so that a renewal can be seen.
	ID string `json:"id"`
	// From is the VM that ran when the switch began, 0 if none did. A
	// controller that adopts a switch that died returns to it on failure.
	From int `json:"from,omitempty"`
	// To is the VM the card is being given to.
	To int `json:"to"`
	// Phase is what the owner is doing.
	Phase Phase `json:"phase"`
	// TTL is how long the lease counts without a renewal, in nanoseconds in JSON.
	TTL time.Duration `json:"ttl"`
}

// String describes the lease for people.
func (l Lease) String() string {
	return fmt.Sprintf("%s is switching to VM %d (phase %s)", l.Owner, l.To, l.Phase)
}

var leaseLine = regexp.MustCompile(`\n?<!-- proxstation-lease (\{.*?\}) -->`)

// readLease returns the lease in a VM's description, or ok false.
func readLease(description string) (lease Lease, ok bool) {
	match := leaseLine.FindStringSubmatch(description)
	if match == nil || json.Unmarshal([]byte(match[1]), &lease) != nil {
		return Lease{}, false
	}
	return lease, lease.ID != ""
}

// writeLease returns the description with the lease in place of any other.
func writeLease(description string, lease Lease) string {
	text, _ := json.Marshal(lease) // a struct of strings and numbers cannot fail
	return withoutLease(description) + "\n<!-- proxstation-lease " + string(text) + " -->"
}

// withoutLease returns the description as its author wrote it.
func withoutLease(description string) string {
	return strings.TrimRight(leaseLine.ReplaceAllString(description, ""), "\n")
}
