package cluster

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/workstation"
)

// A MappingChange makes a resource mapping, or adds and corrects entries in it.
// It holds the entries of all nodes, because PVE replaces all entries of a
// mapping together.
type MappingChange struct {
	// Mapping is the mapping as it will be.
	Mapping gpu.Mapping
	// Have is the mapping as it is now. It is nil if there is no such mapping.
	Have *gpu.Mapping
	// Notes holds, for each node, the name of its card.
	Notes map[string]string
}

func (m MappingChange) change() workstation.StepChange {
	c := workstation.StepChange{Sign: workstation.SignAdd, Object: "mapping " + m.Mapping.ID,
		Needs: []workstation.Privilege{{Path: "/mapping/pci", Name: "Mapping.Modify"}}}
	var have gpu.Mapping
	if m.Have != nil {
		have = *m.Have
		c.Sign, c.Needs[0].Path = workstation.SignModify, "/mapping/pci/"+m.Mapping.ID
	}
	for _, node := range nodesOf(m.Mapping, have) {
		before, after := entryText(have.On(node)), entryText(m.Mapping.On(node))
		if before == after {
			continue
		}
		sign := workstation.SignModify
		if before == "" {
			sign = workstation.SignAdd
		}
		c.Lines = append(c.Lines, workstation.StepLine{Sign: sign, Key: node, Have: before, Want: after, Note: m.Notes[node]})
	}
	if m.Have != nil && m.Mapping.MDev != have.MDev {
		c.Lines = append(c.Lines, workstation.StepLine{Sign: workstation.SignModify, Key: "mdev", Have: fmt.Sprint(have.MDev), Want: fmt.Sprint(m.Mapping.MDev)})
	}
	return c
}

