package gpu

import (
	"errors"
	"fmt"
	"strings"

	"github.com/proxstation/proxstation/internal/enum"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/iommu"
)

// A Support says whether a guest can use a card. The zero Support means that
// the answer is not known.
type Support uint8

// The kinds of support.
const (
	SupportUnknown Support = iota
	Supported              // the guest's system or the card's vendor has drivers
	Conditional            // supported after the changes in Conditions
	Unsupported            // there are no drivers
)

// ErrSupport reports a text that is not a [Support].
var ErrSupport = errors.New("gpu: unknown support")

var supportNames = []string{"unknown", "supported", "conditional", "unsupported"}

// String returns "unknown", "supported", "conditional" or "unsupported".
func (s Support) String() string { return enum.Name(supportNames, s) }

// MarshalText implements [encoding.TextMarshaler].
func (s Support) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. The error matches
// [ErrSupport].
func (s *Support) UnmarshalText(text []byte) error {
	return enum.Unmarshal(s, supportNames, string(text), ErrSupport)
}

// A Verdict says whether a guest can use a card, and why.
type Verdict struct {
	Guest   Guest   `json:"guest"`
	Card    string  `json:"card"` // the card's name
	Support Support `json:"support"`
	// The field Why holds the reason.
	Why string `json:"why"`
	// Conditions lists the changes that must be made first, if Support is
	// [Conditional].
	Conditions []string `json:"conditions,omitempty"`
	// DeviceID is the device number that the guest must see instead of the
	// card's own number, for [HostPCI].DeviceID. It is nil if the card's own
	// number works.
	DeviceID *iommu.ID `json:"deviceID,omitempty"`
	// The field Instead says what to do if Support is [Unsupported].
	Instead string `json:"instead,omitempty"`
	// Source names the document from which the verdict comes.
	Source string `json:"source,omitempty"`
}

// String returns the verdict in one line: "macOS Sequoia and UHD Graphics 630:
// supported, Apple's drivers know it".
func (v Verdict) String() string {
	text := fmt.Sprintf("%s and %s: %s, %s", v.Guest, v.Card, v.Support, v.Why)
	if len(v.Conditions) > 0 {
		text += "; it takes " + strings.Join(v.Conditions, " and ")
	}
	if v.Instead != "" {
		text += "; instead: " + v.Instead
	}
	return printable.Line(text)
}

// Err returns an [*UnsupportedError] if the guest cannot use the card, else nil.
func (v Verdict) Err() error {
	if v.Support != Unsupported {
		return nil
	}
	return &UnsupportedError{v}
}

// ErrUnsupported reports a guest that cannot use a card.
var ErrUnsupported = errors.New("the guest has no driver for this card")

// An UnsupportedError refuses a card to a guest. It matches [ErrUnsupported].
type UnsupportedError struct{ Verdict }

// Error names the reason and the alternative.
func (e *UnsupportedError) Error() string {
	return printable.Sprintf("gpu: %s cannot use %s: %s (%s); instead: %s", e.Guest, e.Card, e.Why, e.Source, e.Instead)
}

// Is reports whether target is [ErrUnsupported].
func (e *UnsupportedError) Is(target error) bool { return target == ErrUnsupported }

func (v *Verdict) need(condition string) {
	v.Support = Conditional
	v.Conditions = append(v.Conditions, condition)
}

// Judge says whether a guest's system has drivers for a card.
func Judge(guest Guest, card Card) Verdict {
	v := Verdict{Guest: guest, Card: card.Name()}
	switch {
	case guest.IsMacOS():
		v.judgeMacOS(card)
	case guest != Linux && !guest.IsWindows():
		v.Why = "the guest's system is not known"
	case card.Family() == UnknownFamily:
		v.Why = "the card's family is not known"
	case guest == Linux && card.Model().Vendor == NVIDIA:
		v.judgeLinuxNVIDIA(card)
	case guest == Linux:
		v.Support, v.Why, v.Source = Supported, "the kernel has drivers for the card", "Linux drivers/gpu/drm"
	default:
		v.Support, v.Why, v.Source = Supported, "the card's vendor has drivers for it", "the vendors' Windows drivers"
	}
	return v
}

// judgeLinuxNVIDIA names NVIDIA's kernel modules that support the card. The
// open modules support cards from Turing on. Blackwell cards are only supported
// by the open modules, from version 570 on. The last releases for older cards
// are the branches 470 and 580.
func (v *Verdict) judgeLinuxNVIDIA(card Card) {
	v.Support, v.Source = Supported, "NVIDIA open-gpu-kernel-modules README"
	v.Why = "NVIDIA's open and proprietary kernel modules support the card"
	switch card.Family() {
	case NVIDIABlackwell:
		v.Why = "NVIDIA's proprietary kernel modules do not support Blackwell"
		v.need("NVIDIA's open kernel modules, version 570 or newer")
	case NVIDIAMaxwell, NVIDIAPascal, NVIDIAVolta:
		v.Source, v.Why = "NVIDIA's list of legacy GPUs", "NVIDIA's open kernel modules do not support cards before Turing"
		v.need("NVIDIA's proprietary kernel modules; their 580 branch is the last")
	case NVIDIAKepler:
		v.Source, v.Why = "NVIDIA's list of legacy GPUs", "NVIDIA's open kernel modules do not support cards before Turing"
		v.need("NVIDIA's proprietary kernel modules; their 470 branch is the last, so with new kernels only nouveau is left")
	}
}
