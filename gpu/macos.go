package gpu

import (
	"fmt"
	"slices"

	"github.com/proxstation/proxstation/iommu"
)

// The sources for macOS. Dortania's guide ends with Sonoma. OpenCore Legacy
// Patcher lists the drivers that Tahoe no longer has. This shows which families
// still work without a patch.
const (
	dortania      = "Dortania GPU Buyers Guide"
	whateverGreen = "WhateverGreen FAQ.IntelHD"
	legacyPatcher = "OpenCore Legacy Patcher issue 1167"
)

// A reach is the range of macOS releases that have drivers for a family.
type reach struct {
	first, last Guest
	condition   string // a condition under which the drivers work
}

const (
	pikera     = "the boot argument agdpmod=pikera, or most of these cards show no picture"
	webDrivers = "NVIDIA's Web Drivers and the boot argument nvda_drv_vrl=1"
)

// macOS holds the families for which macOS has drivers (Dortania, modern-gpus
// and legacy-gpus).
var macOS = map[Family]reach{
	IntelSandyBridge: {MacOSHighSierra, MacOSHighSierra, "programs that do without Metal"},
	IntelIvyBridge:   {MacOSHighSierra, MacOSBigSur, ""},
	IntelHaswell:     {MacOSHighSierra, MacOSMonterey, ""},
	IntelBroadwell:   {MacOSHighSierra, MacOSMonterey, ""},
	IntelSkylake:     {MacOSHighSierra, MacOSTahoe, ""}, // from Ventura on, it must look like Kaby Lake
	IntelKabyLake:    {MacOSHighSierra, MacOSTahoe, ""},
	IntelCoffeeLake:  {MacOSHighSierra, MacOSTahoe, ""}, // in High Sierra, it must look like Kaby Lake
	IntelCometLake:   {MacOSCatalina, MacOSTahoe, ""},   // from 10.15.4 on
	IntelIceLake:     {MacOSCatalina, MacOSTahoe, ""},   // from 10.15.4 on
	AMDPolaris:       {MacOSHighSierra, MacOSTahoe, ""},
	AMDVega10:        {MacOSHighSierra, MacOSTahoe, ""},
	AMDVega12:        {MacOSMojave, MacOSTahoe, ""},
	AMDVega20:        {MacOSMojave, MacOSTahoe, ""}, // from 10.14.5 on
	AMDNavi10:        {MacOSCatalina, MacOSTahoe, pikera},
	AMDNavi12:        {MacOSCatalina, MacOSTahoe, pikera},
	AMDNavi14:        {MacOSCatalina, MacOSTahoe, pikera},
	AMDNavi21:        {MacOSBigSur, MacOSTahoe, pikera}, // from 11.4 on
	AMDNavi22:        {MacOSBigSur, MacOSSequoia, "NootRX, a patch of Apple's drivers that is not finished"},
	AMDNavi23:        {MacOSMonterey, MacOSTahoe, pikera}, // from 12.1 on
	NVIDIAKepler:     {MacOSHighSierra, MacOSBigSur, ""},
	NVIDIAMaxwell:    {MacOSHighSierra, MacOSHighSierra, webDrivers},
	NVIDIAPascal:     {MacOSHighSierra, MacOSHighSierra, webDrivers},
}

func (v *Verdict) judgeMacOS(card Card) {
	family, model := card.Family(), card.Model()
	v.Source = dortania
	v.Instead = "give it an Intel UHD 630 or an AMD RX 6600 to 6900 XT, and this card to Windows or Linux"
	r, known := macOS[family]
	switch {
	case !known && model.Vendor == NVIDIA && model.Device >= 0x1d81: // there are no drivers for Volta and newer cards
		v.refuse("Apple ships no driver for NVIDIA cards newer than Kepler, and there has never been a driver for Volta, GTX 16 and RTX cards")
	case family == UnknownFamily:
		v.Why, v.Source, v.Instead = "the card's family is not known, and macOS has drivers for few families", "", ""
	case !known:
		v.refuse("macOS has no driver for " + family.String() + " in any release")
	case neverInMacOS(model) != "":
		v.refuse(neverInMacOS(model))
	case v.Guest < r.first:
		v.Instead = "install " + r.first.String() + " or later"
		v.refuse(fmt.Sprintf("drivers for %s came with %s", family, r.first))
	case v.Guest > r.last:
		v.refuse(fmt.Sprintf("%s was the last release with drivers for %s", r.last, family))
	default:
		v.accept(card, r)
	}
}

func (v *Verdict) refuse(why string) { v.Support, v.Why = Unsupported, why }

