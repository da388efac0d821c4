// Package gpu finds graphics cards, says which guest can use which card, and
// reads and writes what Proxmox VE (PVE) is told about them.
//
// It does no I/O. Functions come from [iommu.Read] on the host itself or from
// the PVE API; what the API does not tell stays unknown and is never guessed.
//
//   - Cards: [Cards] makes them of PCI functions, by class: a card that
//     vfio-pci keeps is found like any other. [FamilyOf] knows generations by
//     PCI number, [Family.IGD] what an Intel iGPU takes to be a guest's display.
//   - Judging: [Judge] says whether a guest's system can use a card, and why;
//     [Ready] whether the card can be handed over on this host, as findings.
//   - Values: [HostPCI] is a hostpciN value of a VM's configuration,
//     [CheckRules] refuses the combinations that PVE refuses, [Mapping] is a
//     cluster's resource mapping.
//   - Identity: a [Node] knows that "01:00", "0000:01:00.0" and a mapping are
//     the same card. [Node.Check] judges a value, [Node.Drift] a mapping, and
//     [Node.Conflicts] finds the VMs that cannot run together.
//
// # Files
//
// card.go, family.go, family_ids.go and igd.go hold what cards are; guest.go,
// verdict.go and macos.go which guest can use them; ready.go, place.go and reset.go
// judge a card on its host. device.go, hostpci.go and rules.go are PVE's values,
// mapping.go and drift.go its mappings, node.go, check.go and conflict.go put
// values and devices together.
package gpu
