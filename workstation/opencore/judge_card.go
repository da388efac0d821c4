package opencore

import (
	"fmt"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/macos"
)

// judgeCard judges the properties and arguments for the VM's card.
func (j *judge) judgeCard() {
	j.judgeEmptyProperties()
	j.judgeArguments()
	if j.mode == NoCard {
		return
	}
	verdict := gpu.Judge(j.machine.Release, j.machine.Card)
	if verdict.Support == gpu.Unsupported {
		j.say("opencore.card", proxstation.Blocker, j.machine.Card.Name(), verdict.Why, verdict.Instead, verdict.Source)
		return
	}
	if j.path == "" {
		j.say("opencore.card-place", proxstation.Warning, j.machine.slot()+": "+j.machine.VM[j.machine.slot()]+", args: "+macos.HideOSK(j.machine.VM["args"]),
			"the card's place in the VM is not known, and properties belong to a place", "put the card where PVE puts it, without -set device."+j.machine.slot()+".bus in args", liluDevices)
		return
	}
	j.judgeDeviceID(verdict)
	if j.mode == Discrete {
		j.judgeAMD()
		return
	}
	j.judgeIGPU()
}

// judgeEmptyProperties looks for properties without a value, because drivers
// fail with them (WhateverGreen FAQ.IntelHD).
func (j *judge) judgeEmptyProperties() {
	for _, device := range j.get("DeviceProperties", "Add").Items {
		for _, property := range device.Value.Items {
			ours := device.Key == j.path && property.Key == "AAPL,ig-platform-id"
			if !strings.HasPrefix(property.Key, "#") && !ours && property.Value.Kind != Dict && property.Value.Text == "" {
				j.want("opencore.empty-property", proxstation.Warning, Key{"DeviceProperties", "Add", device.Key, property.Key}, Value{}, "a property without a value is not the same as no property", wegFAQ)
			}
		}
	}
}

// judgeArguments looks for boot arguments that switch off the drivers.
func (j *judge) judgeArguments() {
	kill := map[string]string{"-igfxvesa": "Intel's drivers", "igfxgl=1": "Metal", "-wegoff": "WhateverGreen", "-liluoff": "Lilu", "-wegnoigpu": "the iGPU", "-x": "Lilu and all that needs it: macOS starts in its safe mode", "-radvesa": "AMD's drivers"}
	for _, argument := range j.arguments() {
		name, _, _ := strings.Cut(argument, "=")
		switch off, kills := kill[argument]; {
		case kills && j.mode != NoCard:
			j.argument("opencore.boot-args", proxstation.Blocker, argument, "", argument+" switches off "+off, wegReadme)
		case name == "igfxframe" && j.mode != NoCard:
			j.argument("opencore.boot-args", proxstation.Warning, argument, "", "it overrides AAPL,ig-platform-id, which sets the mode", wegFAQ)
		case name == "amfi_get_out_of_my_way" && !strings.HasSuffix(argument, "=0"):
			j.argument("opencore.boot-args", proxstation.Info, argument, "", "it switches off macOS's check of signatures, which costs programs their permissions", manual)
		}
	}
}

// judgeDeviceID checks that macOS knows the device number that the card shows.
// If macOS does not know the card's own number, a property can show another
// number to macOS. The VM's hostpci can show another number to the whole guest.
func (j *judge) judgeDeviceID(verdict gpu.Verdict) {
	if verdict.DeviceID == nil {
		return
	}
	h, err := gpu.ParseHostPCI(j.machine.VM[j.machine.slot()])
	if err == nil && h.DeviceID != nil && *h.DeviceID == *verdict.DeviceID {
		return
	}
	j.want("opencore.device-id", proxstation.Blocker, Key{"DeviceProperties", "Add", j.path, "device-id"}, number(uint32(*verdict.DeviceID)),
		fmt.Sprintf("macOS does not know the number %s of this card", j.machine.Card.Model().Device), verdict.Source)
}

