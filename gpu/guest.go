package gpu

import (
	"errors"
	"fmt"
)

// A Guest is a system that runs in a VM. The zero Guest is unspecified, for
// which every card will do.
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

// ParseGuest parses what [Guest.String] returns.
func ParseGuest(s string) (Guest, error) {
	for i, name := range guestNames {
		if name == s {
			return Guest(i), nil
		}
	}
	return AnyGuest, fmt.Errorf("gpu: guest %q is not known", s)
}

// IsMacOS reports whether the guest is a release of macOS.
func (g Guest) IsMacOS() bool { return g >= MacOSHighSierra && g <= MacOSTahoe }

// IsWindows reports whether the guest is a release of Windows.
func (g Guest) IsWindows() bool { return g == Windows10 || g == Windows11 }

// ErrUnsupported means that a guest has no driver for a card.
var ErrUnsupported = errors.New("the guest has no driver for this card")

// An UnsupportedError says why a guest cannot use a card, and what to do
// instead.
type UnsupportedError struct {
	Guest   Guest
	Card    string
	Why     string
	Instead string
	Source  string // of the fact
}

// Error implements error.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("gpu: %s cannot use %s: %s; instead: %s (%s)", e.Guest, e.Card, e.Why, e.Instead, e.Source)
}

// Is makes the error match [ErrUnsupported].
func (e *UnsupportedError) Is(target error) bool { return target == ErrUnsupported }

// The sources of what is said of macOS.
const (
	dortania = "Dortania GPU Buyers Guide"
	whatever = "WhateverGreen FAQ.IntelHD"
	nvidia   = "NVIDIA open GPU kernel modules README"
)

// A reach is the releases of macOS that have a driver for a family.
type reach struct {
	first, last Guest
	condition   string // what else it takes
	source      string
}

// macOS holds the families that macOS has drivers for. It has none for every
// other.
var macOS = map[Family]reach{
	IntelHaswell:    {MacOSHighSierra, MacOSMonterey, "", dortania},
	IntelBroadwell:  {MacOSHighSierra, MacOSMonterey, "", dortania},
	IntelSkylake:    {MacOSHighSierra, MacOSMonterey, "", dortania},
	IntelKabyLake:   {MacOSHighSierra, MacOSTahoe, "", dortania},
	IntelCoffeeLake: {MacOSMojave, MacOSTahoe, "", whatever},
	IntelCometLake:  {MacOSCatalina, MacOSTahoe, "", whatever},
	IntelIceLake:    {MacOSCatalina, MacOSTahoe, "", whatever},
	AMDPolaris:      {MacOSHighSierra, MacOSTahoe, "", dortania},
	AMDVega:         {MacOSHighSierra, MacOSTahoe, "", dortania},
	AMDNavi10:       {MacOSCatalina, MacOSTahoe, "the boot argument agdpmod=pikera", dortania},
	AMDNavi14:       {MacOSCatalina, MacOSTahoe, "the boot argument agdpmod=pikera", dortania},
	AMDNavi21:       {MacOSBigSur, MacOSTahoe, "the boot argument agdpmod=pikera", dortania},
	AMDNavi22:       {MacOSMonterey, MacOSTahoe, "NootRX, a patch to its drivers", dortania},
	AMDNavi23:       {MacOSMonterey, MacOSTahoe, "the boot argument agdpmod=pikera", dortania},
	NVIDIAKepler:    {MacOSHighSierra, MacOSBigSur, "", dortania},
	NVIDIAMaxwell:   {MacOSHighSierra, MacOSHighSierra, "NVIDIA's Web Drivers", dortania},
	NVIDIAPascal:    {MacOSHighSierra, MacOSHighSierra, "NVIDIA's Web Drivers", dortania},
}

// Judge says whether a guest has a driver for a card. The error is an
// [*UnsupportedError] if it has none; the findings are conditions and advice.
func Judge(guest Guest, card Card) ([]Finding, error) {
	family := card.Family()
	switch {
	case guest.IsMacOS():
		return judgeMacOS(guest, card)
	case guest == Linux && family == NVIDIABlackwell:
		return []Finding{{
			ID: "gpu.open-modules", Severity: Info, Subject: card.Address().String(), Seen: card.Name(),
			Why: "NVIDIA's proprietary kernel modules do not know Blackwell (" + nvidia + ")",
			Fix: "in the guest install the open kernel modules, version 570 or newer (Ubuntu: nvidia-driver-570-open)",
		}}, nil
	}
	return nil, nil
}

func judgeMacOS(guest Guest, card Card) ([]Finding, error) {
	family := card.Family()
	r, known := macOS[family]
	if !known || guest < r.first || guest > r.last {
		return nil, refuseMacOS(guest, card, r, known)
	}
	var findings []Finding
	add := func(id, why, fix string) {
		findings = append(findings, Finding{ID: id, Severity: Info, Subject: card.Address().String(), Seen: card.Name(), Why: why, Fix: fix})
	}
	if r.condition != "" {
		add("gpu.macos-condition", guest.String()+" needs "+r.condition+" for this card ("+r.source+")", "set it in OpenCore's configuration")
	}
	if family == IntelCoffeeLake || family == IntelCometLake {
		if id := NativeID(card); id != "" {
			add("gpu.macos-device-id", "macOS does not know this device number ("+whatever+")", "give the card another one: device-id="+id)
		}
	}
	return findings, nil
}

func refuseMacOS(guest Guest, card Card, r reach, known bool) error {
	e := &UnsupportedError{Guest: guest, Card: card.Name(), Source: dortania,
		Instead: "an Intel UHD 630, or an AMD RX 6600 to 6900 XT"}
	switch family := card.Family(); {
	case known && guest < r.first:
		e.Why, e.Instead = fmt.Sprintf("drivers for %s came with %s", family, r.first), r.first.String()+" or later"
	case known:
		e.Why = fmt.Sprintf("%s was the last with drivers for %s", r.last, family)
	case card.Model().Vendor == NVIDIA:
		e.Why = "Apple ships no driver for NVIDIA cards since Kepler, and none was ever made for RTX cards"
	case family == UnknownFamily:
		e.Why = "its family is not known, and macOS knows few cards"
	default:
		e.Why = fmt.Sprintf("macOS has no driver for %s", family)
	}
	return e
}

// nativeIDs are Coffee Lake and Comet Lake iGPUs that macOS knows by
// themselves (WhateverGreen FAQ.IntelHD).
var nativeIDs = map[string]bool{
	"8086:3e91": true, "8086:3e92": true, "8086:3e98": true, "8086:3e9b": true, "8086:3ea5": true, "8086:3ea6": true,
	"8086:9bc5": true, "8086:9bc8": true, "8086:9bc4": true, "8086:9bca": true,
}

// NativeID returns the device number ("0x3e9b") that an Intel iGPU must be
// given for macOS to know it, or "" if it is known as it is.
func NativeID(card Card) string {
	switch family := card.Family(); {
	case nativeIDs[card.Model().String()]:
		return ""
	case family == IntelCoffeeLake:
		return "0x3e9b"
	case family == IntelCometLake:
		return "0x9bc5"
	}
	return ""
}
