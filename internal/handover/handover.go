// Package handover judges what a host loses when a VM takes PCI devices from
// it: disks, network, keyboard, and cards that other programs use. It makes no
// requests and reads no files.
package handover

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
)

// The PCI base classes of devices on which a host depends (PCI Code and ID
// Assignment Specification).
const (
	classStorage = 0x01
	classNetwork = 0x02
	subNVMe      = 0x0108
	subUSB       = 0x0c03
)

// A Host describes a host, as far as PVE's API shows it.
type Host struct {
	PCI   gpu.Node
	Disks []storage.Disk
	// Ports holds the names of the ports of the host's bridges, and of network
	// cards that have an address.
	Ports []string
	// Gone holds the hostpci values of running VMs. The host has lost these
	// devices already.
	Gone []gpu.HostPCI
}

// A VM describes a VM that takes devices from the host when it starts.
type VM struct {
	ID     int
	Name   string        // the VM as people know it: "VM 140 windows"
	Values []gpu.HostPCI // all values of the VM
}

// A loss says which functions a host loses because of one value of a VM.
type loss struct {
	Host
	taken []iommu.Function // the functions that the value takes
	left  []iommu.Function // the functions that the host keeps
}

// losing returns the loss for one value of a VM. The field taken holds the
// functions that this value takes. The field left holds the functions that no
// value of the VM takes. PVE takes all functions of an IOMMU group except
// bridges (qemu-server PVE/QemuServer/PCI.pm), so a value also takes the rest
// of the groups. Neither field holds functions of running VMs, because the host
// has lost them already.
func (h Host) losing(value gpu.HostPCI, all []gpu.HostPCI) loss {
	gone, named, every := h.mark(h.Gone), h.mark([]gpu.HostPCI{value}), h.mark(all)
	o := loss{Host: h}
	for _, fn := range h.PCI.Functions {
		switch a := fn.Address; {
		case gone[a]:
		case named[a]:
			o.taken = append(o.taken, fn)
		case !every[a]:
			o.left = append(o.left, fn)
		}
	}
	return o
}

// Takes reports which kinds of devices the host loses to a VM: disk controllers,
// USB controllers or network cards.
func (h Host) Takes(vm VM) (disks, usb, network bool) {
	for _, value := range vm.Values {
		taken := h.losing(value, vm.Values).taken
		disks = disks || len(of(isStorage, taken)) > 0
		usb = usb || len(of(isUSB, taken)) > 0
		network = network || len(of(isNetwork, taken)) > 0
	}
	return disks, usb, network
}

// mark returns the functions that the values take, together with their groups.
func (h Host) mark(values []gpu.HostPCI) map[iommu.Address]bool {
	marked := map[iommu.Address]bool{}
	for _, value := range values {
		for _, fn := range h.withGroups(slices.Concat(h.PCI.Resolve(value)...)) {
			marked[fn.Address] = true
		}
	}
	return marked
}

// withGroups returns the functions of the set and all other functions in their
// groups, without bridges.
func (h Host) withGroups(set []iommu.Address) []iommu.Function {
	groups := map[iommu.GroupID]bool{}
	for _, fn := range h.PCI.Functions {
		if slices.Contains(set, fn.Address) && fn.Group != (iommu.GroupID{}) {
			groups[fn.Group] = true
		}
	}
	var all []iommu.Function
	for _, fn := range h.PCI.Functions {
		if slices.Contains(set, fn.Address) || groups[fn.Group] && !fn.Class.IsBridge() {
			all = append(all, fn)
		}
	}
	return all
}

func of(kind func(iommu.Class) bool, functions []iommu.Function) []iommu.Function {
	return slices.DeleteFunc(slices.Clone(functions), func(fn iommu.Function) bool { return !kind(fn.Class) })
}

