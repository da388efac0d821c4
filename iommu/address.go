package iommu

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// An Address is the place of a PCI function: its domain, bus, device and
// function number (lspci calls this the BDF). Addresses are comparable. The
// zero Address is 0000:00:00.0, the host bridge of most machines.
type Address struct {
	domain   uint32 // 16 bits in the PCI specification, but Intel VMD makes wider domains
	bus      uint8
	device   uint8 // 5 bits
	function uint8 // 3 bits
}

// ErrAddress reports a text that is not a PCI address.
var ErrAddress = errors.New("not a PCI address")

// ParseAddress parses an address as the kernel and PVE write it, such as
// "0000:01:00.0", "01:00.0" (domain 0) or "10000:e1:00.0" (a domain wider than
// 16 bits). The address must have a function; [ParseSlot] parses addresses
// without a function. The error matches [ErrAddress].
func ParseAddress(s string) (Address, error) {
	slot, function, found := strings.Cut(s, ".")
	if !found {
		return Address{}, fmt.Errorf("iommu: address %q: %w: no function, want DOMAIN:BUS:DEVICE.FUNCTION", s, ErrAddress)
	}
	a, err := ParseSlot(slot)
	if err != nil {
		return Address{}, fmt.Errorf("iommu: address %q: %w: want DOMAIN:BUS:DEVICE.FUNCTION", s, ErrAddress)
	}
	if len(function) != 1 || function[0] < '0' || function[0] > '7' {
		return Address{}, fmt.Errorf("iommu: address %q: %w: function %q is not 0 to 7", s, ErrAddress, function)
	}
	a.function = function[0] - '0'
	return a, nil
}

// ParseSlot parses an address without a function number, such as "0000:01:00"
// or "01:00", and returns the address of function 0. The error matches
// [ErrAddress].
func ParseSlot(s string) (Address, error) {
	bad := func() (Address, error) {
		return Address{}, fmt.Errorf("iommu: slot %q: %w: want DOMAIN:BUS:DEVICE", s, ErrAddress)
	}
	fields := strings.Split(s, ":")
	if len(fields) == 2 {
		fields = append([]string{"0000"}, fields...)
	}
	if len(fields) != 3 || len(fields[0]) < 4 || len(fields[0]) > 8 {
		return bad()
	}
	domain, ok1 := parseHex(fields[0], 8, 32)
	bus, ok2 := parseHex(fields[1], 2, 8)
	device, ok3 := parseHex(fields[2], 2, 5)
	if !ok1 || !ok2 || !ok3 {
		return bad()
	}
	return Address{domain: uint32(domain), bus: uint8(bus), device: uint8(device)}, nil
}

func parseHex(s string, digits, bits int) (uint64, bool) {
	if len(s) == 0 || len(s) > digits || s[0] == '+' || s[0] == '-' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 16, bits)
	return n, err == nil
}

// String returns the address as the kernel writes it: "0000:01:00.0".
func (a Address) String() string {
	return fmt.Sprintf("%s.%d", a.Slot(), a.function)
}

// Slot returns the address without the function number, as PVE writes a whole
// device: "0000:01:00".
func (a Address) Slot() string {
	return fmt.Sprintf("%04x:%02x:%02x", a.domain, a.bus, a.device)
}

// Function returns the function's number, 0 to 7.
func (a Address) Function() int { return int(a.function) }

// WithFunction returns the address of function n of the same device. It panics
// if n is not 0 to 7.
func (a Address) WithFunction(n int) Address {
	if n < 0 || n > 7 {
		panic(fmt.Sprintf("iommu: function %d of %s", n, a.Slot()))
	}
	a.function = uint8(n)
	return a
}

// SameSlot reports whether both addresses are functions of one device.
func (a Address) SameSlot(b Address) bool {
	return a.WithFunction(0) == b.WithFunction(0)
}

// Compare orders addresses by domain, bus, device and function.
func (a Address) Compare(b Address) int {
	return cmp.Or(
		cmp.Compare(a.domain, b.domain),
		cmp.Compare(a.bus, b.bus),
		cmp.Compare(a.device, b.device),
		cmp.Compare(a.function, b.function),
	)
}

// MarshalText implements [encoding.TextMarshaler].
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (a *Address) UnmarshalText(text []byte) error {
	parsed, err := ParseAddress(string(text))
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}
