package gpu

import (
	"errors"
	"fmt"
	"slices"
)

// A Guest is a system that runs in a VM. The zero Guest is unspecified, and
// nothing is said of what it can use.
type Guest uint8

// The guests. The releases of macOS are in order.
const (
	AnyGuest Guest = iota
	Linux
	Windows10
	Windows11
	MacOSHighSierra // 10.13
	MacOSMojave     // 10.14
	MacOSCatalina   // 10.15
	MacOSBigSur     // 11
	MacOSMonterey   // 12
	MacOSVentura    // 13
	MacOSSonoma     // 14
	MacOSSequoia    // 15
	MacOSTahoe      // 26, the last for Intel processors
)

var guestNames = [...]string{
	"any", "Linux", "Windows 10", "Windows 11", "macOS High Sierra", "macOS Mojave", "macOS Catalina", "macOS Big Sur",
	"macOS Monterey", "macOS Ventura", "macOS Sonoma", "macOS Sequoia", "macOS Tahoe",
}

// String returns the guest's name: "macOS Sequoia".
func (g Guest) String() string {
	if int(g) >= len(guestNames) {
		return fmt.Sprintf("Guest(%d)", uint8(g))
	}
	return guestNames[g]
}

// ErrGuest means that a text names no guest.
var ErrGuest = errors.New("not a known guest")

// ParseGuest parses what [Guest.String] returns. The error matches [ErrGuest].
func ParseGuest(s string) (Guest, error) {
	i := slices.Index(guestNames[:], s)
	if i < 0 {
		return AnyGuest, fmt.Errorf("gpu: guest %q: %w", s, ErrGuest)
	}
	return Guest(i), nil
}

// MarshalText implements [encoding.TextMarshaler].
func (g Guest) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (g *Guest) UnmarshalText(text []byte) error {
	parsed, err := ParseGuest(string(text))
	if err != nil {
		return err
	}
	*g = parsed
	return nil
}

// IsMacOS reports whether the guest is a release of macOS.
func (g Guest) IsMacOS() bool { return g >= MacOSHighSierra && g <= MacOSTahoe }

// IsWindows reports whether the guest is a release of Windows.
func (g Guest) IsWindows() bool { return g == Windows10 || g == Windows11 }
