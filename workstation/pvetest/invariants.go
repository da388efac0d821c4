package pvetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Check returns an error for every state that must never occur, whatever a
// client did and whatever failed. These states are:
//
//   - two running VMs have the same PCI function
//   - a function is in use but not reserved
//   - a VM took a device that the host needs
//   - a disk belongs to no VM, or two VMs name it
//   - a VM names a disk that does not exist
//   - the content of a storage exceeds its size
func (n *Node) Check() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	var problems []error
	report := func(format string, args ...any) { problems = append(problems, fmt.Errorf("pvetest: "+format, args...)) }
	n.checkDevices(report)
	n.checkVolumes(report)
	return errors.Join(problems...)
}

func (n *Node) checkDevices(report func(string, ...any)) {
	owners := map[string]int{}
	for _, id := range sortedIDs(n.vms) {
		v := n.vms[id]
		for _, f := range v.devices {
			if other, twice := owners[f.Address]; twice {
				report("VMs %d and %d both run with %s", other, id, f.Address)
			}
			owners[f.Address] = id
			if r := n.reserved[f.Address]; r.vmid != id || r.pid != v.pid {
				report("VM %d runs with %s, which is reserved for VM %d", id, f.Address, r.vmid)
			}
		}
	}
	for _, address := range n.taken {
		report("the host has lost %s, which it runs on: it was in the IOMMU group of a VM's device", address)
	}
}

func (n *Node) checkVolumes(report func(string, ...any)) {
	named := map[string]string{}
	for _, id := range sortedIDs(n.vms) {
		config := n.vms[id].next()
		for _, key := range sorted(config) {
			d := parseDrive(config[key])
			if !isDrive(key) && !strings.HasPrefix(key, "unused") || !strings.Contains(d.volume, ":") {
				continue
			}
			s, name, there := n.volume(d.volume)
			switch {
			case !there && n.leftBehind(d.volume, id): // by a recovery
			case !there:
				report("VM %d has lost %s (%s)", id, key, d.volume)
			case s.volumes[name].VMID == 0: // an image may be in any number of VMs
			case named[d.volume] != "":
				report("%s is named by %s and by %s of VM %d", d.volume, named[d.volume], key, id)
			}
			named[d.volume] = fmt.Sprintf("%s of VM %d", key, id)
		}
	}
	belongs := n.namedVolumes()
	for _, id := range sorted(n.ownedVolumes()) {
		if !belongs[id] {
			report("%s is orphaned", id)
		}
	}
	for _, name := range sorted(n.storages) {
		if s := n.storages[name]; s.used() > s.Total {
			report("%s holds more than it can", name)
		}
	}
}

// leftBehind reports whether another node has a volume of a VM: the HA manager
// recovers a VM to a node that may lack the VM's local disks.
func (n *Node) leftBehind(volume string, vmid int) bool {
	return slices.ContainsFunc(n.peers, func(other *Node) bool {
		s, name, there := other.volume(volume)
		return there && other != n && s.volumes[name].VMID == vmid
	})
}

// namedVolumes returns the volumes that the VMs of all nodes name, snapshots
// included. A volume on a node may belong to a VM of another node: the storage
// is shared, the volume is a replica, or the VM was recovered.
func (n *Node) namedVolumes() map[string]bool {
	named := map[string]bool{}
	for _, of := range n.peers {
		for _, v := range of.vms {
			for _, value := range v.next() {
				named[parseDrive(value).volume] = true
			}
			for _, s := range v.snaps {
				for _, value := range s.config {
					named[parseDrive(value).volume] = true
				}
			}
		}
	}
	return named
}