func (v *Verdict) accept(card Card, r reach) {
	v.Support, v.Instead = Supported, ""
	v.Why = fmt.Sprintf("macOS has drivers for %s from %s to %s", card.Family(), r.first, r.last)
	if card.Model().Vendor == Intel {
		v.Source = whateverGreen
	}
	if v.Guest == MacOSTahoe {
		v.Source += ", " + legacyPatcher
	}
	if r.condition != "" {
		v.need(r.condition)
	}
	if id, other := macOSDeviceID(v.Guest, card.Model()); other {
		v.DeviceID = &id
		v.need(fmt.Sprintf("the device number %s, because macOS does not know %s: device-id=0x%s", id, card.Model().Device, id))
	}
}

// neverInMacOS returns why macOS cannot use a model although macOS has drivers
// for the model's family. It returns "" for all other models.
func neverInMacOS(m iommu.Model) string {
	switch {
	case m.Vendor == Intel && slices.Contains([]iommu.ID{
		0x5902, 0x5906, 0x5908, 0x590a, 0x590b, 0x590e, // HD 610
		0x3e90, 0x3e93, 0x3e99, 0x3e9c, 0x3ea1, 0x3ea4, // UHD 610
		0x9b21, 0x9ba2, 0x9ba4, 0x9ba5, 0x9ba8, 0x9baa, 0x9bac, // UHD 610
		0x8a56, 0x8a58, // Ice Lake G1
	}, m.Device):
		return "macOS has no driver for the smallest of the generation's graphics (GT1: HD 610, UHD 610, Ice Lake G1)"
	case m.Vendor == Intel && (m.Device == 0x0152 || m.Device == 0x015a):
		return "macOS draws nothing with an HD 2500, and only encodes and decodes video with it"
	case m.Vendor == AMD && m.Device == 0x6fdf:
		return "macOS does not know the RX 580 2048SP and RX 590 GME"
	case m.Vendor == NVIDIA && m.Device >= 0x11c0 && m.Device <= 0x11ff:
		return "Apple's driver leaks the memory of cards with the chip GK106"
	}
	return ""
}

// The table "native" holds, by family, the Intel device numbers that macOS knows
// (WhateverGreen FAQ.IntelHD, native supported DevIDs).
var native = map[Family][]iommu.ID{
	IntelHaswell:    {0x0412, 0x0a26, 0x0a2e, 0x0d22, 0x0d26},
	IntelSkylake:    {0x1902, 0x1912, 0x1916, 0x1917, 0x191b, 0x191e, 0x1926, 0x1927, 0x1932, 0x193b},
	IntelKabyLake:   {0x5912, 0x5916, 0x591b, 0x591c, 0x591e, 0x5923, 0x5926, 0x5927, 0x87c0},
	IntelCoffeeLake: {0x3e91, 0x3e92, 0x3e98, 0x3e9b, 0x3ea5, 0x3ea6},
	IntelCometLake:  {0x9bc4, 0x9bc5, 0x9bc8},
	IntelIceLake:    {0x8a51, 0x8a52, 0x8a53, 0x8a5a, 0x8a5b, 0x8a5c, 0x8a5d, 0x8a70, 0x8a71},
}

// The table "spoofed" holds, for each family, the device number that macOS
// should see if it does not know the iGPU's own number. These are the numbers
// that are recommended for desktops (WhateverGreen FAQ.IntelHD;
// intel-igpu-passthru macOS_README for 3e9b).
var spoofed = map[Family]iommu.ID{
	IntelHaswell: 0x0412, IntelSkylake: 0x1912, IntelKabyLake: 0x5912,
	IntelCoffeeLake: 0x3e9b, IntelCometLake: 0x3e9b, IntelIceLake: 0x8a52,
}

// macOSDeviceID returns the device number that macOS must see instead of the
// model's own number. It returns false if the model's own number works.
func macOSDeviceID(guest Guest, m iommu.Model) (id iommu.ID, other bool) {
	family := FamilyOf(m)
	switch {
	case family == IntelSkylake && guest >= MacOSVentura, family == IntelCoffeeLake && guest == MacOSHighSierra:
		return 0x5912, true // looks like a Kaby Lake HD 630
	case m == iommu.Model{Vendor: Intel, Device: 0x3ea0}:
		return 0x3ea5, true // looks like a Whiskey Lake UHD 620
	case m == iommu.Model{Vendor: Intel, Device: 0x5917}:
		return 0x5916, true // looks like a Kaby Lake Refresh UHD 620
	case m.Vendor == AMD && m.Device >= 0x6980 && m.Device <= 0x699f:
		return 0x67ff, true // Lexa looks like Baffin
	case m.Vendor == AMD && (m.Device == 0x73a5 || m.Device == 0x73af):
		return 0x73bf, true // RX 6950 XT and XTXH look like an RX 6900 XT
	case m == iommu.Model{Vendor: AMD, Device: 0x73ef}:
		return 0x73ff, true // RX 6650 XT looks like an RX 6600 XT
	}
	known, listed := native[family]
	if !listed || slices.Contains(known, m.Device) {
		return 0, false
	}
	return spoofed[family], true
}
