package opencore

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/macos"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// A Machine is the VM in which an image should start macOS.
type Machine struct {
	// Release is the release of macOS that the VM runs.
	Release gpu.Guest
	// Card is the graphics card that the VM has, or will have. The zero Card
	// stands for a virtual display.
	Card gpu.Card
	// Slot is the key in VM that holds the card, such as "hostpci0". If it is
	// "", the key is hostpci0.
	Slot string
	// VM is the VM's configuration by key, as "qm config" shows it. If the VM
	// does not have its card yet, give the configuration that it will have with
	// the card.
	VM map[string]string
	// CardLater says that macOS is installed before the VM gets its card.
	// Faults that only affect the card are then warnings, not blockers.
	CardLater bool
	// HostBits is the width of the host's physical addresses in bits ("address
	// sizes" in the host's /proc/cpuinfo). It is 0 if the width is not known.
	HostBits int
}

// A Mode is how macOS uses the VM's card.
type Mode uint8

// The modes of a card.
const (
	// NoCard means a virtual display and no card.
	NoCard Mode = iota
	// Display means an Intel iGPU with legacy-igd. Its connectors show a
	// picture as soon as the VM's firmware runs.
	Display
	// Headless means an Intel iGPU that computes and draws beside a virtual
	// display.
	Headless
	// Discrete means a card that is not an iGPU.
	Discrete
)

// String returns the mode's name.
func (m Mode) String() string {
	if names := []string{"no card", "display", "headless", "discrete"}; int(m) < len(names) {
		return names[m]
	}
	return fmt.Sprintf("Mode(%d)", uint8(m))
}

func (m Machine) slot() string {
	if m.Slot == "" {
		return "hostpci0"
	}
	return m.Slot
}

// Mode returns how macOS uses the card, according to the card and the VM's
// configuration.
func (m Machine) Mode() Mode {
	switch {
	case len(m.Card.Functions) == 0:
		return NoCard
	case !m.Card.Integrated():
		return Discrete
	}
	if h, err := gpu.ParseHostPCI(m.VM[m.slot()]); err == nil && h.LegacyIGD {
		return Display
	}
	return Headless
}

// Path returns the device path that the firmware gives the card, in the form
// that DeviceProperties uses: "PciRoot(0x0)/Pci(0x2,0x0)". It returns "" if
// there is no card, or if the VM's args put the card on a bus of their own.
func (m Machine) Path() string {
	if m.Mode() == NoCard {
		return ""
	}
	return macos.DevicePath(m.VM, m.slot())
}

// q35 reports whether the VM's machine is q35. PVE's default is i440fx.
func (m Machine) q35() bool { return strings.Contains(m.VM["machine"], "q35") }

// Returns the major version of the release's kernel, for example 24 for macOS
// 15.
func (m Machine) kernel() int {
	if m.Release == gpu.MacOSTahoe {
		return 25
	}
	return 17 + int(m.Release-gpu.MacOSHighSierra)
}

var macAddress = regexp.MustCompile(`^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$`)

// Returns the model and the MAC address of the VM's network card. The address
// is "" if the VM does not exist yet.
func (m Machine) network() (model, mac string) {
	properties := qmconf.Parse("net0", m.VM["net0"])
	model, _ = properties.Get("model")
	mac, _ = properties.Get("macaddr")
	if mac == "" && model != "" { // PVE writes virtio=BC:24:11:00:00:01
		first, _, _ := strings.Cut(m.VM["net0"], ",")
		_, mac, _ = strings.Cut(first, "=")
	}
	if !macAddress.MatchString(mac) {
		mac = ""
	}
	return model, mac
}

// emulatedSMC reports whether the VM's args add an Apple SMC.
func (m Machine) emulatedSMC() bool { return strings.Contains(m.VM["args"], "isa-applesmc") }

// Reports whether the VM has a drive with the recovery system.
func (m Machine) recovery() bool { return m.VM[macos.RecoverySlot] != "" }
