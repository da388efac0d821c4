package pvetest

import (
	"strings"
	"time"
)

// hardware holds the host's PCI functions, and records which VM has which
// function.
type hardware struct {
	*base
	reserved map[string]reservation // reservations, by PCI address
	lost     map[string]bool        // functions that fell off the bus
	taken    []string               // functions that a VM took although the host needs them
}

// A reservation assigns a PCI function to a running process, or to a VM that is
// about to start (/run/qemu-server/pci-id-reservations). Reservations follow
// the rules of qemu-server PVE/QemuServer/PCI.pm, reserve_pci_usage.
type reservation struct {
	vmid  int
	pid   int       // ID of the process; 0 while the VM starts
	until time.Time // end of a reservation that has no pid
}

// A printer adds a line to the log of the current task.
type printer func(format string, args ...any)

// The method "functions" returns the PCI functions whose address begins with a
// text. An address without a function number therefore means all functions of
// the device, as in PVE (pve-common PVE/SysFSTools.pm, lspci).
func (h *hardware) functions(address string) []PCI {
	var found []PCI
	for _, f := range h.host.PCI {
		if strings.HasPrefix(f.Address, address) || strings.HasPrefix(strings.TrimPrefix(f.Address, "0000:"), address) {
			found = append(found, f)
		}
	}
	return found
}

// groupOf returns the functions that must be bound to vfio-pci together with a
// function. These are all functions of its IOMMU group except bridges.
func (h *hardware) groupOf(f PCI) []PCI {
	var members []PCI
	for _, other := range h.host.PCI {
		if other.Group == f.Group && f.Group >= 0 && other.Class>>8 != 0x0604 {
			members = append(members, other)
		}
	}
	return members
}

func addresses(functions []PCI) []string {
	var list []string
	for _, f := range functions {
		list = append(list, f.Address)
	}
	return list
}
