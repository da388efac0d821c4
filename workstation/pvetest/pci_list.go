package pvetest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

func hexID(id int) string { return fmt.Sprintf("0x%04x", id) }

// The variable "hidden" lists the PCI classes that the answer to hardware/pci
// leaves out by default: memory, bridges, processors.
var hidden = []string{"05", "06", "0b"}

func (h *hardware) listPCI(c *call) (any, error) {
	skip := hidden
	if c.has("pci-class-blacklist") {
		skip = strings.FieldsFunc(c.get("pci-class-blacklist"), func(r rune) bool { return strings.ContainsRune(" ,;", r) })
	}
	list := []map[string]any{}
	for _, f := range h.host.PCI {
		if !slices.ContainsFunc(skip, func(prefix string) bool { return strings.HasPrefix(fmt.Sprintf("%06x", f.Class), prefix) }) {
			list = append(list, h.pciObject(f, !c.has("verbose") || c.get("verbose") == "1"))
		}
	}
	return list, nil
}

func (h *hardware) pciObject(f PCI, verbose bool) map[string]any {
	entry := map[string]any{
		"id": f.Address, "class": fmt.Sprintf("0x%06x", f.Class), "vendor": hexID(f.Vendor), "device": hexID(f.Device),
		"iommugroup": f.Group,
	}
	if h.host.NoIOMMU {
		entry["iommugroup"] = -1
	}
	if f.MDev {
		entry["mdev"] = 1
	}
	if !verbose {
		return entry
	}
	entry["subsystem_vendor"], entry["subsystem_device"] = hexID(f.SubVendor), hexID(f.SubDevice)
	for key, name := range map[string]string{"vendor_name": f.VendorName, "device_name": f.DeviceName, "subsystem_vendor_name": f.SubVendorName} {
		if name != "" { // a name that pci.ids lacks is left out
			entry[key] = name
		}
	}
	return entry
}

var pciID = regexp.MustCompile(`^([0-9a-fA-F]{4}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-9a-fA-F]$`)

// onePCI lists the methods below one device.
func (h *hardware) onePCI(*call) (any, error) { return []map[string]any{{"method": "mdev"}}, nil }

// mdevTypes returns an empty list, because the embedded hosts have no mediated
// devices.
func (h *hardware) mdevTypes(c *call) (any, error) {
	id := c.get("pci-id-or-mapping")
	if pciID.MatchString(id) || h.mappings[id] != nil {
		return []any{}, nil
	}
	return nil, refuse("mapping '%s' not found", id)
}
