package gpu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/iommu"
)

// Drift compares a mapping with the node's devices. A finding that is a blocker
// says, in PVE's own words, why a VM that uses the mapping would not start
// (assert_valid in pve-guest-common PVE/Mapping/PCI.pm). The IDs of blockers
// are gpu.mapping-not-here, gpu.mapping-gone, gpu.mapping-model,
// gpu.mapping-subsystem, gpu.mapping-group and gpu.mapping-mdev.
// gpu.mapping-unread is a warning. If the node's functions or groups are
// unknown, Drift compares nothing.
func (n Node) Drift(m Mapping) []proxstation.Finding {
	entries, unread := m.On(n.Name), n.unread(m)
	if len(entries) == 0 && len(m.Unread) > 0 {
		return unread // an entry that cannot be read may belong to this node
	}
	if len(entries) == 0 {
		return []proxstation.Finding{{ID: "gpu.mapping-not-here", Severity: proxstation.Blocker, Subject: "mapping " + m.ID,
			Seen: fmt.Sprintf("PCI device mapping not found for '%s' on node %s", m.ID, n.Name),
			Why:  "VMs with this mapping do not start on this node.", Fix: "Add an entry for the node's card."}}
	}
	findings := unread
	for _, e := range entries {
		for i, d := range e.Devices {
			if len(n.Functions) > 0 {
				findings = append(findings, n.drift(m, e, i, d)...)
			}
		}
	}
	return findings
}

// The method "unread" reports the parts of the node's entries that cannot be
// read.
func (n Node) unread(m Mapping) []proxstation.Finding {
	var texts []string
	for _, e := range m.On(n.Name) {
		texts = append(texts, e.Unread...)
	}
	var findings []proxstation.Finding
	for _, text := range append(texts, m.Unread...) {
		findings = append(findings, proxstation.Finding{ID: "gpu.mapping-unread", Severity: proxstation.Warning, Subject: "mapping " + m.ID,
			Seen: text + " is not understood", Why: "The mapping cannot be read completely, so a conflict or a changed device may go unnoticed.",
			Fix: "Compare the entry with Datacenter, Resource Mappings, and save it there again. It is stored in /etc/pve/mapping/pci.cfg."})
	}
	return findings
}

// The method "drift" compares the i-th device of an entry with the node's
// devices.
func (n Node) drift(m Mapping, e MappingEntry, i int, d Device) []proxstation.Finding {
	var findings []proxstation.Finding
	add := func(id, seen, fix string) {
		findings = append(findings, proxstation.Finding{ID: id, Severity: proxstation.Blocker, Subject: "mapping " + m.ID,
			Seen: "PCI device mapping invalid (hardware probably changed): " + seen,
			Why:  "VMs with this mapping do not start on node " + n.Name + ".", Fix: printable.Sentence(fix)})
	}
	at := slices.IndexFunc(n.Functions, func(f iommu.Function) bool { return f.Address == d.Address })
	if at < 0 {
		add("gpu.mapping-gone", fmt.Sprintf("pci device '%s' not found", d.Address), e.whereabouts(n.Functions))
		return findings
	}
	f := n.Functions[at]
	compare := func(id, property, expected, configured, fix string) {
		switch {
		case expected == configured:
		case configured == "":
			add(id, fmt.Sprintf("missing expected property '%s' for device '%s'", property, f.Address), fix)
		case expected == "":
			add(id, fmt.Sprintf("unexpected property '%s' configured for device '%s'", property, f.Address), fix)
		default:
			add(id, fmt.Sprintf("'%s' does not match for '%s' (%s != %s)", property, m.ID, expected, configured), fix)
		}
	}
	anew := "write the mapping anew: "
	compare("gpu.mapping-model", "id", f.Model.String(), e.Model.String(), e.whereabouts(n.Functions))
	if i == 0 && slices.ContainsFunc(n.Functions, hasGroup) {
		compare("gpu.mapping-group", "iommugroup", groupText(f.Group), groupText(e.Group), anew+"group numbers change with the firmware, the kernel and the slots")
	}
	if f.MDev != proxstation.Unknown {
		compare("gpu.mapping-mdev", "mdev", flag(f.MDev == proxstation.Yes), flag(m.MDev), anew+"the mapping must say whether the device offers mediated devices")
	}
	subsystem := ""
	if e.Subsystem != nil {
		subsystem = e.Subsystem.String()
	}
	compare("gpu.mapping-subsystem", "subsystem-id", f.Subsystem.String(), subsystem, anew+"another board has the same chip")
	return findings
}

func hasGroup(f iommu.Function) bool {
	_, ok := f.Group.Int()
	return ok
}

// groupText returns a group as PVE writes it, or "" if there is no group.
func groupText(g iommu.GroupID) string {
	if n, ok := g.Int(); ok {
		return fmt.Sprint(n)
	}
	return ""
}

func flag(set bool) string {
	if set {
		return "1"
	}
	return "0"
}

// whereabouts names the addresses at which the entry's device may be now.
func (e MappingEntry) whereabouts(functions []iommu.Function) string {
	found := e.Find(functions)
	if len(found) == 0 {
		return fmt.Sprintf("the node has no %s: put the card back, or write the mapping anew for another card", e.Model)
	}
	places := make([]string, len(found))
	for i, a := range found {
		places[i] = a.String()
	}
	return fmt.Sprintf("%s is at %s now: write the mapping anew for that address", e.Model, strings.Join(places, " and "))
}