// nodesOf returns the nodes that have an entry in one of the mappings, in the
// order of their names.
func nodesOf(mappings ...gpu.Mapping) []string {
	var names []string
	for _, m := range mappings {
		for _, e := range m.Entries {
			names = append(names, e.Node)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// entryText returns entries in PVE's notation.
func entryText(entries []gpu.MappingEntry) string {
	var texts []string
	for _, e := range entries {
		texts = append(texts, e.String())
	}
	return strings.Join(texts, "; ")
}

// A mapper plans the mappings of a Spec's cards.
type mapper struct {
	facts   Facts
	after   []gpu.Mapping // all mappings of the cluster after the plan
	changes []MappingChange
	// The map "why" gives the reason why a node has no card for a mapping. Its
	// key is the mapping and the node.
	why map[[2]string]string
	// The map "other" says that the entries of a node in a mapping are for
	// cards of another kind, and that no card of the wanted kind can replace
	// them. Its key is the mapping and the node.
	other    map[[2]string]bool
	problems []error
	findings []proxstation.Finding
}

func mapCards(cards []Card, facts Facts) *mapper {
	m := &mapper{facts: facts, after: slices.Clone(facts.mappings()), why: map[[2]string]string{}, other: map[[2]string]bool{}}
	seen := map[string]Kind{}
	for _, card := range cards {
		if kind, twice := seen[card.Mapping]; twice && kind != card.Kind {
			m.problems = append(m.problems, &workstation.InvalidError{Field: "mapping", Value: card.Mapping, Why: fmt.Sprintf("it is for %s and for %s", kind, card.Kind)})
			continue
		}
		seen[card.Mapping] = card.Kind
		m.card(card)
	}
	return m
}

func (m *mapper) card(card Card) {
	change := MappingChange{Mapping: gpu.Mapping{ID: card.Mapping}, Notes: map[string]string{}}
	i := slices.IndexFunc(m.after, func(have gpu.Mapping) bool { return have.ID == card.Mapping })
	if i >= 0 {
		have := m.after[i]
		change.Have, change.Mapping = &have, have
	}
	if card.Kind == (Kind{}) && change.Have == nil {
		m.problems = append(m.problems, &workstation.InvalidError{Field: "mapping", Value: card.Mapping, Why: "the cluster has no such resource mapping, and a plan can make it only for a kind of card: name the kind"})
		return
	}
	for _, node := range m.facts.readable() {
		m.node(card, node, &change)
	}
	switch {
	case change.Have != nil && change.same():
		return
	case len(change.Mapping.Entries) == 0 && len(m.facts.readable()) < len(m.facts.Nodes):
		m.findings = append(m.findings, proxstation.Finding{ID: "cluster.no-card", Severity: proxstation.Warning, Subject: "mapping " + card.Mapping, Seen: m.reasons(card.Mapping),
			Why: "No node that was read has such a card, so nothing is planned for the mapping.", Fix: "Mend what the finding about the node says, and plan again."})
		return
	case len(change.Mapping.Entries) == 0:
		m.problems = append(m.problems, &workstation.InvalidError{Field: "mapping", Value: card.Mapping, Why: "no node has such a card: " + m.reasons(card.Mapping)})
		return
	case i >= 0:
		m.after[i] = change.Mapping
	default:
		m.after = append(m.after, change.Mapping)
	}
	m.changes = append(m.changes, change)
}

func (m MappingChange) same() bool {
	return entryText(m.Mapping.Entries) == entryText(m.Have.Entries) && m.Mapping.MDev == m.Have.MDev
}

// Returns, for each node, the reason why it has no card for the mapping.
func (m *mapper) reasons(mapping string) string {
	var reasons []string
	for _, node := range m.facts.Nodes {
		why := m.why[[2]string{mapping, node.Name}]
		if why == "" {
			why = node.away()
		}
		reasons = append(reasons, node.Name+": "+why)
	}
	return strings.Join(reasons, "; ")
}

// Plans the entries that the mapping has for one node. Correct entries stay. If
// an entry is wrong, or is for a card of another kind, it is replaced with an
// entry for another card of the wanted kind. If there is no such card, the
// entry stays.
func (m *mapper) node(card Card, facts workstation.Facts, change *MappingChange) {
	have := change.Mapping.On(facts.Node)
	var kept []gpu.MappingEntry
	for _, e := range have {
		switch {
		case !ofKind(card.Kind, facts, e):
			m.other[[2]string{card.Mapping, facts.Node}] = len(kept) == 0
		case len(driftOf(facts, change.Mapping, e)) == 0:
			kept = append(kept, e)
			delete(m.other, [2]string{card.Mapping, facts.Node})
		}
	}
	if len(have) > 0 && len(kept) == len(have) {
		return
	}
	fresh, why := m.entries(card, facts, change, kept)
	if len(have) > 0 && len(fresh) > len(have)-len(kept) {
		fresh = fresh[:len(have)-len(kept)]
	}
	if len(fresh) == 0 {
		m.why[[2]string{card.Mapping, facts.Node}] = why
		return
	}
	delete(m.other, [2]string{card.Mapping, facts.Node})
	others := slices.DeleteFunc(slices.Clone(change.Mapping.Entries), func(e gpu.MappingEntry) bool { return e.Node == facts.Node })
	change.Mapping.Entries = slices.Concat(others, kept, fresh)
}

// Returns new entries for the node's cards of the wanted kind. It leaves out
// cards that have an entry in "kept". It also leaves out cards that a VM uses
// without this mapping, because PVE may choose any entry. If there are only
// such cards, one of them gets an entry. If no card can get an entry, the result
// "why" is the reason.
func (m *mapper) entries(card Card, facts workstation.Facts, change *MappingChange, kept []gpu.MappingEntry) (entries []gpu.MappingEntry, why string) {
	var found, free []gpu.MappingEntry
	for _, c := range facts.Cards() {
		if !card.Kind.Is(c) && !(card.Kind == Kind{} && models(*change.Have, c)) || entriesHave(kept, c) {
			continue
		}
		if reason := unready(c, facts); reason != "" {
			why = reason
			continue
		}
		made, err := gpu.NewMapping(card.Mapping, facts.Node, c)
		switch first := len(change.Mapping.Entries) == 0; {
		case err != nil:
			why = err.Error()
			continue
		case !first && made.MDev != change.Mapping.MDev && (change.Have == nil || len(nodesOf(change.Mapping)) > 1):
			why = fmt.Sprintf("%s offers mediated devices either only on this node or only on the others, and a mapping has one setting (mdev) for all nodes", c)
			continue
		default:
			change.Mapping.MDev = made.MDev
		}
		change.Notes[facts.Node] = c.Name()
		found = append(found, made.Entries...)
		if !takenOtherwise(facts, card.Mapping, c) {
			free = append(free, made.Entries...)
		}
	}
	switch {
	case len(free) > 0:
		return free, ""
	case len(found) > 0:
		return found[:1], ""
	case why != "":
		return nil, why
	}
	return nil, noSuchCard(card.Kind, facts)
}

// Reports whether a card has the same model as an entry of the mapping.
func models(m gpu.Mapping, card gpu.Card) bool {
	return slices.ContainsFunc(m.Entries, func(e gpu.MappingEntry) bool {
		return slices.ContainsFunc(card.Functions, func(f iommu.Function) bool { return f.Model == e.Model })
	})
}

func entriesHave(entries []gpu.MappingEntry, card gpu.Card) bool {
	return slices.ContainsFunc(entries, func(e gpu.MappingEntry) bool {
		return slices.ContainsFunc(e.Devices, func(d gpu.Device) bool { return d.Address.SameSlot(card.Address()) })
	})
}

// unready returns the reason why the node cannot hand the card to a guest, or
// "".
func unready(card gpu.Card, facts workstation.Facts) string {
	for _, f := range gpu.Ready(card, gpu.AnyGuest, facts.IOMMU) {
		if f.Severity == proxstation.Blocker {
			return fmt.Sprintf("%s is not ready: %s: %s", card, f.Seen, f.Why)
		}
	}
	return ""
}

// takenOtherwise reports whether a VM uses the card without the mapping.
func takenOtherwise(facts workstation.Facts, mapping string, card gpu.Card) bool {
	node := facts.PCI()
	for _, claim := range facts.Claims() {
		for _, h := range slices.Concat(claim.Values, claim.ByArgs) {
			for _, set := range node.Resolve(h) {
				if h.Mapping != mapping && slices.ContainsFunc(set, func(a iommu.Address) bool { return slices.Contains(card.Addresses(), a) }) {
					return true
				}
			}
		}
	}
	return false
}

// noSuchCard returns a text which says that the node has no card of the kind,
// and which cards it has.
func noSuchCard(kind Kind, facts workstation.Facts) string {
	var names []string
	for _, c := range facts.Cards() {
		names = append(names, c.String())
	}
	text := "it has no card of the mapping's models"
	if kind != (Kind{}) {
		text = "it has no card of the kind " + kind.String()
	}
	switch {
	case len(facts.IOMMU.Functions) == 0:
		return "its PCI devices are not known"
	case len(names) == 0:
		return text + ", and no other graphics card"
	}
	return text + ", only " + strings.Join(names, " and ")
}
