package iommu

import (
	"fmt"
	"slices"

	"github.com/proxstation/proxstation"
)

// A chipsetRule is a chipset on which the kernel itself turns off a part of the
// IOMMU, whatever the firmware and the kernel's arguments say. All rules were
// read in Linux' sources in November 2026.
type chipsetRule struct {
	vendor    ID
	devices   []ID // functions that identify the chipset
	revisions func(device ID, revision uint8) bool
	name      string
	source    string
}

// The method "meets" returns the function of this machine to which a rule
// applies.
func (r chipsetRule) meets(f Facts) (Function, bool) {
	for _, fn := range f.Functions {
		if fn.Model.Vendor != r.vendor || !slices.Contains(r.devices, fn.Model.Device) || fn.Parent != nil {
			continue
		}
		if r.revisions == nil || fn.Revision != nil && r.revisions(fn.Model.Device, *fn.Revision) {
			return fn, true
		}
	}
	return Function{}, false
}

// noRemapping holds the chipsets on which the kernel turns off interrupt
// remapping because of an erratum. The kernel logs this (intel_remapping_check
// in arch/x86/kernel/early-quirks.c; Intel specification update 322808, errata
// 47 and 53).
var noRemapping = []chipsetRule{{vendor: 0x8086, devices: []ID{0x3403, 0x3405, 0x3406}, name: "Intel 5500, 5520 or X58",
	revisions: func(device ID, revision uint8) bool { return revision <= 0x13 || device == 0x3405 && revision == 0x22 },
	source:    "arch/x86/kernel/early-quirks.c, since Linux 3.10"}}

// noGraphics holds the chipsets and processors on which the kernel turns the
// IOMMU off for integrated graphics: quirk_iommu_igfx in
// drivers/iommu/intel/iommu.c.
var noGraphics = []chipsetRule{
	{vendor: 0x8086, devices: []ID{0x2a40, 0x2e00, 0x2e10, 0x2e20, 0x2e30, 0x2e40, 0x2e90}, name: "Intel G4x or GM45",
		source: "quirk_iommu_igfx in drivers/iommu/intel/iommu.c"},
	{vendor: 0x8086, devices: []ID{0x29b2}, name: "Intel Q35",
		source: "quirk_iommu_igfx in drivers/iommu/intel/iommu.c, since April 2026 (commit 2cda2e10dc83)"},
	{vendor: 0x8086, devices: []ID{0x0044}, name: "Intel QM57 or QS57",
		source: "quirk_iommu_igfx in drivers/iommu/intel/iommu.c, since April 2025"},
	{vendor: 0x8086, devices: []ID{0x0040, 0x0062, 0x006a}, name: "Intel Ironlake, whose firmware set no memory aside for it (shadow GTT)",
		source: "quirk_calpella_no_shadow_gtt in drivers/iommu/intel/iommu.c"},
	{vendor: 0x8086, devices: []ID{0x1602, 0x1606, 0x160a, 0x160b, 0x160d, 0x160e, 0x1612, 0x1616, 0x161a, 0x161b, 0x161d, 0x161e,
		0x1622, 0x1626, 0x162a, 0x162b, 0x162d, 0x162e, 0x1632, 0x1636, 0x163a, 0x163b, 0x163d, 0x163e}, name: "Intel Broadwell graphics",
		source: "quirk_iommu_igfx in drivers/iommu/intel/iommu.c, since Linux 5.4 (commit 1f76249cc3be)"},
}

// noIOMMU holds the processors on which the kernel leaves the IOMMU off
// (detect_ivrs in drivers/iommu/amd/init.c).
var noIOMMU = []chipsetRule{{vendor: 0x1002, devices: []ID{0x98e4}, name: "AMD Stoney Ridge graphics",
	source: "detect_ivrs in drivers/iommu/amd/init.c"}}

// byChipset names the function of this machine to which a rule of a table
// applies.
func (f Facts) byChipset(rules []chipsetRule) (seen string, rule chipsetRule, ok bool) {
	for _, rule := range rules {
		if fn, meets := rule.meets(f); meets {
			seen = fmt.Sprintf("%s is %s (%s)", fn.Address, fn.Model, rule.name)
			if fn.Revision != nil && rule.revisions != nil {
				seen = fmt.Sprintf("%s is %s revision %02x (%s)", fn.Address, fn.Model, *fn.Revision, rule.name)
			}
			return seen, rule, true
		}
	}
	return "", chipsetRule{}, false
}

// brokenRemapping says why this machine cannot remap interrupts with any
// setting of its firmware. Either the kernel turns remapping off because of an
// erratum, or the IOMMU cannot remap (Intel's first IOMMUs, such as in Q35 and
// the first Core i: bit 3 of ecap, VT-d specification 11.4.3).
func (f Facts) brokenRemapping() (seen string, broken bool) {
	if seen, _, ok := f.byChipset(noRemapping); ok {
		return seen, true
	}
	for _, unit := range f.Units {
		if unit.Extended != nil && *unit.Extended>>3&1 == 0 {
			return fmt.Sprintf("/sys/class/iommu/%s/intel-iommu/ecap: %x without bit 3, interrupt remapping", unit.Name, *unit.Extended), true
		}
	}
	return "", false
}

// checkGraphicsOff explains why integrated graphics have no group although the
// IOMMU is on for other devices. The cause is a kernel argument or the chipset.
func (f Facts) checkGraphicsOff(fn Function, finding proxstation.Finding) proxstation.Finding {
	if fn.Parent != nil || !fn.Class.IsDisplay() || fn.Model.Vendor != 0x8086 {
		return finding
	}
	if f.Running != nil && slices.Contains(f.Running.Options("intel_iommu"), "igfx_off") {
		finding.ID = "iommu.igfx-off"
		finding.Seen += "; /proc/cmdline: intel_iommu with igfx_off"
		finding.Why = "The argument turns the IOMMU off for the integrated graphics alone: no guest can have them."
		run := ""
		if command := f.Place().Command; command != "" {
			run = ", run " + command
		}
		finding.Fix = "Take igfx_off out of intel_iommu= in " + f.Place().Edit + run + ", and restart."
		return finding
	}
	if seen, rule, ok := f.byChipset(noGraphics); ok {
		finding.ID = "iommu.igfx-off"
		finding.Seen += "; " + seen
		finding.Why = "The kernel turns the IOMMU off for the integrated graphics of this chipset, because they fail behind an IOMMU (" + rule.source + "): no guest can have them."
		finding.Fix = "Pass a graphics card in a slot of this board instead. No setting of the firmware and no kernel argument changes this."
	}
	return finding
}
