package workstation

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// A Way is a way to reach a workstation from elsewhere.
type Way struct {
	// Name is what it is: "RDP", "SSH", "Moonlight", "VNC", "SPICE", "serial
	// console".
	Name string
	// Address opens it, or says where to point the program.
	Address string
	// Needs is what has to be true in the guest or on the host.
	Needs string
}

// Ways returns the ways to reach a VM beside RustDesk, from its configuration
// and its addresses. Whether the program at the other end runs it does not
// know. Pure.
func Ways(v VMFacts, addresses []netip.Addr) []Way {
	var ways []Way
	for _, a := range addresses {
		if a.IsLinkLocalUnicast() {
			continue
		}
		host := netip.AddrPortFrom(a, 0).String()
		host = strings.TrimSuffix(host, ":0")
		if strings.HasPrefix(v.Config["ostype"], "win") {
			ways = append(ways, Way{"RDP", "rdp://full%20address=s:" + host + ":3389", "Remote Desktop allowed (Windows Pro); it draws without the card's display"})
		} else {
			ways = append(ways, Way{"SSH", "ssh://" + host, "sshd in the guest"})
		}
		if len(v.HostPCI()) > 0 {
			ways = append(ways, Way{"Moonlight", host, "Sunshine in the guest, paired at https://" + host + ":47990; and a display or dummy plug at the card"})
		}
	}
	vga, _ := parseProperties("vga", v.Config["vga"]).get("type")
	console := Way{"VNC", "PVE's console of VM " + fmt.Sprint(v.ID), "shows the emulated display, not the card's"}
	switch {
	case vga == "none":
		return ways
	case spice.MatchString(vga):
		console.Name = "SPICE"
	case strings.HasPrefix(vga, "serial"):
		console.Name, console.Needs = "serial console", "a login on the guest's serial port; it shows text only"
	}
	return append(ways, console)
}

// spice are the displays that PVE shows over SPICE (qemu-server
// PVE/QemuServer.pm, vga_conf_has_spice).
var spice = regexp.MustCompile(`^qxl[234]?$`)

// Ways returns the ways to reach a VM, with the addresses its agent tells. If
// that tells none the error says why, and matches [ErrAgent] where it does not
// answer, beside the ways that need no address: PVE's console, as long as the VM
// has an emulated display.
func (n *Node) Ways(ctx context.Context, vmid int) ([]Way, error) {
	config, err := n.pve.Config(ctx, vmid)
	if err != nil {
		return nil, err
	}
	addresses, err := n.pve.AgentAddresses(ctx, vmid)
	return Ways(VMFacts{ID: vmid, Config: config.Values}, addresses), err
}

func sortedIDs[V any](m map[int]V) []int { return slices.Sorted(maps.Keys(m)) }
