package gpu_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
)

func TestDrift(t *testing.T) {
	t.Parallel()
	moved := slices.Clone(reference)
	moved[2].Address, moved[3].Address = address("0000:02:00.0"), address("0000:02:00.1")
	swapped := append(slices.Clone(moved), function("0000:01:00.0", 0x010802, model(0x126f, 0x2262), 1))
	regrouped := slices.Clone(reference)
	regrouped[2].Group = iommu.Group(17)
	ungrouped := slices.Clone(reference)
	ungrouped[2].Group = iommu.GroupID{}
	noGroups := slices.Clone(reference)
	for i := range noGroups {
		noGroups[i].Group = iommu.GroupID{}
	}
	otherBoard := slices.Clone(reference)
	otherBoard[2].Subsystem = model(0x1043, 0x89ee)
	mediated := slices.Clone(reference)
	mediated[2].MDev = proxstation.Yes
	unknownMDev := slices.Clone(reference)
	unknownMDev[2].MDev = proxstation.Unknown
	const invalid = "PCI device mapping invalid (hardware probably changed): "
	entries := func(texts ...string) gpu.Mapping {
		m := gpu.Mapping{ID: "rtx"}
		for _, text := range texts {
			m.Entries = append(m.Entries, entry(text))
		}
		return m
	}
	for _, test := range []struct {
		name      string
		mapping   gpu.Mapping
		functions []iommu.Function
		id, seen  string // of the only finding; "" if there is no finding
		fix       string // a part of the fix
	}{
		{"as it was", rtxMapping, reference, "", "", ""},
		{"no functions known", rtxMapping, nil, "", "", ""},
		{"no groups known", rtxMapping, noGroups, "", "", ""},
		{"mdev not known", rtxMapping, unknownMDev, "", "", ""},
		{"moved", rtxMapping, moved, "gpu.mapping-gone", invalid + "pci device '0000:01:00.0' not found", "is at 0000:02:00.0 now"},
		{"regrouped", rtxMapping, regrouped, "gpu.mapping-group", invalid + "'iommugroup' does not match for 'rtx' (17 != 1)", "anew"},
		{"without a group", rtxMapping, ungrouped, "gpu.mapping-group", invalid + "unexpected property 'iommugroup' configured for device '0000:01:00.0'", "anew"},
		{"another board", rtxMapping, otherBoard, "gpu.mapping-subsystem", invalid + "'subsystem-id' does not match for 'rtx' (1043:89ee != 1462:5317)", "anew"},
		{"mediated", rtxMapping, mediated, "gpu.mapping-mdev", invalid + "'mdev' does not match for 'rtx' (1 != 0)", "anew"},
		{"no group given", entries("id=10de:2c05,node=pve,path=0000:01:00,subsystem-id=1462:5317"), reference,
			"gpu.mapping-group", invalid + "missing expected property 'iommugroup' for device '0000:01:00.0'", "anew"},
		{"no subsystem given", entries("id=10de:2c05,iommugroup=1,node=pve,path=0000:01:00"), reference,
			"gpu.mapping-subsystem", invalid + "missing expected property 'subsystem-id' for device '0000:01:00.0'", "anew"},
		{"another node", entries("id=10de:2c05,node=other,path=0000:01:00"), reference,
			"gpu.mapping-not-here", "PCI device mapping not found for 'rtx' on node pve", "Add an entry"},
		{"one function, found", entries("id=10de:22e9,iommugroup=1,node=pve,path=0000:01:00.1,subsystem-id=1462:5317"), reference, "", "", ""},
		{"the second of a list has its model", entries("id=10de:2c05,iommugroup=1,node=pve,path=0000:01:00.0;0000:01:00.1,subsystem-id=1462:5317"), reference,
			"gpu.mapping-model", invalid + "'id' does not match for 'rtx' (10de:22e9 != 10de:2c05)", "is at 0000:01:00.0 now"},
		{"the second alternative is gone", entries("id=10de:2c05,iommugroup=1,node=pve,path=0000:01:00,subsystem-id=1462:5317",
			"id=10de:2684,node=pve,path=0000:03:00"), reference, "gpu.mapping-gone", invalid + "pci device '0000:03:00.0' not found", "The node has no 10de:2684"},
	} {
		got := gpu.Node{Name: "pve", Functions: test.functions}.Drift(test.mapping)
		if test.id == "" {
			if len(got) > 0 {
				t.Errorf("%s: %v", test.name, got)
			}
			continue
		}
		wantIDs(t, got, test.id)
		if len(got) != 1 || got[0].Seen != test.seen || !strings.Contains(got[0].Fix, test.fix) || got[0].Severity != proxstation.Blocker {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	// The card's address now holds another device. The findings give two
	// reasons, and the card's new address.
	got := gpu.Node{Name: "pve", Functions: swapped}.Drift(rtxMapping)
	wantIDs(t, got, "gpu.mapping-model")
	if !strings.Contains(got[0].Fix, "0000:02:00.0") {
		t.Errorf("%v", got)
	}
}

// If an entry comes from a newer PVE, its device is still read. An entry that
// cannot be read at all is reported as unread, not as missing.
func TestDriftReportsWhatItCannotRead(t *testing.T) {
	t.Parallel()
	m := rtxMapping
	m.Entries = slices.Clone(m.Entries)
	m.Entries[0].Unread = []string{"speed=16"}
	n := node()
	n.Mappings = []gpu.Mapping{m}
	wantIDs(t, n.Drift(m), "gpu.mapping-unread")
	wantIDs(t, n.Drift(gpu.Mapping{ID: "rtx", Unread: []string{"node=pve,path=card0,id=10de:2c05"}}), "gpu.mapping-unread")
	wantIDs(t, n.Drift(gpu.Mapping{ID: "rtx"}), "gpu.mapping-not-here")
}
