package pvetest

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// A reservation says which process has a PCI function
// (/run/qemu-server/pci-id-reservations).
type reservation struct{ vmid, pid int }

// hostPCI returns the hostpci values of a configuration in the order of their
// slots.
func hostPCI(config map[string]string) map[int]map[string]string {
	values := map[int]map[string]string{}
	for slot := range 16 {
		if value := config["hostpci"+text(slot)]; value != "" {
			if keys, err := pveschema.ParseProperties("pve-qm-hostpci", value); err == nil {
				values[slot] = keys
			}
		}
	}
	return values
}

var wholeAddress = regexp.MustCompile(`^[0-9a-fA-F]{4,}:`)

// functions returns the PCI functions that an address of a configuration
// names: all of a device if it has no function.
func (n *Node) functions(address string) []PCI {
	if !wholeAddress.MatchString(address) || strings.Count(address, ":") == 1 {
		address = "0000:" + address
	}
	address = strings.ToLower(address)
	var found []PCI
	for _, f := range n.host.PCI {
		if strings.HasPrefix(f.Address, address) {
			found = append(found, f)
		}
	}
	return found
}

// devices returns the functions that a configuration wants, or why it cannot
// have them (qemu-server PVE/QemuServer/PCI.pm).
func (n *Node) devices(config map[string]string) (addresses []string, problem string) {
	igd := false
	q35 := strings.Contains(config["machine"], "q35")
	values := hostPCI(config)
	for slot := range 16 {
		keys := values[slot]
		if keys == nil {
			continue
		}
		found, problem := n.wanted(keys)
		if problem == "" {
			problem = forbidden(keys, config, found, q35, igd)
		}
		if problem != "" {
			return nil, problem
		}
		igd = igd || keys["legacy-igd"] == "1"
		for _, f := range found {
			if slices.Contains(addresses, f.Address) {
				return nil, fmt.Sprintf("device '%s' assigned more than once", f.Address)
			}
			addresses = append(addresses, f.Address)
		}
	}
	return addresses, ""
}

// wanted returns the functions that a hostpci value names.
func (n *Node) wanted(keys map[string]string) ([]PCI, string) {
	host, mapping := keys["host"], keys["mapping"]
	switch {
	case host != "" && mapping != "":
		return nil, "Cannot set both 'host' and 'mapping'."
	case mapping != "":
		entry, problem := n.mapped(mapping)
		if problem != "" {
			return nil, problem
		}
		host = property(entry, "path")
	case host == "":
		return nil, "Either 'host' or 'mapping' must be set."
	}
	var found []PCI
	for address := range strings.SplitSeq(host, ";") {
		functions := n.functions(address)
		if len(functions) == 0 {
			return nil, fmt.Sprintf("no PCI device found for '%s'", address)
		}
		found = append(found, functions...)
	}
	return found, ""
}

// forbidden returns PVE's refusal of a combination of options.
func forbidden(keys, config map[string]string, found []PCI, q35, igd bool) string {
	if keys["pcie"] == "1" && !q35 {
		return "q35 machine model is not enabled"
	}
	if keys["legacy-igd"] != "1" {
		return ""
	}
	switch {
	case igd:
		return "only one device can be assigned in legacy-igd mode"
	case config["vga"] != "none":
		return "legacy IGD assignment requires VGA mode to be 'none'"
	case keys["rombar"] == "0":
		return "legacy IGD assignment requires rombar to be enabled"
	case keys["x-vga"] == "1":
		return "legacy IGD assignment is not compatible with x-vga"
	case keys["mdev"] != "":
		return "legacy IGD assignment is not compatible with mdev"
	case q35:
		return "legacy IGD assignment is not compatible with q35"
	case len(found) > 1:
		return "legacy IGD assignment is not compatible with multifunction devices"
	case !strings.HasSuffix(found[0].Address, "02.0"):
		return "legacy IGD assignment only works for devices on host bus 00:02.0"
	}
	return ""
}

// reserve takes the functions for a process.
func (n *Node) reserve(vmid, pid int, addresses []string) string {
	for _, address := range addresses {
		r, taken := n.reserved[address]
		if other := n.vms[r.vmid]; taken && r.vmid != vmid && other != nil && other.running && other.pid == r.pid {
			return fmt.Sprintf("PCI device '%s' already in use by VMID '%d'", address, r.vmid)
		}
	}
	for _, address := range addresses {
		n.reserved[address] = reservation{vmid, pid}
	}
	return ""
}

