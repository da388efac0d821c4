package iommu

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/sysfs"
)

// The method "uses" finds the functions that the machine itself needs: the
// controllers of mounted file systems and swap, the network card of the default
// route, and the only display.
func (r *reader) uses() {
	r.UsesKnown = proxstation.Yes
	r.storageUses()
	r.networkUses()
	r.consoleUses()
	r.inputUses()
	slices.SortStableFunc(r.Uses, func(a, b Use) int { return a.Address.Compare(b.Address) })
}

// The method "unsure" adds a finding that uses may be missing. It adds only one
// finding for each subject.
func (r *reader) unsure(subject, seen, fix string) {
	r.UsesKnown = proxstation.Unknown
	if slices.ContainsFunc(r.Findings, func(f proxstation.Finding) bool { return f.ID == "iommu.uses-unknown" && f.Subject == subject }) {
		return
	}
	r.Findings = append(r.Findings, proxstation.Finding{ID: "iommu.uses-unknown", Severity: proxstation.Warning, Subject: subject, Seen: seen,
		Why: "A guest could take a controller or network card on which the machine depends, without a warning.", Fix: fix})
}

// The method "use" records that the machine uses a PCI device. It also records
// every device above it whose driver could be taken away, such as an Intel VMD
// above an NVMe.
func (r *reader) use(kind UseKind, sysfile, seen string) bool {
	path := pciPath(r.Sys, sysfile)
	for _, address := range path {
		fn, ok := r.Function(address)
		if ok && fn.Class.Sub() == classPCIBridge {
			continue
		}
		use := Use{Address: address, Kind: kind, Seen: seen}
		if !slices.Contains(r.Uses, use) {
			r.Uses = append(r.Uses, use)
		}
	}
	return len(path) > 0
}

func (r *reader) networkUses() {
	lines, err := r.procLines("net/route")
	if err != nil {
		r.unsure("default route", fmt.Sprintf("/proc/net/route: %v", reason(err)), "Check by hand which network card carries the management address.")
		return
	}
	more, _ := r.procLines("net/ipv6_route") // without IPv6 there is no such file
	found := false
	for _, name := range defaultRoutes(append(lines, more...)) {
		found = r.interfaceUses(name, "default route on "+name, 0) || found
	}
	r.portUses()
	if !found {
		r.unsure("default route", "neither /proc/net/route nor ipv6_route has a default route that leads to a PCI device",
			"Check by hand which network card carries the management address.")
	}
}

// portUses records the network cards that are ports of bridges, because guests
// reach the network through these cards. It skips cards that are already
// recorded as in use.
func (r *reader) portUses() {
	names, _ := sysfs.Names(r.Sys, "class/net") // if the list cannot be read, there are no cards to record
	known := slices.Clone(r.Uses)
	for _, name := range names {
		_, err := sysfs.Names(r.Sys, "class/net/"+name+"/brport")
		bridge, masterErr := sysfs.Real(r.Sys, "class/net/"+name+"/master")
		if err == nil && masterErr == nil {
			r.interfaceUses(name, "port "+name+" of bridge "+path.Base(bridge), 0)
		}
	}
	r.Uses = slices.DeleteFunc(r.Uses, func(u Use) bool {
		return !slices.Contains(known, u) && slices.ContainsFunc(known, func(k Use) bool { return k.Address == u.Address })
	})
}

// defaultRoutes returns the interfaces of the default routes among lines of
// /proc/net/route (interface, destination, …, mask in the eighth field) and of
// /proc/net/ipv6_route (destination, its length, …, flags, interface). It skips
// IPv6 routes on lo, which reject packets.
func defaultRoutes(lines []string) []string {
	var names []string
	for _, line := range lines {
		name, fields := "", strings.Fields(line)
		switch {
		case len(fields) == 10 && fields[0] == strings.Repeat("0", 32) && fields[1] == "00" && fields[9] != "lo":
			name = fields[9]
		case len(fields) >= 8 && fields[1] == "00000000" && fields[7] == "00000000":
			name = fields[0]
		}
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// interfaceUses follows a bridge, bond or VLAN down to network cards, at most
// eight levels. The kernel links each interface to the interfaces below it as
// lower_NAME.
func (r *reader) interfaceUses(name, seen string, depth int) bool {
	dir := "class/net/" + name
	found := r.use(UseNetwork, dir+"/device", seen)
	entries, err := sysfs.Names(r.Sys, dir)
	if err != nil || depth > 8 {
		return found
	}
	for _, entry := range entries {
		if lower, ok := strings.CutPrefix(entry, "lower_"); ok {
			found = r.interfaceUses(lower, seen+" over "+lower, depth+1) || found
		}
	}
	return found
}

// inputUses records the controllers of keyboards, from the kernel's list of
// input devices. A keyboard has the handlers kbd and sysrq, and more keys than
// a power button (Documentation/input/input.rst).
func (r *reader) inputUses() {
	lines, err := r.procLines("bus/input/devices")
	if err != nil {
		return // no error, because the list only matters for a warning
	}
	name, place := "", ""
	for _, line := range lines {
		switch kind, value, _ := strings.Cut(line, ": "); {
		case line == "":
			name, place = "", ""
		case kind == "N":
			name = strings.Trim(strings.TrimPrefix(value, "Name="), `"`)
		case kind == "S":
			place = strings.TrimPrefix(value, "Sysfs=")
		case kind == "H" && strings.Contains(value, "kbd") && strings.Contains(value, "leds"):
			for element := range strings.SplitSeq(place, "/") {
				address, err := ParseAddress(element)
				if fn, ok := r.Function(address); err == nil && ok && fn.Class.Base() == 0x0c {
					r.Uses = append(r.Uses, Use{Address: address, Kind: UseInput, Seen: "/proc/bus/input/devices: keyboard " + name})
				}
			}
		}
	}
}
