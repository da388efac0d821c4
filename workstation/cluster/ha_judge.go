package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/workstation"
)

// Judge reports faults of high availability: VMs that no node could take over,
// nodes that the rules allow although they lack the card or the disks, and VMs
// that want one card but are not kept apart. It is pure. Each finding has one
// of these IDs: cluster.ha-no-recovery, cluster.ha-pinned,
// cluster.ha-wrong-node, cluster.ha-unsure, cluster.ha-replica,
// cluster.ha-same-card, cluster.ha-error, cluster.ha-rule-ignored,
// cluster.ha-maintenance, cluster.ha-two-nodes.
func (h HA) Judge(f Facts) []proxstation.Finding {
	j := &haJudge{ha: h, facts: f}
	managed := slices.DeleteFunc(slices.Clone(h.VMs), func(v HAVM) bool { return !v.managed() })
	for _, v := range managed {
		if v.State == "error" {
			j.find(v.VMID, proxstation.Warning, "cluster.ha-error", "ha-manager status: vm:"+fmt.Sprint(v.VMID)+" is in the state error",
				"the VM's start, stop or move failed, and the HA manager does nothing more with the VM",
				fmt.Sprintf("ha-manager set vm:%d --state disabled; mend what its last task on node %s says; then ha-manager set vm:%[1]d --state started, or --state stopped if another VM has its turn", v.VMID, v.Node))
		}
		switch r, err := h.Recovery(f, v.VMID); {
		case errors.Is(err, workstation.ErrUnread):
			j.find(v.VMID, proxstation.Info, "cluster.ha-unsure", err.Error(), "it is not known whether another node could take over the VM, or whether VMs with the same card are kept apart",
				fmt.Sprintf("see which cards and disks it has: qm config %d, on node %s", v.VMID, v.Node))
		case err == nil && v.Wanted != "disabled": // a disabled VM is not recovered
			j.recovery(r)
		}
	}
	j.cards(managed)
	for _, node := range h.Maintenance {
		if len(managed) > 0 {
			j.findings = append(j.findings, proxstation.Finding{ID: "cluster.ha-maintenance", Severity: proxstation.Info, Subject: "node " + node, Seen: "ha-manager status: " + node + " is in maintenance mode",
				Why: "The HA manager moves VMs under high availability away from the node, and starts and recovers no VM there.", Fix: "When the work on the node is done: ha-manager crm-command node-maintenance disable " + node + "."})
		}
	}
	for _, r := range h.Rules {
		if len(r.Ignored) > 0 {
			j.findings = append(j.findings, proxstation.Finding{ID: "cluster.ha-rule-ignored", Severity: proxstation.Warning, Subject: "rule " + r.Name, Seen: strings.Join(r.Ignored, "; "),
				Why: "The HA manager ignores the rule.", Fix: "Change it: ha-manager rules config, then ha-manager rules set."})
		}
	}
	if len(managed) > 0 && len(f.Nodes) == 2 {
		j.findings = append(j.findings, proxstation.Finding{ID: "cluster.ha-two-nodes", Severity: proxstation.Warning, Subject: "cluster " + f.Name, Seen: "2 nodes, each with one vote",
			Why: "If one node is lost, the other has no majority of the votes: nothing is recovered, and if the remaining node runs VMs under high availability, its watchdog resets it too.",
			Fix: "Add a vote of a third machine: pvecm qdevice setup ADDRESS. If pvecm status shows a Qdevice, all is well."})
	}
	return j.findings
}

type haJudge struct {
	ha       HA
	facts    Facts
	findings []proxstation.Finding
}

func (j *haJudge) find(vmid int, severity proxstation.Severity, id, seen, why, fix string) {
	name := ""
	for _, node := range j.facts.readable() {
		if vm, has := node.VMs[vmid]; has {
			name = vm.Name
		}
	}
	j.findings = append(j.findings, proxstation.Finding{ID: id, Severity: severity, Subject: strings.TrimSpace(printable.Sprintf("VM %d %s", vmid, name)), Seen: seen,
		Why: printable.Sentence(why), Fix: printable.Sentence(fix)})
}

