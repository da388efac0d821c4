package iommu_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

func some() ([]iommu.GroupFacts, []iommu.Unit) {
	return []iommu.GroupFacts{{ID: 0, Devices: []iommu.Address{{}}}}, []iommu.Unit{{Name: "dmar0"}}
}

// State decides by the facts about groups and the facts about units. This is
// its truth table.
func TestState(t *testing.T) {
	t.Parallel()
	groups, units := some()
	no, yes, unknown := proxstation.No, proxstation.Yes, proxstation.Unknown
	for _, test := range []struct {
		groups, units proxstation.Answer
		want          iommu.State
		says          string
	}{
		{yes, yes, iommu.On, "1 groups with 1 devices; /sys/class/iommu: dmar0"},
		{yes, unknown, iommu.On, "1 groups"},
		{yes, no, iommu.StateUnknown, "contradict"},
		{no, yes, iommu.Off, "iommu_groups is empty; /sys/class/iommu: dmar0"},
		{no, unknown, iommu.Off, "iommu_groups is empty"},
		{no, no, iommu.Off, "/sys/class/iommu is empty"},
		{unknown, no, iommu.Off, "/sys/class/iommu is empty"},
		{unknown, yes, iommu.StateUnknown, "the groups are not known"},
		{unknown, unknown, iommu.StateUnknown, "is not known"},
	} {
		var facts iommu.Facts
		if test.groups != unknown {
			facts.GroupsKnown = yes
		}
		if test.groups == yes {
			facts.Groups = groups
		}
		if test.units != unknown {
			facts.UnitsKnown = yes
		}
		if test.units == yes {
			facts.Units = units
		}
		got, why := facts.State()
		if got != test.want || !strings.Contains(why, test.says) {
			t.Errorf("groups %v, units %v: %v, %q; want %v, %q", test.groups, test.units, got, why, test.want, test.says)
		}
	}
}

func TestStateFromFunctionsAlone(t *testing.T) {
	t.Parallel()
	with := iommu.Facts{Functions: []iommu.Function{{Group: iommu.Group(0)}}}
	if got, why := with.State(); got != iommu.On || why != "0000:00:00.0 is in group 0; /sys/class/iommu is not known" {
		t.Errorf("a function in group 0: %v, %q", got, why)
	}
	without := iommu.Facts{Functions: []iommu.Function{{}}}
	if got, _ := without.State(); got != iommu.StateUnknown {
		t.Errorf("functions whose groups are not known: %v", got)
	}
	without.GroupsKnown = proxstation.Yes // PVE reports a missing group as iommugroup -1
	if got, _ := without.State(); got != iommu.Off {
		t.Errorf("functions that have no group: %v", got)
	}
}

func TestGroupsThatVFIOMakesUpDoNotCount(t *testing.T) {
	t.Parallel()
	facts := iommu.Facts{GroupsKnown: proxstation.Yes, UnitsKnown: proxstation.Yes,
		Functions: []iommu.Function{{Group: iommu.Group(0)}},
		Groups:    []iommu.GroupFacts{{ID: 0, NoIOMMU: true, Devices: []iommu.Address{{}}}}}
	if got, why := facts.State(); got != iommu.Off {
		t.Errorf("%v, %q", got, why)
	}
	if got := facts.IsIsolated(iommu.Address{}); got != proxstation.No {
		t.Errorf("isolated: %v", got)
	}
}

func TestInterruptRemapping(t *testing.T) {
	t.Parallel()
	groups, _ := some()
	flags := func(n uint8) *uint8 { return &n }
	ecap := func(n uint64) []iommu.Unit { return []iommu.Unit{{Name: "dmar0", Extended: &n}} }
	for name, test := range map[string]struct {
		facts iommu.Facts
		want  proxstation.Answer
		says  string
	}{
		"remapped chips":       {iommu.Facts{Interrupts: iommu.Interrupts{Remapped: proxstation.Yes, Seen: "IR-PCI-MSI"}}, proxstation.Yes, "IR-PCI-MSI"},
		"plain chips":          {iommu.Facts{Interrupts: iommu.Interrupts{Remapped: proxstation.No, Seen: "PCI-MSI"}, Units: ecap(8)}, proxstation.No, "PCI-MSI"},
		"firmware says no":     {iommu.Facts{ACPI: iommu.ACPI{Flags: flags(4)}, Groups: groups}, proxstation.No, "flags 0x04"},
		"hardware cannot":      {iommu.Facts{Units: ecap(0xf7), Groups: groups}, proxstation.No, "ecap: f7"},
		"able is not in force": {iommu.Facts{Units: ecap(0xf8), ACPI: iommu.ACPI{Flags: flags(1)}, Groups: groups}, proxstation.Unknown, "names no chip"},
		"no IOMMU":             {iommu.Facts{GroupsKnown: proxstation.Yes}, proxstation.No, "empty"},
		"nothing known":        {iommu.Facts{}, proxstation.Unknown, "names no chip"},
	} {
		if got, why := test.facts.InterruptRemapping(); got != test.want || !strings.Contains(why, test.says) {
			t.Errorf("%s: %v, %q; want %v, %q", name, got, why, test.want, test.says)
		}
	}
}

func TestVerdictsOnHosts(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		state    iommu.State
		remapped proxstation.Answer
		findings string
	}{
		"reference":               {iommu.On, proxstation.Yes, ""},
		"amd-desktop":             {iommu.On, proxstation.Yes, "iommu.uses-unknown"},
		"two-identical-cards":     {iommu.On, proxstation.Yes, ""},
		"vmd-domain":              {iommu.On, proxstation.Yes, ""},
		"group-holes-and-group-0": {iommu.On, proxstation.No, "iommu.no-interrupt-remapping"},
		"held-by-vfio":            {iommu.On, proxstation.Yes, ""},
		"no-iommu":                {iommu.Off, proxstation.No, "iommu.firmware-off"},
		"single-gpu":              {iommu.On, proxstation.Yes, ""},
		"shared-group":            {iommu.On, proxstation.Yes, ""},
	} {
		facts := read(t, name)
		state, why := facts.State()
		remapped, seen := facts.InterruptRemapping()
		if state != want.state || remapped != want.remapped {
			t.Errorf("%s: %v (%s), interrupts %v (%s)", name, state, why, remapped, seen)
		}
		if got := strings.Join(ids(facts.Check()), " "); want.findings != "" && !strings.Contains(got, want.findings) {
			t.Errorf("%s: findings %s, want %s", name, got, want.findings)
		}
	}
}

func TestStateText(t *testing.T) {
	t.Parallel()
	for _, state := range []iommu.State{iommu.StateUnknown, iommu.Off, iommu.On} {
		text, err := json.Marshal(state)
		var back iommu.State
		if err != nil || json.Unmarshal(text, &back) != nil || back != state {
			t.Errorf("%v became %s and %v, %v", state, text, back, err)
		}
	}
	var s iommu.State
	if err := json.Unmarshal([]byte(`"maybe"`), &s); err == nil {
		t.Error("maybe is no state")
	}
	if got := iommu.State(9).String(); got != "State(9)" {
		t.Errorf("got %s", got)
	}
}
