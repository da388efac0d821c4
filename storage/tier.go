package storage

import (
	"errors"

	"github.com/proxstation/proxstation/internal/enum"
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

var tierNames = []string{"unknown", "1", "2", "3"}

// media says what a tier is made of, for people.
var media = []string{"unknown", "NVMe", "SSD", "HDD"}

// String returns "1", "2", "3" or "unknown".
func (t Tier) String() string { return enum.Name(tierNames, t) }

// Media returns what the tier is made of: "NVMe", "SSD", "HDD" or "unknown".
func (t Tier) Media() string { return enum.Name(media, t) }

// ErrTier reports a text that names no tier.
var ErrTier = errors.New("storage: unknown tier")

// ParseTier parses what [Tier.String] returns. The error matches [ErrTier].
func ParseTier(s string) (Tier, error) {
	var t Tier
	return t, enum.Unmarshal(&t, tierNames, s, ErrTier)
}

// MarshalText implements [encoding.TextMarshaler].
func (t Tier) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. The error matches
// [ErrTier].
func (t *Tier) UnmarshalText(text []byte) error {
	return enum.Unmarshal(t, tierNames, string(text), ErrTier)
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
// meets an unknown one; an unknown tier meets nothing else.
func (t Tier) meets(want Tier) bool {
	return want == TierUnknown || t != TierUnknown && t <= want
}
