package workstation_test

import (
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// With the facts of one node, the advice names the member of the other node as
// not judged. With the facts of both nodes, it judges both members, and reports
// that both start with their nodes. A backup job of the cluster is reported
// once.
func TestAdviseOnSeveralNodes(t *testing.T) {
	t.Parallel()
	hosts := trio()
	for i := range 2 {
		hosts[i].VMs[0].Config["onboot"] = "1"
		delete(hosts[i].VMs[0].Config, "agent")
	}
	hosts[0].Backups = []pvetest.BackupJob{{ID: "nightly", Schedule: "02:00", All: true, Mode: "snapshot", Enabled: true, Storage: "local"}}
	sim := pvetest.NewCluster(hosts, nil)
	var facts []workstation.Facts
	for _, name := range []string{"pve1", "pve2"} {
		seen, err := enter(sim, name, nil).Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		facts = append(facts, seen)
	}
	for name, test := range map[string]struct {
		facts    []workstation.Facts
		want     string
		noAgents int
	}{
		"one node":   {facts[:1], "switch.backup-off switch.no-agent switch.not-judged", 1},
		"both nodes": {facts, "switch.backup-off switch.no-agent switch.onboot", 2},
	} {
		findings := both.Advise(test.facts...)
		count := map[string]int{}
		for _, f := range findings {
			count[f.ID]++
			if f.ID == "switch.not-judged" && (f.Subject != "VM 141" || !strings.Contains(f.Seen, "on node pve2")) {
				t.Errorf("%s: %s", name, f)
			}
		}
		if ids(findings) != test.want || count["switch.no-agent"] != test.noAgents || count["switch.backup-off"] != 1 {
			t.Errorf("%s: %v", name, findings)
		}
	}
}

// A member that does not exist is looked up in the whole cluster, and the
// finding says so.
func TestAMemberThatDoesNotExistInTheCluster(t *testing.T) {
	t.Parallel()
	hosts := trio()
	hosts[1].VMs = nil
	sim := pvetest.NewCluster(hosts, nil)
	sim.Down("pve3")
	status, err := enter(sim, "pve1", nil).Status(t.Context(), both)
	if err != nil {
		t.Fatal(err)
	}
	why := status.Members[1].Why
	if len(why) != 1 || why[0].ID != "switch.no-vm" || why[0].Severity != proxstation.Blocker || !strings.Contains(why[0].Seen, "the nodes pve1, pve2, pve3, has no such VM") || !strings.HasSuffix(why[0].Seen, "away: pve3") {
		t.Errorf("%v: want a finding about the whole cluster", why)
	}
	host := pair()
	host.VMs = host.VMs[:1]
	alone, err := open(pvetest.New(host, nil)).Status(t.Context(), both)
	if err != nil || alone.Members[1].Why[0].Seen != "no such VM on node pve" {
		t.Errorf("%v, %v: want the one node that was searched", alone.Members, err)
	}
}
