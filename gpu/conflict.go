package gpu

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

// A Claim is what one VM wants of a node's PCI devices.
type Claim struct {
	VMID   int
	Values []HostPCI // in the order of their slots, hostpci0 first
	Keys   []string  // the keys of Values, "hostpci0"; may be left out
	// ByArgs are devices that QEMU gets by the key args, of which PVE knows
	// nothing: it does not reserve them.
	ByArgs []HostPCI
	// UUID is the one that args give the VM, by which the driver of a vGPU tells
	// VMs apart; empty for PVE's own.
	UUID string
	// Unread are values that this package cannot read, with their keys:
	// "hostpci0: card0". Which devices they mean is not known.
	Unread []string
	OnBoot bool // the VM starts with the host
}

// A Conflict is an edge of the graph of VMs that cannot run together: whichever
// starts second, fails.
type Conflict struct {
	// VMs are the two, the smaller number first.
	VMs [2]int `json:"vms"`
	// Devices are the functions that both want, or if Group is set, the
	// functions of that group that one of them wants.
	Devices []iommu.Address `json:"devices"`
	// Group is the IOMMU group that both want a part of. The kernel gives it
	// to one VM as a whole, which PVE's reservations do not see: the second
	// start fails only in QEMU.
	Group iommu.GroupID `json:"group"`
	// ByArgs says that one of them has the devices by args, which PVE does not
	// see: the second start fails in QEMU, or takes the card from the first.
	ByArgs bool `json:"byArgs,omitempty"`
	// UUID is set where both have mediated devices and one UUID in args.
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
		what = "a mediated device under the UUID " + c.UUID
	}
	if _, ok := c.Group.Int(); ok {
		what = fmt.Sprintf("parts of IOMMU group %s (%s)", c.Group, what)
	}
	return fmt.Sprintf("VMs %d and %d want %s", c.VMs[0], c.VMs[1], what)
}

// Conflicts finds the VMs of the node that cannot run together, as pairs in the
// order of their numbers. Alternatives of a mapping are chosen as PVE does: the
// first that is free, in the order of the slots. Two mediated devices of one
// function do not conflict.
func (n Node) Conflicts(claims []Claim) []Conflict {
	claims = byVMID(claims)
	var conflicts []Conflict
	for i, a := range claims {
		for _, b := range claims[i+1:] {
			conflicts = n.pair(conflicts, a, b)
		}
	}
	return conflicts
}

// ConflictsOf finds the conflicts of one VM with the others, as
// [Node.Conflicts] does for all. The work grows with the number of claims, not
// with its square.
func (n Node) ConflictsOf(vmid int, claims []Claim) []Conflict {
	claims = byVMID(claims)
	i := slices.IndexFunc(claims, func(c Claim) bool { return c.VMID == vmid })
	if i < 0 {
		return nil
	}
	var conflicts []Conflict
	for _, a := range claims[:i] {
		conflicts = n.pair(conflicts, a, claims[i])
	}
	for _, b := range claims[i+1:] {
		conflicts = n.pair(conflicts, claims[i], b)
	}
	return conflicts
}

func byVMID(claims []Claim) []Claim {
	return slices.SortedFunc(slices.Values(claims), func(a, b Claim) int { return a.VMID - b.VMID })
}

// pair appends the conflict of two VMs, if they have one.
func (n Node) pair(conflicts []Conflict, a, b Claim) []Conflict {
	conflict, found := n.either(a, b)
	if !found {
		return conflicts
	}
	conflict.VMs = [2]int{a.VMID, b.VMID}
	conflict.ByArgs = n.byArgs(a, conflict) || n.byArgs(b, conflict)
	return append(conflicts, conflict)
}

