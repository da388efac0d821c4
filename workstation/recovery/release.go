package recovery

import (
	"errors"
	"fmt"
	"strings"

	"github.com/proxstation/proxstation/gpu"
)

// A Release is a release of macOS whose recovery system Apple still offers for
// Intel Macs. The zero Release is not a release.
type Release uint8

// The releases, the oldest first.
const (
	HighSierra Release = iota + 1 // 10.13
	Mojave                        // 10.14
	Catalina                      // 10.15
	BigSur                        // 11
	Monterey                      // 12
	Ventura                       // 13
	Sonoma                        // 14
	Sequoia                       // 15
	Tahoe                         // 26, the last release for Intel
)

// A Board describes the Mac that a request to the service names. The service's
// answer depends on the Mac: it offers the newest system for this Mac, or the
// system with which the Mac was sold.
type Board struct {
	// ID is the board's id, such as "Mac-7BA5B2D9E42DDD94".
	ID string
	// Serial is the board's serial number (MLB), 17 characters. A text of 17
	// zeros means that there is no serial number. A serial number such as
	// "00000000000KXPG00" holds only a product code (here KXPG), which names a
	// model. The service then answers with the oldest system of this model.
	Serial string
	// The field Latest asks for the newest system of all. Otherwise the service
	// answers with the newest system that suits the board's age.
	Latest bool
}

const noSerial = "00000000000000000"

type release struct {
	name, version string
	board         Board
}

// The method "table" returns the facts of a release. The board for each release
// comes from macrecovery's recovery_urls.txt and boards.json (April 2026).
// After Apple has published updates, the service may offer another system for a
// board. So compare the product, or the version on the disk, with the requested
// release.
func (r Release) table() (release, bool) {
	table := [...]release{
		HighSierra: {"High Sierra", "10.13", Board{ID: "Mac-7BA5B2D9E42DDD94", Serial: "00000000000J80300"}},
		Mojave:     {"Mojave", "10.14", Board{ID: "Mac-7BA5B2DFE22DDD8C", Serial: "00000000000KXPG00"}},
		Catalina:   {"Catalina", "10.15", Board{ID: "Mac-00BE6ED71E35EB86", Serial: noSerial}},
		BigSur:     {"Big Sur", "11", Board{ID: "Mac-2BD1B31983FE1663", Serial: noSerial}},
		Monterey:   {"Monterey", "12", Board{ID: "Mac-E43C1C25D4880AD6", Serial: noSerial}},
		Ventura:    {"Ventura", "13", Board{ID: "Mac-B4831CEBD52A0C4C", Serial: noSerial}},
		Sonoma:     {"Sonoma", "14", Board{ID: "Mac-827FAC58A8FDFA22", Serial: noSerial}},
		Sequoia:    {"Sequoia", "15", Board{ID: "Mac-7BA5B2D9E42DDD94", Serial: noSerial}},
		Tahoe:      {"Tahoe", "26", Board{ID: "Mac-CFF7D910A743CAAF", Serial: noSerial, Latest: true}},
	}
	if r == 0 || int(r) >= len(table) {
		return release{}, false
	}
	return table[r], true
}

// ErrRelease reports an unknown release.
var ErrRelease = errors.New("recovery: unknown macOS release")

// ParseRelease parses a name or version: "Sequoia", "high-sierra", "10.13",
// "15.7.4", "macOS 12".
func ParseRelease(s string) (Release, error) {
	text := strings.ToLower(strings.TrimSpace(s))
	text = strings.TrimSpace(strings.TrimPrefix(text, "macos"))
	text = strings.ReplaceAll(text, "-", " ")
	for r := HighSierra; r <= Tahoe; r++ {
		known, _ := r.table()
		if text == strings.ToLower(known.name) || text == known.version || strings.HasPrefix(text, known.version+".") {
			return r, nil
		}
	}
	return 0, fmt.Errorf("%w %q", ErrRelease, s)
}

// String returns the name: "High Sierra".
func (r Release) String() string {
	if known, ok := r.table(); ok {
		return known.name
	}
	return fmt.Sprintf("Release(%d)", uint8(r))
}

// Version returns the beginning of all version numbers of the release: "10.13",
// "15". It returns "" for an unknown release.
func (r Release) Version() string {
	known, _ := r.table()
	return known.version
}

// Guest returns the guest that runs the release. It returns gpu.AnyGuest for an
// unknown release.
func (r Release) Guest() gpu.Guest {
	if _, known := r.table(); !known {
		return gpu.AnyGuest
	}
	return gpu.MacOSHighSierra + gpu.Guest(r-HighSierra)
}

// ReleaseOf returns the release that a guest runs. The bool is false if the
// guest is not macOS.
func ReleaseOf(guest gpu.Guest) (Release, bool) {
	if !guest.IsMacOS() {
		return 0, false
	}
	return HighSierra + Release(guest-gpu.MacOSHighSierra), true
}

// Board returns the Mac to which the service gives this release. The error is
// [ErrRelease].
func (r Release) Board() (Board, error) {
	known, ok := r.table()
	if !ok {
		return Board{}, fmt.Errorf("%w %s", ErrRelease, r)
	}
	return known.board, nil
}

// MarshalText implements [encoding.TextMarshaler].
func (r Release) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (r *Release) UnmarshalText(text []byte) error {
	parsed, err := ParseRelease(string(text))
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}
