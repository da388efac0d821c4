package opencore

import "github.com/proxstation/proxstation/gpu"

// A mac is a model of Apple's Macs, with the oldest and newest release of macOS
// that Apple supports on it.
type mac struct {
	first, last gpu.Guest
	// If igpu is true, the model has integrated graphics.
	igpu bool
}

// macs holds the Intel Macs on which macOS 10.13 or newer runs (OpenCorePkg
// AppleModels/DataBase, August 2026: MinimumOSVersion and MaximumOSVersion).
var macs = map[string]mac{
	"iMac13,1": {gpu.MacOSHighSierra, gpu.MacOSCatalina, true}, "iMac13,2": {gpu.MacOSHighSierra, gpu.MacOSCatalina, true},
	"iMac14,1": {gpu.MacOSHighSierra, gpu.MacOSCatalina, true}, "iMac14,2": {gpu.MacOSHighSierra, gpu.MacOSCatalina, true},
	"iMac14,4": {gpu.MacOSHighSierra, gpu.MacOSBigSur, true}, "iMac15,1": {gpu.MacOSHighSierra, gpu.MacOSBigSur, true},
	"iMac16,1": {gpu.MacOSHighSierra, gpu.MacOSMonterey, true}, "iMac16,2": {gpu.MacOSHighSierra, gpu.MacOSMonterey, true},
	"iMac17,1": {gpu.MacOSHighSierra, gpu.MacOSMonterey, true}, "iMac18,1": {gpu.MacOSHighSierra, gpu.MacOSVentura, true},
	"iMac18,2": {gpu.MacOSHighSierra, gpu.MacOSVentura, true}, "iMac18,3": {gpu.MacOSHighSierra, gpu.MacOSVentura, true},
	"iMac19,1": {gpu.MacOSMojave, gpu.MacOSSequoia, true}, "iMac19,2": {gpu.MacOSMojave, gpu.MacOSSequoia, true},
	"iMac20,1": {gpu.MacOSCatalina, gpu.MacOSTahoe, true}, "iMac20,2": {gpu.MacOSCatalina, gpu.MacOSTahoe, true},
	"iMacPro1,1": {gpu.MacOSHighSierra, gpu.MacOSSequoia, false},
	"MacPro6,1":  {gpu.MacOSHighSierra, gpu.MacOSMonterey, false}, "MacPro7,1": {gpu.MacOSCatalina, gpu.MacOSTahoe, false},
	"Macmini7,1": {gpu.MacOSHighSierra, gpu.MacOSMonterey, true}, "Macmini8,1": {gpu.MacOSMojave, gpu.MacOSSequoia, true},
	"MacBook8,1": {gpu.MacOSHighSierra, gpu.MacOSBigSur, true}, "MacBook9,1": {gpu.MacOSHighSierra, gpu.MacOSMonterey, true},
	"MacBook10,1":    {gpu.MacOSHighSierra, gpu.MacOSVentura, true},
	"MacBookAir8,1":  {gpu.MacOSMojave, gpu.MacOSSonoma, true},
	"MacBookAir9,1":  {gpu.MacOSCatalina, gpu.MacOSSequoia, true},
	"MacBookPro11,1": {gpu.MacOSHighSierra, gpu.MacOSBigSur, true}, "MacBookPro12,1": {gpu.MacOSHighSierra, gpu.MacOSMonterey, true},
	"MacBookPro13,1": {gpu.MacOSHighSierra, gpu.MacOSMonterey, true}, "MacBookPro14,1": {gpu.MacOSHighSierra, gpu.MacOSVentura, true},
	"MacBookPro14,3": {gpu.MacOSHighSierra, gpu.MacOSVentura, true}, "MacBookPro15,1": {gpu.MacOSHighSierra, gpu.MacOSSequoia, true},
	"MacBookPro15,2": {gpu.MacOSHighSierra, gpu.MacOSSequoia, true}, "MacBookPro15,4": {gpu.MacOSMojave, gpu.MacOSSequoia, true},
	"MacBookPro16,1": {gpu.MacOSCatalina, gpu.MacOSTahoe, true}, "MacBookPro16,2": {gpu.MacOSCatalina, gpu.MacOSTahoe, true},
	"MacBookPro16,3": {gpu.MacOSCatalina, gpu.MacOSSequoia, true}, "MacBookPro16,4": {gpu.MacOSCatalina, gpu.MacOSTahoe, true},
}