func isStorage(c iommu.Class) bool { return c.Base() == classStorage }
func isNVMe(c iommu.Class) bool    { return c.Sub() == subNVMe }
func isSATA(c iommu.Class) bool    { return isStorage(c) && !isNVMe(c) }
func isNetwork(c iommu.Class) bool { return c.Base() == classNetwork }
func isUSB(c iommu.Class) bool     { return c.Sub() == subUSB }

// Check judges whether the host depends on the functions that a VM would take
// with one of its values. It relies on the classes, disks and bridges that the
// API shows, because the API shows nothing else about this. slot is the key of
// the value, or "args".
func (h Host) Check(vm VM, slot string, value gpu.HostPCI) []proxstation.Finding {
	o := h.losing(value, append(slices.Clone(vm.Values), value))
	subject := vm.Name + " " + slot
	var findings []proxstation.Finding
	find := func(severity proxstation.Severity, id, seen, why, fix string) {
		findings = append(findings, proxstation.Finding{ID: id, Severity: severity, Subject: subject, Seen: seen, Why: printable.Sentence(why), Fix: printable.Sentence(fix)})
	}
	named := h.named(value)
	if shows := slices.ContainsFunc(named, func(fn iommu.Function) bool { return fn.Class.IsDisplay() }); value.PrimaryVGA && !shows && len(named) > 0 {
		find(proxstation.Blocker, "switch.no-display", value.String()+" names no display controller", "x-vga=1 is for graphics cards: QEMU does not start with it on another device",
			fmt.Sprintf("remove x-vga, or correct the address: qm set %d --%s ...", vm.ID, slot))
	}
	for _, fn := range of(isStorage, o.taken) {
		severity, why := o.storage(fn)
		if why != "" {
			find(severity, "switch.host-storage", describe(fn), why, "see on the host which disks are connected to it (readlink -f /sys/block/* | grep "+fn.Address.String()+"; lsblk), and pass a controller that the host does not use")
		}
	}
	for _, fn := range of(isNetwork, o.taken) {
		severity, why := o.network(fn)
		find(severity, "switch.host-network", describe(fn), why, "see on the host which bridge has this network card as a port (ip -br link; grep bridge-ports /etc/network/interfaces), and pass a network card that no bridge uses")
	}
	for _, fn := range of(isUSB, o.taken) {
		if len(of(isUSB, o.left)) == 0 && !h.partOfCard(fn) {
			find(o.usb(), "switch.host-usb", describe(fn), "it is the last USB controller of the host: the host has no keyboard and no USB disks while the VM runs",
				"see on the host which devices are connected to it (lsusb -t), and pass single USB devices instead: usb0: host=VENDOR:DEVICE")
		}
	}
	return findings
}

func describe(fn iommu.Function) string {
	return strings.TrimSpace(fmt.Sprintf("%s (%s)", fn.Address, strings.TrimSpace(fn.Kind()+" "+fn.Name)))
}

// named returns the functions that a value names, without their groups.
func (h Host) named(value gpu.HostPCI) []iommu.Function {
	set := slices.Concat(h.PCI.Resolve(value)...)
	return slices.DeleteFunc(slices.Clone(h.PCI.Functions), func(fn iommu.Function) bool { return !slices.Contains(set, fn.Address) })
}

// partOfCard reports whether a function belongs to a graphics card. The
// controller of a card's USB-C port is such a function.
func (h Host) partOfCard(fn iommu.Function) bool {
	card, is := gpu.CardAt(h.PCI.Functions, fn.Address)
	return is && !card.Integrated()
}

