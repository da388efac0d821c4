package pvetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// A hostpci is one passed-through device of a configuration: its options, and
// the devices of which it gets the first that is free.
type hostpci struct {
	slot         int
	keys         map[string]string
	alternatives [][]PCI
}

// multifunction reports whether any alternative has several functions.
func (h hostpci) multifunction() bool {
	return slices.ContainsFunc(h.alternatives, func(a []PCI) bool { return len(a) > 1 })
}

// hostPCI reads the devices of a configuration by PVE's rules (qemu-server
// PVE/QemuServer/PCI.pm, parse_hostpci_devices).
func (n *Node) hostPCI(config map[string]string) (devices []hostpci, problem string) {
	igd := false
	for slot := range 16 {
		value := config["hostpci"+text(slot)]
		if value == "" {
			continue
		}
		h, problem := n.parseHostPCI(slot, value)
		if problem == "" {
			problem = forbidden(h, config, igd)
		}
		if problem != "" {
			return nil, problem
		}
		igd = igd || h.keys["legacy-igd"] == "1"
		devices = append(devices, h)
	}
	return devices, ""
}

func (n *Node) parseHostPCI(slot int, value string) (h hostpci, problem string) {
	keys, err := pveschema.ParseProperties("pve-qm-hostpci", value)
	if err != nil {
		return h, err.Error()
	}
	h = hostpci{slot: slot, keys: keys}
	host, mapping := keys["host"], keys["mapping"]
	var paths []string
	switch {
	case host != "" && mapping != "":
		return h, "Cannot set both 'host' and 'mapping'."
	case mapping != "":
		if paths, problem = n.mapped(mapping); problem != "" {
			return h, problem
		}
	case host != "":
		paths = []string{host}
	default:
		return h, "Either 'host' or 'mapping' must be set."
	}
	for _, path := range paths {
		var found []PCI
		for address := range strings.SplitSeq(path, ";") {
			functions := n.functions(address)
			if len(functions) == 0 {
				return h, fmt.Sprintf("no PCI device found for '%s'", address)
			}
			found = append(found, functions...)
		}
		if len(found) > 1 && keys["mdev"] != "" {
			return h, "cannot use mediated device with multifunction device"
		}
		h.alternatives = append(h.alternatives, found)
	}
	return h, ""
}

// forbidden returns PVE's refusal of a combination of options.
func forbidden(h hostpci, config map[string]string, igd bool) string {
	q35 := strings.Contains(config["machine"], "q35")
	if h.keys["pcie"] == "1" && !q35 {
		// without a line feed in the source, so that Perl adds where it was
		return "q35 machine model is not enabled at /usr/share/perl5/PVE/QemuServer/PCI.pm line 510."
	}
	if h.keys["legacy-igd"] != "1" {
		return ""
	}
	switch {
	case igd:
		return "only one device can be assigned in legacy-igd mode"
	case config["vga"] != "none":
		return "legacy IGD assignment requires VGA mode to be 'none'"
	case h.keys["rombar"] == "0":
		return "legacy IGD assignment requires rombar to be enabled"
	case h.keys["x-vga"] == "1":
		return "legacy IGD assignment is not compatible with x-vga"
	case h.keys["mdev"] != "":
		return "legacy IGD assignment is not compatible with mdev"
	case q35:
		return "legacy IGD assignment is not compatible with q35"
	case h.multifunction():
		return "legacy IGD assignment is not compatible with multifunction devices"
	case len(h.alternatives) > 1:
		return "legacy IGD assignment is not compatible with alternate devices"
	case !strings.HasSuffix(h.alternatives[0][0].Address, "02.0"):
		return "legacy IGD assignment only works for devices on host bus 00:02.0"
	}
	return ""
}

// choose picks one alternative for each device: the only one, or the first
// that can be reserved.
func (n *Node) choose(v *vm, t *task, devices []hostpci) (chosen []PCI, problem string) {
	used := map[string]bool{}
	for _, h := range devices {
		pick := h.alternatives[0]
		if len(h.alternatives) > 1 {
			i := slices.IndexFunc(h.alternatives, func(a []PCI) bool {
				return !slices.ContainsFunc(a, func(f PCI) bool { return used[f.Address] }) &&
					n.reserve(v, t, addresses(a), n.now.Add(chooseTimeout)) == ""
			})
			if i < 0 {
				return nil, fmt.Sprintf("could not find a free device for 'hostpci%d'", h.slot)
			}
			pick = h.alternatives[i]
		}
		for _, f := range pick {
			if used[f.Address] {
				return nil, fmt.Sprintf("device '%s' assigned more than once", f.Address)
			}
			used[f.Address] = true
		}
		chosen = append(chosen, pick...)
	}
	return chosen, ""
}

// prepare binds the devices to vfio-pci and resets them. A whole group goes;
// what the host itself needs of it is lost to it.
func (n *Node) prepare(t *task, chosen []PCI) string {
	for _, f := range chosen {
		switch {
		case n.host.NoIOMMU:
			return "cannot prepare PCI pass-through, IOMMU not present"
		case f.Group < 0:
			return "Cannot open iommu_group: No such file or directory"
		}
		for _, member := range n.groupOf(f) {
			if member.HostUses && !slices.Contains(n.taken, member.Address) {
				n.taken = append(n.taken, member.Address)
			}
		}
		if f.ResetFails && t != nil {
			t.say("failed to reset PCI device '%s', but trying to continue as not all devices need a reset", f.Address)
		}
	}
	return ""
}

// launchable returns what QEMU itself says against devices, "" if it takes
// them: one that fell off the bus, a group of which another VM has a part.
func (n *Node) launchable(v *vm, chosen []PCI) string {
	for _, f := range chosen {
		if n.lost[f.Address] {
			return "kvm: vfio: Unable to power on device, stuck in D3\n" +
				"kvm: ../hw/pci/pci.c:1654: pci_irq_handler: Assertion `0 <= irq_num && irq_num < PCI_NUM_PINS' failed."
		}
		for _, other := range n.vms {
			if other == v || !other.running {
				continue
			}
			if slices.ContainsFunc(other.devices, func(have PCI) bool { return have.Group == f.Group }) {
				return fmt.Sprintf("kvm: -device vfio-pci,host=%s: vfio %s: failed to open /dev/vfio/%d: Device or resource busy", f.Address, f.Address, f.Group)
			}
		}
	}
	return ""
}

func addresses(functions []PCI) []string {
	var list []string
	for _, f := range functions {
		list = append(list, f.Address)
	}
	return list
}
