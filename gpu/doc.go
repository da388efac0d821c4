// Package gpu finds graphics cards and says which guest can use which.
//
// [Cards] makes cards of PCI functions, by class: a card that vfio-pci keeps
// is found like any other. [Card.Family] knows the generation, [Judge] says
// whether a guest's system has a driver for it, and [Ready] whether it can be
// handed over on this host.
//
// [HostPCI] reads and writes the hostpciN values of a VM's configuration,
// [Mapping] the resource mappings that such a value may name, and [Conflicts]
// finds the VMs of a node that cannot run together.
package gpu
