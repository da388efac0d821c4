package opencore

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/opencoretest"
)

func dictOf(key string, v Value) Value { return Value{Kind: Dict, Items: []Item{{Key: key, Value: v}}} }

// Judge reports a value of the wrong type, and still judges the other values. A
// wrong value without members is replaced with an empty container. If a wrong
// value has members and the plan would have to write below it, Configure
// returns an error.
func TestWrongTypes(t *testing.T) {
	t.Parallel()
	something := dictOf("Item 0", dictOf("BundlePath", TextValue("Lilu.kext")))
	for _, test := range []struct {
		name    string
		values  map[string]Value
		machine Machine
		seen    string // a part of Seen of the finding
		refused string // a part of Configure's error
		changes []string
	}{
		{name: "kernel extensions in a dictionary", values: map[string]Value{"Kernel/Add": something}, machine: onDisplay(),
			seen: "Kernel -> Add is of type dict (members: 1), want type array", refused: "Kernel -> Add is of type dict (members: 1), want type array: nothing can be written to Kernel -> Add -> 0"},
		{name: "and nothing to write there", values: map[string]Value{"Kernel/Add": something}, machine: withoutCard(), seen: "Kernel -> Add is of type dict (members: 1)"},
		{name: "an empty dictionary", values: map[string]Value{"Kernel/Add": {Kind: Dict}}, machine: onDisplay(), seen: "Kernel -> Add is of type dict, want type array",
			changes: []string{"~ Kernel -> Add: {} -> [0 items]", "+ Kernel -> Add -> 0: {Arch: x86_64, BundlePath: Lilu.kext", "BundlePath: WhateverGreen.kext"}},
		{name: "no dictionary of kernel settings", values: map[string]Value{"Kernel": TextValue("x")}, machine: onDisplay(), seen: "Kernel is of type string, want type dict",
			changes: []string{"~ Kernel: x -> {}", "BundlePath: Lilu.kext", "+ Kernel -> Quirks -> ProvideCurrentCpuInfo: true"}},
		{name: "an entry that is a string", values: map[string]Value{"Kernel/Add/0": TextValue("Lilu.kext")}, machine: onDisplay(), seen: "Kernel -> Add -> 0 is of type string, want type dict",
			changes: []string{"BundlePath: Lilu.kext"}},
		{name: "properties in a string", values: map[string]Value{"DeviceProperties/Add": TextValue("PciRoot(0x0)/Pci(0x2,0x0)")}, machine: onDisplay(), seen: "DeviceProperties -> Add is of type string, want type dict",
			changes: []string{"~ DeviceProperties -> Add: PciRoot(0x0)/Pci(0x2,0x0) -> {}", "AAPL,ig-platform-id: <07009B3E>"}},
		{name: "a device in data", values: map[string]Value{strings.TrimSuffix(igpuPath, "/"): DataValue([]byte{1})}, machine: onDisplay(), seen: "Pci(0x2,0x0) is of type data, want type dict",
			changes: []string{"Pci(0x2,0x0): <01> -> {}", "AAPL,ig-platform-id: <07009B3E>"}},
		{name: "a device in an array", values: map[string]Value{strings.TrimSuffix(igpuPath, "/"): {Kind: Array, Items: []Item{{Value: one}}}}, machine: onDisplay(), seen: "Pci(0x2,0x0) is of type array (members: 1), want type dict",
			refused: "nothing can be written to DeviceProperties -> Add -> PciRoot(0x0)/Pci(0x2,0x0) -> AAPL,ig-platform-id"},
		{name: "variables to delete", values: map[string]Value{"NVRAM/Delete/" + variables: TextValue("boot-args")}, machine: withoutCard(), seen: variables + " is of type string, want type array",
			changes: []string{variables + ": boot-args -> [0 items]", variables + " -> 0: boot-args"}},
		{name: "an identity", values: map[string]Value{"PlatformInfo/Generic": TextValue("C02XW0AAJV3Q")}, machine: onDisplay(), seen: "PlatformInfo -> Generic is of type string, want type dict",
			changes: []string{"~ PlatformInfo -> Generic: [identity] -> [identity]", "+ PlatformInfo -> Generic -> SystemProductName: iMac19,1"}},
		{name: "tables", values: map[string]Value{"ACPI": IntegerValue(1)}, machine: withoutCard(), seen: "ACPI is of type integer, want type dict", changes: []string{"~ ACPI: 1 -> {}"}},
		{name: "drivers", values: map[string]Value{"UEFI/Drivers": dictOf("OpenHfsPlus.efi", BoolValue(true))}, machine: withoutCard(), seen: "UEFI -> Drivers is of type dict (members: 1), want type array"},
		{name: "an old driver and a comment", values: map[string]Value{"UEFI/Drivers/0": TextValue("OpenRuntime.efi"), "NVRAM/Add/#note": TextValue("x")}, machine: withoutCard()},
	} {
		image := imageWith(t, test.values)
		var found []Finding
		for _, f := range Judge(image, test.machine) {
			if f.ID == "opencore.type" {
				found = append(found, f)
			}
		}
		if test.seen == "" {
			if len(found) != 0 {
				t.Errorf("%s: %v", test.name, found)
			}
			continue
		}
		if len(found) != 1 || !strings.Contains(found[0].Seen, test.seen) || found[0].Severity < proxstation.Warning || found[0].Key == nil || found[0].Now.Kind == Absent || found[0].Want.Kind == Absent {
			t.Errorf("%s: %+v", test.name, found)
		}
		plan, err := Configure(image, test.machine, nil)
		if test.refused != "" {
			if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), test.refused) {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		for _, want := range test.changes {
			if !slices.ContainsFunc(plan.Lines(), func(line string) bool { return strings.Contains(line, want) }) {
				t.Errorf("%s: the plan lacks %q:\n%s", test.name, want, plan)
			}
		}
		raw, err := json.Marshal(plan)
		if text := plan.String() + string(raw) + fmt.Sprintf("%+v %+v", plan, Judge(image, test.machine)); err != nil || strings.Contains(text, "C02XW0AAJV3Q") {
			t.Errorf("%s: the serial number is shown (%v)", test.name, err)
		}
		if root, _, err := parse(plan.after); err != nil || plan.Err() == nil && len(wanted(Image{Config: root, ConfigText: plan.after, Kexts: image.Kexts, Drivers: image.Drivers, Vault: image.Vault, Version: image.Version}, test.machine, &Options{})) != 0 {
			t.Errorf("%s: the copy is not as it should be (%v):\n%s", test.name, err, plan)
		}
	}
}

