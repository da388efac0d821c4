package iommu_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"0000:01:00.0":     "0000:01:00.0",
		"01:00.0":          "0000:01:00.0",
		"0000:FF:1F.7":     "0000:ff:1f.7",
		"10000:e1:00.0":    "10000:e1:00.0",
		"ffffffff:00:00.0": "ffffffff:00:00.0",
		"0:0.0":            "0000:00:00.0",
	} {
		a, err := iommu.ParseAddress(text)
		if err != nil || a.String() != want {
			t.Errorf("%q: %v, %v; want %s", text, a, err, want)
		}
	}
	for _, text := range []string{
		"", "0000:01:00", "0000:01:00.8", "0000:01:00.", "0000:01:00.00", "0000:01:20.0", "0000:100:00.0", "000:01:00.0",
		"1ffffffff:00:00.0", "0000:01:00.0 ", " 01:00.0", "01.00.0", "+1:00.0", "0x1:00.0", "0000:0000:01:00.0", "0000:01:00.0.1", "1_0:00.0",
	} {
		if a, err := iommu.ParseAddress(text); !errors.Is(err, iommu.ErrAddress) || !strings.HasPrefix(err.Error(), "iommu: address") {
			t.Errorf("%q: %v, %v", text, a, err)
		}
	}
}

func TestParseSlot(t *testing.T) {
	t.Parallel()
	a, err := iommu.ParseSlot("01:00")
	if err != nil || a.String() != "0000:01:00.0" || a.Slot() != "0000:01:00" {
		t.Errorf("%v, %v", a, err)
	}
	if _, err := iommu.ParseSlot("01:00.0"); !errors.Is(err, iommu.ErrAddress) || !strings.Contains(err.Error(), "slot") {
		t.Errorf("got %v", err)
	}
}

func TestAddressOrder(t *testing.T) {
	t.Parallel()
	want := []string{"0000:00:02.0", "0000:01:00.0", "0000:01:00.1", "0000:0a:00.0", "0001:00:00.0", "10000:00:00.0"}
	got := addresses(t, "10000:00:00.0", "0000:01:00.1", "0000:0a:00.0", "0000:00:02.0", "0001:00:00.0", "0000:01:00.0")
	slices.SortFunc(got, iommu.Address.Compare)
	if !slices.Equal(got, addresses(t, want...)) {
		t.Errorf("%v, want %v", got, want)
	}
	if !got[1].SameSlot(got[2]) || got[2].SameSlot(got[3]) || got[1].WithFunction(1) != got[2] || got[2].Function() != 1 {
		t.Error("functions of one slot")
	}
}

func TestWithFunctionPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("function 8")
		}
	}()
	iommu.Address{}.WithFunction(8)
}

func TestTextOfValues(t *testing.T) {
	t.Parallel()
	in := iommu.Function{Address: address(t, "10000:e1:00.0"), Class: 0x030200, Model: iommu.Model{Vendor: 0x10de, Device: 0x2c05},
		Group: iommu.Group(0), DriverKnown: proxstation.Yes, Lost: proxstation.No}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"address":"10000:e1:00.0"`, `"class":"030200"`, `"vendorID":"10de"`, `"group":0`, `"lost":"no"`, `"mdev":"unknown"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	var out iommu.Function
	if err := json.Unmarshal(text, &out); err != nil || out.Address != in.Address || out.Class != in.Class || out.Group != in.Group || out.Model != in.Model {
		t.Errorf("%+v, %v", out, err)
	}
	for _, bad := range []string{`{"address":"x"}`, `{"class":"1234567"}`, `{"group":"1"}`, `{"lost":"perhaps"}`, `{"model":{"vendorID":"10de0"}}`} {
		if err := json.Unmarshal([]byte(bad), &out); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestGroupZeroIsAGroup(t *testing.T) {
	t.Parallel()
	none := iommu.GroupID{}
	if none == iommu.Group(0) || none.String() != "none" || iommu.Group(0).String() != "0" {
		t.Error("group 0 is none")
	}
	for group, want := range map[iommu.GroupID]string{none: "null", iommu.Group(0): "0", iommu.Group(17): "17"} {
		text, err := json.Marshal(group)
		var back iommu.GroupID
		if err != nil || string(text) != want || json.Unmarshal(text, &back) != nil || back != group {
			t.Errorf("%v became %s, %v", group, text, back)
		}
	}
}

func TestClasses(t *testing.T) {
	t.Parallel()
	for class, want := range map[iommu.Class][2]bool{0x030000: {true, false}, 0x030200: {true, false}, 0x060400: {false, true}, 0x040300: {false, false}} {
		if class.IsDisplay() != want[0] || class.IsBridge() != want[1] {
			t.Errorf("%v: display %v, bridge %v", class, class.IsDisplay(), class.IsBridge())
		}
	}
	if id, err := iommu.ParseID("0X10DE"); id != 0x10de || err != nil {
		t.Errorf("%v, %v", id, err)
	}
	for _, bad := range []string{"", "0x", "12345", "10d g"} {
		if _, err := iommu.ParseID(bad); !errors.Is(err, iommu.ErrID) {
			t.Errorf("%q is no ID", bad)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"0000:01:00.0", "01:00.0", "10000:e1:1f.7", "0000:01:00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := iommu.ParseAddress(text)
		if err != nil {
			return
		}
		if back, err := iommu.ParseAddress(a.String()); err != nil || back != a {
			t.Fatalf("%q prints as %v, which reads as %v, %v", text, a, back, err)
		}
		if back, err := iommu.ParseSlot(a.Slot()); err != nil || back != a.WithFunction(0) {
			t.Fatalf("the slot of %q reads as %v, %v", text, back, err)
		}
	})
}
