package gpu_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
)

func TestParseMappingEntry(t *testing.T) {
	t.Parallel()
	board := model(0x1462, 0x5317)
	for _, test := range []struct {
		text  string
		want  gpu.MappingEntry
		print string
	}{
		{"id=10de:2c05,iommugroup=12,node=pve,path=0000:01:00,subsystem-id=1462:5317",
			gpu.MappingEntry{Node: "pve", Devices: []gpu.Device{gpu.WholeDevice(address("0000:01:00.0"))}, Model: rtx5070ti, Subsystem: &board, Group: iommu.Group(12)}, ""},
		{"node=pve-2,path=0000:01:00.0;10000:02:00,id=10DE:2C05",
			gpu.MappingEntry{Node: "pve-2", Devices: []gpu.Device{{Address: address("0000:01:00.0")}, gpu.WholeDevice(address("10000:02:00.0"))}, Model: rtx5070ti},
			"id=10de:2c05,node=pve-2,path=0000:01:00.0;10000:02:00"},
		{"node=pve,path=0000:01:00,id=10de:2c05,iommugroup=0,description=upper slot",
			gpu.MappingEntry{Node: "pve", Devices: []gpu.Device{gpu.WholeDevice(address("0000:01:00.0"))}, Model: rtx5070ti, Group: iommu.Group(0), Description: "upper slot"},
			"description=upper slot,id=10de:2c05,iommugroup=0,node=pve,path=0000:01:00"},
		{"node=pve,path=0000:01:00,id=10de:2c05,iommugroup=-1",
			gpu.MappingEntry{Node: "pve", Devices: []gpu.Device{gpu.WholeDevice(address("0000:01:00.0"))}, Model: rtx5070ti}, "id=10de:2c05,node=pve,path=0000:01:00"},
	} {
		got, err := gpu.ParseMappingEntry(test.text)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q is read as %+v, %v", test.text, got, err)
			continue
		}
		if test.print == "" {
			test.print = test.text
		}
		if got.String() != test.print {
			t.Errorf("%q is printed as %q, want %q", test.text, got, test.print)
		}
	}
}

func TestParseMappingEntryRefuses(t *testing.T) {
	t.Parallel()
	const good = "node=pve,path=0000:01:00,id=10de:2c05"
	for text, why := range map[string]string{
		"":                                  "no node",
		"path=0000:01:00,id=10de:2c05":      "no node",
		"node=pve,id=10de:2c05":             "no path",
		"node=pve,path=0000:01:00":          "no id",
		good + ",speed=16":                  `PVE has no key "speed"`,
		good + ",node=pve":                  `key "node" is there twice`,
		good + ",iommugroup=x":              `iommugroup "x"`,
		good + ",subsystem-id=14625317":     `subsystem-id "14625317"`,
		"0000:01:00,node=pve":               `"0000:01:00" has no key`,
		"node=pve,path=01:00,id=10de:2c05":  `path "01:00"`, // PVE requires the domain in a mapping
		"node=p_e,path=0000:01:00":          `node "p_e"`,
		"node=pve,path=0000:01:00,id=10de":  `id "10de"`,
		"node=pve,path=0000:01:00;":         `path "0000:01:00;"`,
		"node=pve,path=0000:01:00.9":        `device "0000:01:00.9"`,
		"node=pve,path=0000:01:00,id=0x10d": `id "0x10d"`,
	} {
		got, err := gpu.ParseMappingEntry(text)
		if strings.HasPrefix(text, good) { // an entry that a newer PVE wrote can still be read
			_, added, _ := strings.Cut(text, good+",")
			if err != nil || got.Node != "pve" || !slices.Equal(got.Unread, []string{added}) || !strings.HasSuffix(got.String(), added) {
				t.Errorf("%q: %+v, %v; want the entry, with %s unread", text, got, err, added)
			}
			continue
		}
		if !errors.Is(err, gpu.ErrMapping) || !strings.Contains(err.Error(), why) || got.Node != "" {
			t.Errorf("%q: %+v, %v; want an error with %s", text, got, err, why)
		}
	}
}

func FuzzParseMappingEntry(f *testing.F) {
	for _, seed := range []string{"id=10de:2c05,iommugroup=12,node=pve,path=0000:01:00,subsystem-id=1462:5317", "node=a,path=0000:01:00.0;10000:02:00,id=10DE:2C05,description= x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := gpu.ParseMappingEntry(text)
		if err != nil {
			if !errors.Is(err, gpu.ErrMapping) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		back, err := gpu.ParseMappingEntry(e.String())
		if err != nil || !reflect.DeepEqual(back, e) {
			t.Fatalf("%q is printed as %q, which is read as %+v, %v", text, e, back, err)
		}
	})
}