// A new value needs the dictionaries and arrays that its key names. If they are
// missing, the plan makes them with the types that OpenCore needs.
func TestMissingContainers(t *testing.T) {
	t.Parallel()
	image := imageWith(t, map[string]Value{"Kernel/Add": {}, "NVRAM/Delete": {}, "DeviceProperties": {}})
	plan, err := Configure(image, onDisplay(), nil)
	if err != nil {
		t.Fatal(err)
	}
	root, _, err := parse(plan.after)
	if _, wrong := configShape.fitting(root, nil); err != nil || len(wrong) != 0 || len(root.Get("Kernel", "Add").Items) != 2 || root.Get("NVRAM", "Delete", variables).Kind != Array || plan.Err() != nil {
		t.Errorf("%v, %v\n%s", err, wrong, plan)
	}
}

// If the entries of drivers are not in an array, Read says that no driver is
// enabled.
func TestDriversOfTheWrongType(t *testing.T) {
	t.Parallel()
	text := imageWith(t, map[string]Value{"UEFI/Drivers": dictOf("x", dictOf("Path", TextValue("OpenRuntime.efi")))}).ConfigText
	disk := opencoretest.New(string(text)).FAT(12, 2<<20)
	image, err := Read(disk, int64(len(disk)))
	if err != nil || len(image.Drivers) != 2 || image.Drivers[0].Enabled || image.Drivers[1].Enabled {
		t.Errorf("%+v, %v", image.Drivers, err)
	}
}
