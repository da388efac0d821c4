package gpu_test

import (
	"slices"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/iommu"
)

// The function "address" parses an address that is a literal in a test.
func address(s string) iommu.Address {
	a, err := iommu.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

func model(vendor, device iommu.ID) iommu.Model { return iommu.Model{Vendor: vendor, Device: device} }

// The helper "function" makes a PCI function with a group, as sysfs or the API
// describes it.
func function(at string, class iommu.Class, m iommu.Model, group int) iommu.Function {
	return iommu.Function{Address: address(at), Class: class, Model: m,
		Subsystem: model(0x1462, 0x5317), Group: iommu.Group(group), MDev: proxstation.No}
}

// The helper "card" makes a card of one function.
func card(vendor, device iommu.ID) gpu.Card {
	at := "0000:01:00.0"
	if vendor == gpu.Intel {
		at = "0000:00:02.0"
	}
	return gpu.Card{Functions: []iommu.Function{function(at, 0x030000, model(vendor, device), 1)}}
}

var (
	uhd630     = model(gpu.Intel, 0x3e92)
	rtx5070ti  = model(gpu.NVIDIA, 0x2c05)
	rtxAudio   = model(gpu.NVIDIA, 0x22e9)
	rootPort   = function("0000:00:01.0", 0x060400, model(gpu.Intel, 0x1901), 1)
	reference  = []iommu.Function{rootPort, function("0000:00:02.0", 0x030000, uhd630, 2), function("0000:01:00.0", 0x030000, rtx5070ti, 1), function("0000:01:00.1", 0x040300, rtxAudio, 1)}
	rtxMapping = gpu.Mapping{ID: "rtx", Entries: []gpu.MappingEntry{entry("id=10de:2c05,iommugroup=1,node=pve,path=0000:01:00,subsystem-id=1462:5317")}}
)

func entry(s string) gpu.MappingEntry {
	e, err := gpu.ParseMappingEntry(s)
	if err != nil {
		panic(err)
	}
	return e
}

// The function "values" parses the hostpci values of a VM.
func values(texts ...string) []gpu.HostPCI {
	var parsed []gpu.HostPCI
	for _, text := range texts {
		h, err := gpu.ParseHostPCI(text)
		if err != nil {
			panic(err)
		}
		parsed = append(parsed, h)
	}
	return parsed
}

// The function "captured" reads a described host, after the given lines have
// changed the description.
func captured(t *testing.T, name string, lines ...string) iommu.Facts {
	t.Helper()
	tree, err := hosttree.Load(name, lines...)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := iommu.Read(tree)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func cardAt(t *testing.T, functions []iommu.Function, at string) gpu.Card {
	t.Helper()
	c, ok := gpu.CardAt(functions, address(at))
	if !ok {
		t.Fatalf("no card at %s", at)
	}
	return c
}

func ids(findings []proxstation.Finding) []string {
	found := []string{}
	for _, f := range findings {
		found = append(found, f.ID)
	}
	return found
}

// wantIDs compares the IDs of findings in any order. It also checks that every
// finding has Seen and Why.
func wantIDs(t *testing.T, findings []proxstation.Finding, want ...string) {
	t.Helper()
	got := ids(findings)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	for _, f := range findings {
		if f.Severity == 0 || f.Subject == "" || f.Seen == "" || f.Why == "" {
			t.Errorf("%s does not say enough:\n%s", f.ID, f)
		}
		if f.Severity != proxstation.Info && f.Fix == "" {
			t.Errorf("%s does not say what to do:\n%s", f.ID, f)
		}
	}
}
