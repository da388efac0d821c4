package pvetest

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// functions returns the PCI functions whose address begins with a text, as
// PVE does: all of a device if it names no function (pve-common
// PVE/SysFSTools.pm, lspci).
func (n *Node) functions(address string) []PCI {
	var found []PCI
	for _, f := range n.host.PCI {
		if strings.HasPrefix(f.Address, address) || strings.HasPrefix(strings.TrimPrefix(f.Address, "0000:"), address) {
			found = append(found, f)
		}
	}
	return found
}

// groupOf returns the functions that are bound to vfio-pci together with one:
// all of its IOMMU group but the bridges.
func (n *Node) groupOf(f PCI) []PCI {
	var members []PCI
	for _, other := range n.host.PCI {
		if other.Group == f.Group && f.Group >= 0 && other.Class>>8 != 0x0604 {
			members = append(members, other)
		}
	}
	return members
}

func hexID(id int) string { return fmt.Sprintf("0x%04x", id) }

// hidden are the classes that hardware/pci leaves out unless it is asked for
// another list: memory, bridges, processors.
var hidden = []string{"05", "06", "0b"}

func (n *Node) listPCI(c *call) answer {
	skip := hidden
	if c.has("pci-class-blacklist") {
		skip = strings.FieldsFunc(c.get("pci-class-blacklist"), func(r rune) bool { return strings.ContainsRune(" ,;", r) })
	}
	list := []map[string]any{}
	for _, f := range n.host.PCI {
		if !slices.ContainsFunc(skip, func(prefix string) bool { return strings.HasPrefix(fmt.Sprintf("%06x", f.Class), prefix) }) {
			list = append(list, n.pciObject(f, !c.has("verbose") || c.get("verbose") == "1"))
		}
	}
	return ok(list)
}

func (n *Node) pciObject(f PCI, verbose bool) map[string]any {
	entry := map[string]any{
		"id": f.Address, "class": fmt.Sprintf("0x%06x", f.Class), "vendor": hexID(f.Vendor), "device": hexID(f.Device),
		"iommugroup": f.Group,
	}
	if n.host.NoIOMMU {
		entry["iommugroup"] = -1
	}
	if f.MDev {
		entry["mdev"] = 1
	}
	if !verbose {
		return entry
	}
	entry["subsystem_vendor"], entry["subsystem_device"] = hexID(f.SubVendor), hexID(f.SubDevice)
	for key, name := range map[string]string{"vendor_name": f.VendorName, "device_name": f.DeviceName} {
		if name != "" { // what pci.ids does not know is absent
			entry[key] = name
		}
	}
	return entry
}

var pciID = regexp.MustCompile(`^([0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-9a-fA-F]$`)

// onePCI is the index of one device's methods.
func (n *Node) onePCI(*call) answer { return ok([]map[string]any{{"method": "mdev"}}) }

// mdevTypes lists the types of mediated devices, of which no host here has any.
func (n *Node) mdevTypes(c *call) answer {
	id := c.get("pci-id-or-mapping")
	if pciID.MatchString(id) || n.mappings[id] != nil {
		return ok([]any{})
	}
	return fail(http.StatusInternalServerError, "mapping '%s' not found", id)
}