func (j *haJudge) recovery(r Recovery) {
	var good, bad, unsure, allowed, lacks []string
	for _, n := range r.Nodes {
		if n.Allowed {
			allowed = append(allowed, n.Node)
		}
		switch {
		case n.Able == proxstation.Yes:
			good = append(good, n.Node)
		case n.Able == proxstation.Unknown && n.Allowed:
			unsure = append(unsure, n.Node+": "+strings.Join(n.Why, "; "))
		case n.Allowed:
			bad = append(bad, n.Node)
			lacks = append(lacks, n.Node+": "+strings.Join(n.Why, "; "))
		}
		if n.Allowed && n.Able == proxstation.Yes && len(n.Notes) > 0 {
			j.find(r.VMID, proxstation.Warning, "cluster.ha-replica", n.Node+": "+strings.Join(n.Notes, "; "), "the HA manager starts the VM from the copy, and the newer data are on the lost node only",
				"replicate more often (pvesr update ID --schedule '*/1'), or move the disks to a storage that the nodes share")
		}
	}
	goodAllowed := slices.ContainsFunc(r.Nodes, func(n RecoveryNode) bool { return n.Allowed && n.Able == proxstation.Yes })
	switch {
	case len(allowed) == 0:
		seen := "the rules allow no node but " + r.Home
		if len(j.ha.Maintenance) > 0 {
			seen = "the rules and maintenance mode allow no node but " + r.Home
		}
		j.find(r.VMID, proxstation.Info, "cluster.ha-pinned", seen, "if the node is lost, the VM waits until the node is back", "")
	case len(bad) == 0:
	case !goodAllowed && len(unsure) == 0:
		j.find(r.VMID, proxstation.Warning, "cluster.ha-no-recovery", strings.Join(lacks, " | "),
			"if node "+r.Home+" is lost, the HA manager moves the VM all the same: its starts fail, it ends in the state error on another node, and it has to be brought back by hand",
			"give another node what it lacks, or bind the VM to its node: "+j.bind(r.VMID, []string{r.Home}))
	default:
		j.find(r.VMID, proxstation.Warning, "cluster.ha-wrong-node", strings.Join(lacks, " | "),
			"the HA manager looks at rules only, and may choose a node on which the VM does not start",
			"bind the VM to the nodes that can run it: "+j.bind(r.VMID, append([]string{r.Home}, good...)))
	}
	if len(unsure) > 0 {
		j.find(r.VMID, proxstation.Info, "cluster.ha-unsure", strings.Join(unsure, " | "), "the rules allow this node, and it is not known whether the VM would start there", "see the finding about the node, and observe again")
	}
}

func (j *haJudge) bind(vmid int, nodes []string) string {
	slices.Sort(nodes)
	list := strings.Join(slices.Compact(nodes), ",")
	if j.ha.Groups {
		return fmt.Sprintf("ha-manager groupadd vm%d --nodes %s --restricted 1, then ha-manager set vm:%[1]d --group vm%[1]d", vmid, list)
	}
	for _, rule := range j.ha.inForce(vmid, OnNodes) {
		return fmt.Sprintf("ha-manager rules set node-affinity %s --nodes %s --strict 1", rule.Name, list)
	}
	return fmt.Sprintf("ha-manager rules add node-affinity vm%d --resources vm:%[1]d --nodes %s --strict 1", vmid, list)
}

// Reports VMs that want one card but are not kept apart.
func (j *haJudge) cards(managed []HAVM) {
	for i, a := range managed {
		for _, b := range managed[i+1:] {
			if a.Wanted != "started" || b.Wanted != "started" || !j.wantOne(a.VMID, b.VMID) || j.apart(a.VMID, b.VMID) {
				continue
			}
			fix := fmt.Sprintf("keep them apart: ha-manager rules add resource-affinity vm%d-vm%d --affinity negative --resources vm:%[1]d,vm:%[2]d", a.VMID, b.VMID)
			if j.ha.Groups {
				fix = "bind each of them to another node, with a restricted group each: ha-manager groupadd NAME --nodes NODE --restricted 1"
			}
			j.find(a.VMID, proxstation.Warning, "cluster.ha-same-card", fmt.Sprintf("it and VM %d want the same card, and the HA manager is to run both", b.VMID),
				"on one node only one of them starts, and the other ends in the state error", fix+". If only one node has the card, only one of them can be started: set the other to stopped")
		}
	}
}

// wantOne reports whether there is a node on which two VMs cannot run at the
// same time because they want the same card.
func (j *haJudge) wantOne(a, b int) bool {
	claims := []gpu.Claim{}
	for _, node := range j.facts.readable() {
		for _, id := range []int{a, b} {
			if vm, has := node.VMs[id]; has {
				claims = append(claims, qmconf.Claim(id, vm.Config))
			}
		}
	}
	return slices.ContainsFunc(j.facts.readable(), func(node workstation.Facts) bool { return len(node.PCI().Conflicts(claims)) > 0 })
}

// Reports whether rules keep two VMs on different nodes.
func (j *haJudge) apart(a, b int) bool {
	for _, r := range j.ha.inForce(a, Apart) {
		if slices.Contains(r.VMs, b) {
			return true
		}
	}
	first, second := j.strict(a), j.strict(b)
	if first == nil || second == nil {
		return false
	}
	return !slices.ContainsFunc(first, func(node string) bool { return slices.Contains(second, node) })
}

// Returns the nodes to which strict rules bind a VM. The result is nil if the
// VM is in no strict rule.
func (j *haJudge) strict(vmid int) (nodes []string) {
	for _, r := range j.ha.inForce(vmid, OnNodes) {
		if r.Strict {
			for node := range r.Nodes {
				nodes = append(nodes, node)
			}
		}
	}
	return nodes
}
