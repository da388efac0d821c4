package workstation

import (
	"strings"

	"github.com/proxstation/proxstation"
)

// privileges says which steps the login may not do.
func (d *differ) privileges() {
	for _, step := range d.plan.Steps {
		c := step.Change()
		var missing []string
		for _, p := range c.Needs {
			if d.facts.permissions != nil && !d.facts.allows(p) && d.facts.RootTicket != proxstation.Yes {
				missing = append(missing, p.String())
			}
		}
		if len(missing) > 0 {
			d.find(proxstation.Finding{ID: "workstation.privilege", Severity: proxstation.Blocker, Subject: c.Object, Seen: "the login lacks " + strings.Join(missing, ", "),
				Why: "PVE would refuse this step", Fix: "add them to the login's role (PVE manual, User Management)"})
		}
		if len(c.RootTicket) > 0 && d.facts.RootTicket == proxstation.No {
			d.find(proxstation.Finding{ID: "workstation.root-only", Severity: proxstation.Blocker, Subject: c.Object, Seen: strings.Join(c.RootTicket, ", "),
				Why: "PVE lets only root@pam set them, logged in with a password; no API token may",
				Fix: "log in as root@pam with a password, or use a resource mapping instead of an address"})
		}
	}
}
