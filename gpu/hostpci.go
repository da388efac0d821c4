package gpu

import (
	"errors"
	"fmt"
	"strings"

	"github.com/proxstation/proxstation/iommu"
)

// ErrHostPCI means that a text is no hostpci value, or one that PVE refuses.
var ErrHostPCI = errors.New("not a valid hostpci value")

// A HostPCI is the value of a hostpciN key of a VM's configuration
// (qm.conf manual page; qemu-server PVE/QemuServer/PCI.pm). Exactly one of
// Devices and Mapping says what is passed through.
type HostPCI struct {
	// Devices are PCI addresses of this host.
	Devices []Device
	// Mapping is the name of a PCI resource mapping.
	Mapping string
	// PCIe makes it a PCIe device of the guest; it needs the machine type q35.
	PCIe bool
	// PrimaryVGA makes it the guest's primary display (x-vga).
	PrimaryVGA bool
	// NoROMBar hides the card's option ROM from the guest (rombar=0).
	NoROMBar bool
	// ROMFile is the name of an option ROM in /usr/share/kvm.
	ROMFile string
	// LegacyIGD gives an Intel iGPU to the guest as its boot display.
	LegacyIGD bool
	// MDev is the type of a mediated device.
	MDev string
	// KeepDriver leaves the host's driver bound (driver=keep).
	KeepDriver bool
	// VendorID, DeviceID, SubVendorID and SubDeviceID replace what the guest
	// sees; nil leaves it.
	VendorID, DeviceID, SubVendorID, SubDeviceID *iommu.ID
}

// A Device names one function of a PCI device, or all of them.
type Device struct {
	Address iommu.Address
	// Whole names all functions of the slot: "0000:01:00".
	Whole bool
}

// ParseDevice parses "0000:01:00.0", "01:00.0" or, for a whole device,
// "0000:01:00" and "01:00".
func ParseDevice(s string) (Device, error) {
	if !strings.Contains(s, ".") {
		a, err := iommu.ParseSlot(s)
		return Device{a, true}, err
	}
	a, err := iommu.ParseAddress(s)
	return Device{Address: a}, err
}

// String returns the device as PVE writes it, with its domain.
func (d Device) String() string {
	if d.Whole {
		return d.Address.Slot()
	}
	return d.Address.String()
}

// Covers reports whether the device takes the function at an address.
func (d Device) Covers(a iommu.Address) bool {
	return d.Address == a || d.Whole && d.Address.SameSlot(a)
}

// ParseHostPCI parses a hostpci value. Keys that PVE does not know are an
// error, as they are for PVE.
func ParseHostPCI(s string) (HostPCI, error) {
	var h HostPCI
	seen := map[string]bool{}
	for field := range strings.SplitSeq(s, ",") {
		key, value, found := strings.Cut(field, "=")
		if !found {
			key, value = "host", field
		}
		if seen[key] || value == "" {
			return HostPCI{}, fmt.Errorf("gpu: hostpci %q: %q is empty or there twice: %w", s, key, ErrHostPCI)
		}
		seen[key] = true
		if err := h.set(key, value); err != nil {
			return HostPCI{}, fmt.Errorf("gpu: hostpci %q: %w: %w", s, err, ErrHostPCI)
		}
	}
	if (len(h.Devices) == 0) == (h.Mapping == "") {
		return HostPCI{}, fmt.Errorf("gpu: hostpci %q: want either an address or a mapping: %w", s, ErrHostPCI)
	}
	return h, nil
}

