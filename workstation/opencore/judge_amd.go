package opencore

import (
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/macos"
)

// navi holds the families that show no picture without agdpmod=pikera
// (Dortania, GPU Buyers Guide). Navi 22 is left out, because NootRX makes it
// show a picture.
var navi = []gpu.Family{gpu.AMDNavi10, gpu.AMDNavi12, gpu.AMDNavi14, gpu.AMDNavi21, gpu.AMDNavi23}

// judgeAMD judges the settings for AMD's cards.
func (j *judge) judgeAMD() {
	if j.machine.Card.Model().Vendor != gpu.AMD {
		return
	}
	j.judgePikera()
	if n, known := j.get("Booter", "Quirks", "ResizeAppleGpuBars").Int(); !known || n != 0 && n != -1 {
		j.want("opencore.rebar", proxstation.Blocker, Key{"Booter", "Quirks", "ResizeAppleGpuBars"}, IntegerValue(-1), "macOS works only with the smallest memory region of the card, which the value 0 sets", manual+", Booter, Quirks")
	}
	j.want("opencore.rebar", proxstation.Warning, Key{"UEFI", "Quirks", "ResizeGpuBars"}, IntegerValue(-1), "the firmware would make the card's memory region larger, and macOS 12 and older do not start with that", manual+", UEFI, Quirks")
	if j.get("Kernel", "Quirks", "IncreasePciBarSize").True() {
		j.want("opencore.rebar", proxstation.Warning, Key{"Kernel", "Quirks", "IncreasePciBarSize"}, BoolValue(false), "it is for cards that need more than 4 MB behind one bridge, and breaks other cards", manual+", Kernel, Quirks")
	}
	if j.machine.Release >= gpu.MacOSVentura && !j.avx2() {
		j.say("opencore.avx2-amd", proxstation.Blocker, "-cpu "+macos.CPUOf(j.machine.VM).String(), "AMD's drivers use AVX2 from Ventura on", "use -cpu host or Cascadelake-Server in the VM's args", "CryptexFixup README")
	}
	address := j.machine.Card.Address().String()
	j.say("opencore.rebar-host", proxstation.Info, "config.plist does not show the card's memory region on the host", "some cards hang macOS while it sets PCI up if resizable BAR is on",
		"on the host: lspci -vv -s "+address+" shows Region 0; if it is larger than 256M, switch Resizable BAR off in the firmware, or echo 8 > /sys/bus/pci/devices/"+address+"/resource0_resize before the VM starts", "LongQT-sea OpenCore-ISO issue 8")
}

// judgePikera checks for the boot argument agdpmod=pikera, with which
// WhateverGreen lets a Navi card show a picture. Without the argument,
// WhateverGreen lets only external cards show a picture. WhateverGreen treats
// every card behind a bridge as external.
func (j *judge) judgePikera() {
	if !slices.Contains(navi, j.machine.Card.Family()) {
		return
	}
	if j.machine.Release == gpu.MacOSTahoe { // WhateverGreen cannot be used in macOS 26
		j.say("opencore.pikera", proxstation.Warning, j.machine.Card.Name()+" in macOS 26", "WhateverGreen cannot be used, so that agdpmod=pikera has no effect and the connectors may stay dark",
			"stay with macOS 15, or take the kernel patch that Dortania's page extras/tahoe describes", installGuide+", extras/tahoe")
		return
	}
	property := j.get("DeviceProperties", "Add", j.path, "agdpmod")
	text := strings.TrimRight(string(property.Bytes()), "\x00") + strings.Trim(property.Text, "\x00")
	for _, argument := range j.arguments() {
		if value, is := strings.CutPrefix(argument, "agdpmod="); is {
			if strings.Contains(value, "pikera") {
				return
			}
			j.drop = append(j.drop, argument)
		}
	}
	if strings.Contains(text, "pikera") {
		return
	}
	severity, why := proxstation.Warning, "most of these cards show no picture without it"
	if !macos.BehindBridge(j.path) {
		severity, why = proxstation.Blocker, "the card is directly below the PCI root, where WhateverGreen does not apply agdpmod by itself: the card shows no picture"
	}
	j.argument("opencore.pikera", severity, "", "agdpmod=pikera", why, buyersGuide+"; "+wegReadme)
}

// avx2 reports whether the guest's processor has AVX2, provided that the host's
// processor has it. QEMU's processor models have AVX2 from Haswell on.
func (j *judge) avx2() bool {
	cpu := macos.CPUOf(j.machine.VM)
	args := j.machine.VM["args"]
	old := cpu.Model == 23 || cpu.Model == 26 || cpu.Model == 44 || cpu.Model == 42 || cpu.Model == 58
	return !strings.Contains(args, "-avx2") && (!old || strings.Contains(args, "+avx2"))
}
