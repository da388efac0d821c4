package gpu_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/gpu"
)

// The function "broken" returns the rules that an error of CheckRules names, in
// order.
func broken(err error) []gpu.Rule {
	var rules []gpu.Rule
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			if rule, ok := errors.AsType[*gpu.RuleError](e); ok {
				rules = append(rules, rule.Rule)
			}
		}
	}
	return rules
}

func TestCheckRules(t *testing.T) {
	t.Parallel()
	const igd = "00:02.0,legacy-igd=1"
	for _, test := range []struct {
		values  string // hostpci values, separated by spaces
		machine string
		vga     string
		want    []gpu.Rule
	}{
		{"01:00,pcie=1,x-vga=1", "q35", "", nil},
		{"01:00,pcie=1", "pc-q35-9.0+pve1", "std", nil},
		{"01:00,pcie=1", "type=q35,viommu=intel", "", nil},
		{"01:00,pcie=1", "", "", []gpu.Rule{gpu.RulePCIeNeedsQ35}},
		{"01:00,pcie=1", "pc", "", []gpu.Rule{gpu.RulePCIeNeedsQ35}},
		{"01:00 00:14.0", "", "", nil},
		{igd, "", "none", nil},
		{igd, "pc", "none", nil},
		{igd, "pc-i440fx-9.2+pve1", "none", nil},
		{igd, "viommu=virtio", "none", nil},
		{"00:02,legacy-igd=1,romfile=a.rom", "pc", "none", nil},
		{"mapping=igd,legacy-igd=1", "pc", "none", nil},
		{igd, "q35", "none", []gpu.Rule{gpu.RuleIGDNeedsI440FX}},
		{igd, "pc-q35-8.1", "none", []gpu.Rule{gpu.RuleIGDNeedsI440FX}},
		{igd, "type=q35", "none", []gpu.Rule{gpu.RuleIGDNeedsI440FX}},
		{igd, "virt", "none", []gpu.Rule{gpu.RuleIGDNeedsI440FX}},
		{"mapping=igd,legacy-igd=1", "q35", "none", []gpu.Rule{gpu.RuleIGDNeedsI440FX}},
		{igd + ",pcie=1", "q35", "none", []gpu.Rule{gpu.RuleIGDNeedsI440FX}},
		{igd + ",pcie=1", "pc", "none", []gpu.Rule{gpu.RulePCIeNeedsQ35}},
		{igd, "pc", "", []gpu.Rule{gpu.RuleIGDNeedsNoVGA}},
		{igd, "pc", "std", []gpu.Rule{gpu.RuleIGDNeedsNoVGA}},
		{igd, "pc", "type=none", []gpu.Rule{gpu.RuleIGDNeedsNoVGA}},
		{igd + ",rombar=0", "pc", "none", []gpu.Rule{gpu.RuleIGDNeedsROMBar}},
		{igd + ",x-vga=1", "pc", "none", []gpu.Rule{gpu.RuleIGDWithoutXVGA}},
		{igd + ",mdev=i915-GVTg_V5_4", "pc", "none", []gpu.Rule{gpu.RuleIGDWithoutMDev}},
		{"00:02.0;00:1f.3,legacy-igd=1", "pc", "none", []gpu.Rule{gpu.RuleIGDAlone}},
		{"01:00,legacy-igd=1", "pc", "none", []gpu.Rule{gpu.RuleIGDAddress}},
		{"00:02.1,legacy-igd=1", "pc", "none", []gpu.Rule{gpu.RuleIGDAddress}},
		{"mapping=igd,legacy-igd=1 mapping=igd2,legacy-igd=1", "pc", "none", []gpu.Rule{gpu.RuleIGDOnce}},
		{"01:00 0000:01:00.1", "q35", "", []gpu.Rule{gpu.RuleDeviceAssignedTwice}},
		{"01:00.0 01:00.1", "q35", "", nil},
		{"00:02.0,mdev=a 00:02.0,mdev=a", "q35", "", nil},
		{"00:02.0;00:02.1,mdev=a", "q35", "", []gpu.Rule{gpu.RuleMDevOneFunction}},
		{"01:00,legacy-igd=1,rombar=0,x-vga=1", "q35", "std", []gpu.Rule{gpu.RuleIGDNeedsI440FX, gpu.RuleIGDNeedsNoVGA,
			gpu.RuleIGDNeedsROMBar, gpu.RuleIGDWithoutXVGA, gpu.RuleIGDAddress}},
	} {
		err := gpu.CheckRules(values(strings.Fields(test.values)...), test.machine, test.vga)
		if got := broken(err); !slices.Equal(got, test.want) || (err == nil) != (test.want == nil) {
			t.Errorf("%s on machine %q, vga %q breaks\n%q, want\n%q", test.values, test.machine, test.vga, got, test.want)
		}
		if err != nil && !errors.Is(err, gpu.ErrRule) {
			t.Errorf("%v is not ErrRule", err)
		}
	}
}

// CheckRules refuses legacy-igd on every machine with q35 in its name, whatever
// other settings the VM has.
func FuzzLegacyIGDNeverOnQ35(f *testing.F) {
	f.Add("type=", ",viommu=intel", "romfile=igd.rom")
	f.Add("pc-", "-9.2+pve1", "device-id=0x3e9b")
	f.Fuzz(func(t *testing.T, before, after, more string) {
		h, err := gpu.ParseHostPCI("00:02.0,legacy-igd=1," + more)
		if err != nil || !h.LegacyIGD {
			return
		}
		if err := gpu.CheckRules([]gpu.HostPCI{h}, before+"q35"+after, "none"); !errors.Is(err, gpu.ErrRule) {
			t.Errorf("%q is let through", before+"q35"+after)
		}
	})
}

func TestRuleErrorSays(t *testing.T) {
	t.Parallel()
	err := gpu.CheckRules(values("00:02.0,legacy-igd=1"), "q35", "none")
	const want = `gpu: hostpci "0000:00:02.0,legacy-igd=1": PVE refuses to start the VM: legacy-igd needs the machine type pc (i440fx), not machine: q35`
	if err == nil || err.Error() != want {
		t.Errorf("%v, want\n%s", err, want)
	}
}
