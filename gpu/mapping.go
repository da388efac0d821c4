package gpu

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/iommu"
)

// ErrMapping means that a text is no entry of a PCI resource mapping.
var ErrMapping = errors.New("not a mapping entry")

// A Mapping is a PCI resource mapping of a cluster: a name for a device that
// may be another on each node (PVE manual, Resource Mapping).
type Mapping struct {
	ID string `json:"id"`
	// Entries are the devices, one or more for each node.
	Entries []MappingEntry `json:"entries"`
	// Digest is of the cluster's mapping configuration.
	Digest string `json:"-"`
}

// A MappingEntry is the device that a mapping means on one node. PVE refuses
// to start a VM when the device there is not the one described (pve-guest-common
// PVE/Mapping/PCI.pm).
type MappingEntry struct {
	Node string `json:"node"`
	// Devices are the device, or several that go together.
	Devices   []Device      `json:"-"`
	Model     iommu.Model   `json:"model"`
	Subsystem *iommu.Model  `json:"subsystem,omitempty"` // nil: not given
	Group     iommu.GroupID `json:"group"`
	// Description is for people.
	Description string `json:"description,omitempty"`
}

// ParseMappingEntry parses an entry as PVE writes it:
// "node=pve,path=0000:01:00,id=10de:2c05,iommugroup=12,subsystem-id=1462:5315".
func ParseMappingEntry(s string) (MappingEntry, error) {
	var e MappingEntry
	for field := range strings.SplitSeq(s, ",") {
		key, value, found := strings.Cut(field, "=")
		if !found {
			return MappingEntry{}, fmt.Errorf("gpu: mapping %q: %q: %w", s, field, ErrMapping)
		}
		if err := e.set(key, value); err != nil {
			return MappingEntry{}, fmt.Errorf("gpu: mapping %q: %w: %w", s, err, ErrMapping)
		}
	}
	if e.Node == "" || len(e.Devices) == 0 {
		return MappingEntry{}, fmt.Errorf("gpu: mapping %q: want node and path: %w", s, ErrMapping)
	}
	return e, nil
}

func (e *MappingEntry) set(key, value string) error {
	switch key {
	case "node":
		e.Node = value
	case "description":
		e.Description = value
	case "path":
		for part := range strings.SplitSeq(value, ";") {
			d, err := ParseDevice(part)
			if err != nil {
				return err
			}
			e.Devices = append(e.Devices, d)
		}
	case "id":
		m, err := parseModel(value)
		e.Model = m
		return err
	case "subsystem-id":
		m, err := parseModel(value)
		e.Subsystem = &m
		return err
	case "iommugroup":
		var n int
		if _, err := fmt.Sscanf(value, "%d", &n); err != nil {
			return fmt.Errorf("iommugroup %q is no number", value)
		}
		if n >= 0 {
			e.Group = iommu.Group(n)
		}
	default:
		return fmt.Errorf("PVE has no key %q", key)
	}
	return nil
}

func parseModel(s string) (iommu.Model, error) {
	vendor, device, _ := strings.Cut(s, ":")
	v, err1 := iommu.ParseID(vendor)
	d, err2 := iommu.ParseID(device)
	return iommu.Model{Vendor: v, Device: d}, errors.Join(err1, err2)
}

// String returns the entry as PVE takes it.
func (e MappingEntry) String() string {
	var paths []string
	for _, d := range e.Devices {
		paths = append(paths, d.String())
	}
	fields := []string{"node=" + e.Node, "path=" + strings.Join(paths, ";"), "id=" + e.Model.String()}
	if n, ok := e.Group.Int(); ok {
		fields = append(fields, fmt.Sprintf("iommugroup=%d", n))
	}
	if e.Subsystem != nil {
		fields = append(fields, "subsystem-id="+e.Subsystem.String())
	}
	if e.Description != "" {
		fields = append(fields, "description="+e.Description)
	}
	return strings.Join(fields, ",")
}

// EntryFor returns the entry that means a whole card on a node.
func EntryFor(node string, card Card) MappingEntry {
	first := card.Functions[0]
	subsystem := first.Subsystem
	return MappingEntry{Node: node, Devices: []Device{{Address: first.Address.WithFunction(0), Whole: true}},
		Model: first.Model, Subsystem: &subsystem, Group: first.Group}
}

// On returns the entry of a node; ok is false if the mapping has none.
func (m Mapping) On(node string) (entry MappingEntry, ok bool) {
	i := slices.IndexFunc(m.Entries, func(e MappingEntry) bool { return e.Node == node })
	if i < 0 {
		return MappingEntry{}, false
	}
	return m.Entries[i], true
}

// Drift compares the mapping with a node's hardware. Each finding is a reason
// for which PVE would refuse to start a VM that uses the mapping.
func (m Mapping) Drift(node string, functions []iommu.Function) []Finding {
	e, ok := m.On(node)
	if !ok {
		return []Finding{m.finding("gpu.mapping-not-here", "no entry for node "+node,
			"add one for the card of this node")}
	}
	var findings []Finding
	for i, d := range e.Devices {
		at := slices.IndexFunc(functions, func(f iommu.Function) bool { return f.Address == d.Address })
		if at < 0 {
			findings = append(findings, m.finding("gpu.mapping-gone", fmt.Sprintf("no device at %s", d), e.whereabouts(functions)))
			continue
		}
		f := functions[at]
		if i == 0 && f.Model != e.Model {
			findings = append(findings, m.finding("gpu.mapping-other-device",
				fmt.Sprintf("%s is %s, the mapping says %s", d, f.Model, e.Model), e.whereabouts(functions)))
		}
		if e.Subsystem != nil && i == 0 && f.Subsystem != *e.Subsystem {
			findings = append(findings, m.finding("gpu.mapping-other-board",
				fmt.Sprintf("subsystem of %s is %s, the mapping says %s", d, f.Subsystem, e.Subsystem), "write the mapping anew if the card was replaced on purpose"))
		}
		if i == 0 && f.Group != e.Group {
			findings = append(findings, m.finding("gpu.mapping-other-group",
				fmt.Sprintf("IOMMU group of %s is %s, the mapping says %s", d, f.Group, e.Group), "write the mapping anew: groups move with firmware, kernel and slots"))
		}
	}
	return findings
}

func (m Mapping) finding(id, seen, fix string) Finding {
	return Finding{ID: id, Severity: Blocker, Subject: "mapping " + m.ID, Seen: seen,
		Why: "PVE refuses to start a VM with it: PCI device mapping invalid (hardware probably changed)", Fix: fix}
}

// whereabouts says where a device of the entry's model is now.
func (e MappingEntry) whereabouts(functions []iommu.Function) string {
	for _, f := range functions {
		if f.Model == e.Model {
			return fmt.Sprintf("the card is at %s now: write the mapping anew for that address", f.Address)
		}
	}
	return "no such card is in the host: put it back, or remove the mapping"
}
