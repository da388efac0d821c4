package gpu

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/iommu"
)

// A Claim lists the PCI devices of a node that a VM takes.
type Claim struct {
	VMID   int
	Values []HostPCI // in the order of their slots, hostpci0 first
	Keys   []string  // the key of each value, such as "hostpci0"; may be nil
	// ByArgs holds the devices that the VM's key "args" gives to QEMU. PVE does
	// not look at these devices and does not reserve them.
	ByArgs []HostPCI
	// UUID is the UUID that the VM's key "args" sets. It is empty if PVE sets
	// the VM's UUID. The driver of a vGPU tells VMs apart by their UUIDs.
	UUID string
	// Unread holds values that this package cannot read, with their keys:
	// "hostpci0: card0". The devices in these values are unknown.
	Unread []string
	OnBoot bool // the VM starts with the host
}

// A Conflict is a pair of VMs that cannot run at the same time: the second
// start fails.
type Conflict struct {
	// VMs holds the two VMIDs, the smaller first.
	VMs [2]int `json:"vms"`
	// Devices holds the functions that both VMs name. If Group is set, Devices
	// instead holds the functions of the group that the first VM or the second
	// VM names.
	Devices []iommu.Address `json:"devices"`
	// Group is the IOMMU group from which both VMs take a function. The kernel
	// only gives a whole group to a VM. PVE does not reserve groups, so the
	// second start fails only in QEMU.
	Group iommu.GroupID `json:"group"`
	// ByArgs says that one of the VMs names the devices in its key "args",
	// which PVE does not look at. The second start therefore fails in QEMU, or
	// takes the card from the first VM.
	ByArgs bool `json:"byArgs,omitempty"`
	// UUID is set if both VMs have mediated devices and set the same UUID in
	// their keys "args".
	UUID string `json:"uuid,omitempty"`
}

// String describes the conflict for people.
func (c Conflict) String() string {
	var devices []string
	for _, d := range c.Devices {
		devices = append(devices, d.String())
	}
	what := strings.Join(devices, ", ")
	if c.UUID != "" {
		what = "a mediated device under the UUID " + printable.Line(c.UUID)
	}
	if _, ok := c.Group.Int(); ok {
		what = fmt.Sprintf("parts of IOMMU group %s (%s)", c.Group, what)
	}
	return fmt.Sprintf("VMs %d and %d want %s", c.VMs[0], c.VMs[1], what)
}

// Conflicts finds the VMs of the node that cannot run at the same time, as
// pairs in the order of their VMIDs. Conflicts chooses among the alternatives
// of a mapping as PVE does: it goes through the hostpci values in order, and
// takes the first free alternative of each. Two mediated devices of one
// function do not conflict.
func (n Node) Conflicts(claims []Claim) []Conflict { return n.conflicts(claims, nil) }

// The method "conflicts" finds the conflicts of some VMs with all VMs. The
// parameter "about" holds the VMIDs of these VMs. If it is empty, the method
// finds all conflicts.
func (n Node) conflicts(claims []Claim, about []int) []Conflict {
	if len(about) > 0 && !slices.ContainsFunc(claims, func(c Claim) bool { return slices.Contains(about, c.VMID) }) {
		return nil
	}
	var known []resolved
	for _, c := range byVMID(claims) {
		known = append(known, n.resolve(c))
	}
	var conflicts []Conflict
	for i, a := range known {
		only := len(about) > 0 && !slices.Contains(about, a.VMID)
		for _, b := range known[i+1:] {
			if !only || slices.Contains(about, b.VMID) {
				conflicts = n.pair(conflicts, a, b)
			}
		}
	}
	return conflicts
}

// ConflictsOf finds the conflicts of one VM with the other VMs, by the rules of
// [Node.Conflicts]. Its time grows linearly with the number of claims.
func (n Node) ConflictsOf(vmid int, claims []Claim) []Conflict {
	return n.conflicts(claims, []int{vmid})
}

func byVMID(claims []Claim) []Claim {
	return slices.SortedFunc(slices.Values(claims), func(a, b Claim) int { return a.VMID - b.VMID })
}

// The method "pair" looks for a conflict of two VMs. It returns the list with
// this conflict added, or the same list if there is no conflict.
func (n Node) pair(conflicts []Conflict, a, b resolved) []Conflict {
	if !a.meets(b) {
		return conflicts
	}
	conflict, found := n.either(a, b)
	if !found {
		return conflicts
	}
	conflict.VMs = [2]int{a.VMID, b.VMID}
	conflict.ByArgs = n.byArgs(a.Claim, conflict) || n.byArgs(b.Claim, conflict)
	return append(conflicts, conflict)
}

// The method "either" returns the conflict of two VMs. It tries both orders of
// starting them. It prefers a conflict about a function to a conflict about a
// group.
func (n Node) either(a, b resolved) (Conflict, bool) {
	one, found := n.after(a, b)
	other, foundOther := n.after(b, a)
	switch {
	case !found || foundOther && hasGroupID(one) && !hasGroupID(other):
		return other, foundOther
	case foundOther && !hasGroupID(one) && !hasGroupID(other):
		one.Devices = union(one.Devices, other.Devices)
	}
	return one, true
}

