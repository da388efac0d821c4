package gpu

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/iommu"
)

// A Claim is what one VM wants of a node's PCI devices.
type Claim struct {
	VMID    int
	Values  []HostPCI
	OnBoot  bool // the VM starts with the host
	Running bool
}

// A Conflict is a PCI device that several VMs want, so that at most one of
// them can run.
type Conflict struct {
	// Devices are the functions in question, in order.
	Devices []iommu.Address
	// VMs are those that want them, in order.
	VMs []int
	// Group is set if no function is wanted twice, but functions of one IOMMU
	// group, which goes to one VM as a whole.
	Group bool
}

// String describes the conflict for people.
func (c Conflict) String() string {
	var devices, vms []string
	for _, d := range c.Devices {
		devices = append(devices, d.String())
	}
	for _, id := range c.VMs {
		vms = append(vms, fmt.Sprint(id))
	}
	what := strings.Join(devices, ", ")
	if c.Group {
		what = "one IOMMU group (" + what + ")"
	}
	return fmt.Sprintf("VMs %s want %s", strings.Join(vms, ", "), what)
}

// Resolve returns the functions that a hostpci value means on a node, whatever
// the way it names them: short and long addresses, whole devices, mappings. A
// mapping that is not known means nothing.
func Resolve(h HostPCI, node string, mappings []Mapping, functions []iommu.Function) []iommu.Address {
	devices := h.Devices
	for _, m := range mappings {
		if e, ok := m.On(node); ok && h.Mapping != "" && m.ID == h.Mapping {
			devices = e.Devices
		}
	}
	var found []iommu.Address
	for _, d := range devices {
		known := false
		for _, f := range functions {
			if d.Covers(f.Address) {
				found, known = append(found, f.Address), true
			}
		}
		if !known { // not among the functions: still a device that two VMs can want
			found = append(found, d.Address)
		}
	}
	slices.SortFunc(found, iommu.Address.Compare)
	return slices.Compact(found)
}

// Conflicts finds the VMs of a node that cannot run together. Pure.
func Conflicts(node string, claims []Claim, mappings []Mapping, functions []iommu.Function) []Conflict {
	wanted := map[iommu.Address][]int{}
	grouped := map[iommu.GroupID]map[int][]iommu.Address{}
	groups := map[iommu.Address]iommu.GroupID{}
	for _, f := range functions {
		groups[f.Address] = f.Group
	}
	for _, claim := range claims {
		for _, h := range claim.Values {
			for _, a := range Resolve(h, node, mappings, functions) {
				if !slices.Contains(wanted[a], claim.VMID) {
					wanted[a] = append(wanted[a], claim.VMID)
				}
				if g := groups[a]; g != (iommu.GroupID{}) {
					if grouped[g] == nil {
						grouped[g] = map[int][]iommu.Address{}
					}
					grouped[g][claim.VMID] = append(grouped[g][claim.VMID], a)
				}
			}
		}
	}
	conflicts := sharedDevices(wanted)
	for _, byVM := range grouped {
		conflicts = append(conflicts, sharedGroup(byVM, wanted)...)
	}
	slices.SortFunc(conflicts, func(a, b Conflict) int {
		return cmp.Or(a.Devices[0].Compare(b.Devices[0]), slices.Compare(a.VMs, b.VMs))
	})
	return conflicts
}

// sharedDevices gathers the functions that the same VMs want.
func sharedDevices(wanted map[iommu.Address][]int) []Conflict {
	byVMs := map[string]*Conflict{}
	for _, a := range slices.SortedFunc(maps.Keys(wanted), iommu.Address.Compare) {
		vms := slices.Sorted(slices.Values(wanted[a]))
		if len(vms) < 2 {
			continue
		}
		key := fmt.Sprint(vms)
		if byVMs[key] == nil {
			byVMs[key] = &Conflict{VMs: vms}
		}
		byVMs[key].Devices = append(byVMs[key].Devices, a)
	}
	var conflicts []Conflict
	for _, c := range byVMs {
		conflicts = append(conflicts, *c)
	}
	return conflicts
}

// sharedGroup reports VMs that want different functions of one group.
func sharedGroup(byVM map[int][]iommu.Address, wanted map[iommu.Address][]int) []Conflict {
	if len(byVM) < 2 {
		return nil
	}
	c := Conflict{Group: true, VMs: slices.Sorted(maps.Keys(byVM))}
	for _, addresses := range byVM {
		for _, a := range addresses {
			if len(wanted[a]) > 1 {
				return nil // reported as a shared device
			}
			c.Devices = append(c.Devices, a)
		}
	}
	slices.SortFunc(c.Devices, iommu.Address.Compare)
	return []Conflict{c}
}

// Races returns a finding for every conflict of which two VMs start with the
// host: whichever is first has the card, the other fails to start.
func Races(conflicts []Conflict, claims []Claim) []Finding {
	var findings []Finding
	for _, c := range conflicts {
		var booting []string
		for _, claim := range claims {
			if claim.OnBoot && slices.Contains(c.VMs, claim.VMID) {
				booting = append(booting, fmt.Sprint(claim.VMID))
			}
		}
		if len(booting) > 1 {
			findings = append(findings, Finding{
				ID: "gpu.onboot-race", Severity: Warning, Subject: "VMs " + strings.Join(booting, ", "),
				Seen: "onboot: 1 on each, and " + c.String(), Why: "at boot one of them gets the card by chance, the others fail to start",
				Fix: "set onboot on one of them only",
			})
		}
	}
	return findings
}
