// Package gpu finds graphics cards, says which guest can use which card, and
// reads and writes the values with which Proxmox VE (PVE) passes cards through.
//
// It does no I/O. Functions come from [iommu.Read] on the host itself, or from
// the PVE API. Facts that the API does not give stay unknown and are never
// guessed.
//
//   - Cards: [Cards] finds cards by the PCI class of their functions, also when
//     vfio-pci holds a card. [FamilyOf] returns the generation for a PCI number,
//     and [Family.IGD] says what an Intel iGPU needs to be a guest's display.
//   - Judging: [Judge] says whether a guest's system can use a card, and why;
//     [Ready] reports what keeps a host from handing the card over.
//   - Values: [HostPCI] is a hostpciN value of a VM's configuration,
//     [CheckRules] reports the combinations that PVE refuses, [Mapping] is a
//     cluster's resource mapping.
//   - Identity: a [Node] recognises that "01:00", "0000:01:00.0" and a mapping can
//     be the same card. [Node.Check] judges a value, [Node.Drift] a mapping, and
//     [Node.Conflicts] finds the VMs that cannot run at the same time.
//
// # Files
//
// card.go, family.go, family_ids.go and igd.go describe cards. guest.go,
// verdict.go and macos.go say which guest can use a card. ready.go, place.go
// and reset.go judge a card on its host. device.go, hostpci.go and rules.go
// hold PVE's values, and mapping.go and drift.go hold PVE's mappings. node.go,
// check.go and conflict.go relate values to devices.
package gpu
