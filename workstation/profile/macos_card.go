package profile

import (
	"cmp"
	"errors"
	"slices"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/enum"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/workstation"
)

// An IGPUMode is how an Intel iGPU is passed through. It also decides the
// machine type, because PVE refuses legacy-igd on q35.
type IGPUMode uint8

// These are the modes of passthrough. [IGPUChosen] means IGPULegacy for a
// generation that can be a guest's boot display at 0000:00:02.0, and
// IGPUHeadless for other generations.
const (
	IGPUChosen IGPUMode = iota
	// IGPULegacy makes the iGPU the guest's only display, from the firmware's
	// first picture on: machine pc (i440fx), legacy-igd, no virtual display.
	// The mode needs an OpenCore image that boots on i440fx. Not all images do.
	IGPULegacy
	// IGPUHeadless makes the iGPU a second card on q35, at the address where
	// macOS looks for it. The iGPU computes and draws once macOS has loaded its
	// driver. The virtual display stays, for PVE's console.
	IGPUHeadless
)

// A cardMode is a kind of passthrough. It decides other settings of the VM,
// such as the machine type.
type cardMode uint8

const (
	noCard cardMode = iota
	legacyIGPU
	headlessIGPU
	discreteCard
)

func (m cardMode) machine() string {
	if m == legacyIGPU {
		return "pc"
	}
	return "q35"
}

// The method "mode" returns the kind of passthrough for the profile's Card.
func (p MacOS) mode() cardMode {
	_, intel := p.Card.Family().IGD()
	switch {
	case len(p.Card.Functions) == 0:
		return noCard
	case !p.Card.Integrated():
		return discreteCard
	case p.Mode == IGPULegacy || p.Mode == IGPUChosen && intel:
		return legacyIGPU
	}
	return headlessIGPU
}

// giveCard gives the VM its card in the stage MacOnCard, and takes it away in
// the stage MacOffCard. It returns the card's arguments for QEMU.
func (p MacOS) giveCard(vm *workstation.VM, mode cardMode) (args []string) {
	switch {
	case p.Stage == MacInstall:
		return nil
	case p.Stage == MacOffCard:
		vm.Absent = append(vm.Absent, "hostpci0")
		vm.Config["vga"] = string(cmp.Or(p.Screen, VMwareSVGA))
		return nil
	case mode == noCard:
		vm.Config["hostpci0"] = "" // with this empty value, Validate reports the missing card
		return nil
	}
	h := gpu.HostPCI{Mapping: p.Mapping, ROMFile: p.ROM, DeviceID: gpu.Judge(vm.Guest, p.Card).DeviceID}
	if p.Mapping == "" && mode == discreteCard {
		h.Devices = []gpu.Device{gpu.WholeDevice(p.Card.Address())}
	} else if p.Mapping == "" {
		h.Devices = []gpu.Device{{Address: p.Card.Address()}}
	}
	igd, _ := p.Card.Family().IGD()
	const slot = "hostpci0"
	switch mode {
	case legacyIGPU:
		vm.Config["vga"], vm.Config["machine"] = "none", mode.machine()
		h.LegacyIGD, vm.Defaults[slot] = true, "romfile="+igd.ROM
		if argument := igd.LPCArgument(slot); argument != "" {
			args = append(args, argument)
		}
	case headlessIGPU: // intel-igpu-passthru README, UPT mode; pcie.0 is q35's root bus
		vm.Config["machine"] = mode.machine()
		vm.Defaults[slot] = "romfile=" + gpu.UniversalROM
		for _, property := range []string{"bus=pcie.0", "addr=2.0", "x-igd-opregion=on"} {
			args = append(args, "-set device."+slot+"."+property)
		}
	case discreteCard:
		vm.Config["vga"] = "none"
		h.PrimaryVGA = true
		vm.Defaults[slot] = "pcie=1" // Diff drops pcie if the VM's machine is not q35
	}
	vm.Config[slot] = h.String()
	vm.Absent = append(vm.Absent, qmconf.AbsentUnless(slot, h.String(), slices.Clone(others[mode])...)...)
	return args
}

// The variable "others" lists, for each mode, the properties of a hostpci value
// that only other modes use.
var others = map[cardMode][]string{
	legacyIGPU: {"pcie", "x-vga"}, headlessIGPU: {"legacy-igd", "pcie", "x-vga"}, discreteCard: {"legacy-igd"},
}

var (
	stageNames = []string{"install", "card", "off"}
	modeNames  = []string{"chosen", "legacy", "headless"}
)

// ErrChoice reports a text that names no [MacStage] or no [IGPUMode].
var ErrChoice = errors.New("profile: no such choice")

// String returns the stage's name: "install", "card" or "off".
func (s MacStage) String() string { return enum.Name(stageNames, s) }

// MarshalText implements [encoding.TextMarshaler].
func (s MacStage) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. The error matches
// [ErrChoice].
func (s *MacStage) UnmarshalText(text []byte) error {
	return enum.Unmarshal(s, stageNames, string(text), ErrChoice)
}

// String returns the mode's name: "chosen", "legacy" or "headless".
func (m IGPUMode) String() string { return enum.Name(modeNames, m) }

// MarshalText implements [encoding.TextMarshaler].
func (m IGPUMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. The error matches
// [ErrChoice].
func (m *IGPUMode) UnmarshalText(text []byte) error {
	return enum.Unmarshal(m, modeNames, string(text), ErrChoice)
}
