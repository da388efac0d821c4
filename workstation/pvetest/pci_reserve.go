package pvetest

import (
	"time"
)

// chooseTimeout is the time for which a start reserves the alternative that it
// chose.
const chooseTimeout = 15 * time.Second

// The method "reserve" reserves all given functions for a VM that starts. If
// another VM has one of these functions, nothing is reserved, and the error
// names the other VM.
func (h *hardware) reserve(v *vm, say printer, addresses []string, until time.Time) error {
	for _, address := range addresses {
		r, taken := h.reserved[address]
		if !taken || r.vmid == v.id {
			continue
		}
		other := h.vms[r.vmid]
		switch {
		case r.pid == 0 && r.until.After(h.now):
			return refuse("PCI device '%s' is currently reserved for use by VMID '%d'", address, r.vmid)
		case r.pid == 0:
		case other != nil && other.running && other.pid == r.pid:
			return refuse("PCI device '%s' already in use by VMID '%d'", address, r.vmid)
		default:
			say("leftover PCI reservation found for %s, lets take it...", address)
		}
	}
	for _, address := range addresses {
		h.reserved[address] = reservation{vmid: v.id, until: until}
	}
	return nil
}

// The method "settle" assigns a VM's reservations to the VM's process.
func (h *hardware) settle(v *vm) {
	for _, f := range v.devices {
		h.reserved[f.Address] = reservation{vmid: v.id, pid: v.pid}
	}
}

// unreserve removes all reservations of a VM.
func (h *hardware) unreserve(vmid int) {
	for address, r := range h.reserved {
		if r.vmid == vmid {
			delete(h.reserved, address)
		}
	}
}
