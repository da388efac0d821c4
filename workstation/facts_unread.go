package workstation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
)

// ErrUnread reports a VM whose configuration was not read, so that nothing can
// be said or planned about it. [Facts.Unread] holds these VMs.
var ErrUnread = errors.New("its configuration was not read")

func (f Facts) isUnread(vmid int) bool {
	_, is := f.Unread[vmid]
	return is
}

// This returns the error about a VM that is not in f.VMs. It matches
// [ErrUnread] or [ErrNotFound].
func (f Facts) missing(vmid int) error {
	if name, unread := f.Unread[vmid]; unread {
		return fmt.Errorf("workstation: %s on node %s: %w", VMFacts{ID: vmid, Name: name}, f.Node, ErrUnread)
	}
	return fmt.Errorf("workstation: VM %d on node %s: %w", vmid, f.Node, ErrNotFound)
}

// A VM whose configuration was not read may take the same PCI devices as
// another VM. claimsUnread returns a finding about this.
func (f Facts) claimsUnread(v VMFacts) []proxstation.Finding {
	if claim := v.claim(v.Config); len(f.Unread) == 0 || len(claim.Values)+len(claim.ByArgs)+len(claim.Unread) == 0 {
		return nil
	}
	var names []string
	for _, id := range slices.Sorted(maps.Keys(f.Unread)) {
		if len(names) == 3 {
			names = append(names, fmt.Sprintf("and %d more", len(f.Unread)-3))
			break
		}
		names = append(names, VMFacts{ID: id, Name: f.Unread[id]}.String())
	}
	return []proxstation.Finding{{ID: "workstation.claims-unread", Severity: proxstation.Warning, Subject: v.String(),
		Seen: fmt.Sprintf("on node %s, the configurations of %s were not read", f.Node, strings.Join(names, ", ")),
		Why:  "If such a VM has the same PCI device, only one of the two runs at a time.",
		Fix:  fmt.Sprintf("See which VMs have PCI devices: grep -HE '^(hostpci|args)' /etc/pve/nodes/%s/qemu-server/*.conf", f.Node)}}
}
