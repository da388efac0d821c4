package gpu_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
)

// families holds device numbers of each family, from Linux
// include/drm/intel/pciids.h and from pci.ids: the first and the last number of
// each range, and numbers between two ranges of one family.
var families = map[gpu.Family]string{
	gpu.UnknownFamily: "8086:0046 8086:5a84 8086:0bd5 8086:7d1d 1002:6939 1002:67b0 1002:7300 1002:7408 1002:74a1 1002:75a0 1002:694c 1002:145a " +
		"10de:0dc4 10de:1140 10de:1200 10de:10f0 10de:22a3 10de:22ba 10de:3000 10de:ffff 1a03:2000 1af4:1050",
	gpu.IntelSandyBridge: "8086:0102 8086:0126 8086:010a", gpu.IntelIvyBridge: "8086:0152 8086:016a",
	gpu.IntelHaswell: "8086:0402 8086:0412 8086:0a16 8086:0d26 8086:0c2e", gpu.IntelBroadwell: "8086:1602 8086:163e 8086:1622",
	gpu.IntelSkylake: "8086:1902 8086:193d 8086:1912", gpu.IntelKabyLake: "8086:5902 8086:5912 8086:593b 8086:87c0",
	gpu.IntelCoffeeLake: "8086:3e90 8086:3e91 8086:3e92 8086:3e94 8086:3e98 8086:3e9b 8086:3ea0 8086:3ea9 8086:87ca",
	gpu.IntelCometLake:  "8086:9bc5 8086:9bc8 8086:9b21 8086:9b41 8086:9bf6", gpu.IntelGeminiLake: "8086:3184 8086:3185",
	gpu.IntelIceLake: "8086:8a50 8086:8a52 8086:8a71", gpu.IntelJasperLake: "8086:4e55 8086:4571",
	gpu.IntelTigerLake: "8086:9a40 8086:9a49 8086:9af8", gpu.IntelRocketLake: "8086:4c8a 8086:4c9a",
	gpu.IntelAlderLake: "8086:4680 8086:4693 8086:a780 8086:a78b", gpu.IntelAlderLakeP: "8086:46a6 8086:4628 8086:a7a0 8086:a721",
	gpu.IntelAlderLakeN: "8086:46d0 8086:46d4", gpu.IntelMeteorLake: "8086:7d55 8086:7d67 8086:b640", gpu.IntelLunarLake: "8086:64a0",
	gpu.IntelArc:      "8086:4905 8086:56a0 8086:5690 8086:e20b",
	gpu.AMDIntegrated: "1002:15dd 1002:15d8 1002:1636 1002:1638 1002:164e 1002:1681 1002:13c0 1002:15bf 1002:150e",
	gpu.AMDPolaris:    "1002:67df 1002:67ef 1002:67ff 1002:699f 1002:6fdf", gpu.AMDVega10: "1002:687f 1002:6860",
	gpu.AMDVega12: "1002:69af", gpu.AMDVega20: "1002:66af 1002:66a1", gpu.AMDNavi10: "1002:731f 1002:7310",
	gpu.AMDNavi12: "1002:7360", gpu.AMDNavi14: "1002:7340 1002:734f", gpu.AMDNavi21: "1002:73a1 1002:73a5 1002:73af 1002:73bf",
	gpu.AMDNavi22: "1002:73df", gpu.AMDNavi23: "1002:73ff 1002:73ef 1002:73e3", gpu.AMDNavi24: "1002:743f 1002:7421",
	gpu.AMDNavi3x: "1002:744c 1002:747e 1002:7480 1002:73f0 1002:7448", gpu.AMDNavi4x: "1002:7550 1002:7590",
	gpu.NVIDIAKepler: "10de:0fc0 10de:1004 10de:1180 10de:11c0 10de:1287", gpu.NVIDIAMaxwell: "10de:1340 10de:1380 10de:13c2 10de:1401 10de:17c8",
	gpu.NVIDIAPascal: "10de:1b06 10de:1b80 10de:1c03 10de:1c82 10de:1d01 10de:15f7 10de:1725", gpu.NVIDIAVolta: "10de:1d81 10de:1db4",
	gpu.NVIDIATuring: "10de:1e04 10de:1f08 10de:2182 10de:21c4 10de:1ff9", gpu.NVIDIAAmpere: "10de:20b0 10de:2204 10de:2484 10de:2504 10de:25a0",
	gpu.NVIDIAHopper: "10de:2330", gpu.NVIDIAAda: "10de:2684 10de:2704 10de:2786 10de:2882",
	gpu.NVIDIABlackwell: "10de:2c05 10de:2c02 10de:2b85 10de:2f04 10de:2d04 10de:2901 10de:3182",
}

