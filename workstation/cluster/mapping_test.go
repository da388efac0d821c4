package cluster_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

const (
	igpuA  = "id=8086:3e92,iommugroup=2,node=a,path=0000:00:02.0,subsystem-id=1462:7b98"
	entryA = "id=10de:2c05,iommugroup=12,node=a,path=0000:01:00,subsystem-id=1462:5315"
	entryB = "id=10de:2c05,iommugroup=12,node=b,path=0000:01:00,subsystem-id=1462:5315"
)

// moved puts the host's RTX at another address.
func moved(h *pvetest.Host) {
	h.PCI = slices.Clone(h.PCI)
	for i, f := range h.PCI {
		h.PCI[i].Address = strings.Replace(f.Address, "0000:01:00", "0000:03:00", 1)
	}
}

// Removes the host's RTX.
func without(h *pvetest.Host) {
	h.PCI = slices.DeleteFunc(slices.Clone(h.PCI), func(f pvetest.PCI) bool { return strings.HasPrefix(f.Address, "0000:01:00") })
}

// Adds a second RTX to the host.
func second(h *pvetest.Host) {
	for _, f := range h.PCI {
		if strings.HasPrefix(f.Address, "0000:01:00") {
			f.Address, f.Group = strings.Replace(f.Address, "0000:01:00", "0000:05:00", 1), 20
			h.PCI = append(h.PCI, f)
		}
	}
}

