package workstation

import (
	"slices"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/macos"
)

// checkOSK removes from args the key that macOS reads from the system
// management controller (SMC). It returns the configuration without the key,
// and the key by itself. The key of the Spec comes first. If the Spec has no
// key, the VM keeps its key.
func (d *differ) checkOSK(vm VM, config map[string]string, have string) (hidden map[string]string, osk proxstation.Secret) {
	args := config["args"]
	osk = vm.OSK
	for _, known := range []string{args, have} {
		if osk.IsZero() {
			osk = proxstation.NewSecret(macos.OSK(known))
		}
	}
	args = macos.HideOSK(args)
	if !macos.OSKHidden(args) {
		return config, proxstation.Secret{}
	}
	if osk.IsZero() {
		d.problems.add(vm, "osk", "", "macOS does not boot without the key of its system management controller: read the key from a Mac of yours, and give it (osk: on the page of homelab, MACOS_OSK for examples/macos)")
	}
	return withValue(config, "args", args), osk
}

// This adds the findings about macOS VMs that the plan makes or changes.
func (d *differ) macOS(after Facts) {
	for _, vm := range d.spec.VMs {
		if !vm.Guest.IsMacOS() || !d.plans(vm.ID) {
			continue
		}
		c := macos.Change{VM: vm.ID, Guest: vm.Guest, Machine: d.facts.VMs[vm.ID].Config["machine"], Config: after.VMs[vm.ID].Config, Notes: vm.Notes, HostCPU: d.facts.CPU}
		c.Card = d.cardOf(c.Config)
		if pool, _ := d.facts.pool(d.chosen[diskName(vm.ID, macos.OpenCoreSlot)].Pool); pool.Type == "lvmthin" {
			c.Thin = pool.Name
		}
		d.plan.Findings = append(d.plan.Findings, c.Check()...)
	}
}

// cardOf returns the first card of the node that a VM has.
func (d *differ) cardOf(config map[string]string) gpu.Card {
	for _, h := range (VMFacts{Config: config}).hostPCI() {
		for _, a := range slices.Concat(d.node().Resolve(h)...) {
			if card, ok := gpu.CardAt(d.facts.IOMMU.Functions, a); ok {
				return card
			}
		}
	}
	return gpu.Card{}
}
