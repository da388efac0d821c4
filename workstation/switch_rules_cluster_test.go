package workstation

import (
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
)

// Each case is one state of a cluster, written as literal facts. The test
// checks the findings of Preflight about it.
func TestPreflightCluster(t *testing.T) {
	t.Parallel()
	db, _ := DualBoot{Members: []int{140, 141}}.withDefaults()
	said, leaseless := db, db
	said.NodesOff = []string{"pve1"}
	leaseless.NoLease = true
	one := map[string]string{"pve1": "node pve1 is offline"}
	for name, test := range map[string]struct {
		db      DualBoot
		quorate proxstation.Answer
		away    map[string]string
		ha      []int
		want    string // the IDs of the findings
		fix     string // a part of the Fix of a finding
	}{
		"nobody asked for quorum":            {db, proxstation.Unknown, nil, nil, "", ""},
		"quorum":                             {db, proxstation.Yes, nil, nil, "", ""},
		"no quorum":                          {db, proxstation.No, nil, nil, "switch.no-quorum", "pvecm status"},
		"the holder's node is away":          {db, proxstation.Yes, one, nil, "switch.node-away", "bring node pve1"},
		"the same, of a VM that HA recovers": {db, proxstation.Yes, one, []int{140}, "switch.node-away", "fences node pve1"},
		"the same, without quorum":           {db, proxstation.No, one, nil, "switch.no-quorum switch.node-away", ""},
		"a person says that it is off":       {said, proxstation.Yes, one, nil, "", ""},
		"a person says so, and it is there":  {said, proxstation.Yes, nil, nil, "switch.node-not-off", "take it out"},
		"the target's node is away":          {db, proxstation.Yes, map[string]string{"pve2": "x"}, nil, "", ""},
		"another node is away":               {db, proxstation.Yes, map[string]string{"pve9": "x"}, nil, "", ""},
		"quorum cannot be read, no lease":    {leaseless, proxstation.Unknown, map[string]string{"pve9": "x"}, nil, "switch.no-quorum", ""},
		"quorum cannot be read, a lease":     {db, proxstation.Unknown, map[string]string{"pve9": "x"}, nil, "", ""},
	} {
		facts := Facts{Node: "pve2", quorate: test.quorate, away: test.away, HA: test.ha,
			VMs: map[int]VMFacts{140: {ID: 140, Node: "pve1"}, 141: {ID: 141, Node: "pve2"}}}
		var got, text []string
		for _, f := range preflightCluster(test.db, 141, facts) {
			got, text = append(got, f.ID), append(text, strings.ToLower(f.String()))
		}
		if strings.Join(got, " ") != test.want || !strings.Contains(strings.Join(text, "\n"), strings.ToLower(test.fix)) {
			t.Errorf("%s: %v, want %q and %q: %v", name, got, test.want, test.fix, text)
		}
	}
}

// VMs of other nodes take no device of this node, and their end frees no memory
// of this node.
func TestClaimsAreOfOneNode(t *testing.T) {
	t.Parallel()
	config := map[string]string{"hostpci0": "0000:01:00", "memory": "4096"}
	facts := Facts{Node: "pve2", MemoryTotal: 8 << 30, MemoryAvailable: 1 << 30, VMs: map[int]VMFacts{
		140: {ID: 140, Node: "pve1", Running: true, Config: config}, 141: {ID: 141, Node: "pve2", Config: config}}}
	if claims := facts.Claims(); len(claims) != 1 || claims[0].VMID != 141 {
		t.Errorf("claims: %+v", claims)
	}
	db := DualBoot{Members: []int{140, 141}}
	if found := preflightMemory(db, facts.VMs[141], facts, "VM 141"); len(found) != 1 {
		t.Errorf("memory of another node counts: %v", found)
	}
}
