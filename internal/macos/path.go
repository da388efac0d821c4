package macos

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// places holds the slots on PVE's bus pci.0, by key (qemu-server
// PVE/QemuServer/PCI.pm, get_pci_addr_map).
var places = map[string]int{"hostpci0": 0x10, "hostpci1": 0x11, "hostpci2": 0x1b, "hostpci3": 0x1c,
	"net0": 0x12, "net1": 0x13, "net2": 0x14, "net3": 0x15, "net4": 0x16, "net5": 0x17}

var (
	pciBus   = regexp.MustCompile(`^pci\.(\d+)$`)
	rootPort = regexp.MustCompile(`^ich9-pcie-port-(\d+)$`)
)

const root = "PciRoot(0x0)"

// DevicePath returns the path of the device that a key such as hostpci0 or net0
// gives to PVE's machine. The path is written as in the UEFI specification and
// in OpenCore's DeviceProperties. It is "" if only the node knows the device's
// address.
func DevicePath(config map[string]string, key string) string {
	q35 := strings.Contains(config["machine"], "q35")
	bus, slot, function, legacy := "pci.0", places[key], 0, false
	if qmconf.Family(key) == "hostpci" {
		h, err := gpu.ParseHostPCI(config[key])
		n, numberErr := strconv.Atoi(strings.TrimPrefix(key, "hostpci"))
		legacy = h.LegacyIGD
		switch {
		case err != nil || numberErr != nil:
			return ""
		case h.LegacyIGD:
			slot = 2
		case h.PCIe && q35:
			bus, slot = fmt.Sprintf("ich9-pcie-port-%d", n+1), 0
		}
	}
	known := slot != 0 || bus != "pci.0"
	for _, arg := range qmconf.SplitArgs(config["args"]) {
		name, value, _ := strings.Cut(strings.TrimPrefix(arg.Value(), "device."+key+"."), "=")
		if arg.Name() != "-set" || !strings.HasPrefix(arg.Value(), "device."+key+".") {
			continue
		}
		switch name {
		case "bus":
			bus = value
		case "addr":
			slot, function, known = pciAddress(value)
		}
	}
	above := busPath(bus, q35, legacy)
	if !known || above == "" {
		return ""
	}
	return fmt.Sprintf("%s/Pci(0x%X,0x%X)", above, slot, function)
}

// pciAddress parses an address as QEMU does: "2.0", "0x2", "1c.1", in
// hexadecimal (QEMU hw/core/qdev-properties-system.c, set_pci_devfn).
func pciAddress(text string) (slot, function int, known bool) {
	first, second, _ := strings.Cut(text, ".")
	s, err := strconv.ParseUint(strings.TrimPrefix(first, "0x"), 16, 5)
	f, functionErr := strconv.ParseUint(strings.TrimPrefix("0"+strings.TrimPrefix(second, "0x"), "0x"), 16, 3)
	return int(s), int(f), err == nil && functionErr == nil
}

// busPath returns the path of a bus in PVE's machines. On q35 the buses are the
// root ports of pve-q35-4.0.cfg, then the root ports that PVE itself adds, and
// the bridges behind 1e.0.
func busPath(bus string, q35, legacy bool) string {
	if port := rootPort.FindStringSubmatch(bus); port != nil && q35 {
		n, err := strconv.Atoi(port[1])
		switch {
		case err != nil || n < 1 || n > 16:
			return ""
		case n <= 4:
			return fmt.Sprintf("%s/Pci(0x1C,0x%X)", root, n-1)
		}
		return fmt.Sprintf("%s/Pci(0x%X,0x%X)", root, 0x10+(n-5)/8, (n-5)%8)
	}
	bridge := pciBus.FindStringSubmatch(bus)
	switch {
	case bus == "pcie.0" && q35, bus == "pci.0" && !q35:
		return root
	case bridge == nil:
		return ""
	case q35 && bridge[1] <= "3" && len(bridge[1]) == 1:
		n, _ := strconv.Atoi(bridge[1])
		return fmt.Sprintf("%s/Pci(0x1E,0x0)/Pci(0x%X,0x0)", root, n+1)
	case legacy && bridge[1] == "2":
		return root + "/Pci(0x1E,0x0)/Pci(0x1E,0x0)"
	}
	if slot := map[string]string{"1": "0x1E", "2": "0x1F", "3": "0x5"}[bridge[1]]; !q35 && slot != "" {
		return fmt.Sprintf("%s/Pci(%s,0x0)", root, slot)
	}
	return ""
}

// BehindBridge reports whether a device path leads through a bridge. Lilu
// treats an Intel display as integrated only if it is directly below the PCI
// root. Behind any bridge, Lilu treats it as external (Lilu
// Sources/kern_devinfo.cpp).
func BehindBridge(path string) bool { return strings.Count(path, "/") > 1 }
