package workstation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/pve"
)

// lostSight reports whether it is unknown if a member runs: the member's node
// is away, and no person has said that this node is off.
func (f Facts) lostSight(db DualBoot, v VMFacts) bool {
	return f.away[v.Node] != "" && !slices.Contains(db.NodesOff, v.Node)
}

// preflightCluster judges the faults that exist only in a cluster: no quorum,
// and nodes that are away. At most one member of a set runs in the whole
// cluster, so a switch does not begin while a member may run where nobody sees
// it. This also holds for members with cards of their own, because the set may
// share a disk, a licence or a person's work instead of a card.
func preflightCluster(db DualBoot, to int, facts Facts) []proxstation.Finding {
	var findings []proxstation.Finding
	if facts.quorate == proxstation.No {
		findings = append(findings, noQuorum("/cluster/status: quorate: 0"))
	}
	if facts.quorate == proxstation.Unknown && len(facts.away) > 0 && db.NoLease { // with a lease, PVE's refusal to write the lease would show that the quorum is lost
		findings = append(findings, noQuorum("/cluster/status could not be read, and a node is away"))
	}
	for _, id := range slices.Sorted(slices.Values(db.Members)) {
		if v := facts.VMs[id]; id != to && facts.lostSight(db, v) {
			findings = append(findings, memberAway(v, facts))
		}
	}
	for _, node := range db.NodesOff {
		if facts.away[node] == "" && slices.ContainsFunc(slices.Collect(maps.Values(facts.VMs)), func(v VMFacts) bool { return v.Node == node }) {
			findings = append(findings, blocker("switch.node-not-off", "node "+node, "it is named as switched off, and the cluster sees it",
				"its VMs may run", "take it out of the nodes that are said to be off"))
		}
	}
	return findings
}

// noQuorum returns the finding about a part of a cluster without quorum.
// /etc/pve is read-only there. PVE starts no VM and writes no configuration,
// but it would still shut a VM down (qemu-server PVE/API2/Qemu.pm, vm_start and
// vm_shutdown; pve-cluster PVE/Cluster.pm, check_cfs_quorum).
func noQuorum(seen string) proxstation.Finding {
	return blocker("switch.no-quorum", "the cluster", seen,
		"without quorum PVE starts no VM and no lease can be written, while the rest of the cluster may be switching the same VMs",
		"bring back enough nodes or their network until pvecm status says Quorate: Yes, and switch again")
}

// memberAway returns the finding about a member that may run on a node that the
// cluster has lost sight of.
func memberAway(v VMFacts, facts Facts) proxstation.Finding {
	f := blocker("switch.node-away", v.String(), facts.away[v.Node], fmt.Sprintf("VM %d is on node %s and may still run there, where nobody sees it", v.ID, v.Node),
		fmt.Sprintf("bring node %s or its network back, and switch again; if somebody has seen that the node is off, name it among the nodes that are off", v.Node))
	if slices.Contains(facts.HA, v.ID) {
		f.Fix = fmt.Sprintf("Wait about three minutes: the HA manager fences node %s and then brings the VM to another node (ha-manager status).", v.Node)
	}
	return f
}

// targetAway returns the finding about a target whose node is away or off.
func targetAway(v VMFacts, facts Facts) proxstation.Finding {
	return blocker("switch.target-away", v.String(), cmp.Or(facts.away[v.Node], "node "+v.Node+" is said to be off"),
		fmt.Sprintf("VM %d is on node %s, which cannot start it", v.ID, v.Node),
		fmt.Sprintf("bring node %s back, or switch to another member", v.Node))
}

// preflightHA judges whether the HA manager would carry out a request to start
// the target.
func preflightHA(v VMFacts, facts Facts) []proxstation.Finding {
	if !slices.Contains(facts.HA, v.ID) {
		return nil
	}
	if busy := haBusy(v); busy != nil {
		return busy
	}
	return []proxstation.Finding{{ID: "switch.ha", Severity: proxstation.Info, Subject: v.String(), Seen: "high availability: " + cmp.Or(v.HAState, "managed"),
		Why: "The HA manager starts the VM, about 20 seconds after the request, and moves it to another node if it does not start.",
		Fix: "Keep the VM on nodes that have its card: with a strict node affinity rule (ha-manager rules add node-affinity, PVE 9) or a restricted group (PVE 8)."}}
}

// preflightHolderHA judges whether the HA manager would carry out a request to
// stop a member that runs.
func preflightHolderHA(db DualBoot, v VMFacts, facts Facts) []proxstation.Finding {
	if !slices.Contains(facts.HA, v.ID) || !v.Running && !pve.HAWants(v.HAState) {
		return nil
	}
	findings := haBusy(v)
	if !db.Force && len(findings) == 0 {
		findings = append(findings, blocker("switch.holder-ha", v.String(), "it runs, and is under high availability",
			fmt.Sprintf("the HA manager pulls the plug of a guest that has not shut down after %s", db.Grace),
			fmt.Sprintf("allow Force; or run ha-manager set vm:%d --state ignored, and then shut the guest down from inside", v.ID)))
	}
	return findings
}

// haBusy returns the findings about a state in which the HA manager takes no
// request for the VM.
func haBusy(v VMFacts) []proxstation.Finding {
	if v.HAState == "error" {
		return []proxstation.Finding{blocker("switch.ha-error", v.String(), "high availability: error",
			"the HA manager gave up on the VM after an error, and takes no request for it",
			fmt.Sprintf("look at its last tasks, and when the reason is gone: ha-manager set vm:%d --state disabled; ha-manager set vm:%d --state stopped", v.ID, v.ID))}
	}
	if why, is := pve.HAMoves[v.HAState]; is {
		return []proxstation.Finding{blocker("switch.ha-busy", v.String(), "high availability: "+v.HAState, why, "wait until ha-manager status shows the VM as started or stopped")}
	}
	return nil
}

// adviseNodes reports members that start with different nodes, and members
// whose nodes are not among the facts.
func (db DualBoot) adviseNodes(facts []Facts) []proxstation.Finding {
	var findings []proxstation.Finding
	onboot := map[string][]string{} // the members that start with a node
	for _, id := range db.Members {
		elsewhere, judged := "", false
		for _, node := range facts {
			v, exists := node.VMs[id]
			if exists && v.isOn(node.Node) {
				judged = true
				if v.Config["onboot"] == "1" {
					onboot[node.Node] = append(onboot[node.Node], v.String())
				}
			}
			elsewhere = cmp.Or(elsewhere, node.Others[id])
		}
		if !judged && elsewhere != "" {
			findings = append(findings, proxstation.Finding{ID: "switch.not-judged", Severity: proxstation.Info, Subject: fmt.Sprintf("VM %d", id), Seen: elsewhere,
				Why: "What is around the VM was not judged, because only other nodes were looked at.",
				Fix: fmt.Sprintf("On that node, look at the VM's onboot, agent and card: qm config %d.", id)})
		}
	}
	if len(onboot) > 1 {
		var seen []string
		for _, node := range slices.Sorted(maps.Keys(onboot)) {
			seen = append(seen, "onboot: 1 of "+strings.Join(onboot[node], ", ")+" on node "+node)
		}
		findings = append(findings, proxstation.Finding{ID: "switch.onboot", Severity: proxstation.Warning, Subject: "VMs that take turns", Seen: strings.Join(seen, "; "),
			Why: "At most one of them is to run, and each starts with its node, without a switch.",
			Fix: "Let at most one of them start by itself: qm set VMID --onboot 0 for the others, each on its node."})
	}
	return findings
}
