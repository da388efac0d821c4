package gpu

import (
	"errors"

	"github.com/proxstation/proxstation/internal/enum"
)

// A Guest is an operating system that runs in a VM. The zero Guest is
// unspecified; no card is judged for it.
type Guest uint8

// The guests. The releases of macOS are in the order of their version numbers.
const (
	AnyGuest Guest = iota
	Linux
	Windows10
	Windows11
	MacOSHighSierra // version 10.13
	MacOSMojave     // version 10.14
	MacOSCatalina   // version 10.15
	MacOSBigSur     // version 11
	MacOSMonterey   // version 12
	MacOSVentura    // version 13
	MacOSSonoma     // version 14
	MacOSSequoia    // version 15
	MacOSTahoe      // version 26, the last for Intel processors
)

var guestNames = []string{
	"any", "Linux", "Windows 10", "Windows 11", "macOS High Sierra", "macOS Mojave", "macOS Catalina", "macOS Big Sur",
	"macOS Monterey", "macOS Ventura", "macOS Sonoma", "macOS Sequoia", "macOS Tahoe",
}

// String returns the guest's name: "macOS Sequoia".
func (g Guest) String() string { return enum.Name(guestNames, g) }

// ErrGuest reports a text that is not the name of a guest.
var ErrGuest = errors.New("gpu: unknown guest")

// ParseGuest parses a name that [Guest.String] returns. The error matches
// [ErrGuest].
func ParseGuest(s string) (Guest, error) {
	var g Guest
	return g, enum.Unmarshal(&g, guestNames, s, ErrGuest)
}

// MarshalText implements [encoding.TextMarshaler].
func (g Guest) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. The error matches
// [ErrGuest].
func (g *Guest) UnmarshalText(text []byte) error {
	return enum.Unmarshal(g, guestNames, string(text), ErrGuest)
}

// IsMacOS reports whether the guest is a release of macOS.
func (g Guest) IsMacOS() bool { return g >= MacOSHighSierra && g <= MacOSTahoe }

// IsWindows reports whether the guest is a release of Windows.
func (g Guest) IsWindows() bool { return g == Windows10 || g == Windows11 }
