package storage

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Size is an amount of storage or memory in bytes. It is used like a
// time.Duration: 64*storage.GiB.
type Size int64

// The units: powers of 1024, which PVE writes as K, M, G and T.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

// ErrSize reports a text that is not a size.
var ErrSize = errors.New("not a size")

// suffixes holds PVE's units, the largest first (pve-common
// PVE/JSONSchema.pm, parse_size).
var suffixes = []struct {
	letter string
	unit   Size
}{{"T", TiB}, {"G", GiB}, {"M", MiB}, {"K", KiB}}

// ParseSize parses a size as PVE writes it: digits, perhaps with a fraction,
// and K, M, G, T or nothing for bytes. The error matches [ErrSize].
func ParseSize(s string) (Size, error) {
	digits, unit := s, Size(1)
	for _, suffix := range suffixes {
		if cut, found := strings.CutSuffix(s, suffix.letter); found {
			digits, unit = cut, suffix.unit
		}
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n >= 0 && digits[0] != '+' && Size(n) <= math.MaxInt64/unit {
		return Size(n) * unit, nil
	}
	whole, fraction, found := strings.Cut(digits, ".")
	if found && isDigits(whole) && isDigits(fraction) {
		if f, err := strconv.ParseFloat(digits, 64); err == nil && f*float64(unit) < math.MaxInt64 {
			return Size(f * float64(unit)), nil
		}
	}
	return 0, fmt.Errorf("storage: size %q: %w: want digits and K, M, G or T", s, ErrSize)
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// String returns the exact size as PVE writes it, in the largest unit that
// divides the size.
func (s Size) String() string {
	for _, suffix := range suffixes {
		if s != 0 && s%suffix.unit == 0 {
			return strconv.FormatInt(int64(s/suffix.unit), 10) + suffix.letter
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Human returns the size for people, with one digit after the decimal point:
// "931.5 GiB".
func (s Size) Human() string {
	for _, suffix := range suffixes {
		if s >= suffix.unit {
			return fmt.Sprintf("%.1f %siB", float64(s)/float64(suffix.unit), suffix.letter)
		}
	}
	return fmt.Sprintf("%d B", int64(s))
}

// MarshalText implements [encoding.TextMarshaler].
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (s *Size) UnmarshalText(text []byte) error {
	parsed, err := ParseSize(string(text))
	if err != nil {
		return err
	}
	*s = parsed
	return nil
}
