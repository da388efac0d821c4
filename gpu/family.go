package gpu

import (
	"errors"

	"github.com/proxstation/proxstation/internal/enum"
	"github.com/proxstation/proxstation/iommu"
)

// A Family is a generation of graphics cards. The zero Family stands for an
// unknown generation.
type Family uint8

// The families, by vendor and age.
const (
	UnknownFamily    Family = iota
	IntelSandyBridge        // 2nd generation Core
	IntelIvyBridge          // 3rd generation Core
	IntelHaswell            // 4th generation Core
	IntelBroadwell          // 5th generation Core
	IntelSkylake            // 6th generation Core
	IntelKabyLake           // 7th generation Core, and Amber Lake Y
	IntelCoffeeLake         // 8th and 9th generation Core, and Whiskey Lake
	IntelCometLake          // 10th generation Core, 14 nm
	IntelGeminiLake         // Celeron and Pentium of 2017
	IntelIceLake            // 10th generation Core, 10 nm
	IntelJasperLake         // Jasper Lake and Elkhart Lake
	IntelTigerLake          // 11th generation Core, mobile
	IntelRocketLake         // 11th generation Core, desktop
	IntelAlderLake          // 12th to 14th generation Core, desktop; includes Raptor Lake
	IntelAlderLakeP         // 12th and 13th generation Core, mobile; includes Raptor Lake
	IntelAlderLakeN         // N-series, and Twin Lake
	IntelMeteorLake         // Core Ultra 1, and Arrow Lake
	IntelLunarLake          // Core Ultra 2 V
	IntelArc                // separate cards: DG1, Alchemist, Battlemage
	AMDIntegrated           // all iGPUs from Raven Ridge on
	AMDPolaris              // RX 400 and 500
	AMDVega10               // RX Vega 56 and 64
	AMDVega12               // Pro Vega 20 of the MacBook Pro
	AMDVega20               // Radeon VII
	AMDNavi10               // RX 5600 and 5700
	AMDNavi12               // Pro 5600M
	AMDNavi14               // RX 5300 and 5500
	AMDNavi21               // RX 6800 to 6950
	AMDNavi22               // RX 6700 and 6750
	AMDNavi23               // RX 6600 and 6650
	AMDNavi24               // RX 6400 and 6500
	AMDNavi3x               // RX 7000
	AMDNavi4x               // RX 9000
	NVIDIAKepler            // GTX 600 and 700
	NVIDIAMaxwell           // GTX 750 and 900
	NVIDIAPascal            // GTX 1000
	NVIDIAVolta             // Titan V
	NVIDIATuring            // GTX 1600 and RTX 2000
	NVIDIAAmpere            // RTX 3000
	NVIDIAHopper            // H100
	NVIDIAAda               // RTX 4000
	NVIDIABlackwell         // RTX 5000
)

// ErrFamily reports a text that is not the name of a family of graphics cards.
var ErrFamily = errors.New("gpu: unknown family")

var familyNames = []string{
	"unknown", "Intel Sandy Bridge", "Intel Ivy Bridge", "Intel Haswell", "Intel Broadwell", "Intel Skylake",
	"Intel Kaby Lake", "Intel Coffee Lake", "Intel Comet Lake", "Intel Gemini Lake", "Intel Ice Lake",
	"Intel Jasper Lake", "Intel Tiger Lake", "Intel Rocket Lake", "Intel Alder Lake", "Intel Alder Lake-P",
	"Intel Alder Lake-N", "Intel Meteor Lake", "Intel Lunar Lake", "Intel Arc",
	"AMD integrated", "AMD Polaris", "AMD Vega 10", "AMD Vega 12", "AMD Vega 20", "AMD Navi 10", "AMD Navi 12",
	"AMD Navi 14", "AMD Navi 21", "AMD Navi 22", "AMD Navi 23", "AMD Navi 24", "AMD Navi 3x", "AMD Navi 4x",
	"NVIDIA Kepler", "NVIDIA Maxwell", "NVIDIA Pascal", "NVIDIA Volta", "NVIDIA Turing", "NVIDIA Ampere",
	"NVIDIA Hopper", "NVIDIA Ada Lovelace", "NVIDIA Blackwell",
}

// String returns the family's name with its vendor: "NVIDIA Blackwell".
func (f Family) String() string { return enum.Name(familyNames, f) }

// MarshalText implements [encoding.TextMarshaler].
func (f Family) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. The error matches
// [ErrFamily].
func (f *Family) UnmarshalText(text []byte) error {
	return enum.Unmarshal(f, familyNames, string(text), ErrFamily)
}

// FamilyOf returns the family of a display controller's model. It returns
// [UnknownFamily] for a model that this package does not know.
func FamilyOf(m iommu.Model) Family {
	for _, s := range spans[m.Vendor] {
		if m.Device >= s.first && m.Device <= s.last {
			return s.family
		}
	}
	return UnknownFamily
}
