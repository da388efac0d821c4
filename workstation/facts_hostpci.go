package workstation

import (
	"maps"
	"slices"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// HostPCI returns the VM's hostpci values. Values that this package cannot
// read are left out.
func (v VMFacts) HostPCI() []gpu.HostPCI { return hostPCI(v.Config) }

func hostPCI(config map[string]string) []gpu.HostPCI {
	var values []gpu.HostPCI
	for _, key := range slices.Sorted(maps.Keys(config)) {
		if qmconf.Family(key) == "hostpci" {
			if h, err := gpu.ParseHostPCI(config[key]); err == nil {
				values = append(values, h)
			}
		}
	}
	return values
}

// Cards returns the node's graphics cards.
func (f Facts) Cards() []gpu.Card { return gpu.Cards(f.IOMMU.Functions) }

// PCI returns what is known of the node's PCI devices and their mappings.
func (f Facts) PCI() gpu.Node {
	return gpu.Node{Name: f.Node, Functions: f.IOMMU.Functions, Mappings: f.Mappings}
}

// Claims returns what the node's VMs want of its PCI devices.
func (f Facts) Claims() []gpu.Claim {
	return f.claims(func(v VMFacts) map[string]string { return v.Config })
}

func (f Facts) claims(config func(VMFacts) map[string]string) []gpu.Claim {
	var claims []gpu.Claim
	for _, id := range slices.Sorted(maps.Keys(f.VMs)) {
		v := f.VMs[id]
		if values := hostPCI(config(v)); len(values) > 0 {
			claims = append(claims, gpu.Claim{VMID: id, Values: values, OnBoot: v.Config["onboot"] == "1"})
		}
	}
	return claims
}
