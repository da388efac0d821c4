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
//
// On a shared storage, the disks of all nodes' VMs count.
func (n *Node) Check() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.advance()
	return n.check(n.naming())
}

// The method "check" looks for the states that [Node.Check] describes. The
// parameter "named" holds the disks that the configurations of all VMs name.
func (n *Node) check(named naming) error {
	var problems []error
	report := func(format string, args ...any) { problems = append(problems, fmt.Errorf("pvetest: "+format, args...)) }
	n.checkDevices(report)
	n.checkVolumes(report, named)
	n.checkStorages(report, named)
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

// checkVolumes checks the disks that the node's VMs name.
func (n *Node) checkVolumes(report func(string, ...any), named naming) {
	for _, id := range sortedIDs(n.vms) {
		config := n.vms[id].next()
		for _, key := range sorted(config) {
			d := parseDrive(config[key])
			if !isDrive(key) && !strings.HasPrefix(key, "unused") || !strings.Contains(d.volume, ":") {
				continue
			}
			s, name, there := n.volume(d.volume)
			switch {
			case !there && n.leftBehind(d.volume, id): // a recovery left the volume on another node
			case !there:
				report("VM %d has lost %s (%s)", id, key, d.volume)
			case s.volumes[name].VMID == 0: // any number of VMs may use an image
			default:
				places, here := named.places[s.volumes[name]], fmt.Sprintf("%s of VM %d", key, id)
				if len(places) > 1 && places[0] != here {
					report("%s is named by %s and by %s", d.volume, places[0], here)
				}
			}
		}
	}
}

// checkStorages checks the content of the node's storages. A volume may belong
// to a VM of another node in three cases: the storage is shared, the volume is
// a replica, or the HA manager recovered the VM to the other node and left the
// volume behind.
func (n *Node) checkStorages(report func(string, ...any), named naming) {
	for _, id := range sorted(n.ownedVolumes()) {
		if !named.ids[id] {
			report("%s is orphaned", id)
		}
	}
	for _, name := range sorted(n.storages) {
		if s := n.storages[name]; s.used() > s.Total {
			report("%s holds more than it can", name)
		}
	}
}

// A naming holds the disks that the configurations of all nodes' VMs name.
type naming struct {
	places map[*Volume][]string // such as "scsi0 of VM 140", in order
	ids    map[string]bool
}

func (d *datacenter) naming() naming {
	named := naming{map[*Volume][]string{}, map[string]bool{}}
	add := func(n *Node, value, place string) {
		id := parseDrive(value).volume
		named.ids[id] = true
		if s, name, there := n.volume(id); there && place != "" {
			named.places[s.volumes[name]] = append(named.places[s.volumes[name]], place)
		}
	}
	for _, n := range d.peers {
		for _, id := range sortedIDs(n.vms) {
			v := n.vms[id]
			config := v.next()
			for _, key := range sorted(config) {
				add(n, config[key], fmt.Sprintf("%s of VM %d", key, id))
			}
			for _, s := range v.snaps {
				for _, value := range s.config {
					add(n, value, "")
				}
			}
		}
	}
	return named
}

// leftBehind reports whether another node has a volume of a VM. The HA manager
// may recover a VM to a node that lacks the VM's local disks.
func (n *Node) leftBehind(volume string, vmid int) bool {
	return slices.ContainsFunc(n.peers, func(other *Node) bool {
		s, name, there := other.volume(volume)
		return there && other != n && s.volumes[name].VMID == vmid
	})
}
