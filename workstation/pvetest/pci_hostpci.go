package pvetest

import (
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// A hostpci is a passed-through device in a configuration, with its options. If
// the device is given by a mapping, there can be several devices of the host to
// choose from. A start takes the first of them that is free.
type hostpci struct {
	slot         int
	keys         map[string]string
	alternatives [][]PCI
}

// multifunction reports whether any alternative has several functions.
func (d hostpci) multifunction() bool {
	return slices.ContainsFunc(d.alternatives, func(a []PCI) bool { return len(a) > 1 })
}

// hostPCI parses the devices of a configuration by PVE's rules (qemu-server
// PVE/QemuServer/PCI.pm, parse_hostpci_devices).
func (h *hardware) hostPCI(config map[string]string) (devices []hostpci, err error) {
	igd := false
	for slot := range 16 {
		value := config["hostpci"+text(slot)]
		if value == "" {
			continue
		}
		d, err := h.parseHostPCI(slot, value)
		if err == nil {
			err = d.contradicts(config, igd)
		}
		if err != nil {
			return nil, err
		}
		igd = igd || d.keys["legacy-igd"] == "1"
		devices = append(devices, d)
	}
	return devices, nil
}

func (h *hardware) parseHostPCI(slot int, value string) (d hostpci, err error) {
	keys, err := pveschema.ParseProperties("pve-qm-hostpci", value)
	if err != nil {
		return d, refuse("%v", err)
	}
	d = hostpci{slot: slot, keys: keys}
	host, mapping := keys["host"], keys["mapping"]
	var paths []string
	switch {
	case host != "" && mapping != "":
		return d, refuse("Cannot set both 'host' and 'mapping'.")
	case mapping != "":
		if paths, err = h.mapped(mapping); err != nil {
			return d, err
		}
	case host != "":
		paths = []string{host}
	default:
		return d, refuse("Either 'host' or 'mapping' must be set.")
	}
	for _, path := range paths {
		var found []PCI
		for address := range strings.SplitSeq(path, ";") {
			functions := h.functions(address)
			if len(functions) == 0 {
				return d, refuse("no PCI device found for '%s'", address)
			}
			found = append(found, functions...)
		}
		if len(found) > 1 && keys["mdev"] != "" {
			return d, refuse("cannot use mediated device with multifunction device")
		}
		d.alternatives = append(d.alternatives, found)
	}
	return d, nil
}

// The method "contradicts" returns a refusal if the device's options contradict
// each other or other keys of the configuration.
func (d hostpci) contradicts(config map[string]string, igd bool) error {
	q35 := strings.Contains(config["machine"], "q35")
	if d.keys["pcie"] == "1" && !q35 {
		// PVE's source has no line feed at the end of this message, so Perl
		// appends the file and the line.
		return refuse("q35 machine model is not enabled at /usr/share/perl5/PVE/QemuServer/PCI.pm line 510.")
	}
	if d.keys["legacy-igd"] != "1" {
		return nil
	}
	switch {
	case igd:
		return refuse("only one device can be assigned in legacy-igd mode")
	case config["vga"] != "none":
		return refuse("legacy IGD assignment requires VGA mode to be 'none'")
	case d.keys["rombar"] == "0":
		return refuse("legacy IGD assignment requires rombar to be enabled")
	case d.keys["x-vga"] == "1":
		return refuse("legacy IGD assignment is not compatible with x-vga")
	case d.keys["mdev"] != "":
		return refuse("legacy IGD assignment is not compatible with mdev")
	case q35:
		return refuse("legacy IGD assignment is not compatible with q35")
	case d.multifunction():
		return refuse("legacy IGD assignment is not compatible with multifunction devices")
	case len(d.alternatives) > 1:
		return refuse("legacy IGD assignment is not compatible with alternate devices")
	case !strings.HasSuffix(d.alternatives[0][0].Address, "02.0"):
		return refuse("legacy IGD assignment only works for devices on host bus 00:02.0")
	}
	return nil
}

// The method "choose" selects an alternative for each device. Among several
// alternatives, it selects the first that can be reserved.
func (h *hardware) choose(v *vm, say printer, devices []hostpci) (chosen []PCI, err error) {
	used := map[string]bool{}
	for _, d := range devices {
		pick := d.alternatives[0]
		if len(d.alternatives) > 1 {
			i := slices.IndexFunc(d.alternatives, func(a []PCI) bool {
				return !slices.ContainsFunc(a, func(f PCI) bool { return used[f.Address] }) &&
					h.reserve(v, say, addresses(a), h.now.Add(chooseTimeout)) == nil
			})
			if i < 0 {
				return nil, refuse("could not find a free device for 'hostpci%d'", d.slot)
			}
			pick = d.alternatives[i]
		}
		for _, f := range pick {
			if used[f.Address] {
				return nil, refuse("device '%s' assigned more than once", f.Address)
			}
			used[f.Address] = true
		}
		chosen = append(chosen, pick...)
	}
	return chosen, nil
}

// The method "prepare" binds the devices to vfio-pci and resets them. It binds
// the whole IOMMU group of each device. If the host needs a function of the
// group, the host loses this function.
func (h *hardware) prepare(say printer, chosen []PCI) error {
	for _, f := range chosen {
		switch {
		case h.host.NoIOMMU:
			return refuse("cannot prepare PCI pass-through, IOMMU not present")
		case f.Group < 0:
			return refuse("Cannot open iommu_group: No such file or directory")
		}
		for _, member := range h.groupOf(f) {
			if member.HostUses && !slices.Contains(h.taken, member.Address) {
				h.taken = append(h.taken, member.Address)
			}
		}
		if f.ResetFails {
			say("failed to reset PCI device '%s', but trying to continue as not all devices need a reset", f.Address)
		}
	}
	return nil
}

// The method "launchable" returns QEMU's refusal of a device that fell off the
// bus, or of a device whose IOMMU group is partly in another VM.
func (h *hardware) launchable(v *vm, chosen []PCI) error {
	for _, f := range chosen {
		if h.lost[f.Address] {
			return refuse("%s", "kvm: vfio: Unable to power on device, stuck in D3\n"+
				"kvm: ../hw/pci/pci.c:1654: pci_irq_handler: Assertion `0 <= irq_num && irq_num < PCI_NUM_PINS' failed.")
		}
		for address, r := range h.reserved {
			other := h.vms[r.vmid]
			if other == nil || other == v || !other.running || other.pid != r.pid {
				continue
			}
			if slices.ContainsFunc(h.functions(address), func(have PCI) bool { return have.Group == f.Group }) {
				return refuse("kvm: -device vfio-pci,host=%s: vfio %s: failed to open /dev/vfio/%d: Device or resource busy", f.Address, f.Address, f.Group)
			}
		}
	}
	return nil
}

// maySetHostPCI checks whether a user may set a PCI device in a configuration.
// For a mapped device, the user needs two privileges. Only root@pam may set a
// device by its address.
func maySetHostPCI(who identity, id int, key, value string) error {
	host, mapping := device(value)
	switch {
	case host != "":
		return refuse("only root can set '%s' config for non-mapped devices", key)
	case mapping == "":
		return refuse("either 'host' or 'mapping' must be set.")
	}
	if err := who.needs("/mapping/pci/"+mapping, "Mapping.Use"); err != nil {
		return err
	}
	if err := who.needs(vmPath(id), "VM.Config.HWType"); err != nil {
		return err
	}
	if property(value, "romfile") != "" {
		return wrong(key, "only root@pam can set 'romfile' option")
	}
	return nil
}
