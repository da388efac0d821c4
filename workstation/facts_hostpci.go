package workstation

import (
	"maps"
	"slices"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/handover"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// hostPCI returns the VM's hostpci values that can be read.
func (v VMFacts) hostPCI() []gpu.HostPCI { return v.claim(v.Config).Values }

// claim returns the devices that the VM takes with a configuration, including
// those named in args.
func (v VMFacts) claim(config map[string]string) gpu.Claim {
	claim := qmconf.Claim(v.ID, config)
	claim.OnBoot = v.Config["onboot"] == "1"
	return claim
}

// Cards returns the node's graphics cards.
func (f Facts) Cards() []gpu.Card { return gpu.Cards(f.IOMMU.Functions) }

// PCI returns the node's PCI devices and their mappings, as far as they were
// observed.
func (f Facts) PCI() gpu.Node {
	return gpu.Node{Name: f.Node, Functions: f.IOMMU.Functions, Mappings: f.Mappings}
}

// Claims returns which of the node's PCI devices the VMs on it take.
func (f Facts) Claims() []gpu.Claim {
	return f.claims(func(v VMFacts) map[string]string { return v.Config })
}

func (f Facts) claims(config func(VMFacts) map[string]string) []gpu.Claim {
	var claims []gpu.Claim
	for _, id := range slices.Sorted(maps.Keys(f.VMs)) {
		v := f.VMs[id]
		v.ID = id
		if !v.isOn(f.Node) {
			continue
		}
		if v.takesPCI(config(v)) {
			claims = append(claims, v.claim(config(v)))
		}
	}
	return claims
}

// host describes the devices of the host at the moment when a VM starts. By
// then the host has lost the devices of all VMs that run.
func (f Facts) host(starts int) handover.Host {
	h := handover.Host{PCI: f.PCI(), Disks: f.Disks, Ports: f.ports}
	for _, id := range slices.Sorted(maps.Keys(f.VMs)) {
		if v := f.VMs[id]; v.Running && v.isOn(f.Node) {
			config := v.now()
			if id == starts {
				config = v.Config
			}
			claim := v.claim(config)
			h.Gone = append(append(h.Gone, claim.Values...), claim.ByArgs...)
		}
	}
	return h
}

// This returns the devices that the VM takes from the host when it starts.
func (v VMFacts) takes() handover.VM {
	claim := v.claim(v.Config)
	return handover.VM{ID: v.ID, Name: v.String(), Values: slices.Concat(claim.Values, claim.ByArgs)}
}
