// Package proxstation is an SDK for heavy workstation virtual machines on
// Proxmox VE: a macOS guest on the Intel iGPU, and a Windows and a Linux guest
// that take turns on one NVIDIA card.
//
// The work is done by its packages; this one holds no code:
//
//   - [github.com/proxstation/proxstation/iommu] tells the truth about the
//     host: PCI functions, IOMMU groups, interrupt remapping, boot loader; and
//     changes it as a plan with a way back.
//   - [github.com/proxstation/proxstation/gpu] finds graphics cards, says
//     which guest can use which, and reads and writes hostpci values.
//   - [github.com/proxstation/proxstation/storage] joins storages to the disks
//     under them, ranks them in tiers and places a VM's disks.
//   - [github.com/proxstation/proxstation/workstation] puts it together:
//     profiles, a plan, an apply that can be repeated, and the switch of a card
//     between VMs.
//   - [github.com/proxstation/proxstation/workstation/pvetest] is a Proxmox VE
//     node in your process, to test all of this and your own automation.
//
// Start with the programs below examples:
//
//	go run ./examples/dualboot
package proxstation
