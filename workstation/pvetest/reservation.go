package pvetest

import (
	"fmt"
	"time"
)

// A reservation says who has a PCI function: a running process, or for some
// time a VM that is about to start (/run/qemu-server/pci-id-reservations; the
// rules are those of qemu-server PVE/QemuServer/PCI.pm, reserve_pci_usage).
type reservation struct {
	vmid  int
	pid   int       // 0 while the VM starts
	until time.Time // of one without a process
}

// chooseTimeout is how long an alternative is kept for a start.
const chooseTimeout = 15 * time.Second

// reserve keeps functions for a VM that starts, all or none, or says who has
// one of them.
func (n *Node) reserve(v *vm, t *task, addresses []string, until time.Time) string {
	for _, address := range addresses {
		r, taken := n.reserved[address]
		if !taken || r.vmid == v.id {
			continue
		}
		other := n.vms[r.vmid]
		switch {
		case r.pid == 0 && r.until.After(n.now):
			return fmt.Sprintf("PCI device '%s' is currently reserved for use by VMID '%d'", address, r.vmid)
		case r.pid == 0:
		case other != nil && other.running && other.pid == r.pid:
			return fmt.Sprintf("PCI device '%s' already in use by VMID '%d'", address, r.vmid)
		case t != nil:
			t.say("leftover PCI reservation found for %s, lets take it...", address)
		}
	}
	for _, address := range addresses {
		n.reserved[address] = reservation{vmid: v.id, until: until}
	}
	return ""
}

// settle makes a VM's reservations those of its process.
func (n *Node) settle(v *vm) {
	for _, f := range v.devices {
		n.reserved[f.Address] = reservation{vmid: v.id, pid: v.pid}
	}
}

// unreserve gives back everything that is reserved for a VM.
func (n *Node) unreserve(vmid int) {
	for address, r := range n.reserved {
		if r.vmid == vmid {
			delete(n.reserved, address)
		}
	}
}
