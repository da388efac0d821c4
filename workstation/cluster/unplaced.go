package cluster

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
)

// noPlace reports that no node was found for a new VM. If all nodes were read,
// this is an error. If some node was not read, it might take the VM. Then
// noPlace adds a finding instead, and Diff still plans the other VMs.
func (p *placing) noPlace(e *NoPlaceError, unread []NodeFacts) {
	if len(unread) == 0 {
		p.problems = append(p.problems, e)
		return
	}
	p.unsure = append(p.unsure, e)
	for _, node := range unread {
		p.stateOf(node)
	}
	var seen []string
	for _, r := range e.Refused {
		seen = append(seen, "node "+r.Node+": "+r.Why)
	}
	p.findings = append(p.findings, proxstation.Finding{ID: "cluster.no-place", Severity: proxstation.Warning, Subject: fmt.Sprintf("VM %d %s", e.VMID, e.Name), Seen: strings.Join(seen, "; "),
		Why: "Nothing is planned for it, because a node that could have it was not read.",
		Fix: "Mend what the finding about the node says, and plan again; or, if the Spec names this node for the VM, name another node or no node."})
}

// stateOf adds the findings that say why a node was not read. It adds them only
// once, even if they concern several VMs.
func (p *placing) stateOf(node NodeFacts) {
	for _, f := range node.Findings {
		if !slices.Contains(p.findings, f) {
			p.findings = append(p.findings, f)
		}
	}
}

// Keeps an existing VM on the node where it is. If this node was not read,
// nothing is planned for the VM.
func (p *placing) stay(needs Needs, home string) {
	subject := fmt.Sprintf("VM %d %s", needs.VM.ID, needs.VM.Name)
	if needs.Node != "" && needs.Node != home {
		elsewhere := proxstation.Finding{ID: "cluster.elsewhere", Severity: proxstation.Warning, Subject: subject,
			Seen: fmt.Sprintf("it is on node %s, and was to be on %s", home, needs.Node), Why: "A VM that exists is moved only if that is asked for.",
			Fix: fmt.Sprintf("Move it while it is off: homelab move NAME %[2]s, where NAME is its name on the page, or qm migrate %[1]d %[2]s, on node %[3]s. Or correct the node that was asked for.", needs.VM.ID, needs.Node, home)}
		if _, there := p.all.Node(needs.Node); !there {
			elsewhere.Why, elsewhere.Fix = "The cluster has no such node.", "Correct the node that was asked for."
		}
		p.findings = append(p.findings, elsewhere)
	}
	node, _ := p.all.Node(home) // zero if the cluster has no such node; this counts as a node that was not read
	if why := node.away(); why != "" {
		p.stateOf(node)
		p.findings = append(p.findings, proxstation.Finding{ID: "cluster.vm-away", Severity: proxstation.Warning, Subject: subject,
			Seen: fmt.Sprintf("it is on node %s: %s", home, why), Why: "Nothing is planned for it, because its configuration cannot be read.",
			Fix: "Mend what the finding about the node says, and plan again. Do not make the VM anew on another node: when the node is back, two VMs would have its disks and its addresses."})
		return
	}
	c := p.candidate(needs, node)
	p.judge(&c)
	if c.err != nil {
		p.problems = append(p.problems, fmt.Errorf("cluster: VM %d is on node %s: %w", needs.VM.ID, home, c.err))
		return
	}
	p.choose(c, Placement{Exists: true, Why: "it is there"})
}
