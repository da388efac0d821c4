package gpu_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
)

func TestNodeCheck(t *testing.T) {
	t.Parallel()
	bmc := append(slices.Clone(reference), function("0000:03:00.0", 0x030000, model(0x1a03, 0x2000), 9))
	alder := slices.Clone(reference)
	alder[1].Model = model(gpu.Intel, 0x4680)
	meteor := slices.Clone(reference)
	meteor[1].Model = model(gpu.Intel, 0x7d55)
	p630 := slices.Clone(reference)
	p630[1].Model = model(gpu.Intel, 0x3e94)
	virtual := append(slices.Clone(alder), function("0000:00:02.1", 0x030000, model(gpu.Intel, 0x4680), 20))
	const rom = ",romfile=CFL_CML_GOPv9.1_igd.rom"
	for _, test := range []struct {
		name      string
		functions []iommu.Function
		value     string
		guest     gpu.Guest
		want      []string
	}{
		{"the whole card", reference, "01:00,pcie=1", gpu.Windows11, nil},
		{"the card by its mapping", reference, "mapping=rtx,pcie=1", gpu.Linux, nil},
		{"both functions by name", reference, "01:00.0;01:00.1", gpu.Linux, nil},
		{"display only", reference, "01:00.0", gpu.Windows11, []string{"gpu.partial-card"}},
		{"no such device", reference, "07:00", gpu.Windows11, []string{"gpu.no-device"}},
		{"nothing is known of the node", nil, "07:00", gpu.Windows11, nil},
		{"no such mapping", reference, "mapping=amd", gpu.Windows11, []string{"gpu.mapping-not-here"}},
		{"the mapping drifted", alder[:3], "mapping=igd", gpu.AnyGuest, []string{"gpu.mapping-model", "gpu.igd-headless"}},
		{"a BMC's display", bmc, "03:00", gpu.Windows11, []string{"gpu.console-display"}},
		{"no card at all", reference, "00:01.0", gpu.Windows11, []string{"gpu.takes-along"}},
		{"legacy mode", reference, "00:02.0,legacy-igd=1" + rom, gpu.MacOSSequoia, nil},
		{"legacy mode by a mapping", reference, "mapping=igd,legacy-igd=1" + rom, gpu.MacOSSequoia, nil},
		{"legacy mode without ROM", reference, "00:02.0,legacy-igd=1", gpu.MacOSSequoia, []string{"gpu.igd-rom"}},
		{"legacy mode with another ROM", reference, "00:02.0,legacy-igd=1,romfile=my.rom", gpu.MacOSSequoia, []string{"gpu.igd-rom"}},
		{"a mediated device of a whole card", reference, "0000:01:00,mdev=nvidia-47", gpu.Windows11, []string{"gpu.mdev-functions"}},
		{"a mediated device of a function", reference, "0000:01:00.0,mdev=nvidia-47", gpu.Windows11, nil},
		{"legacy mode of another card", reference, "mapping=rtx,legacy-igd=1", gpu.Windows11, []string{"gpu.igd-refused"}},
		{"legacy mode of a card with virtual functions", virtual, "00:02,legacy-igd=1,romfile=RKL_TGL_ADL_RPL_GOPv17.1_igd.rom", gpu.Windows11,
			[]string{"gpu.igd-refused", "gpu.igd-lpc", "gpu.physical-taken"}},
		{"a virtual function alone", virtual, "00:02.1", gpu.Windows11, []string{"gpu.igd-headless"}},
		{"a ROM that is hidden", reference, "01:00,pcie=1,rombar=0,romfile=my.rom", gpu.Windows11, []string{"gpu.rombar"}},
		{"x-vga in place of legacy-igd", reference, "00:02.0,x-vga=1" + rom, gpu.Linux, []string{"gpu.igd-headless"}},
		{"a controller beside the card", append(slices.Clone(reference), function("0000:04:00.0", 0x010601, model(0x1b21, 0x0612), 1)), "01:00", gpu.Linux, []string{"gpu.takes-along"}},
		{"a neighbour in another group", append(slices.Clone(reference), function("0000:04:00.0", 0x010601, model(0x1b21, 0x0612), 4)), "01:00", gpu.Linux, nil},
		{"legacy mode from Ice Lake on", alder, "00:02.0,legacy-igd=1,romfile=RKL_TGL_ADL_RPL_GOPv17.1_igd.rom", gpu.Windows11, []string{"gpu.igd-lpc"}},
		{"legacy mode of Meteor Lake", meteor, "00:02.0,legacy-igd=1,romfile=ARL_MTL_GOPv22_igd.rom", gpu.Windows11, []string{"gpu.igd-lpc", "gpu.igd-qemu"}},
		{"headless", reference, "00:02.0,pcie=1", gpu.MacOSSequoia, []string{"gpu.igd-headless"}},
		{"mediated", reference, "00:02.0,mdev=i915-GVTg_V5_4", gpu.Windows11, nil},
		{"a device number that macOS does not know", p630, "00:02.0,legacy-igd=1" + rom, gpu.MacOSSequoia, []string{"gpu.device-id"}},
		{"the wrong one instead", p630, "00:02.0,legacy-igd=1,device-id=0x3e92" + rom, gpu.MacOSSequoia, []string{"gpu.device-id"}},
		{"the right one instead", p630, "00:02.0,legacy-igd=1,device-id=0x3e9b" + rom, gpu.MacOSSequoia, nil},
		{"Windows knows it", p630, "00:02.0,legacy-igd=1" + rom, gpu.Windows11, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			igd := gpu.Mapping{ID: "igd", Entries: []gpu.MappingEntry{entry("id=8086:3e92,iommugroup=2,node=pve,path=0000:00:02.0,subsystem-id=1462:5317")}}
			n := gpu.Node{Name: "pve", Functions: test.functions, Mappings: []gpu.Mapping{rtxMapping, igd}}
			wantIDs(t, n.Check("hostpci0", values(test.value)[0], test.guest), test.want...)
		})
	}
}

func TestNodeCheckSays(t *testing.T) {
	t.Parallel()
	functions := slices.Clone(reference)
	functions[1].Model = model(gpu.Intel, 0x3e94)
	n := gpu.Node{Name: "pve", Functions: functions}
	got := n.Check("hostpci1", values("00:02.0,legacy-igd=1")[0], gpu.MacOSSequoia)
	var text strings.Builder
	for _, f := range got {
		text.WriteString(f.String() + "\n")
	}
	for _, part := range []string{"hostpci1", "Set device-id=0x3e9b", "romfile=CFL_CML_GOPv9.1_igd.rom", "/usr/share/kvm"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("nothing says %q:\n%s", part, text.String())
		}
	}
	functions[1].Model = model(gpu.Intel, 0x4680)
	got = n.Check("hostpci1", values("00:02.0,legacy-igd=1,romfile=RKL_TGL_ADL_RPL_GOPv17.1_igd.rom")[0], gpu.Windows11)
	if len(got) != 1 || !strings.Contains(got[0].Fix, "-set device.hostpci1.x-igd-lpc=on") {
		t.Errorf("%v", got)
	}
}
