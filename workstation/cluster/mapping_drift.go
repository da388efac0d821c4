package cluster

import (
	"slices"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/workstation"
)

// driftOf returns the reasons why an entry of the node is wrong.
func driftOf(facts workstation.Facts, mapping gpu.Mapping, e gpu.MappingEntry) []proxstation.Finding {
	mapping.Entries, mapping.Unread = []gpu.MappingEntry{e}, nil
	return slices.DeleteFunc(facts.PCI().Drift(mapping), func(f proxstation.Finding) bool { return f.Severity != proxstation.Blocker })
}

// ofKind reports whether the card of an entry is of the wanted kind. If the
// node lacks the card, ofKind returns true, because [driftOf] reports such an
// entry.
func ofKind(kind Kind, facts workstation.Facts, e gpu.MappingEntry) bool {
	if kind == (Kind{}) || len(e.Devices) == 0 {
		return true
	}
	card, there := gpu.CardAt(facts.IOMMU.Functions, e.Devices[0].Address)
	return !there || kind.Is(card)
}

// CheckMappings compares the mappings of the cluster with the devices of the
// nodes. A finding with an ID of [gpu.Node.Drift] names a node on which VMs
// with the mapping would not start. A finding with the ID
// "cluster.mapping-node" reports an entry for a node that is not in the
// cluster.
func (f Facts) CheckMappings() []proxstation.Finding { return f.drift(f.mappings()) }

// The method "drift" returns a warning for each wrong entry of the mappings. It
// returns no blockers, because a wrong entry prevents a plan only if a VM of
// the plan uses the mapping on that node.
func (f Facts) drift(mappings []gpu.Mapping) []proxstation.Finding {
	var findings []proxstation.Finding
	for _, m := range mappings {
		for _, facts := range f.readable() {
			if len(m.On(facts.Node)) == 0 {
				continue
			}
			for _, finding := range facts.PCI().Drift(m) {
				finding.Severity = min(finding.Severity, proxstation.Warning)
				finding.Subject += " on node " + facts.Node
				findings = append(findings, finding)
			}
		}
		for _, name := range nodesOf(m) {
			if _, there := f.Node(name); !there {
				findings = append(findings, proxstation.Finding{ID: "cluster.mapping-node", Severity: proxstation.Info, Subject: "mapping " + m.ID, Seen: entryText(m.On(name)),
					Why: "The entry is about node " + name + ", which the cluster does not have, so no VM uses the entry.",
					Fix: "If the node was removed for good, remove the entry: Datacenter, Resource Mappings, PCI Devices, " + m.ID + "."})
			}
		}
	}
	return findings
}
