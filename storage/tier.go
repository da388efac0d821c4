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
	Tier1            // NVMe, for operating systems
	Tier2            // SATA or SAS SSD, for games, models, scratch
	Tier3            // hard disk, for bulk data, backups, media
)

var tierNames = []string{"unknown", "1", "2", "3"}

// The list "media" names the medium of each tier, for people.
var media = []string{"unknown", "NVMe", "SSD", "HDD"}

// String returns "1", "2", "3" or "unknown".
func (t Tier) String() string { return enum.Name(tierNames, t) }

// Media returns the medium of the tier: "NVMe", "SSD", "HDD" or "unknown".
func (t Tier) Media() string { return enum.Name(media, t) }

// ErrTier reports a text that is not the name of a tier.
var ErrTier = errors.New("storage: unknown tier")

// ParseTier parses a name that [Tier.String] returns. The error matches
// [ErrTier].
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

// The function "slower" returns the slower of two tiers. The unknown tier counts
// as the slowest, because its speed cannot be promised.
func slower(a, b Tier) Tier {
	if a == TierUnknown || b == TierUnknown {
		return TierUnknown
	}
	return max(a, b)
}

// The method "meets" reports whether the tier is at least as fast as the wanted
// tier. Every tier meets an unknown wanted tier. An unknown tier meets no other
// tier.
func (t Tier) meets(want Tier) bool {
	return want == TierUnknown || t != TierUnknown && t <= want
}
