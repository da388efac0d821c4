package gpu

import (
	"slices"
	"strings"
)

// A Container is a container that runs and uses a graphics card through the
// host's driver.
type Container struct {
	VMID int
	Name string
	// Devices holds the card's device nodes: "/dev/dri/renderD128",
	// "/dev/nvidia0".
	Devices []string
}

// Uses returns a device node of the container that may belong to the card. The
// nodes below /dev/dri do not show their card. They may belong to an NVIDIA
// card only if the host has no card of another vendor.
func (c Container) Uses(card Card, cards []Card) (device string, uses bool) {
	isNVIDIA := func(card Card) bool { return card.Model().Vendor == NVIDIA }
	onlyNVIDIA := !slices.ContainsFunc(cards, func(other Card) bool { return !isNVIDIA(other) })
	for _, device := range c.Devices {
		nvidia := strings.HasPrefix(device, "/dev/nvidia")
		if nvidia == isNVIDIA(card) || !nvidia && onlyNVIDIA {
			return device, true
		}
	}
	return "", false
}