func TestNewMapping(t *testing.T) {
	t.Parallel()
	m, err := gpu.NewMapping("rtx", "pve", cardAt(t, reference, "0000:01:00.1"))
	if err != nil || !reflect.DeepEqual(m, rtxMapping) {
		t.Errorf("%+v, %v; want %+v", m, err, rtxMapping)
	}
	vgpu := card(gpu.Intel, 0x5912)
	vgpu.Functions[0].MDev = proxstation.Yes
	if m, err := gpu.NewMapping("igd", "pve", vgpu); err != nil || !m.MDev {
		t.Errorf("a card with mediated devices: %+v, %v", m, err)
	}
	apu := gpu.Card{Functions: []iommu.Function{function("0000:0c:00.0", 0x030000, model(gpu.AMD, 0x164e), 20),
		function("0000:0c:00.1", 0x040300, model(gpu.AMD, 0x1640), 21), function("0000:0c:00.3", 0x0c0330, model(0x1022, 0x15b6), 23)}}
	if m, err := gpu.NewMapping("apu", "pve", apu); err != nil || m.Entries[0].String() != "id=1002:164e,iommugroup=20,node=pve,path=0000:0c:00.0,subsystem-id=1462:5317" {
		t.Errorf("a card beside USB controllers: %+v, %v", m, err)
	}
	second := gpu.Card{Functions: []iommu.Function{function("0000:00:02.1", 0x030000, uhd630, 2)}}
	for _, bad := range []struct {
		id, node string
		card     gpu.Card
	}{{"5070", "pve", vgpu}, {"r", "pve", vgpu}, {"rtx", "", vgpu}, {"rtx", "p,e", vgpu}, {"rtx", "pve", gpu.Card{}}, {"rtx", "pve", second}} {
		if m, err := gpu.NewMapping(bad.id, bad.node, bad.card); err == nil || m.ID != "" {
			t.Errorf("%q on %q: %+v", bad.id, bad.node, m)
		}
	}
}

// A mapping that was made from a node's card has no drift on this node.
func TestNewMappingHasNoDrift(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"reference", "amd-desktop", "two-identical-cards", "vmd-domain", "group-holes-and-group-0", "held-by-vfio", "server-bmc", "odd-laptop"} {
		node := gpu.Node{Name: "pve", Functions: captured(t, host).Functions}
		for _, c := range gpu.Cards(node.Functions) {
			m, err := gpu.NewMapping("card", "pve", c)
			if err != nil {
				t.Errorf("%s: %v", host, err)
			}
			if one := m.Entries[0].Devices[0]; one.Whole == (c.Display().VirtualOf != nil) {
				t.Errorf("%s: a mapping of %s takes %s", host, c.Address(), one) // a mapping of a virtual function holds only this function
			}
			back, err := gpu.ParseMappingEntry(m.Entries[0].String())
			if err != nil || !reflect.DeepEqual(back, m.Entries[0]) {
				t.Errorf("%s: %q is read as %+v, %v", host, m.Entries[0], back, err)
			}
			wantIDs(t, node.Drift(m))
		}
	}
}

func TestMappingJSON(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(rtxMapping)
	const want = `{"id":"rtx","entries":[{"node":"pve","devices":["0000:01:00"],"model":{"vendorID":"10de","deviceID":"2c05"},"subsystem":{"vendorID":"1462","deviceID":"5317"},"group":1}]}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
	var back gpu.Mapping
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, rtxMapping) {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestMappingOnAndFind(t *testing.T) {
	t.Parallel()
	functions := captured(t, "two-identical-cards").Functions
	m := gpu.Mapping{ID: "any", Entries: []gpu.MappingEntry{
		entry("id=10de:2504,node=pve,path=0000:0a:00"), entry("id=10de:2504,node=other,path=0000:01:00"), entry("id=10de:2504,node=pve,path=0000:0b:00")}}
	on := m.On("pve")
	if len(on) != 2 || on[0].Devices[0].String() != "0000:0a:00" || on[1].Devices[0].String() != "0000:0b:00" || m.On("third") != nil {
		t.Errorf("on pve: %v", on)
	}
	want := []iommu.Address{address("0000:0a:00.0"), address("0000:0b:00.0")}
	if got := on[0].Find(functions); !slices.Equal(got, want) {
		t.Errorf("found at %v", got)
	}
	if got := entry("id=10de:2504,node=pve,path=0000:0a:00,subsystem-id=0000:0001").Find(functions); got != nil {
		t.Errorf("another board is at %v", got)
	}
}
