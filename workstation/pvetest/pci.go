package pvetest

import (
	"strings"
	"time"
)

// hardware holds the host's PCI functions, and the VM that has each.
type hardware struct {
	*base
	mappings map[string]*Mapping
	reserved map[string]reservation // by PCI address
	lost     map[string]bool        // functions that fell off the bus
	taken    []string               // functions that the host needed and a VM took
}

// A reservation gives a PCI function to a running process, or for some time to
// a VM that is about to start (/run/qemu-server/pci-id-reservations; the rules
// are those of qemu-server PVE/QemuServer/PCI.pm, reserve_pci_usage).
type reservation struct {
	vmid  int
	pid   int       // 0 while the VM starts
	until time.Time // of one without a process
}

// A printer adds a line to the log of the task that does the work.
type printer func(format string, args ...any)

// functions returns the PCI functions whose address begins with a text, as
// PVE does: all of a device if it names no function (pve-common
// PVE/SysFSTools.pm, lspci).
func (h *hardware) functions(address string) []PCI {
	var found []PCI
	for _, f := range h.host.PCI {
		if strings.HasPrefix(f.Address, address) || strings.HasPrefix(strings.TrimPrefix(f.Address, "0000:"), address) {
			found = append(found, f)
		}
	}
	return found
}

// groupOf returns the functions that are bound to vfio-pci together with a
// function: its whole IOMMU group except bridges.
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