func parseModel(t *testing.T, s string) iommu.Model {
	t.Helper()
	vendor, device, _ := strings.Cut(s, ":")
	v, err := iommu.ParseID(vendor)
	if err != nil {
		t.Fatal(err)
	}
	d, err := iommu.ParseID(device)
	if err != nil {
		t.Fatal(err)
	}
	return model(v, d)
}

func TestFamilyOf(t *testing.T) {
	t.Parallel()
	for want, models := range families {
		for text := range strings.FieldsSeq(models) {
			if got := gpu.FamilyOf(parseModel(t, text)); got != want {
				t.Errorf("%s is %s, want %s", text, got, want)
			}
		}
	}
	if len(families) != int(gpu.NVIDIABlackwell)+1 {
		t.Errorf("%d families have models here, there are %d", len(families), gpu.NVIDIABlackwell+1)
	}
}

func TestFamilyText(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for f := gpu.UnknownFamily; f <= gpu.NVIDIABlackwell; f++ {
		text, err := json.Marshal(f)
		if err != nil || seen[string(text)] {
			t.Errorf("%d is %s: %v", f, text, err)
		}
		seen[string(text)] = true
		var back gpu.Family
		if err := json.Unmarshal(text, &back); err != nil || back != f {
			t.Errorf("%s is read as %s: %v", text, back, err)
		}
	}
	if got := gpu.Family(200).String(); got != "Family(200)" {
		t.Errorf("no family is %q", got)
	}
	var f gpu.Family
	if err := f.UnmarshalText([]byte("3dfx Voodoo")); err == nil {
		t.Errorf("a family that does not exist is %s", f)
	}
}

func TestChip(t *testing.T) {
	t.Parallel()
	for device, want := range map[iommu.ID]string{0x2b85: "GB202", 0x2bb1: "GB202", 0x2c05: "GB203", 0x2c02: "GB203", 0x2d04: "", 0x2684: ""} {
		if got := card(gpu.NVIDIA, device).Chip(); got != want {
			t.Errorf("10de:%s is %q, want %q", device, got, want)
		}
	}
	if got := card(gpu.AMD, 0x2c05).Chip(); got != "" {
		t.Errorf("an AMD card is %q", got)
	}
}

func TestIGD(t *testing.T) {
	t.Parallel()
	for family, want := range map[gpu.Family]gpu.IGD{
		gpu.IntelHaswell:    {ROM: "HSW_BDW_GOPv5_igd.rom"},
		gpu.IntelKabyLake:   {ROM: "SKL_CML_GOPv9_igd.rom"},
		gpu.IntelCoffeeLake: {ROM: "CFL_CML_GOPv9.1_igd.rom"},
		gpu.IntelCometLake:  {ROM: "CFL_CML_GOPv9.1_igd.rom"},
		gpu.IntelIceLake:    {ROM: "ICL_GOPv14_igd.rom", LPC: true},
		gpu.IntelAlderLake:  {ROM: "RKL_TGL_ADL_RPL_GOPv17.1_igd.rom", LPC: true},
		gpu.IntelMeteorLake: {ROM: "ARL_MTL_GOPv22_igd.rom", LPC: true, QEMU: "10.1"},
	} {
		if got, ok := family.IGD(); !ok || got != want {
			t.Errorf("%s: %+v %v, want %+v", family, got, ok, want)
		}
	}
	for family := gpu.UnknownFamily; family <= gpu.NVIDIABlackwell; family++ {
		igd, ok := family.IGD()
		integrated := strings.HasPrefix(family.String(), "Intel") && family != gpu.IntelArc
		if ok != integrated || ok && !strings.HasSuffix(igd.ROM, "_igd.rom") {
			t.Errorf("%s: %+v %v", family, igd, ok)
		}
	}
	if got := (gpu.IGD{LPC: true}).LPCArgument("hostpci2"); got != "-set device.hostpci2.x-igd-lpc=on" {
		t.Error(got)
	}
	if got := (gpu.IGD{}).LPCArgument("hostpci0"); got != "" {
		t.Errorf("Coffee Lake needs %q", got)
	}
}
