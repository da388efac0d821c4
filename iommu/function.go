package iommu

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/proxstation/proxstation"
)

// A GroupID is the number of an IOMMU group. The zero GroupID means that there
// is no group; it differs from group 0. In JSON it is a number or null.
type GroupID struct {
	n  int
	ok bool
}

// Group returns the ID of group n.
func Group(n int) GroupID { return GroupID{n: n, ok: true} }

// Int returns the group's number; ok is false if there is no group.
func (g GroupID) Int() (n int, ok bool) { return g.n, g.ok }

// String returns the group's number, or "none".
func (g GroupID) String() string {
	if !g.ok {
		return "none"
	}
	return strconv.Itoa(g.n)
}

// MarshalJSON implements [json.Marshaler].
func (g GroupID) MarshalJSON() ([]byte, error) {
	if !g.ok {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, int64(g.n), 10), nil
}

// UnmarshalJSON implements [json.Unmarshaler].
func (g *GroupID) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*g = GroupID{}
		return nil
	}
	n, err := strconv.Atoi(string(data))
	if err != nil {
		return fmt.Errorf("iommu: group %s: want a number or null", data)
	}
	*g = Group(n)
	return nil
}

// An ID is a vendor's or device's 16-bit PCI number. It prints as four
// hexadecimal digits.
type ID uint16

// ErrID reports a text that is not a PCI vendor or device number.
var ErrID = errors.New("not a PCI id")

// ParseID parses a number of at most four hexadecimal digits, with or without
// "0x" in front. The error matches [ErrID].
func ParseID(s string) (ID, error) {
	digits := s
	if len(s) > 2 && (s[:2] == "0x" || s[:2] == "0X") {
		digits = s[2:]
	}
	n, ok := parseHex(digits, 4, 16)
	if !ok {
		return 0, fmt.Errorf("iommu: id %q: %w: want up to four hexadecimal digits", s, ErrID)
	}
	return ID(n), nil
}

// String returns four hexadecimal digits: "10de".
func (id ID) String() string { return fmt.Sprintf("%04x", uint16(id)) }

// MarshalText implements [encoding.TextMarshaler].
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// A Model is a vendor and device number together, the "10de:2c05" of lspci.
type Model struct {
	Vendor ID `json:"vendorID"`
	Device ID `json:"deviceID"`
}

// String returns the model as lspci writes it: "10de:2c05".
func (m Model) String() string { return m.Vendor.String() + ":" + m.Device.String() }

// A Class is the 24-bit class code of a PCI function: base class, subclass
// and programming interface (PCI Code and ID Assignment Specification).
type Class uint32

// Base returns the base class: 0x03 is display, 0x06 bridge.
func (c Class) Base() uint8 { return uint8(c >> 16) }

// Sub returns base class and subclass: 0x0604 is a PCI bridge.
func (c Class) Sub() uint16 { return uint16(c >> 8) }

// IsDisplay reports whether the function is a display controller: VGA, XGA,
// 3D or other.
func (c Class) IsDisplay() bool { return c.Base() == 0x03 }

// IsBridge reports whether the function is a bridge, such as a host bridge, a
// root or switch port, or an ISA bridge. Only some bridges are harmless in a
// card's group; see [Function.IsHarmlessBridge].
func (c Class) IsBridge() bool { return c.Base() == 0x06 }

// String returns six hexadecimal digits: "030000".
func (c Class) String() string { return fmt.Sprintf("%06x", uint32(c)) }

// MarshalText implements [encoding.TextMarshaler].
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (c *Class) UnmarshalText(text []byte) error {
	n, ok := parseHex(string(text), 6, 24)
	if !ok {
		return fmt.Errorf("iommu: PCI class %q: want six hexadecimal digits", text)
	}
	*c = Class(n)
	return nil
}

