package install

import (
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
)

// Each case is the status of a set, written as a literal. VM 141 is to start.
func TestBlocked(t *testing.T) {
	t.Parallel()
	quorum := proxstation.Finding{ID: "switch.no-quorum", Severity: proxstation.Blocker}
	notOff := proxstation.Finding{ID: "switch.node-not-off", Severity: proxstation.Blocker}
	other := proxstation.Finding{ID: "switch.no-vm", Severity: proxstation.Blocker}
	away := proxstation.Finding{ID: "switch.target-away", Seen: "node pve2 is offline"}
	lease := workstation.Lease{ID: "x", Owner: "the board", To: 140}
	for name, test := range map[string]struct {
		members []workstation.MemberStatus
		lease   *workstation.Lease
		beside  []int
		want    string // the ID of the finding; empty if the VM may start
		seen    string
	}{
		"the other is off":                   {members: []workstation.MemberStatus{{VMID: 140}, {VMID: 141}}},
		"the VM does not exist yet":          {members: []workstation.MemberStatus{{VMID: 140}, {VMID: 141, Why: []proxstation.Finding{other}}}},
		"no quorum":                          {members: []workstation.MemberStatus{{VMID: 140}, {VMID: 141, Why: []proxstation.Finding{other, quorum}}}, want: "switch.no-quorum"},
		"a switch is under way":              {members: []workstation.MemberStatus{{VMID: 140}, {VMID: 141}}, lease: &lease, want: "install.leased", seen: lease.String()},
		"a node is not off, as was said":     {members: []workstation.MemberStatus{{VMID: 140, Why: []proxstation.Finding{notOff}}, {VMID: 141, Why: []proxstation.Finding{other}}}, want: "switch.node-not-off"},
		"no quorum, of two members":          {members: []workstation.MemberStatus{{VMID: 140, Why: []proxstation.Finding{quorum}}, {VMID: 141, Why: []proxstation.Finding{quorum}}}, want: "switch.no-quorum"},
		"the other runs":                     {members: []workstation.MemberStatus{{VMID: 140, Name: "win", Node: "pve2", Running: true}, {VMID: 141}}, want: "install.member-runs", seen: "VM 140 win runs on node pve2"},
		"the other runs, and is shut down":   {members: []workstation.MemberStatus{{VMID: 140, Running: true}, {VMID: 141}}, beside: []int{140}},
		"the other is away":                  {members: []workstation.MemberStatus{{VMID: 140, Name: "win", Node: "pve2", Away: true, Why: []proxstation.Finding{away}}, {VMID: 141}}, want: "install.member-away", seen: "VM 140 win is on node pve2, which is away (node pve2 is offline)"},
		"it runs already, the other is away": {members: []workstation.MemberStatus{{VMID: 140, Away: true}, {VMID: 141, Running: true}}},
	} {
		found := blocked(141, "linux", workstation.DualBootStatus{Members: test.members, Lease: test.lease}, test.beside)
		switch {
		case test.want == "" && len(found) == 0:
		case test.want == "" || len(found) != 1 || found[0].ID != test.want || found[0].Severity != proxstation.Blocker || found[0].Seen != test.seen:
			t.Errorf("%s: %v, want %q: %q", name, found, test.want, test.seen)
		}
	}
}
