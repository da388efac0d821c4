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

// Uses returns the device node by which a container may use a card. A node
// below /dev/dri does not show to which card it belongs. For an NVIDIA card it
// counts only if every card of the host is an NVIDIA card.
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