// unreserve gives back what a process has, or all of a VM's if pid is 0.
func (n *Node) unreserve(vmid, pid int) {
	for address, r := range n.reserved {
		v := n.vms[vmid]
		if r.vmid == vmid && (r.pid == pid || pid == 0 && (v == nil || !v.running)) {
			delete(n.reserved, address)
		}
	}
}

// stale returns warnings of reservations that a dead process left.
func (n *Node) stale(v *vm) []string {
	addresses, _ := n.devices(v.next())
	var warnings []string
	for _, address := range addresses {
		r, taken := n.reserved[address]
		if other := n.vms[r.vmid]; taken && r.vmid != v.id && (other == nil || !other.running) {
			warnings = append(warnings, fmt.Sprintf("leftover PCI reservation found for %s, lets take it...", address))
		}
	}
	return warnings
}

func (n *Node) listPCI(c *call) answer {
	hidden := []string{"05", "06", "0b"}
	if c.has("pci-class-blacklist") {
		hidden = strings.FieldsFunc(c.get("pci-class-blacklist"), func(r rune) bool { return r == ',' || r == ';' || r == ' ' })
	}
	verbose := !c.has("verbose") || c.get("verbose") == "1"
	list := []map[string]any{}
	for _, f := range n.host.PCI {
		if slices.ContainsFunc(hidden, func(prefix string) bool { return strings.HasPrefix(fmt.Sprintf("%06x", f.Class), prefix) }) {
			continue
		}
		entry := map[string]any{
			"id": f.Address, "class": fmt.Sprintf("0x%06x", f.Class), "vendor": hex(f.Vendor), "device": hex(f.Device),
			"iommugroup": f.Group,
		}
		if f.MDev {
			entry["mdev"] = 1
		}
		if verbose {
			entry["subsystem_vendor"], entry["subsystem_device"] = hex(f.SubVendor), hex(f.SubDevice)
			for key, name := range map[string]string{"vendor_name": f.VendorName, "device_name": f.DeviceName} {
				if name != "" {
					entry[key] = name
				}
			}
		}
		list = append(list, entry)
	}
	return ok(list)
}

func hex(n int) string { return fmt.Sprintf("0x%04x", n) }

// mapped returns the mapping's entry for this node, checked against the
// hardware (pve-guest-common PVE/Mapping/PCI.pm, assert_valid).
func (n *Node) mapped(id string) (entry, problem string) {
	m := n.mappings[id]
	if m != nil {
		i := slices.IndexFunc(m.Map, func(e string) bool { return property(e, "node") == n.host.Name })
		if i >= 0 {
			entry = m.Map[i]
		}
	}
	if entry == "" {
		return "", fmt.Sprintf("PCI device mapping not found for '%s'", id)
	}
	if problem := n.drift(id, entry, m.MDev); problem != "" {
		return "", "PCI device mapping invalid (hardware probably changed): " + problem
	}
	return entry, ""
}

func (n *Node) drift(id, entry string, mdev bool) string {
	for i, path := range strings.Split(property(entry, "path"), ";") {
		if !strings.Contains(path, ".") {
			path += ".0"
		}
		found := n.functions(path)
		if len(found) == 0 {
			return fmt.Sprintf("pci device '%s' not found", path)
		}
		f := found[0]
		expected := [][2]string{
			{"id", fmt.Sprintf("%04x:%04x", f.Vendor, f.Device)},
			{"iommugroup", text(f.Group)},
			{"mdev", text(bit(f.MDev))},
			{"subsystem-id", fmt.Sprintf("%04x:%04x", f.SubVendor, f.SubDevice)},
		}
		for _, pair := range expected {
			have := property(entry, pair[0])
			switch {
			case pair[0] == "iommugroup" && i > 0:
				continue
			case pair[0] == "mdev":
				have = text(bit(mdev))
			case have == "":
				return fmt.Sprintf("missing expected property '%s' for device '%s'", pair[0], path)
			}
			if strings.ReplaceAll(have, "0x", "") != pair[1] {
				return fmt.Sprintf("'%s' does not match for '%s' (%s != %s)", pair[0], id, pair[1], have)
			}
		}
	}
	return ""
}

func (n *Node) onePCI(c *call) answer {
	if len(n.functions(c.get("pci-id-or-mapping"))) == 0 {
		return fail(http.StatusInternalServerError, "PCI device %s not found", c.get("pci-id-or-mapping"))
	}
	return ok([]map[string]any{{"method": "mdev"}})
}
