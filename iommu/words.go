package iommu

import (
	"fmt"
	"strings"
)

// classes holds the names of PCI classes in findings (PCI Code and ID
// Assignment Specification).
var classes = map[uint16]string{
	0x0101: "IDE controller", 0x0104: "RAID controller", 0x0106: "SATA controller", 0x0107: "SAS controller", 0x0108: "NVMe disk",
	0x0200: "network card", 0x0280: "wireless card", 0x0300: "graphics", 0x0302: "3D controller", 0x0380: "graphics",
	0x0401: "audio", 0x0403: "audio", 0x0480: "audio processor", 0x0500: "memory controller", 0x0580: "memory controller",
	0x0600: "host bridge", 0x0601: "LPC bridge", 0x0604: "PCI bridge", 0x0780: "communication controller", 0x0806: "IOMMU", 0x0880: "system device",
	0x0c03: "USB controller", 0x0c05: "SMBus", 0x0c80: "serial bus controller", 0x1080: "security processor", 0x1180: "signal processing",
	0x1200: "accelerator",
}

// Kind returns the kind of a function for people, such as "NVMe disk" or "USB
// controller". If the kind has no name, it returns the class.
func (fn Function) Kind() string {
	if name, ok := classes[fn.Class.Sub()]; ok {
		return name
	}
	return fmt.Sprintf("class %04x", fn.Class.Sub())
}

// describe returns a function with its kind, its driver and the host's use of
// it: "0000:04:00.3 (USB controller 1022:1639, driver xhci_hcd)".
func (f Facts) describe(fn Function) string {
	text := fmt.Sprintf("%s (%s %s", fn.Address, fn.Kind(), fn.Model)
	if fn.Driver != "" {
		text += ", driver " + fn.Driver
	}
	for _, use := range f.usesOf(fn.Address) {
		text += "; " + string(use.Kind) + ": " + use.Seen
	}
	return text + ")"
}

// keepCommand returns the command that keeps a device for guests.
func keepCommand(a Address) string { return "go run ./examples/host -keep " + a.String() + " -apply" }

// backCommand returns the command that gives a device back to the host.
func backCommand(a Address) string {
	return "go run ./examples/host -give-back " + a.String() + " -apply"
}

// The function "list" joins texts with commas, and with "and" before the last
// text.
func list(things []string) string {
	if len(things) < 2 {
		return strings.Join(things, "")
	}
	return strings.Join(things[:len(things)-1], ", ") + " and " + things[len(things)-1]
}
