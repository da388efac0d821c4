package iommu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
)

// sharedGroup names the devices that would go to a guest together with the
// passed functions, and the ways to prevent this on this board.
func (f Facts) sharedGroup(passed []Address, shared *SharedError) proxstation.Finding {
	var groups, others []string
	for _, g := range shared.Groups {
		groups = append(groups, g.String())
	}
	for _, fn := range shared.Others {
		others = append(others, f.describe(fn))
	}
	finding := proxstation.Finding{ID: "iommu.shared-group", Severity: proxstation.Blocker, Subject: passed[0].Slot(),
		Seen: fmt.Sprintf("%s %s %s with %s", passed[0].Slot(), ErrShared, strings.Join(groups, ", "), list(others)),
		Why:  "A group goes to one guest as a whole, so PVE takes all these devices from the host when the guest starts.",
		Fix:  f.part(passed, shared)}
	if f.free(shared) {
		finding.Severity = proxstation.Warning
		finding.Why = "A group goes to one guest as a whole. No driver of the host has the other devices, so the guest starts, but nobody else can have these devices meanwhile."
	}
	return finding
}

// The method "free" reports whether VFIO already lets a guest use the groups,
// because no other device in the groups has a driver of the host.
func (f Facts) free(shared *SharedError) bool {
	for _, g := range shared.Groups {
		answer, blocking := f.Viable(g)
		mine := slices.DeleteFunc(blocking, func(fn Function) bool {
			return !slices.ContainsFunc(shared.Others, func(o Function) bool { return o.Address == fn.Address })
		})
		if answer == proxstation.Unknown || len(mine) > 0 {
			return false
		}
	}
	return true
}

// The method "part" says how the devices of one group can be separated on this
// board.
func (f Facts) part(passed []Address, shared *SharedError) string {
	if slices.ContainsFunc(shared.Others, func(fn Function) bool { return fn.Driver == "vmd" }) {
		// The devices behind Intel's VMD do DMA with the identity of their
		// controller (drivers/pci/controller/vmd.c).
		return "Turn VMD off in the firmware's set-up, unless the disks are an Intel RAID: all devices behind VMD's controller are in one group with it."
	}
	if f.Virtual.Answer == proxstation.Yes {
		return "This is a virtual machine: outside, give the device a PCIe root port of its own (pcie=1 on q35)."
	}
	first, _ := f.Function(passed[0])
	var ways []string
	slots := f.otherPorts(shared)
	switch {
	case f.soldered(first):
		ways = append(ways, "The device is part of the processor or the board and cannot be moved to another slot.")
	case len(slots) > 0:
		ways = append(ways, fmt.Sprintf("Put the card, or the device that shares its group, in a slot below another port (in other groups: %s)%s.", list(slots), f.cause(shared)))
	default:
		ways = append(ways, "No slot of this board is in another group, so moving the card does not help"+f.cause(shared)+".")
	}
	ways = append(ways, "Turn on ACS in the firmware's set-up if it has this setting (AMD boards: together with AER), and update the firmware: on some boards newer versions separate groups.")
	ways = append(ways, f.override(passed, shared))
	if !slices.ContainsFunc(shared.Others, func(fn Function) bool { return len(f.usesOf(fn.Address)) > 0 }) {
		var whole []string
		for _, fn := range shared.Others {
			whole = append(whole, fn.Address.String())
		}
		ways = append(ways, "Or give the whole group to the guest, if the host can do without "+list(whole)+".")
	}
	return strings.Join(ways, " ")
}

// The method "soldered" reports whether a function cannot be moved to another
// slot. Such a function is on the root bus, like the devices of the processor
// and the chipset, or it shares a slot with a security processor or a display
// of AMD's processors.
func (f Facts) soldered(fn Function) bool {
	if fn.Parent == nil {
		return slices.ContainsFunc(f.Functions, func(o Function) bool { return o.Parent != nil }) // if no function has a parent, parents are not known
	}
	return slices.ContainsFunc(f.Slot(fn.Address), func(o Function) bool { return o.Class.Sub() == 0x1080 })
}

