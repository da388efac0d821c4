package gpu

import "github.com/proxstation/proxstation/iommu"

// A span is a range of device numbers. The first and the last number belong to
// the range.
type span struct {
	first, last iommu.ID
	family      Family
}

// spans holds ranges of device numbers by vendor. If several ranges contain a
// number, the first of them counts. The family of a number outside all ranges
// is unknown and never guessed. The sources are Linux
// include/drm/intel/pciids.h for Intel, and pci.ids 2026.08.22 for AMD and
// NVIDIA, which number their devices by chip.
var spans = map[iommu.ID][]span{
	Intel: {
		{0x0102, 0x0126, IntelSandyBridge}, {0x0152, 0x016a, IntelIvyBridge},
		{0x0402, 0x042e, IntelHaswell}, {0x0a02, 0x0a2e, IntelHaswell}, {0x0c02, 0x0c2e, IntelHaswell}, {0x0d02, 0x0d2e, IntelHaswell},
		{0x1602, 0x163e, IntelBroadwell}, {0x1902, 0x193d, IntelSkylake},
		{0x5902, 0x593b, IntelKabyLake}, {0x87c0, 0x87c0, IntelKabyLake},
		{0x3e90, 0x3ea9, IntelCoffeeLake}, {0x87ca, 0x87ca, IntelCoffeeLake},
		{0x9b21, 0x9b41, IntelCometLake}, {0x9ba2, 0x9bf6, IntelCometLake},
		{0x3184, 0x3185, IntelGeminiLake}, {0x8a50, 0x8a71, IntelIceLake},
		{0x4541, 0x4571, IntelJasperLake}, {0x4e51, 0x4e71, IntelJasperLake},
		{0x9a40, 0x9af8, IntelTigerLake}, {0x4c80, 0x4c9a, IntelRocketLake},
		{0x4680, 0x4693, IntelAlderLake}, {0xa780, 0xa78b, IntelAlderLake},
		{0x46a0, 0x46c3, IntelAlderLakeP}, {0x4626, 0x462a, IntelAlderLakeP}, {0xa720, 0xa721, IntelAlderLakeP}, {0xa7a0, 0xa7ad, IntelAlderLakeP},
		{0x46d0, 0x46d4, IntelAlderLakeN},
		{0x7d40, 0x7dd5, IntelMeteorLake}, {0xb640, 0xb640, IntelMeteorLake}, {0x6420, 0x64b0, IntelLunarLake},
		{0x4905, 0x4909, IntelArc}, {0x5690, 0x56c2, IntelArc}, {0xe202, 0xe223, IntelArc},
	},
	AMD: {
		{0x67c0, 0x67ff, AMDPolaris}, {0x6980, 0x699f, AMDPolaris}, {0x6fdf, 0x6fdf, AMDPolaris},
		{0x6860, 0x687f, AMDVega10}, {0x69a0, 0x69af, AMDVega12}, {0x66a0, 0x66af, AMDVega20},
		{0x7310, 0x731f, AMDNavi10}, {0x7360, 0x7362, AMDNavi12}, {0x7340, 0x734f, AMDNavi14},
		{0x73a1, 0x73bf, AMDNavi21}, {0x73c3, 0x73df, AMDNavi22}, {0x73f0, 0x73f0, AMDNavi3x}, {0x73e0, 0x73ff, AMDNavi23},
		{0x7421, 0x743f, AMDNavi24}, {0x7448, 0x749f, AMDNavi3x}, {0x7550, 0x7590, AMDNavi4x},
		{0x1114, 0x1114, AMDIntegrated}, {0x13c0, 0x13c0, AMDIntegrated}, {0x1435, 0x1435, AMDIntegrated}, {0x1506, 0x1506, AMDIntegrated},
		{0x150e, 0x150e, AMDIntegrated}, {0x1586, 0x1586, AMDIntegrated}, {0x15bf, 0x15bf, AMDIntegrated}, {0x15c8, 0x15c8, AMDIntegrated},
		{0x15d8, 0x15dd, AMDIntegrated}, {0x15e7, 0x15e7, AMDIntegrated}, {0x1636, 0x163f, AMDIntegrated}, {0x164c, 0x164f, AMDIntegrated},
		{0x1681, 0x1681, AMDIntegrated}, {0x1900, 0x1902, AMDIntegrated},
	},
	NVIDIA: {
		{0x0fc0, 0x103f, NVIDIAKepler}, {0x1180, 0x11ff, NVIDIAKepler}, {0x1280, 0x12ba, NVIDIAKepler}, {0x130b, 0x130b, NVIDIAKepler},
		{0x1340, 0x1436, NVIDIAMaxwell}, {0x1613, 0x1676, NVIDIAMaxwell}, {0x174d, 0x17fd, NVIDIAMaxwell},
		{0x15c2, 0x15ff, NVIDIAPascal}, {0x1725, 0x172f, NVIDIAPascal}, {0x1b00, 0x1d56, NVIDIAPascal},
		{0x1d81, 0x1df6, NVIDIAVolta}, {0x1e02, 0x1ff9, NVIDIATuring}, {0x2182, 0x21d1, NVIDIATuring},
		{0x2080, 0x20ff, NVIDIAAmpere}, {0x2200, 0x223f, NVIDIAAmpere}, {0x2414, 0x25fb, NVIDIAAmpere},
		{0x2302, 0x23f0, NVIDIAHopper}, {0x2681, 0x28f8, NVIDIAAda},
		{0x2900, 0x2f58, NVIDIABlackwell}, {0x3180, 0x3340, NVIDIABlackwell},
	},
}

// Chip returns the name of NVIDIA's chip if the reset of the card depends on
// the chip: GB202 (RTX 5090, RTX PRO 5000 and 6000) or GB203 (RTX 5080 and 5070
// Ti). It returns "" for all other chips.
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