// judgeIGPU judges the properties that Apple's driver for the iGPU reads.
func (j *judge) judgeIGPU() {
	family := j.machine.Card.Family()
	if macos.BehindBridge(j.path) {
		j.say("opencore.igpu-place", proxstation.Blocker, j.machine.slot()+" is at "+j.path, "Lilu takes an Intel display for an integrated one only directly below the PCI root: behind a bridge no property helps",
			"in the VM, add -set device."+j.machine.slot()+".bus=pcie.0 -set device."+j.machine.slot()+".addr=2.0 to args and take pcie=1 away, or take the machine type pc with legacy-igd=1", liluDevices)
		return
	}
	f, known := framebufferOf(j.machine.Release, family)
	if !known {
		j.say("opencore.platform-id", proxstation.Warning, j.machine.Card.Name(), "no value of AAPL,ig-platform-id for "+family.String()+" is known here", "choose one from "+wegFAQ+" and set it in DeviceProperties -> Add -> "+j.path, wegFAQ)
		return
	}
	wanted := f.properties(j.mode)
	if len(wanted) == 0 {
		j.say("opencore.headless", proxstation.Blocker, family.String()+" without legacy-igd", "no value of AAPL,ig-platform-id without connectors exists for "+family.String(), "take the mode legacy: machine type pc and legacy-igd=1", wegFAQ)
		return
	}
	j.judgePlatformID(f, wanted[0].Value)
	for _, item := range wanted[1:] {
		key := Key{"DeviceProperties", "Add", j.path, item.Key}
		if item.Key == "framebuffer-stolenmem" && j.get(key...).Kind == Data && j.get(key...).Text != "" {
			continue // keep the size that somebody chose
		}
		j.want("opencore.framebuffer", proxstation.Warning, key, item.Value, whyProperty[item.Key], wegFAQ)
	}
	j.judgeOtherPlaces()
	if j.mode == Headless && j.machine.q35() && j.machine.Release >= gpu.MacOSSequoia {
		j.say("opencore.headless-experimental", proxstation.Warning, j.machine.Card.Name()+" without legacy-igd on q35, "+j.machine.Release.String(), "this is experimental: nobody has reported in public that macOS 15 or newer draws with such an iGPU",
			"keep the virtual display and a copy of the image, and check the card with the list in docs/macos.md; people report success with the mode legacy on i440fx", igpuPassthru)
	}
}

var whyProperty = map[string]string{
	"framebuffer-patch-enable": "without it, the patches of memory have no effect",
	"framebuffer-stolenmem":    "the driver panics where the firmware gives less memory than the framebuffer wants; with this value the framebuffer wants 19 MB",
	"enable-metal":             "on an iGPU without connectors, macOS offers Metal only with this property",
	"AAPL,GfxYTile":            "Skylake draws artefacts with Kaby Lake's drivers without it",
}

// judgePlatformID judges the property that chooses the framebuffer.
func (j *judge) judgePlatformID(f framebuffer, want Value) {
	key := Key{"DeviceProperties", "Add", j.path, "AAPL,ig-platform-id"}
	now, other := j.get(key...), Display
	if j.mode == Display {
		other = Headless
	}
	severity, why := proxstation.Blocker, ""
	switch {
	case f.accepts(now, j.mode):
		return
	case now.Kind == Absent:
		why = "without it, the driver takes the framebuffer of another Mac"
	case now.Text == "":
		why = "with an empty value the driver does not load"
	case now.Kind != Data:
		why = "it is a " + now.Kind.String() + ", and the driver reads four bytes"
	case f.reversed(now):
		why = "the bytes are in the wrong order: the lowest byte comes first"
	case f.accepts(now, other):
		severity, why = proxstation.Warning, "it is a framebuffer for the mode "+other.String()+", and the VM's mode is "+j.mode.String()
	default:
		severity, why = proxstation.Warning, "it is not recommended for "+j.machine.Card.Family().String()
	}
	j.want("opencore.platform-id", severity, key, want, why, wegFAQ+"; "+installGuide)
}

// judgeOtherPlaces looks for properties of an iGPU at device paths where the VM
// has no iGPU.
func (j *judge) judgeOtherPlaces() {
	for _, device := range j.get("DeviceProperties", "Add").Items {
		if device.Key != j.path && device.Value.Get("AAPL,ig-platform-id").Kind != Absent && device.Value.Get("AAPL,ig-platform-id").Text != "" {
			j.want("opencore.igpu-path", proxstation.Warning, Key{"DeviceProperties", "Add", device.Key, "AAPL,ig-platform-id"}, Value{}, "the VM's iGPU is at "+j.path+", not there", manual+", DeviceProperties")
		}
	}
}
