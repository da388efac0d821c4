package gpu

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/proxstation/proxstation/iommu"
)

// ErrHostPCI reports a text or a [HostPCI] that is not a hostpci value of PVE.
var ErrHostPCI = errors.New("not a valid hostpci value")

// A HostPCI is the value of a hostpciN key of a VM's configuration, where N is
// 0 to 15 (qm.conf manual page; qemu-server PVE/QemuServer/PCI.pm). Either
// Devices or Mapping names the devices that are passed through, never both.
//
// Only root@pam with a ticket may set Devices or ROMFile. A token is enough for
// Mapping, if the token may use the mapping.
type HostPCI struct {
	// Devices holds PCI devices of the host that are passed through together.
	Devices []Device
	// Mapping is the name of a PCI resource mapping.
	Mapping string
	// PCIe makes the device a PCIe device of the guest. It needs the machine
	// type q35.
	PCIe bool
	// PrimaryVGA makes the device the guest's primary display and hides KVM
	// from the guest (x-vga).
	PrimaryVGA bool
	// NoROMBar hides the card's option ROM from the guest (rombar=0).
	NoROMBar bool
	// ROMFile is the name of an option ROM's file in /usr/share/kvm.
	ROMFile string
	// LegacyIGD makes an Intel iGPU the guest's boot display; see [IGD].
	LegacyIGD bool
	// MDev is the type of a mediated device, such as "i915-GVTg_V5_4".
	MDev string
	// KeepDriver leaves the device with its driver: PVE neither resets it nor
	// binds it to vfio-pci (driver=keep).
	KeepDriver bool
	// VendorID, DeviceID, SubVendorID and SubDeviceID replace the numbers that
	// the guest sees at the first function. If such a field is nil, the guest
	// sees the function's own number.
	VendorID, DeviceID, SubVendorID, SubDeviceID *iommu.ID
	// Unread holds the parts of the value that this package does not
	// understand, such as a key that a newer PVE introduced. The parts stay in
	// the value unchanged. [HostPCI.Validate] says what is wrong with each
	// part.
	Unread []string
}

// The patterns of the keys' values (qemu-server PVE/QemuServer/PCI.pm;
// pve-configid and pve-node in pve-common PVE/JSONSchema.pm).
var (
	configID   = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_-]+$`)
	nodeName   = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$`)
	romFile    = regexp.MustCompile(`^[^,;\n]+$`)
	mdevType   = regexp.MustCompile(`^[^/.:,\n]+$`)
	overrideID = regexp.MustCompile(`^0x[0-9a-fA-F]{4}$`)
)

// ParseHostPCI parses a hostpci value. It puts the parts that it does not
// understand into Unread, so that a value of a newer PVE still shows which
// device a VM has. The error matches [ErrHostPCI] if the value names neither a
// host device nor a mapping, or if it names both.
func ParseHostPCI(s string) (HostPCI, error) {
	h, err := parseHostPCI(s)
	if (len(h.Devices) == 0) == (h.Mapping == "") {
		err = errors.Join(errors.New("want either a host device or a mapping"), err)
		return HostPCI{}, fmt.Errorf("gpu: hostpci %q: %w: %w", s, ErrHostPCI, err)
	}
	return h, nil
}

func parseHostPCI(s string) (h HostPCI, err error) {
	h.Unread, err = parseProperties(s, "host", h.set)
	return h, err
}

// Validate reports what PVE would refuse in the value: unknown keys, repeated
// keys and malformed values. The error matches [ErrHostPCI].
func (h HostPCI) Validate() error {
	text := h.String()
	parsed, err := ParseHostPCI(text)
	if err != nil {
		return err
	}
	if _, err := parseHostPCI(text); err != nil {
		return fmt.Errorf("gpu: hostpci %q: %w: %w", text, ErrHostPCI, err)
	}
	if !reflect.DeepEqual(parsed, h) {
		return fmt.Errorf("gpu: hostpci %q: %w: a text holds a comma, or the address of a whole device names a function", text, ErrHostPCI)
	}
	return nil
}