// The method "storage" judges a storage controller. The API lists the disks of
// the host, but not the controller of each disk. There are two kinds of
// controllers: for SATA and for NVMe. The host surely uses a disk on this
// controller if no disk of its kind is idle and the host has no other
// controller of its kind. For NVMe, it is also enough that no disk is idle and
// there are as many disks as controllers.
func (o loss) storage(fn iommu.Function) (severity proxstation.Severity, why string) {
	if len(of(isStorage, o.left)) == 0 {
		return proxstation.Blocker, "it is the last storage controller of the host, which loses its root disk when the VM starts"
	}
	kind, name := isSATA, sataDisk
	if isNVMe(fn.Class) {
		kind, name = isNVMe, nvmeDisk
	}
	if len(o.Disks) == 0 {
		return proxstation.Warning, "the host may run from a disk on it, and loses the disk when the VM starts"
	}
	disks, all, idle := map[string]bool{}, map[string]bool{}, false // disks in use and all disks, by name
	for _, d := range o.Disks {
		match := name.FindString(d.Path)
		if elsewhere := slices.Contains([]storage.Bus{storage.USB, storage.Network, storage.MMC}, d.Bus) || strings.HasPrefix(d.WWN, "uuid."); match == "" || elsewhere {
			continue // the disk is not on a controller of the host
		}
		all[match] = true
		if d.Use == "" && len(d.Partitions) == 0 {
			idle = true
			continue
		}
		disks[match] = true
	}
	controllers := len(of(kind, o.left)) + len(of(kind, o.taken)) // the number of controllers that the host has now
	switch {
	case len(disks) == 0 && !idle:
		return 0, "" // the host has no disk on any such controller
	case len(disks) > 0 && !idle && (controllers == 1 || isNVMe(fn.Class) && len(disks) >= controllers):
		return proxstation.Blocker, "the host uses " + strings.Join(slices.Sorted(maps.Keys(disks)), ", ") + " on it, and loses them when the VM starts"
	}
	return proxstation.Warning, "the host may use a disk on it, of " + strings.Join(slices.Sorted(maps.Keys(all)), ", ") + ", and loses the disk when the VM starts"
}

var (
	nvmeDisk = regexp.MustCompile(`^/dev/nvme\d+`)
	sataDisk = regexp.MustCompile(`^/dev/sd[a-z]+`)
)

// The method "network" judges a network card by the names of the ports of the
// host's bridges.
func (o loss) network(fn iommu.Function) (severity proxstation.Severity, why string) {
	if len(of(isNetwork, o.left)) == 0 {
		return proxstation.Blocker, "it is the last network card of the host, and the host loses its network when the VM starts"
	}
	for _, port := range o.Ports {
		onBoard := strings.HasPrefix(port, "eno") && strings.HasPrefix(fn.Address.String(), "0000:00:") // such a name stands for a port on the mainboard
		if a, ok := addressOf(port); ok && a == fn.Address || onBoard {
			return proxstation.Blocker, "it is " + port + ", which connects the host and its VMs to the network"
		}
	}
	return proxstation.Warning, "the host's bridge may use it, and loses its network when the VM starts"
}

func (o loss) usb() proxstation.Severity {
	if slices.ContainsFunc(o.Disks, func(d storage.Disk) bool { return d.Bus == storage.USB && d.Use != "" }) {
		return proxstation.Blocker
	}
	return proxstation.Warning
}

// port matches the names that systemd gives network cards by their place:
// "enp0s31f6" is 00:1f.6 (systemd.net-naming-scheme(7)).
var port = regexp.MustCompile(`^(?:en|wl|ww)(?:P(\d+))?p(\d+)s(\d+)(?:f(\d+))?(?:np\d+|d\d+)?$`)

// addressOf returns the PCI address in the name of a network interface.
func addressOf(name string) (a iommu.Address, ok bool) {
	name, _, _ = strings.Cut(name, ".") // the name of a VLAN follows the dot
	match := port.FindStringSubmatch(name)
	if match == nil {
		return iommu.Address{}, false
	}
	var n [4]int
	for i, digits := range match[1:] {
		n[i], _ = strconv.Atoi(digits) // the text is digits, or empty for 0
	}
	a, err := iommu.ParseAddress(fmt.Sprintf("%04x:%02x:%02x.%d", n[0], n[1], n[2], n[3]))
	return a, err == nil
}
