package rustdesk

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Version is a release of RustDesk, such as 1.4.9. The zero Version is
// unknown.
type Version struct {
	Major, Minor, Patch int
}

// A Feature is a behaviour that only some releases of RustDesk have.
type Feature uint8

// The features on which a set-up depends.
const (
	// SetsOptions: --option and --config exist.
	SetsOptions Feature = iota + 1
	// KeepsSecrets: RustDesk no longer writes its command line to its own log.
	// The command line may contain a password or a key.
	KeepsSecrets
	// AcknowledgesPassword: "Done!" after --password means that the running
	// server has stored the password. In releases without this feature, it only
	// means that the password was sent. With the feature, commands of root also
	// reach the server of the user who is logged in.
	AcknowledgesPassword
	// PlugsInDisplay: on Windows, RustDesk comes with a virtual display
	// (Amyuni's usbmmidd). It plugs this display in when somebody connects to a
	// machine without a display (src/virtual_display_manager.rs:8).
	PlugsInDisplay
)

// Since returns the first release with the feature. For a feature that this
// package does not know, it returns the zero Version.
func (f Feature) Since() Version {
	switch f {
	case SetsOptions:
		return Version{1, 2, 2}
	case KeepsSecrets:
		return Version{1, 4, 2}
	case AcknowledgesPassword:
		return Version{1, 4, 7}
	case PlugsInDisplay:
		return Version{1, 2, 4}
	}
	return Version{}
}

// Has reports whether the release has the feature. It is false for a feature
// that this package does not know.
func (v Version) Has(f Feature) bool {
	since := f.Since()
	return since != (Version{}) && v.Compare(since) >= 0
}

// ErrVersion reports a text that is not a version, or a release that is too old
// for the request.
var ErrVersion = errors.New("rustdesk: version")

// ParseVersion parses the output of "rustdesk --version", or the version in a
// package's name: "1.4.9". It drops a build number after "-" or "+", as in
// "1.2.3-2". The error matches [ErrVersion].
func ParseVersion(s string) (Version, error) {
	release, _, _ := strings.Cut(s, "-")
	release, _, _ = strings.Cut(release, "+")
	fields := strings.Split(release, ".")
	var numbers [3]int
	if len(fields) != len(numbers) {
		return Version{}, fmt.Errorf("%w: %q: want MAJOR.MINOR.PATCH", ErrVersion, s)
	}
	for i, field := range fields {
		n, err := strconv.ParseUint(field, 10, 16)
		if err != nil {
			return Version{}, fmt.Errorf("%w: %q: %q is not a number", ErrVersion, s, field)
		}
		numbers[i] = int(n)
	}
	return Version{numbers[0], numbers[1], numbers[2]}, nil
}

// String returns the version as RustDesk prints it.
func (v Version) String() string {
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}

// Compare orders versions by age, older first.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor), cmp.Compare(v.Patch, w.Patch))
}

// MarshalText implements [encoding.TextMarshaler].
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (v *Version) UnmarshalText(text []byte) error {
	parsed, err := ParseVersion(string(text))
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}