// parseProperties splits a property string into its keys (parse_property_string
// in pve-common PVE/JSONSchema.pm). A value without a key belongs to the
// default key. parseProperties returns the parts that it does not understand,
// and why.
func parseProperties(s, defaultKey string, set func(key, value string) error) (unread []string, err error) {
	seen := map[string]bool{}
	for part := range strings.SplitSeq(s, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, found := strings.Cut(part, "=")
		if !found {
			key, value = defaultKey, part
		}
		var wrong error
		switch {
		case key == "":
			wrong = fmt.Errorf("%q has no key", part)
		case value == "":
			wrong = fmt.Errorf("key %q has no value", key)
		case seen[key]:
			wrong = fmt.Errorf("key %q is there twice", key)
		default:
			seen[key] = true
			wrong = set(key, value)
		}
		if wrong != nil {
			unread, err = append(unread, part), errors.Join(err, wrong)
		}
	}
	return unread, err
}

func (h *HostPCI) set(key, value string) (err error) {
	switch key {
	case "host":
		h.Devices, err = parseDevices(value)
	case "mapping":
		h.Mapping, err = parseText(key, value, configID)
	case "romfile":
		h.ROMFile, err = parseText(key, value, romFile)
	case "mdev":
		h.MDev, err = parseText(key, value, mdevType)
	case "pcie":
		h.PCIe, err = parseBool(key, value)
	case "x-vga":
		h.PrimaryVGA, err = parseBool(key, value)
	case "legacy-igd":
		h.LegacyIGD, err = parseBool(key, value)
	case "rombar":
		var shown bool
		shown, err = parseBool(key, value)
		h.NoROMBar = err == nil && !shown
	case "driver":
		h.KeepDriver = value == "keep"
		if value != "vfio" && value != "keep" {
			err = fmt.Errorf("driver %q: want vfio or keep", value)
		}
	case "vendor-id":
		h.VendorID, err = parseOverride(key, value)
	case "device-id":
		h.DeviceID, err = parseOverride(key, value)
	case "sub-vendor-id":
		h.SubVendorID, err = parseOverride(key, value)
	case "sub-device-id":
		h.SubDeviceID, err = parseOverride(key, value)
	default:
		err = fmt.Errorf("PVE has no key %q", key)
	}
	return err
}

func parseText(key, value string, format *regexp.Regexp) (string, error) {
	if !format.MatchString(value) {
		return "", fmt.Errorf("%s %q: want %s", key, value, format)
	}
	return value, nil
}

// parseBool parses PVE's spellings of a boolean (parse_boolean in pve-common
// PVE/JSONSchema.pm).
func parseBool(key, s string) (bool, error) {
	switch strings.ToLower(s) {
	case "1", "on", "yes", "true":
		return true, nil
	case "0", "off", "no", "false":
		return false, nil
	}
	return false, fmt.Errorf("%s %q: want 0 or 1", key, s)
}

func parseOverride(key, s string) (*iommu.ID, error) {
	if !overrideID.MatchString(s) {
		return nil, fmt.Errorf("%s %q: want 0x and four hexadecimal digits", key, s)
	}
	id, err := iommu.ParseID(s)
	if err != nil {
		return nil, err
	}
	return &id, nil
}

// String returns the value in PVE's notation: the devices first, with their
// domain. Keys with their default value are left out.
func (h HostPCI) String() string {
	var fields []string
	add := func(set bool, text string) {
		if set {
			fields = append(fields, text)
		}
	}
	add(len(h.Devices) > 0, joinDevices(h.Devices))
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
	return strings.Join(append(fields, h.Unread...), ",")
}

// MarshalText implements [encoding.TextMarshaler]. It writes every value that
// was parsed, even if PVE would refuse the value. If a value was not parsed and
// PVE would refuse it, the error matches [ErrHostPCI].
func (h HostPCI) MarshalText() ([]byte, error) {
	text := h.String()
	parsed, err := ParseHostPCI(text)
	if err == nil && !reflect.DeepEqual(parsed, h) {
		err = h.Validate()
	}
	if err != nil {
		return nil, err
	}
	return []byte(text), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler].
func (h *HostPCI) UnmarshalText(text []byte) error {
	parsed, err := ParseHostPCI(string(text))
	if err != nil {
		return err
	}
	*h = parsed
	return nil
}