// otherPorts returns the root ports outside the shared groups. A device below
// such a port would be in another group.
func (f Facts) otherPorts(shared *SharedError) []string {
	var ports []string
	for _, fn := range f.Functions {
		if _, grouped := fn.Group.Int(); fn.Class.Sub() == classPCIBridge && fn.Parent == nil && grouped && !slices.Contains(shared.Groups, fn.Group) {
			ports = append(ports, fmt.Sprintf("%s, group %s", fn.Address, fn.Group))
		}
	}
	return ports
}

// The method "override" says what the argument pcie_acs_override can do on this
// board, and that the argument is a risk.
func (f Facts) override(passed []Address, shared *SharedError) string {
	value := "downstream"
	for _, fn := range shared.Others {
		if slices.ContainsFunc(passed, func(a Address) bool { return a.SameSlot(fn.Address) }) {
			value = "downstream,multifunction" // the functions share a slot
		}
	}
	const risk = " The argument only claims that the devices are separate: the guest may reach the memory of the other devices."
	switch {
	case f.Running != nil && f.Running.Has("pcie_acs_override="+value):
		return "pcie_acs_override=" + value + " is in force but does not separate them."
	case f.hasOverride() || f.Kernel == "":
		return "As the last resort, " + f.Advise("pcie_acs_override="+value) + "." + risk
	}
	return "As the last resort, use a kernel with the ACS override patch, which Proxmox VE's kernels have and " + f.Kernel + " may lack, and " +
		f.Advise("pcie_acs_override="+value) + "." + risk
}

// The method "cause" names the bridge that makes the devices below it share a
// group, and the state of this bridge's Access Control Services.
func (f Facts) cause(e *SharedError) string {
	if e.Above == nil {
		return ""
	}
	bridge, _ := f.Function(*e.Above)
	acs := map[proxstation.Answer]string{proxstation.Yes: "has ACS, so a bridge below it lacks ACS", proxstation.No: "lacks ACS", proxstation.Unknown: "lacks ACS, unless a bridge below it does"}[bridge.ACS]
	return fmt.Sprintf("; these come together below the bridge %s, which %s", *e.Above, acs)
}

// checkTaken judges devices that are meant for guests. Such a device is on
// vfio-pci, or its model is in the ids of vfio-pci. checkTaken skips graphics
// cards, which are judged elsewhere.
func (f Facts) checkTaken() []proxstation.Finding {
	var found []proxstation.Finding
	var told []string
	ids := f.wantedIDs()
	meant := func(fn Function) bool { return fn.Driver == vfioPCI || slices.Contains(ids, fn.Model) }
	for _, fn := range f.Functions {
		if !meant(fn) || fn.VirtualOf != nil || fn.Class.Sub() == classPCIBridge || slices.Contains(told, fn.Address.Slot()) {
			continue
		}
		told = append(told, fn.Address.Slot())
		var passed []Address
		display := false
		for _, o := range f.Slot(fn.Address) {
			display = display || o.Class.IsDisplay()
			if meant(o) {
				passed = append(passed, o.Address)
			}
		}
		if !display {
			found = append(found, f.checkIsolation(passed)...)
			found = append(found, f.checkReserved(passed)...)
		}
	}
	return found
}

// wantedIDs returns the models that somebody reserved for guests: the ids of
// vfio-pci, and the ids in a misspelt argument.
func (f Facts) wantedIDs() []Model {
	ids, _ := f.modconf(false).effectiveIDs(f.vfioBuiltIn())
	for _, wrong := range f.misspelt() {
		if value, ok := strings.CutPrefix(wrong.right, idsArgument); ok {
			more, _ := parseIDs(value)
			ids = append(ids, more...)
		}
	}
	return ids
}
