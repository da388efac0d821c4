package workstation

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
)

// PCI classes of the controllers that a host needs itself (PCI Code and ID
// Assignment Specification).
const (
	storageClass = 0x01
	networkClass = 0x02
	nvmeClass    = 0x0108
)

// checkDevices judges the devices of the host that a VM will have. A start
// takes the whole IOMMU group of each device from the host. If the VM already
// has a device today, checkDevices only warns.
func (d *differ) checkDevices(vm VM, have, will map[string]string) {
	before := d.facts.hostDevices(vm.ID, have)
	for _, f := range d.facts.hostDevices(vm.ID, will) {
		if f.Severity == proxstation.Blocker && slices.Contains(before, f) {
			f.Severity, f.Why = proxstation.Warning, "It is so today. "+f.Why
		}
		d.find(f)
	}
}

// hostDevices says which devices that the host needs a VM with a configuration
// takes, by themselves or with their group.
func (f Facts) hostDevices(vmid int, config map[string]string) []proxstation.Finding {
	claim := VMFacts{ID: vmid}.claim(config)
	node, given := f.PCI(), map[iommu.Address]bool{}
	for _, h := range slices.Concat(claim.Values, claim.ByArgs) {
		for _, a := range slices.Concat(node.Resolve(h)...) {
			given[a] = h.MDev == ""
		}
	}
	var findings []proxstation.Finding
	for _, fn := range f.IOMMU.Functions {
		with, taken := f.takenWith(fn, given)
		if !taken || fn.Class.IsBridge() {
			continue
		}
		finding := proxstation.Finding{ID: "workstation.host-device", Severity: proxstation.Warning, Subject: fmt.Sprint("VM ", vmid), Seen: fmt.Sprintf("%s (%s)", fn.Address, cmp.Or(fn.Name, fn.Model.String())),
			Fix: fmt.Sprintf("Leave it with the host: qm config %d shows the hostpci keys; pvesh get /nodes/%s/hardware/pci shows every device with its group.", vmid, f.Node)}
		if with != fn.Address {
			finding.Seen += fmt.Sprintf(" is in IOMMU group %s with %s", fn.Group, with)
		}
		switch disks, sure := f.disksOn(fn); {
		case len(disks) > 0:
			finding.ID, finding.Why = "workstation.host-disk", "The host loses "+strings.Join(disks, ", ")+" when the VM starts, and with it what lies there."
			if sure {
				finding.Severity = proxstation.Blocker
			} else {
				finding.Why = "If that is the controller of " + strings.Join(disks, ", ") + ", the host loses them when the VM starts: no API tells which disk is on which controller."
			}
		case fn.Class.Base() == networkClass:
			finding.Why = "The host loses this network card when the VM starts, and with it perhaps the way to it."
		case with != fn.Address && !given[fn.Address] && !f.ofCard(fn.Address, with):
			finding.Why = "PVE takes the whole group from the host when the VM starts, this device too."
		default:
			continue
		}
		findings = append(findings, finding)
	}
	return findings
}

// takenWith returns the given function because of which a function is taken:
// itself, or a function of its group.
func (f Facts) takenWith(fn iommu.Function, given map[iommu.Address]bool) (with iommu.Address, taken bool) {
	if given[fn.Address] {
		return fn.Address, true
	}
	if _, grouped := fn.Group.Int(); !grouped {
		return with, false
	}
	i := slices.IndexFunc(f.IOMMU.Functions, func(other iommu.Function) bool { return given[other.Address] && other.Group == fn.Group })
	if i < 0 {
		return with, false
	}
	return f.IOMMU.Functions[i].Address, true
}

// ofCard reports whether two functions belong to one graphics card, as a
// display and its audio do.
func (f Facts) ofCard(a, with iommu.Address) bool {
	_, card := gpu.CardAt(f.IOMMU.Functions, with)
	return card && a.SameSlot(with)
}

// disksOn returns the host's disks that may be on a controller. sure is true if
// the host has no other controller of that kind.
func (f Facts) disksOn(fn iommu.Function) (disks []string, sure bool) {
	nvme := fn.Class.Sub() == nvmeClass
	if fn.Class.Base() != storageClass {
		return nil, false
	}
	for _, disk := range f.Disks {
		elsewhere := slices.Contains([]storage.Bus{storage.USB, storage.Network, storage.MMC}, disk.Bus)
		if (disk.Bus == storage.NVMe) == nvme && !elsewhere {
			disks = append(disks, disk.Path)
		}
	}
	controllers := 0
	for _, other := range f.IOMMU.Functions {
		if (other.Class.Sub() == nvmeClass) == nvme && other.Class.Base() == storageClass {
			controllers++
		}
	}
	return disks, controllers == 1 || nvme && len(disks) >= controllers
}
