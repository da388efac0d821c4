// Package proxstation is an SDK for heavy workstation virtual machines on
// Proxmox VE: a macOS guest on the Intel iGPU, and a Windows and a Linux guest
// that take turns on one NVIDIA card.
//
// This package holds the vocabulary that all other packages share: judgements
// return a [Finding], probes return an [Answer], a [Secret] never shows its
// text, and a [GuestCommand] runs inside a guest. These packages do the work:
//
//   - [github.com/proxstation/proxstation/iommu] reads the host's PCI
//     functions, IOMMU groups, interrupt remapping and boot loader. It changes
//     the host by a plan that can be undone.
//   - [github.com/proxstation/proxstation/gpu] finds graphics cards, says
//     which guest can use which card, and reads and writes hostpci values.
//   - [github.com/proxstation/proxstation/storage] joins storages to the disks
//     under them, ranks them in tiers and places a VM's disks.
//   - [github.com/proxstation/proxstation/workstation] uses them all:
//     profiles, a plan, an apply that can be repeated, and the switch of a card
//     between VMs.
//   - [github.com/proxstation/proxstation/workstation/pvetest] is a Proxmox VE
//     node in your process, to test these packages and your own automation.
//
// Start with the programs in the directory examples:
//
//	go run ./examples/dualboot
package proxstation
