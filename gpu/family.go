package gpu

import "github.com/proxstation/proxstation/iommu"

// A Family is a generation of graphics cards. The zero Family is unknown.
type Family uint8

// The families, by vendor and age.
const (
	UnknownFamily Family = iota
	IntelHaswell
	IntelBroadwell
	IntelSkylake
	IntelKabyLake
	IntelCoffeeLake
	IntelCometLake
	IntelIceLake
	IntelTigerLake
	IntelRocketLake
	IntelAlderLake // and Raptor Lake
	IntelMeteorLake
	IntelArc
	AMDIntegrated
	AMDPolaris
	AMDVega
	AMDNavi10
	AMDNavi14
	AMDNavi21
	AMDNavi22
	AMDNavi23
	AMDNavi24
	AMDNavi3x
	AMDNavi4x
	NVIDIAKepler
	NVIDIAMaxwell
	NVIDIAPascal
	NVIDIATuring
	NVIDIAAmpere
	NVIDIAAda
	NVIDIABlackwell
)

var familyNames = [...]string{
	"unknown", "Intel Haswell", "Intel Broadwell", "Intel Skylake", "Intel Kaby Lake", "Intel Coffee Lake", "Intel Comet Lake",
	"Intel Ice Lake", "Intel Tiger Lake", "Intel Rocket Lake", "Intel Alder Lake", "Intel Meteor Lake", "Intel Arc",
	"AMD integrated", "AMD Polaris", "AMD Vega", "AMD Navi 10", "AMD Navi 14", "AMD Navi 21", "AMD Navi 22", "AMD Navi 23",
	"AMD Navi 24", "AMD Navi 3x", "AMD Navi 4x",
	"NVIDIA Kepler", "NVIDIA Maxwell", "NVIDIA Pascal", "NVIDIA Turing", "NVIDIA Ampere", "NVIDIA Ada Lovelace", "NVIDIA Blackwell",
}

// String returns the family's name with its vendor: "NVIDIA Blackwell".
func (f Family) String() string {
	if int(f) >= len(familyNames) {
		return familyNames[0]
	}
	return familyNames[f]
}

// MarshalText implements [encoding.TextMarshaler].
func (f Family) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// A span is a range of device numbers, both ends included.
type span struct {
	vendor      iommu.ID
	first, last iommu.ID
	family      Family
}

