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
	// Unread are hostpci values that this package cannot read, with their keys:
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
}

// String describes the conflict for people.
func (c Conflict) String() string {
	var devices []string
	for _, d := range c.Devices {
		devices = append(devices, d.String())
	}
	what := strings.Join(devices, ", ")
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
	claims = slices.SortedFunc(slices.Values(claims), func(a, b Claim) int { return a.VMID - b.VMID })
	var conflicts []Conflict
	for i, a := range claims {
		for _, b := range claims[i+1:] {
			conflict, found := n.either(a, b)
			if found {
				conflict.VMs = [2]int{a.VMID, b.VMID}
				conflicts = append(conflicts, conflict)
			}
		}
	}
	return conflicts
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
	if len(taken) > 0 {
		return Conflict{Devices: union(taken)}, true
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
	for _, h := range claim.Values {
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
// gpu.assigned-twice for a VM that names a device twice, gpu.shared-card and
// gpu.split-group for two VMs that cannot run together, and gpu.onboot-race
// where both start with the host.
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

// checkTwice finds functions that a VM's values name more than once.
func (n Node) checkTwice(claim Claim) []proxstation.Finding {
	var findings []proxstation.Finding
	seen := map[iommu.Address]bool{}
	for _, h := range claim.Values {
		alternatives := n.Resolve(h)
		if h.MDev != "" || len(alternatives) != 1 {
			continue
		}
		for _, a := range alternatives[0] {
			if seen[a] {
				findings = append(findings, proxstation.Finding{ID: "gpu.assigned-twice", Severity: proxstation.Blocker, Subject: fmt.Sprint("VM ", claim.VMID),
					Seen: fmt.Sprintf("device '%s' assigned more than once", a), Why: "the VM does not start", Fix: "remove " + h.String()})
			}
			seen[a] = true
		}
	}
	return findings
}
