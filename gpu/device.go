package gpu

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/proxstation/proxstation/iommu"
)

// A Device names a single function or all functions of a PCI device, as PVE
// does.
type Device struct {
	Address iommu.Address
	// Whole says that the device stands for all functions of the slot:
	// "0000:01:00". Address then has the function number 0.
	Whole bool
}

// deviceFormat is the pattern of qemu-server PVE/QemuServer/PCI.pm. PVE accepts
// neither capital letters nor shortened numbers.
var deviceFormat = regexp.MustCompile(`^([a-f0-9]{4,}:)?[a-f0-9]{2}:[a-f0-9]{2}(\.[a-f0-9])?$`)

// ParseDevice parses "0000:01:00.0", "01:00.0" or, for a whole device,
// "0000:01:00" and "01:00".
func ParseDevice(s string) (Device, error) {
	parse, whole := iommu.ParseAddress, false
	if !strings.Contains(s, ".") {
		parse, whole = iommu.ParseSlot, true
	}
	a, err := parse(s)
	if err != nil || !deviceFormat.MatchString(s) {
		return Device{}, fmt.Errorf("gpu: device %q: want [DOMAIN:]BUS:DEVICE[.FUNCTION] in small hexadecimal digits", s)
	}
	return Device{Address: a, Whole: whole}, nil
}

// parseDevices parses a list such as "0000:01:00;0000:02:00.0".
func parseDevices(s string) ([]Device, error) {
	var devices []Device
	for part := range strings.SplitSeq(s, ";") {
		d, err := ParseDevice(part)
		if err != nil {
			return nil, err
		}
		devices = append(devices, d)
	}
	return devices, nil
}

// WholeDevice returns the device that stands for all functions of a slot. a is
// the address of any of these functions.
func WholeDevice(a iommu.Address) Device { return Device{Address: a.WithFunction(0), Whole: true} }

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

// MarshalText implements [encoding.TextMarshaler].
func (d Device) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Device) UnmarshalText(text []byte) error {
	parsed, err := ParseDevice(string(text))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// joinDevices joins devices to a list in PVE's notation.
func joinDevices(devices []Device) string {
	texts := make([]string, len(devices))
	for i, d := range devices {
		texts[i] = d.String()
	}
	return strings.Join(texts, ";")
}
