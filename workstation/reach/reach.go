// Package reach lists the ways to reach a workstation from elsewhere, beside
// RustDesk. Package access sets these ways up inside the guest.
package reach

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/workstation"
)

// A Way is a way to reach a workstation from elsewhere.
type Way struct {
	// Name is "RDP", "SSH", "Moonlight", "VNC", "SPICE" or "serial console".
	Name string
	// Address is a link that opens the way in, or the address to enter in the
	// program.
	Address string
	// Needs holds the conditions in the guest or on the host.
	Needs string
}

// Ways returns the ways to reach a VM beside RustDesk, judged by its
// configuration and the addresses of [workstation.Agent.Addresses]. Without an
// address, the only way is PVE's console, and only if the VM has an emulated
// display. Ways does not check whether the program at the other end runs. It
// does no I/O.
func Ways(v workstation.VMFacts, addresses []netip.Addr) []Way {
	cards := qmconf.Claim(v.ID, v.Config).Values
	var ways []Way
	for _, a := range addresses {
		if a.IsLinkLocalUnicast() {
			continue
		}
		host := strings.TrimSuffix(netip.AddrPortFrom(a, 0).String(), ":0") // this puts brackets around an IPv6 address
		if strings.HasPrefix(v.Config["ostype"], "win") {
			ways = append(ways, Way{"RDP", "rdp://full%20address=s:" + host + ":3389", "Remote Desktop allowed (Windows Pro); it draws without the card's display"})
		} else {
			ways = append(ways, Way{"SSH", "ssh://" + host, "sshd in the guest"})
		}
		if len(cards) > 0 {
			ways = append(ways, Way{"Moonlight", host, "Sunshine in the guest, paired at https://" + host + ":47990; and a display or dummy plug at the card"})
		}
	}
	vga, _ := qmconf.Parse("vga", v.Config["vga"]).Get("type")
	console := Way{"VNC", "PVE's console of VM " + fmt.Sprint(v.ID), "shows the emulated display, not the card's"}
	_, set := v.Config["vga"]
	switch {
	case vga == "none", !set && slices.ContainsFunc(cards, func(h gpu.HostPCI) bool { return h.PrimaryVGA }):
		return ways // with x-vga, PVE gives the VM no emulated display (qemu-server PVE/QemuServer/PCI.pm, print_hostpci_devices)
	case spice.MatchString(vga):
		console.Name = "SPICE"
	case strings.HasPrefix(vga, "serial"):
		console.Name, console.Needs = "serial console", "a login on the guest's serial port; it shows text only"
	}
	return append(ways, console)
}

// spice matches the displays that PVE shows over SPICE (qemu-server
// PVE/QemuServer.pm, vga_conf_has_spice).
var spice = regexp.MustCompile(`^qxl[234]?$`)