func (h *HostPCI) set(key, value string) (err error) {
	switch key {
	case "host":
		for part := range strings.SplitSeq(value, ";") {
			d, err := ParseDevice(part)
			if err != nil {
				return err
			}
			h.Devices = append(h.Devices, d)
		}
	case "mapping":
		h.Mapping = value
	case "romfile":
		h.ROMFile = value
	case "mdev":
		h.MDev = value
	case "pcie":
		h.PCIe, err = parseBool(value)
	case "x-vga":
		h.PrimaryVGA, err = parseBool(value)
	case "legacy-igd":
		h.LegacyIGD, err = parseBool(value)
	case "rombar":
		h.NoROMBar, err = parseBool(value)
		h.NoROMBar = !h.NoROMBar
	case "driver":
		if value != "vfio" && value != "keep" {
			return fmt.Errorf("driver %q: want vfio or keep", value)
		}
		h.KeepDriver = value == "keep"
	case "vendor-id":
		h.VendorID, err = parseOverride(value)
	case "device-id":
		h.DeviceID, err = parseOverride(value)
	case "sub-vendor-id":
		h.SubVendorID, err = parseOverride(value)
	case "sub-device-id":
		h.SubDeviceID, err = parseOverride(value)
	default:
		return fmt.Errorf("PVE has no key %q", key)
	}
	return err
}

// parseBool parses PVE's spellings of a boolean.
func parseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "1", "on", "yes", "true":
		return true, nil
	case "0", "off", "no", "false":
		return false, nil
	}
	return false, fmt.Errorf("%q is no boolean", s)
}

func parseOverride(s string) (*iommu.ID, error) {
	if !strings.HasPrefix(s, "0x") || len(s) != 6 {
		return nil, fmt.Errorf("id %q: want 0x and four hexadecimal digits", s)
	}
	id, err := iommu.ParseID(s)
	return &id, err
}

// String returns the value as PVE takes it.
func (h HostPCI) String() string {
	var fields []string
	add := func(set bool, text string) {
		if set {
			fields = append(fields, text)
		}
	}
	var devices []string
	for _, d := range h.Devices {
		devices = append(devices, d.String())
	}
	add(len(devices) > 0, strings.Join(devices, ";"))
	add(h.Mapping != "", "mapping="+h.Mapping)
	add(h.PCIe, "pcie=1")
	add(h.PrimaryVGA, "x-vga=1")
	add(h.LegacyIGD, "legacy-igd=1")
	add(h.NoROMBar, "rombar=0")
	add(h.ROMFile != "", "romfile="+h.ROMFile)
	add(h.MDev != "", "mdev="+h.MDev)
	add(h.KeepDriver, "driver=keep")
	for _, o := range []struct {
		key string
		id  *iommu.ID
	}{{"vendor-id", h.VendorID}, {"device-id", h.DeviceID}, {"sub-vendor-id", h.SubVendorID}, {"sub-device-id", h.SubDeviceID}} {
		if o.id != nil {
			fields = append(fields, o.key+"=0x"+o.id.String())
		}
	}
	return strings.Join(fields, ",")
}

// Check returns an error that matches [ErrHostPCI] for the combinations that
// PVE refuses when the VM starts: pcie without q35, and legacy-igd with
// anything but i440fx, no display, the ROM bar, and the iGPU alone at 00:02.0.
// machine and vga are the values of those keys, "" where they are not set.
func (h HostPCI) Check(machine, vga string) error {
	q35 := strings.Contains(machine, "q35")
	why := ""
	switch {
	case h.PCIe && !q35:
		why = "pcie=1 needs the machine type q35"
	case !h.LegacyIGD:
	case q35:
		why = "legacy-igd needs the machine type pc (i440fx), not q35"
	case vga != "none":
		why = "legacy-igd needs vga: none"
	case h.NoROMBar:
		why = "legacy-igd needs the ROM bar"
	case h.PrimaryVGA:
		why = "legacy-igd does not go with x-vga"
	case h.MDev != "":
		why = "legacy-igd does not go with a mediated device"
	case len(h.Devices) > 1 || len(h.Devices) == 1 && h.Devices[0].Address.String() != "0000:00:02.0":
		why = "legacy-igd is for the iGPU alone, at 0000:00:02.0"
	}
	if why != "" {
		return fmt.Errorf("gpu: hostpci %q: %s: %w", h, why, ErrHostPCI)
	}
	return nil
}
