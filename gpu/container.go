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
// name of a node below /dev/dri does not say to which card the node belongs.
// Uses assumes a card of another vendor than NVIDIA, unless all cards of the
// host are NVIDIA cards.
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
