package storage

import (
	"errors"
	"fmt"
)

// A Tier ranks media by speed. The zero Tier is unknown.
type Tier uint8

// The tiers. A lower number is faster.
const (
	TierUnknown Tier = iota
	Tier1            // NVMe: an operating system's disk
	Tier2            // SATA or SAS SSD: games, models, scratch
	Tier3            // hard disk: bulk, backups, media
)

var tierNames = [...]string{"unknown", "1", "2", "3"}

// media says what a tier is made of, for people.
var media = [...]string{"unknown", "NVMe", "SSD", "HDD"}

// String returns "1", "2", "3" or "unknown".
func (t Tier) String() string {
	if int(t) >= len(tierNames) {
		return fmt.Sprintf("Tier(%d)", uint8(t))
	}
	return tierNames[t]
}

// Media returns what the tier is made of: "NVMe", "SSD", "HDD" or "unknown".
func (t Tier) Media() string {
	if int(t) >= len(media) {
		return t.String()
	}
	return media[t]
}

// ErrTier means that a text is no tier.
var ErrTier = errors.New("not a tier")

// ParseTier parses what [Tier.String] returns. The error matches [ErrTier].
func ParseTier(s string) (Tier, error) {
	for i, name := range tierNames {
		if name == s {
			return Tier(i), nil
		}
	}
	return 0, fmt.Errorf("storage: tier %q: %w: want 1, 2, 3 or unknown", s, ErrTier)
}

// MarshalText implements [encoding.TextMarshaler].
func (t Tier) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (t *Tier) UnmarshalText(text []byte) error {
	parsed, err := ParseTier(string(text))
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}

// slower returns the slower of two tiers; unknown is the slowest, because
// nothing may be promised of it.
func slower(a, b Tier) Tier {
	if a == TierUnknown || b == TierUnknown {
		return TierUnknown
	}
	return max(a, b)
}

// meets reports whether the tier is at least as fast as wanted. Every tier
// meets unknown, and unknown meets only that.
func (t Tier) meets(want Tier) bool {
	return want == TierUnknown || t != TierUnknown && t <= want
}