// byArgs reports whether a VM gets one of a conflict's devices through its key
// "args".
func (n Node) byArgs(claim Claim, c Conflict) bool {
	return slices.ContainsFunc(claim.ByArgs, func(h HostPCI) bool {
		return slices.ContainsFunc(n.functions(h.Devices), func(a iommu.Address) bool { return slices.Contains(c.Devices, a) })
	})
}

func union(sets ...[]iommu.Address) []iommu.Address {
	all := slices.Concat(sets...)
	slices.SortFunc(all, iommu.Address.Compare)
	return slices.Compact(all)
}

func hasGroupID(c Conflict) bool { return c.Group != iommu.GroupID{} }

// The type "use" holds the functions that a VM has. The key is the function's
// address. The value is true for a mediated device of the function, and false
// for the whole function.
type use map[iommu.Address]bool // true means mediated

// The type "resolved" holds a claim and the functions of the node that the
// claim means.
type resolved struct {
	Claim
	choices []choice
	held    use // the functions that the VM has if it starts first
	// addresses and groups hold everything that the VM may get.
	addresses []iommu.Address
	groups    []iommu.GroupID
}

// The type "choice" holds what one hostpci value means: one set of functions,
// or several sets of which the VM gets one.
type choice struct {
	mediated     bool
	alternatives [][]iommu.Address
}

func (n Node) resolve(c Claim) resolved {
	r := resolved{Claim: c}
	for _, values := range [][]HostPCI{c.Values, c.ByArgs} {
		for _, h := range values {
			choice := choice{h.MDev != "", n.Resolve(h)}
			r.choices = append(r.choices, choice)
			for _, set := range choice.alternatives {
				r.addresses = append(r.addresses, set...)
			}
		}
	}
	for _, a := range r.addresses {
		if group := n.group(a); group != (iommu.GroupID{}) {
			r.groups = append(r.groups, group)
		}
	}
	r.held, _ = r.choose(nil)
	return r
}

// meets reports whether two VMs may get parts of the same function or group, or
// have the same UUID. VMs that do not meet have no conflict.
func (r resolved) meets(other resolved) bool {
	return r.UUID != "" && r.UUID == other.UUID ||
		slices.ContainsFunc(r.addresses, func(a iommu.Address) bool { return slices.Contains(other.addresses, a) }) ||
		slices.ContainsFunc(r.groups, func(g iommu.GroupID) bool { return slices.Contains(other.groups, g) })
}

// The method "after" returns the conflict that keeps the second VM from
// starting while the first VM runs.
func (n Node) after(first, second resolved) (Conflict, bool) {
	held := first.held
	wanted, taken := second.choose(held)
	switch mediated := func(h HostPCI) bool { return h.MDev != "" }; {
	case len(taken) > 0:
		return Conflict{Devices: union(taken)}, true
	case first.UUID != "" && first.UUID == second.UUID && slices.ContainsFunc(first.Values, mediated) && slices.ContainsFunc(second.Values, mediated):
		return Conflict{UUID: first.UUID}, true
	}
	for _, a := range slices.SortedFunc(maps.Keys(wanted), iommu.Address.Compare) {
		group := n.group(a)
		if (group == iommu.GroupID{}) {
			continue
		}
		var devices []iommu.Address
		for b, mediated := range held {
			if n.group(b) == group && !(mediated && wanted[a]) {
				devices = append(devices, b)
			}
		}
		if len(devices) == 0 {
			continue
		}
		for b := range wanted {
			if n.group(b) == group {
				devices = append(devices, b)
			}
		}
		return Conflict{Devices: union(devices), Group: group}, true
	}
	return Conflict{}, false
}

// The method "choose" returns the functions that a VM would get while the
// functions in "held" are in use. If the VM needs functions that are in use, it
// also returns these functions (choose_hostpci_devices in qemu-server
// PVE/QemuServer/PCI.pm).
func (r resolved) choose(held use) (got use, taken []iommu.Address) {
	got = use{}
	for _, choice := range r.choices {
		mediated, alternatives := choice.mediated, choice.alternatives
		inTheWay := func(a iommu.Address) bool {
			byOther, ok := held[a]
			_, own := got[a]
			return ok && !(mediated && byOther) || own && !mediated
		}
		free := slices.IndexFunc(alternatives, func(set []iommu.Address) bool { return !slices.ContainsFunc(set, inTheWay) })
		if free >= 0 {
			for _, a := range alternatives[free] {
				got[a] = mediated
			}
			continue
		}
		for _, a := range slices.Concat(alternatives...) {
			if byOther, ok := held[a]; ok && !(mediated && byOther) {
				taken = append(taken, a)
			}
		}
	}
	return got, taken
}