// A Function is one PCI function, as sysfs or the PVE API describes it. Facts
// that the API does not give are absent: empty, nil or [proxstation.Unknown].
type Function struct {
	Address   Address  `json:"address"`
	Class     Class    `json:"class"`
	Model     Model    `json:"model"`
	Subsystem Model    `json:"subsystem"`
	Revision  *uint8   `json:"revision,omitempty"` // nil if it is not known
	Group     GroupID  `json:"group"`              // the zero GroupID if the function has no group
	Name      string   `json:"name,omitempty"`     // for people; empty if no names database has the function
	Driver    string   `json:"driver,omitempty"`   // the bound driver; see DriverKnown
	Parent    *Address `json:"parent,omitempty"`   // the bridge above; nil if it is not known, or on a root bus

	// DriverKnown says whether Driver was observed. The PVE API, for example,
	// does not show drivers. An empty Driver means that there is no driver only
	// if DriverKnown is Yes.
	DriverKnown proxstation.Answer `json:"driverKnown"`
	// Module is the driver's module, with underscores (host only). It may have
	// another name than the driver: i2c_nvidia_gpu for nvidia-gpu. It is empty
	// if it is not known.
	Module string `json:"module,omitempty"`
	// VirtualOf is the physical function to which this SR-IOV virtual function
	// belongs (host only, physfn). It is nil for all other functions.
	VirtualOf *Address `json:"virtualOf,omitempty"`
	// Removable is Yes if the function is outside the machine, behind
	// Thunderbolt or USB4 (host only, removable; since Linux 5.14).
	Removable proxstation.Answer `json:"removable"`
	// Override is the value of driver_override. It is empty if driver_override
	// is not set (host only).
	Override string `json:"override,omitempty"`
	// BootVGA says whether the firmware used this display (host only,
	// boot_vga).
	BootVGA proxstation.Answer `json:"bootVGA"`
	// NUMANode is the memory node. It is nil if the kernel does not name a node
	// (host only, numa_node).
	NUMANode *int `json:"numaNode,omitempty"`
	// ResetMethods lists the kernel's ways to reset the function, in the order
	// in which the kernel tries them (host only, reset_method). It is nil if
	// they are not known, and empty if there is no way.
	ResetMethods []string `json:"resetMethods,omitzero"`
	// Link is the state of the PCIe link (host only). It is nil if it is not
	// known.
	Link *PCIeLink `json:"link,omitempty"`
	// BARs holds the memory regions (host only). It is nil if they are not
	// known.
	BARs []BAR `json:"bars,omitempty"`
	// MDev says whether the function offers mediated devices
	// (mdev_supported_types).
	MDev proxstation.Answer `json:"mdev"`
	// ACS says whether a bridge uses Access Control Services to isolate the
	// devices below it from each other (host only; only root can read it).
	ACS proxstation.Answer `json:"acs"`
	// Power is the function's power state (host only). It is nil if it is not
	// known.
	Power *Power `json:"power,omitempty"`
	// SRIOV holds the number of virtual functions (host only). It is nil if the
	// function cannot have virtual functions, or if the number is not known.
	SRIOV *SRIOV `json:"sriov,omitempty"`
	// Lost is Yes if the config space reads ff. The device has then dropped off
	// the bus, and stays lost until the host restarts (host only).
	Lost proxstation.Answer `json:"lost"`
}

// A PCIeLink is the state of a function's PCIe link.
type PCIeLink struct {
	Speed    string `json:"speed"`    // current_link_speed, such as "16.0 GT/s PCIe"
	MaxSpeed string `json:"maxSpeed"` // max_link_speed
	Width    int    `json:"width"`    // lanes, current_link_width
	MaxWidth int    `json:"maxWidth"` // lanes, max_link_width
}

// Power is the power state of a function
// (Documentation/ABI/testing/sysfs-bus-pci).
type Power struct {
	State         string             `json:"state"`             // power_state: "D0", "D3hot", "D3cold", "unknown", "error"
	Runtime       string             `json:"runtime,omitempty"` // power/runtime_status: "active", "suspended", "error"
	D3ColdAllowed proxstation.Answer `json:"d3coldAllowed"`     // d3cold_allowed
}

// SRIOV describes the virtual functions of a physical function
// (Documentation/PCI/pci-iov-howto.rst).
type SRIOV struct {
	Total int `json:"total"` // sriov_totalvfs: the highest number that is possible
	Now   int `json:"now"`   // sriov_numvfs: the number that exists
}

// A BAR is a base address register: a region of memory or I/O ports at which
// the function answers.
type BAR struct {
	Index        int      `json:"index"`               // 0 to 5
	Start        uint64   `json:"-"`                   // the first bus address; 0 if it is not known
	Bytes        uint64   `json:"bytes"`               // size in bytes
	Unset        bool     `json:"unset,omitempty"`     // the kernel found no address for the region
	IO           bool     `json:"io,omitempty"`        // I/O ports, not memory
	Prefetchable bool     `json:"prefetchable"`        //
	Resizable    []uint64 `json:"resizable,omitempty"` // possible sizes in bytes (resourceN_resize); nil if fixed or not known
}