// spans holds device numbers by family. Sources: Linux include/drm/intel/pciids.h
// for Intel, drivers/gpu/drm/amd/amdgpu/amdgpu_drv.c for AMD, pci.ids and
// NVIDIA's open-gpu-kernel-modules for NVIDIA. A number in none of them is
// unknown, never guessed.
var spans = []span{
	{Intel, 0x0402, 0x042e, IntelHaswell}, {Intel, 0x0a02, 0x0a2e, IntelHaswell}, {Intel, 0x0d02, 0x0d2e, IntelHaswell},
	{Intel, 0x1602, 0x163e, IntelBroadwell},
	{Intel, 0x1902, 0x193d, IntelSkylake},
	{Intel, 0x5902, 0x593b, IntelKabyLake}, {Intel, 0x87c0, 0x87c0, IntelKabyLake},
	{Intel, 0x3e90, 0x3ea9, IntelCoffeeLake}, {Intel, 0x87ca, 0x87ca, IntelCoffeeLake},
	{Intel, 0x9b21, 0x9b41, IntelCometLake}, {Intel, 0x9ba2, 0x9bf6, IntelCometLake},
	{Intel, 0x8a50, 0x8a71, IntelIceLake},
	{Intel, 0x9a40, 0x9af8, IntelTigerLake},
	{Intel, 0x4c8a, 0x4c9a, IntelRocketLake},
	{Intel, 0x4680, 0x46d4, IntelAlderLake}, {Intel, 0xa720, 0xa7ad, IntelAlderLake},
	{Intel, 0x7d40, 0x7dd5, IntelMeteorLake},
	{Intel, 0x4f80, 0x4f88, IntelArc}, {Intel, 0x5690, 0x56c2, IntelArc}, {Intel, 0xe202, 0xe223, IntelArc},

	{AMD, 0x67c0, 0x67df, AMDPolaris}, {AMD, 0x67e0, 0x67ff, AMDPolaris}, {AMD, 0x6980, 0x699f, AMDPolaris}, {AMD, 0x6fdf, 0x6fdf, AMDPolaris},
	{AMD, 0x6860, 0x687f, AMDVega}, {AMD, 0x66a0, 0x66af, AMDVega}, {AMD, 0x69a0, 0x69af, AMDVega},
	{AMD, 0x7310, 0x731f, AMDNavi10}, {AMD, 0x7340, 0x734f, AMDNavi14},
	{AMD, 0x73a0, 0x73bf, AMDNavi21}, {AMD, 0x73c0, 0x73df, AMDNavi22}, {AMD, 0x73e0, 0x73ff, AMDNavi23},
	{AMD, 0x7420, 0x743f, AMDNavi24}, {AMD, 0x7440, 0x749f, AMDNavi3x}, {AMD, 0x7550, 0x759f, AMDNavi4x},
	{AMD, 0x15d8, 0x15dd, AMDIntegrated}, {AMD, 0x1636, 0x1638, AMDIntegrated}, {AMD, 0x164c, 0x164e, AMDIntegrated},
	{AMD, 0x1681, 0x1681, AMDIntegrated}, {AMD, 0x15bf, 0x15c8, AMDIntegrated}, {AMD, 0x13c0, 0x13c0, AMDIntegrated},

	{NVIDIA, 0x0fc0, 0x103f, NVIDIAKepler}, {NVIDIA, 0x1180, 0x11ff, NVIDIAKepler}, {NVIDIA, 0x1280, 0x12ff, NVIDIAKepler},
	{NVIDIA, 0x1340, 0x143f, NVIDIAMaxwell}, {NVIDIA, 0x1600, 0x17ff, NVIDIAMaxwell},
	{NVIDIA, 0x15f0, 0x15ff, NVIDIAPascal}, {NVIDIA, 0x1b00, 0x1d7f, NVIDIAPascal},
	{NVIDIA, 0x1e00, 0x1fff, NVIDIATuring}, {NVIDIA, 0x2180, 0x21ff, NVIDIATuring},
	{NVIDIA, 0x2200, 0x25ff, NVIDIAAmpere}, {NVIDIA, 0x2080, 0x20ff, NVIDIAAmpere},
	{NVIDIA, 0x2680, 0x28ff, NVIDIAAda},
	{NVIDIA, 0x2900, 0x297f, NVIDIABlackwell}, {NVIDIA, 0x2b80, 0x2fff, NVIDIABlackwell},
}

// FamilyOf returns the family of a display controller's model.
func FamilyOf(m iommu.Model) Family {
	for _, s := range spans {
		if m.Vendor == s.vendor && m.Device >= s.first && m.Device <= s.last {
			return s.family
		}
	}
	return UnknownFamily
}

// Family returns the card's family.
func (c Card) Family() Family { return FamilyOf(c.Model()) }

// Chip returns the name of NVIDIA's chip where it matters for the reset: GB202
// (RTX 5090 and its like) and GB203 (RTX 5080 and 5070 Ti); else "".
func (c Card) Chip() string {
	m := c.Model()
	switch {
	case m.Vendor != NVIDIA:
	case m.Device >= 0x2b80 && m.Device <= 0x2bff:
		return "GB202"
	case m.Device >= 0x2c00 && m.Device <= 0x2c7f:
		return "GB203"
	}
	return ""
}

// IGDROM returns the name of the option ROM that an Intel iGPU of this family
// needs in legacy mode (intel-igpu-passthru, release v0.1), or "" where this
// package knows none.
func (f Family) IGDROM() string {
	if f == IntelCoffeeLake || f == IntelCometLake {
		return "CFL_CML_GOPv9.1_igd.rom"
	}
	return ""
}