// either reports what keeps one VM from starting while the other runs. That a
// function is taken says more than that its group is.
func (n Node) either(a, b Claim) (Conflict, bool) {
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

// byArgs reports whether a VM has one of a conflict's devices by its args.
func (n Node) byArgs(claim Claim, c Conflict) bool {
	return slices.ContainsFunc(claim.ByArgs, func(h HostPCI) bool {
		return slices.ContainsFunc(n.functions(h.Devices), func(a iommu.Address) bool { return slices.Contains(c.Devices, a) })
	})
}

func union(sets ...[]iommu.Address) []iommu.Address {
	return slices.Compact(slices.SortedFunc(slices.Values(slices.Concat(sets...)), iommu.Address.Compare))
}

func hasGroupID(c Conflict) bool { return c.Group != iommu.GroupID{} }

// A use says how a VM has a function: whole, or a mediated device of it.
type use map[iommu.Address]bool // true: mediated

// after reports what keeps the second VM from starting while the first runs.
func (n Node) after(first, second Claim) (Conflict, bool) {
	held, _ := n.choose(first, nil)
	wanted, taken := n.choose(second, held)
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

// choose takes the functions that a VM would get while others are in use, and
// returns those in use that it lacks (choose_hostpci_devices in qemu-server
// PVE/QemuServer/PCI.pm).
func (n Node) choose(claim Claim, held use) (got use, taken []iommu.Address) {
	got = use{}
	for _, h := range slices.Concat(claim.Values, claim.ByArgs) {
		mediated := h.MDev != ""
		inTheWay := func(a iommu.Address) bool {
			byOther, ok := held[a]
			_, own := got[a]
			return ok && !(mediated && byOther) || own && !mediated
		}
		alternatives := n.Resolve(h)
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

// CheckClaims judges the VMs of the node together. The IDs are
// gpu.hostpci-unread for a value that cannot be read as a whole,
// gpu.assigned-twice for a VM that names a device twice; gpu.shared-card,
// gpu.split-group, gpu.args-card and gpu.same-uuid for two VMs that cannot run
// together; and gpu.onboot-race where both start with the host.
func (n Node) CheckClaims(claims []Claim) []proxstation.Finding {
	var findings []proxstation.Finding
	onBoot := map[int]bool{}
	for _, c := range claims {
		onBoot[c.VMID] = c.OnBoot
		findings = append(findings, c.CheckUnread()...)
		findings = append(findings, n.checkTwice(c)...)
	}
	for _, c := range n.Conflicts(claims) {
		f := proxstation.Finding{ID: "gpu.shared-card", Severity: proxstation.Info, Subject: fmt.Sprintf("VMs %d and %d", c.VMs[0], c.VMs[1]), Seen: c.String(),
			Why: "they run one at a time: the start of the second fails with PCI device '…' already in use by VMID"}
		if hasGroupID(c) {
			f.ID, f.Severity = "gpu.split-group", proxstation.Warning
			f.Why = "the kernel gives an IOMMU group to one VM as a whole: PVE lets the second start and QEMU fails"
			f.Fix = "give both devices to one VM, or put one in a slot with a group of its own"
		}
		switch {
		case c.UUID != "":
			f.ID, f.Severity = "gpu.same-uuid", proxstation.Warning
			f.Why = "the vGPU driver tells VMs apart by their UUID: the second does not start"
			f.Fix = fmt.Sprintf("give VM %d a UUID of its own in its args: qm config %d shows them", c.VMs[1], c.VMs[1])
		case c.ByArgs:
			f.ID, f.Severity = "gpu.args-card", proxstation.Warning
			f.Why = "one of them has it by args, which PVE does not see: it starts the second VM all the same, and QEMU fails or the first VM loses its card"
			f.Fix = "give the card by a hostpci key instead of -device vfio-pci, so that PVE reserves it; until then never start both"
		}
		findings = append(findings, f)
		if onBoot[c.VMs[0]] && onBoot[c.VMs[1]] {
			f.ID, f.Severity = "gpu.onboot-race", proxstation.Warning
			f.Seen = "onboot: 1 on both, and " + f.Seen
			f.Why = "when the host starts, one of them has the card and the other's start fails"
			f.Fix = "set onboot on one of them only"
			findings = append(findings, f)
		}
	}
	return findings
}

// CheckUnread reports what could not be read of the VM's hostpci values. The ID
// is gpu.hostpci-unread.
func (c Claim) CheckUnread() []proxstation.Finding {
	var findings []proxstation.Finding
	subject := fmt.Sprint("VM ", c.VMID)
	for _, text := range c.Unread {
		findings = append(findings, proxstation.Finding{ID: "gpu.hostpci-unread", Severity: proxstation.Warning, Subject: subject, Seen: text,
			Why: "which PCI device the VM has is not known, so a conflict with another VM can be missed",
			Fix: fmt.Sprintf("correct the value: qm config %d shows it, qm set %d changes it", c.VMID, c.VMID)})
	}
	for _, h := range c.Values {
		if len(h.Unread) > 0 {
			findings = append(findings, proxstation.Finding{ID: "gpu.hostpci-unread", Severity: proxstation.Warning, Subject: subject,
				Seen: fmt.Sprintf("%s, of which %s is not understood", h, strings.Join(h.Unread, " and ")),
				Why:  "PVE starts no VM whose hostpci value has a part that it does not know; its device is taken into account all the same",
				Fix:  fmt.Sprintf("correct the value, unless this PVE is newer than the program: qm config %d shows it, qm set %d changes it", c.VMID, c.VMID)})
		}
	}
	return findings
}

// fixTwice says how to take the value away that names a device again.
func (c Claim) fixTwice(i int, h HostPCI) string {
	switch {
	case i < len(c.Keys):
		return fmt.Sprintf("take %s away (%s): qm set %d --delete %s", c.Keys[i], h, c.VMID, c.Keys[i])
	case i < len(c.Values):
		return "remove " + h.String()
	}
	return fmt.Sprintf("take -device vfio-pci with %s out of the line args of /etc/pve/qemu-server/%d.conf", h, c.VMID)
}

// checkTwice finds functions that a VM's values name more than once.
func (n Node) checkTwice(claim Claim) []proxstation.Finding {
	var findings []proxstation.Finding
	seen := map[iommu.Address]bool{}
	for i, h := range slices.Concat(claim.Values, claim.ByArgs) {
		alternatives := n.Resolve(h)
		if h.MDev != "" || len(alternatives) != 1 {
			continue
		}
		for _, a := range alternatives[0] {
			if seen[a] {
				findings = append(findings, proxstation.Finding{ID: "gpu.assigned-twice", Severity: proxstation.Blocker, Subject: fmt.Sprint("VM ", claim.VMID),
					Seen: fmt.Sprintf("device '%s' assigned more than once", a), Why: "the VM does not start", Fix: claim.fixTwice(i, h)})
			}
			seen[a] = true
		}
	}
	return findings
}
