package workstation

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

// A handover lists the functions that a VM takes from the host when it starts.
type handover struct {
	facts Facts
	taken []iommu.Function // the functions that the VM takes, with their whole groups, without functions of running VMs
	left  []iommu.Function // the functions that the host keeps
}

// handover returns two lists: the functions that the host loses to one value of
// a VM, and the functions that the host keeps although the VM takes all its
// values. IOMMU groups are included, because PVE takes all functions of a group
// except bridges (qemu-server PVE/QemuServer/PCI.pm). Functions of running VMs
// are in neither list, because the host has lost them already.
func (f Facts) handover(h gpu.HostPCI, all []gpu.HostPCI, starts int) handover {
	gone := map[iommu.Address]bool{}
	for _, claim := range f.claimsNow(starts) {
		if f.VMs[claim.VMID].Running {
			f.mark(gone, slices.Concat(claim.Values, claim.ByArgs))
		}
	}
	named, every := map[iommu.Address]bool{}, map[iommu.Address]bool{}
	f.mark(named, []gpu.HostPCI{h})
	f.mark(every, all)
	o := handover{facts: f}
	for _, fn := range f.IOMMU.Functions {
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

// mark marks the functions that the values take, together with their groups.
func (f Facts) mark(marked map[iommu.Address]bool, values []gpu.HostPCI) {
	for _, h := range values {
		for _, fn := range f.withGroups(slices.Concat(f.PCI().Resolve(h)...)) {
			marked[fn.Address] = true
		}
	}
}

// withGroups returns the functions of the set and all other functions in their
// groups, without bridges.
func (f Facts) withGroups(set []iommu.Address) []iommu.Function {
	groups := map[iommu.GroupID]bool{}
	for _, fn := range f.IOMMU.Functions {
		if slices.Contains(set, fn.Address) && fn.Group != (iommu.GroupID{}) {
			groups[fn.Group] = true
		}
	}
	var all []iommu.Function
	for _, fn := range f.IOMMU.Functions {
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

// checkHandover judges whether the host depends on the functions that a VM
// would take. It relies on the classes, disks and bridges that the API shows,
// because the API shows nothing else about this. slot is the key of the value,
// or "args".
func (f Facts) checkHandover(v VMFacts, slot string, h gpu.HostPCI) []proxstation.Finding {
	o := f.handover(h, append(v.devices(), h), v.ID)
	subject := fmt.Sprintf("%s %s", v, slot)
	var findings []proxstation.Finding
	find := func(severity proxstation.Severity, id, seen, why, fix string) {
		findings = append(findings, proxstation.Finding{ID: id, Severity: severity, Subject: subject, Seen: seen, Why: printable.Sentence(why), Fix: printable.Sentence(fix)})
	}
	if shows := slices.ContainsFunc(f.functionsOf(h), func(fn iommu.Function) bool { return fn.Class.IsDisplay() }); h.PrimaryVGA && !shows && len(f.functionsOf(h)) > 0 {
		find(proxstation.Blocker, "switch.no-display", h.String()+" names no display controller", "x-vga=1 is for graphics cards: QEMU does not start with it on another device",
			fmt.Sprintf("remove x-vga, or correct the address: qm set %d --%s ...", v.ID, slot))
	}
	for _, fn := range of(isStorage, o.taken) {
		severity, why := o.storage(fn)
		if why != "" {
			find(severity, "switch.host-storage", describe(fn), why, "see on the host which disks are connected to it (readlink -f /sys/block/* | grep "+fn.Address.String()+"; lsblk), and pass a controller that the host does not use")
		}
	}
	for _, fn := range of(isNetwork, o.taken) {
		severity, why := o.network(fn)
		find(severity, "switch.host-network", describe(fn), why, "see on the host whose port it is (ip -br link; grep bridge-ports /etc/network/interfaces), and pass a network card that no bridge uses")
	}
	for _, fn := range of(isUSB, o.taken) {
		if len(of(isUSB, o.left)) == 0 && !f.partOfCard(fn) {
			find(o.usb(), "switch.host-usb", describe(fn), "it is the last USB controller of the host: the host has no keyboard and no USB disks while the VM runs",
				"see on the host which devices are connected to it (lsusb -t), and pass single USB devices instead: usb0: host=VENDOR:DEVICE")
		}
	}
	return findings
}

func describe(fn iommu.Function) string {
	return strings.TrimSpace(fmt.Sprintf("%s (%s)", fn.Address, strings.TrimSpace(fn.Kind()+" "+fn.Name)))
}

// functionsOf returns the functions that a value names, without their groups.
func (f Facts) functionsOf(h gpu.HostPCI) []iommu.Function {
	set := slices.Concat(f.PCI().Resolve(h)...)
	return slices.DeleteFunc(slices.Clone(f.IOMMU.Functions), func(fn iommu.Function) bool { return !slices.Contains(set, fn.Address) })
}

// partOfCard reports whether a function belongs to a graphics card. The
// controller of a card's USB-C port is such a function.
func (f Facts) partOfCard(fn iommu.Function) bool {
	card, is := gpu.CardAt(f.IOMMU.Functions, fn.Address)
	return is && !card.Integrated()
}

// storage judges a storage controller. The API lists the disks of the host, but
// not the controller of each disk. If no disk of a kind is idle, and the host
// has only one controller of that kind, the host surely uses a disk on this
// controller. The same holds for each NVMe controller if there are as many NVMe
// disks as NVMe controllers.
func (o handover) storage(fn iommu.Function) (severity proxstation.Severity, why string) {
	if len(of(isStorage, o.left)) == 0 {
		return proxstation.Blocker, "it is the last storage controller of the host, which loses its root disk when the VM starts"
	}
	kind, name := isSATA, sataDisk
	if isNVMe(fn.Class) {
		kind, name = isNVMe, nvmeDisk
	}
	if len(o.facts.Disks) == 0 {
		return proxstation.Warning, "the host may run from a disk on it, and loses the disk when the VM starts"
	}
	disks, all, idle := map[string]bool{}, map[string]bool{}, false // disks in use and all disks, by name
	for _, d := range o.facts.Disks {
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

// network judges a network card by the names of the ports of the host's
// bridges.
func (o handover) network(fn iommu.Function) (severity proxstation.Severity, why string) {
	if len(of(isNetwork, o.left)) == 0 {
		return proxstation.Blocker, "it is the last network card of the host, and the host loses its network when the VM starts"
	}
	for _, port := range o.facts.ports {
		onBoard := strings.HasPrefix(port, "eno") && strings.HasPrefix(fn.Address.String(), "0000:00:") // such a name stands for a port on the mainboard
		if a, ok := addressOf(port); ok && a == fn.Address || onBoard {
			return proxstation.Blocker, "it is " + port + ", which connects the host and its VMs to the network"
		}
	}
	return proxstation.Warning, "the host's bridge may use it, and loses its network when the VM starts"
}

func (o handover) usb() proxstation.Severity {
	if slices.ContainsFunc(o.facts.Disks, func(d storage.Disk) bool { return d.Bus == storage.USB && d.Use != "" }) {
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
