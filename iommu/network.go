package iommu

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
)

// A port is a network interface that /etc/network/interfaces needs: an
// interface in a bridge or bond, the interface below a VLAN, or an interface
// with its own address.
type port struct {
	name, of string // of is the bridge or bond; "" if there is no such interface
	where    string // file, number and text of the line
	file     string
}

// The pattern "physical" matches the names that the kernel and udev give to
// network cards (systemd.net-naming-scheme(7)), and PVE's pinned names.
var physical = regexp.MustCompile(`^(en|eth|wl|ww|ib|nic)[a-z0-9]+$`)

// The method "ports" returns the network interfaces that the configuration needs
// (interfaces(5)).
func (n Network) ports() []port {
	var ports []port
	for _, file := range n.Config {
		block := ""
		for i, line := range strings.Split(file.Text, "\n") {
			words := strings.Fields(line)
			if len(words) < 2 || strings.HasPrefix(words[0], "#") {
				continue
			}
			where := fmt.Sprintf("/%s line %d: %s", file.Path, i+1, strings.Join(words, " "))
			var names []string
			of := block
			switch strings.ReplaceAll(words[0], "_", "-") {
			case "iface":
				block, of = words[1], ""
				if len(words) > 3 && (words[3] == "static" || words[3] == "dhcp") {
					names = words[1:2]
				}
			case "bridge-ports", "bond-slaves", "slaves", "vlan-raw-device", "ovs-ports", "ovs-bonds":
				names = words[1:]
			}
			for _, name := range names {
				name, _, _ = strings.Cut(name, ".") // removes the ID of a VLAN on the interface
				if physical.MatchString(name) && !slices.ContainsFunc(ports, func(p port) bool { return p.name == name }) {
					ports = append(ports, port{name: name, of: of, where: where, file: "/" + file.Path})
				}
			}
		}
	}
	return ports
}

// The method "has" reports whether an interface has this name.
func (n Network) has(name string) bool {
	return slices.ContainsFunc(n.Interfaces, func(i Interface) bool { return i.Name == name || slices.Contains(i.Names, name) })
}

// checkNetwork finds names in the network configuration that should be the
// names of network cards but that no card has. The names of many cards contain
// the number of their bus, which changes when any card is added or removed.
func (f Facts) checkNetwork() []proxstation.Finding {
	n := f.Network
	if len(n.Interfaces) == 0 {
		return nil // the interfaces are not known
	}
	wanted := n.ports()
	var idle []string
	for _, i := range n.Interfaces {
		unwanted := !slices.ContainsFunc(wanted, func(p port) bool { return p.name == i.Name || slices.Contains(i.Names, p.name) })
		if i.Address != nil && i.Master == "" && unwanted {
			idle = append(idle, fmt.Sprintf("%s (%s)", i.Name, *i.Address))
		}
	}
	var found []proxstation.Finding
	for _, p := range wanted {
		if n.has(p.name) {
			continue
		}
		finding := proxstation.Finding{ID: "iommu.nic-renamed", Severity: proxstation.Blocker, Subject: p.name,
			Seen: p.where + "; /sys/class/net has no " + p.name,
			Why:  "The host cannot be reached over this card, and guests on its bridge have no network.",
			Fix:  "Look for the card's name now (ip -br link), write it in " + p.file + " and run ifreload -a."}
		if p.of != "" {
			finding.Seen = fmt.Sprintf("%s wants %s (%s), and /sys/class/net has no %s", p.of, p.name, p.where, p.name)
		}
		switch fn, taken := f.takenCard(p.name); {
		case taken:
			finding.Seen += fmt.Sprintf("; %s (%s) has the driver %s", fn.Address, fn.Kind(), fn.Driver)
			finding.Fix = "Give " + fn.Address.String() + " back to its driver: take its model out of the ids of vfio-pci, or run " + backCommand(fn.Address) + "."
		case len(idle) > 0:
			finding.Seen += "; " + strings.Join(idle, ", ") + " has no bridge"
			name := successor(p.name, idle)
			finding.Why += " The name says on which bus a card was, and buses get new numbers when a card is put in or moved."
			finding.Fix = fmt.Sprintf("Write %s for %s in %s and run ifreload -a; or pin names to MAC addresses, so that they stay: "+
				"pve-network-interface-pinning generate (PVE 9), or a file in /etc/systemd/network with MACAddress= and Name= (older).", name, p.name, p.file)
		}
		found = append(found, finding)
	}
	return found
}

// successor returns the present name of a network interface that has
// disappeared under its old name. This is the name of an idle interface. If
// several interfaces are idle, successor prefers names that differ from the old
// name just by the bus number, such as enp7s0f1 for enp5s0f1. If several
// interfaces are still possible, successor names all of them.
func successor(missing string, idle []string) string {
	var all, same []string
	for _, text := range idle {
		name, _, _ := strings.Cut(text, " ")
		all = append(all, name)
		if busNumber.ReplaceAllString(name, "p") == busNumber.ReplaceAllString(missing, "p") {
			same = append(same, name)
		}
	}
	switch {
	case len(all) == 1:
		return all[0]
	case len(same) == 1:
		return same[0]
	case len(same) > 1:
		all = same
	}
	return "the card that is meant, " + strings.Join(all, " or ") + " (by its MAC address: ip -br link),"
}

var busNumber = regexp.MustCompile(`p\d+`)

var byPath = regexp.MustCompile(`^(?:en|wl)p(\d+)s(\d+)(?:f(\d+))?`)

// takenCard finds a network card by the name of a missing interface, because
// the name contains bus and slot. It returns the card only if the card is on
// vfio-pci. The interface is then missing because the card was handed to
// guests.
func (f Facts) takenCard(name string) (Function, bool) {
	m := byPath.FindStringSubmatch(name)
	if m == nil {
		return Function{}, false
	}
	bus, _ := strconv.ParseUint(m[1], 10, 8)
	slot, _ := strconv.ParseUint(m[2], 10, 8)
	function := m[3]
	if function == "" {
		function = "0"
	}
	a, err := ParseAddress(fmt.Sprintf("0000:%02x:%02x.%s", bus, slot, function))
	if err != nil {
		return Function{}, false
	}
	fn, ok := f.Function(a)
	return fn, ok && fn.Class.Base() == 0x02 && fn.Driver == vfioPCI
}