func TestMappings(t *testing.T) {
	t.Parallel()
	a, b := pvetest.Reference, pvetest.Reference
	for name, test := range map[string]struct {
		a, b pvetest.Host
		have []string // the entries of the mapping; nil if there is no mapping
		kind cluster.Kind
		with func(*cluster.Facts)
		want []string // the entries after the plan
		says string   // a part of the plan or of the error
	}{
		"a new mapping":                   {a: a(), b: b(), kind: rtx.Kind, want: []string{entryA, entryB}, says: "+ mapping rtx\n    + a  " + entryA},
		"an entry is missing":             {a: a(), b: b(), kind: rtx.Kind, have: []string{entryA}, want: []string{entryA, entryB}, says: "~ mapping rtx\n    + b  " + entryB},
		"the models are the kind":         {a: a(), b: b(), have: []string{entryA}, want: []string{entryA, entryB}, says: "    + b  " + entryB},
		"an entry of another card":        {a: a(), b: b(), kind: rtx.Kind, have: []string{igpuA, entryB}, want: []string{entryB, entryA}, says: "~ a  " + igpuA + " -> " + entryA},
		"no card but another card's":      {a: named("a", a(), without), b: b(), kind: rtx.Kind, have: []string{igpuA, entryB}, says: "nothing to do"},
		"nothing is missing":              {a: a(), b: b(), kind: rtx.Kind, have: []string{entryA, entryB}, says: "nothing to do"},
		"the other has no such":           {a: a(), b: pvetest.AMD(), kind: rtx.Kind, have: []string{entryA}, says: "nothing to do"},
		"the card has moved":              {a: named("a", a(), moved), b: b(), kind: rtx.Kind, have: []string{entryA, entryB}, want: []string{entryB, strings.Replace(entryA, "01:00", "03:00", 1)}, says: "~ a  " + entryA + " -> id=10de:2c05,iommugroup=12,node=a,path=0000:03:00"},
		"the card is gone":                {a: named("a", a(), without), b: b(), kind: rtx.Kind, have: []string{entryA, entryB}, says: "mapping rtx on node a (gpu.mapping-gone)"},
		"an entry of a node that is gone": {a: a(), b: b(), kind: rtx.Kind, have: []string{entryA, entryB, strings.Replace(entryB, "node=b", "node=old", 1)}, says: "(cluster.mapping-node)"},
		"another group":                   {a: a(), b: b(), kind: rtx.Kind, have: []string{strings.Replace(entryA, "group=12", "group=9", 1), entryB}, want: []string{entryB, entryA}, says: "iommugroup=9"},
		"two cards":                       {a: named("a", a(), second), b: b(), kind: rtx.Kind, want: []string{entryA, "id=10de:2c05,iommugroup=20,node=a,path=0000:05:00,subsystem-id=1462:5315", entryB}},
		"two cards, and one is enough":    {a: named("a", a(), second), b: b(), kind: rtx.Kind, have: []string{entryA, entryB}, says: "nothing to do"},
		"two cards, one is another VM's": {a: named("a", a(), second), b: b(), kind: rtx.Kind, with: func(f *cluster.Facts) {
			f.Nodes[0].Facts.VMs[150] = workstation.VMFacts{ID: 150, Config: map[string]string{"hostpci0": "0000:01:00"}}
		}, want: []string{"id=10de:2c05,iommugroup=20,node=a,path=0000:05:00,subsystem-id=1462:5315", entryB}},
		"two cards, and other VMs have both": {a: named("a", a(), second), b: b(), kind: rtx.Kind, with: func(f *cluster.Facts) {
			f.Nodes[0].Facts.VMs[150] = workstation.VMFacts{ID: 150, Config: map[string]string{"hostpci0": "0000:01:00", "hostpci1": "0000:05:00"}}
		}, want: []string{entryA, entryB}},
		"one of two entries is not true": {a: named("a", a(), second), b: b(), kind: rtx.Kind,
			have: []string{entryA, "id=10de:2c05,iommugroup=7,node=a,path=0000:05:00,subsystem-id=1462:5315", entryB},
			want: []string{entryB, entryA, "id=10de:2c05,iommugroup=20,node=a,path=0000:05:00,subsystem-id=1462:5315"}},
		"one card for one entry": {a: named("a", a(), second), b: b(), kind: rtx.Kind, have: []string{strings.Replace(entryA, "01:00", "09:00", 1), entryB}, want: []string{entryB, entryA}},
		"a text of a newer PVE stays": {a: a(), b: b(), kind: rtx.Kind, have: []string{entryA}, with: func(f *cluster.Facts) {
			for i := range f.Nodes {
				f.Nodes[i].Facts.Mappings[0].Unread = []string{"node=z,slot=3"}
			}
		}, want: []string{entryA, entryB}},
		"a node that is away stays": {a: a(), b: b(), kind: rtx.Kind, have: []string{entryB}, with: func(f *cluster.Facts) {
			f.Nodes[1] = cluster.NodeFacts{Name: "b", State: cluster.Away}
		}, want: []string{entryB, entryA}},
		"no kind and no mapping":           {a: a(), b: b(), says: `mapping "rtx": the cluster has no such resource mapping`},
		"no such card":                     {a: a(), b: pvetest.AMD(), kind: cluster.Kind{Name: "RTX 9090"}, says: "no node has such a card: a: it has no card of the kind RTX 9090, only Intel"},
		"a node whose cards are not known": {a: a(), b: b(), kind: rtx.Kind, with: func(f *cluster.Facts) { f.Nodes[1].Facts.IOMMU = iommu.Facts{} }, want: []string{entryA}},
		"no rights":                        {a: a(), b: b(), kind: cluster.Kind{Name: "none"}, with: func(f *cluster.Facts) { f.Nodes[0].State = cluster.Forbidden }, says: "a: the login may not read it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.a.Name, test.b.Name = "a", "b"
			f := facts(t, test.a, test.b)
			if test.have != nil {
				m := gpu.Mapping{ID: "rtx"}
				for _, text := range test.have {
					entry, err := gpu.ParseMappingEntry(text)
					if err != nil {
						t.Fatal(err)
					}
					m.Entries = append(m.Entries, entry)
				}
				for i := range f.Nodes {
					f.Nodes[i].Facts.Mappings = []gpu.Mapping{m}
				}
			}
			if test.with != nil {
				test.with(&f)
			}
			plan, err := cluster.Diff(cluster.Spec{Cards: []cluster.Card{{Mapping: "rtx", Kind: test.kind}}}, f)
			if text := fmt.Sprint(plan, err); !strings.Contains(text, test.says) {
				t.Errorf("it does not say %q:\n%s", test.says, text)
			}
			var have []string
			for _, m := range plan.Mappings {
				for _, e := range m.Mapping.Entries {
					have = append(have, e.String())
				}
			}
			if !slices.Equal(have, test.want) {
				t.Errorf("entries\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

func TestACardIsOfOneKind(t *testing.T) {
	t.Parallel()
	_, err := cluster.Diff(cluster.Spec{Cards: []cluster.Card{rtx, {Mapping: "rtx", Kind: ampere.Kind}}}, facts(t, twins()...))
	if want := `mapping "rtx": it is for rtx 5070 and for NVIDIA Ampere`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

// CheckMappings reports wrong entries on all nodes, in all mappings of the
// cluster.
func TestCheckMappings(t *testing.T) {
	t.Parallel()
	f := facts(t, named("a", pvetest.Reference()), named("b", pvetest.Reference(), moved), named("c", pvetest.SharedGroup()))
	for i := range f.Nodes {
		a, _ := gpu.ParseMappingEntry(entryA)
		b, _ := gpu.ParseMappingEntry(entryB)
		f.Nodes[i].Facts.Mappings = []gpu.Mapping{{ID: "rtx", Entries: []gpu.MappingEntry{a, b}}}
	}
	findings := f.CheckMappings()
	if len(findings) != 1 {
		t.Fatalf("findings %v, want one", findings)
	}
	finding(t, findings, "gpu.mapping-gone", proxstation.Warning, "pci device '0000:01:00.0' not found")
	if findings[0].Subject != "mapping rtx on node b" || !strings.Contains(findings[0].Fix, "10de:2c05 is at 0000:03:00.0 now") {
		t.Errorf("finding %s", findings[0])
	}
}

// A VM wants a kind of card. It is not placed on a node where the mapping has
// only an entry for a card of another kind.
func TestAnEntryOfAnotherCardIsNoPlace(t *testing.T) {
	t.Parallel()
	f := facts(t, named("a", pvetest.Reference(), without), named("b", pvetest.Reference()))
	entry, err := gpu.ParseMappingEntry(igpuA)
	if err != nil {
		t.Fatal(err)
	}
	for i := range f.Nodes {
		f.Nodes[i].Facts.Mappings = []gpu.Mapping{{ID: "rtx", Entries: []gpu.MappingEntry{entry}}}
	}
	spec := cluster.Spec{Cards: []cluster.Card{rtx}, Workstations: []cluster.Needs{{VM: linux(140, "rtx"), Node: "a"}}}
	if _, err := cluster.Place(spec, f); !errors.Is(err, cluster.ErrNoPlace) || !strings.Contains(fmt.Sprint(err), "it has no card of the kind") {
		t.Errorf("%v: want no place on node a, whose entry is of the graphics of its processor", err)
	}
	spec.Workstations[0].Node = ""
	if placements, err := cluster.Place(spec, f); err != nil || placements[0].Node != "b" {
		t.Errorf("%v, %v: want node b", placements, err)
	}
}
