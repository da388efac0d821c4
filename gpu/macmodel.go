package gpu

import "slices"

// A macModel is a Mac model with the oldest and the newest macOS release that
// it runs (OpenCorePkg AppleModels, MinimumOSVersion and MaximumOSVersion,
// April 2026).
type macModel struct {
	name        string
	first, last Guest
}

// macIGPUs lists Macs that have an Intel iGPU as their display, by the family
// of the iGPU. The oldest family comes first.
var macIGPUs = []struct {
	family Family
	macModel
}{
	{IntelIvyBridge, macModel{"iMac13,1", MacOSHighSierra, MacOSCatalina}},
	{IntelHaswell, macModel{"iMac14,4", MacOSHighSierra, MacOSBigSur}},
	{IntelBroadwell, macModel{"iMac16,2", MacOSHighSierra, MacOSMonterey}},
	{IntelSkylake, macModel{"iMac17,1", MacOSHighSierra, MacOSMonterey}},
	{IntelKabyLake, macModel{"iMac18,1", MacOSHighSierra, MacOSVentura}},
	{IntelCoffeeLake, macModel{"iMac19,1", MacOSMojave, MacOSSequoia}},
	{IntelCometLake, macModel{"iMac20,1", MacOSCatalina, MacOSTahoe}},
	{IntelIceLake, macModel{"MacBookPro16,2", MacOSCatalina, MacOSTahoe}},
}

// macPros lists Macs without an iGPU, the preferred Mac first.
var macPros = []macModel{
	{"MacPro7,1", MacOSCatalina, MacOSTahoe},
	{"iMacPro1,1", MacOSHighSierra, MacOSSequoia},
}

func (m macModel) runs(release Guest) bool { return release >= m.first && release <= m.last }

// MacModel returns the Mac that OpenCore should pretend to be (config.plist,
// PlatformInfo, Generic, SystemProductName). Apple offers the release for this
// Mac. The Mac's iGPU is of the card's family, or of the nearest family. The
// zero Card stands for a virtual display. For a guest that is not macOS,
// MacModel returns "".
func MacModel(release Guest, card Card) string {
	at := slices.IndexFunc(macIGPUs, func(m struct {
		family Family
		macModel
	}) bool {
		return m.family == card.Family()
	})
	if at < 0 {
		for _, m := range macPros {
			if m.runs(release) {
				return m.name
			}
		}
		return ""
	}
	for distance := range len(macIGPUs) { // of two families at the same distance, the newer comes first
		for _, i := range []int{at + distance, at - distance} {
			if i >= 0 && i < len(macIGPUs) && macIGPUs[i].runs(release) {
				return macIGPUs[i].name
			}
		}
	}
	return ""
}
