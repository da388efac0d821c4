package gpu

// An IGD says how a generation of Intel's integrated graphics becomes a guest's
// boot display. PVE calls this legacy-igd. It needs the machine type i440fx
// (intel-igpu-passthru README; QEMU docs/igd-assign.txt). On q35 the same iGPU
// is only a second, headless card: the guest can compute and draw with the
// iGPU, but the iGPU's connectors stay dark until the guest's driver has
// loaded.
type IGD struct {
	// ROM is the name of the option ROM in the intel-igpu-passthru release
	// v0.1. PVE reads option ROMs from /usr/share/kvm.
	ROM string `json:"rom"`
	// LPC is set for Ice Lake and newer generations. With these, QEMU uses
	// legacy mode only if it has the argument "-set
	// device.hostpciN.x-igd-lpc=on".
	LPC bool `json:"lpc"`
	// QEMU is the oldest version of QEMU that supports the generation. It is ""
	// if every QEMU of PVE 8 and 9 supports it.
	QEMU string `json:"qemu,omitempty"`
}

// LPCArgument returns the QEMU argument that legacy mode needs for the card in
// a slot such as "hostpci0", and "" if legacy mode needs no argument. Only
// root@pam may set args.
func (g IGD) LPCArgument(slot string) string {
	if !g.LPC {
		return ""
	}
	return "-set device." + slot + ".x-igd-lpc=on"
}

// UniversalROM is an option ROM for all generations, but it shows no picture
// before the guest's driver has loaded. It is for headless use on q35, or the
// last resort.
const UniversalROM = "Universal_noGOP_igd.rom"

var igds = map[Family]IGD{
	IntelSandyBridge: {ROM: "SNB_GOPv2_igd.rom"},
	IntelIvyBridge:   {ROM: "IVB_GOPv3_igd.rom"},
	IntelHaswell:     {ROM: "HSW_BDW_GOPv5_igd.rom"},
	IntelBroadwell:   {ROM: "HSW_BDW_GOPv5_igd.rom"},
	IntelSkylake:     {ROM: "SKL_CML_GOPv9_igd.rom"},
	IntelKabyLake:    {ROM: "SKL_CML_GOPv9_igd.rom"},
	IntelCoffeeLake:  {ROM: "CFL_CML_GOPv9.1_igd.rom"},
	IntelCometLake:   {ROM: "CFL_CML_GOPv9.1_igd.rom"},
	IntelGeminiLake:  {ROM: "GLK_GOPv13_igd.rom"},
	IntelIceLake:     {ROM: "ICL_GOPv14_igd.rom", LPC: true},
	IntelJasperLake:  {ROM: "JSL_GOPv18_igd.rom", LPC: true},
	IntelTigerLake:   {ROM: "RKL_TGL_ADL_RPL_GOPv17.1_igd.rom", LPC: true},
	IntelRocketLake:  {ROM: "RKL_TGL_ADL_RPL_GOPv17.1_igd.rom", LPC: true},
	IntelAlderLake:   {ROM: "RKL_TGL_ADL_RPL_GOPv17.1_igd.rom", LPC: true},
	IntelAlderLakeP:  {ROM: "ADL-H_RPL-H_GOPv21_igd.rom", LPC: true},
	IntelAlderLakeN:  {ROM: "ADL-N_TWL_GOPv21_igd.rom", LPC: true},
	IntelMeteorLake:  {ROM: "ARL_MTL_GOPv22_igd.rom", LPC: true, QEMU: "10.1"},
	IntelLunarLake:   {ROM: "LNL_GOPv2X_igd.rom", LPC: true, QEMU: "10.1"},
}

// IGD returns the ROM and the settings with which a card of the family becomes
// a guest's boot display. ok is false if the family is not Intel's integrated
// graphics.
func (f Family) IGD() (igd IGD, ok bool) {
	igd, ok = igds[f]
	return igd, ok
}
