package pvetest

import (
	"errors"
	"fmt"
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
			case !there:
				report("VM %d has lost %s (%s)", id, key, d.volume)
			case s.volumes[name].VMID == 0: // an image may be in any number of VMs
			case named[d.volume] != "":
				report("%s is named by %s and by %s of VM %d", d.volume, named[d.volume], key, id)
			}
			named[d.volume] = fmt.Sprintf("%s of VM %d", key, id)
		}
		for _, s := range n.vms[id].snaps {
			for _, value := range s.config {
				named[parseDrive(value).volume] = "a snapshot"
			}
		}
	}
	for _, id := range sorted(n.ownedVolumes()) {
		if named[id] == "" {
			report("%s is orphaned", id)
		}
	}
	for _, name := range sorted(n.storages) {
		if s := n.storages[name]; s.used() > s.Total {
			report("%s holds more than it can", name)
		}
	}
}
