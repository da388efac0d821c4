package workstation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
)

// checkSeen refuses to make a VM that the login could not see. PVE lists only
// the VMs that a login may audit. So a VM with this ID may already exist, and a
// new VM could not be read back.
func (d *differ) checkSeen(vm VM) {
	for _, audit := range d.facts.Lacks(Privilege{vmPath(vm.ID), "VM.Audit"}) {
		d.find(proxstation.Finding{ID: "workstation.vm-unseen", Severity: proxstation.Blocker, Subject: fmt.Sprintf("VM %d %s", vm.ID, vm.Name), Seen: "the login lacks " + audit.String(),
			Why: "PVE lists only the VMs that a login may see: this VM may exist already, and Apply could not read its changes back.", Fix: "Give the login's role VM.Audit on /vms (PVE manual, User Management), and observe again."})
	}
}

// privileges reports the steps for which the login lacks privileges.
func (d *differ) privileges() {
	for _, step := range d.plan.Steps {
		c := step.change()
		var missing []string
		for _, p := range d.facts.Lacks(c.Needs...) {
			missing = append(missing, p.String())
		}
		if len(missing) > 0 {
			d.find(proxstation.Finding{ID: "workstation.privilege", Severity: proxstation.Blocker, Subject: c.Object, Seen: "the login lacks " + strings.Join(missing, ", "),
				Why: "PVE would refuse this step.", Fix: "Add these privileges to the login's role (PVE manual, User Management)."})
		}
		if len(c.RootTicket) > 0 && d.facts.RootTicket == proxstation.No {
			d.find(proxstation.Finding{ID: "workstation.root-only", Severity: proxstation.Blocker, Subject: c.Object, Seen: strings.Join(c.RootTicket, ", "),
				Why: "PVE lets only root@pam set these keys, and only with a password: an API token cannot do it.",
				Fix: "Log in as root@pam with a password" + withoutRoot(c.RootTicket) + "."})
		}
	}
}

// withoutRoot returns the other way to get what keys set that only root@pam may
// set. It returns "" if one of the keys has no other way.
func withoutRoot(keys []string) string {
	var ways []string
	for _, key := range keys {
		way := ""
		switch {
		case strings.Contains(key, "a mapping needs only"): // an address, or a port of the host
			way = "name a resource mapping in place of the address or the port"
		case strings.Contains(key, "a volume of content type import"):
			way = "name a volume of content type import in place of the file"
		default:
			return ""
		}
		if !slices.Contains(ways, way) {
			ways = append(ways, way)
		}
	}
	return ", or " + strings.Join(ways, " and ")
}

// Lacks returns those of the given privileges that the login does not have. It
// returns nil if the login's privileges are not known.
func (f Facts) Lacks(privileges ...Privilege) []Privilege {
	var lacks []Privilege
	for _, p := range privileges {
		if f.permissions != nil && !f.permissions.Grants(p.Path, p.Name) && f.RootTicket != proxstation.Yes {
			lacks = append(lacks, p)
		}
	}
	return lacks
}
