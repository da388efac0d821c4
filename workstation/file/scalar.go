package file

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation/firstboot"
	"github.com/proxstation/proxstation/workstation/install"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// For each type that has a fixed set of words, this map holds the words.
var words = map[reflect.Type][]string{
	reflect.TypeFor[storage.Tier]():                {"1", "2", "3"},
	reflect.TypeFor[storage.Purpose]():             purposes(),
	reflect.TypeFor[gpu.Guest]():                   guests(),
	reflect.TypeFor[profile.MacStage]():            {"install", "card", "off"},
	reflect.TypeFor[profile.IGPUMode]():            {"chosen", "legacy", "headless"},
	reflect.TypeFor[profile.MacNetwork]():          {string(profile.VMXNET3), string(profile.VirtIONetwork)},
	reflect.TypeFor[profile.MacScreen]():           {string(profile.VMwareSVGA), string(profile.VirtIOGPU)},
	reflect.TypeFor[firstboot.Edition]():           {string(firstboot.Home), string(firstboot.Pro), string(firstboot.ProWorkstations), string(firstboot.Education)},
	reflect.TypeFor[install.CardTime]():            cardTimes,
	reflect.TypeFor[HAState]():                     haStates,
	reflect.TypeFor[proxstation.Answer]():          {"yes", "no"},
	reflect.TypeFor[iommu.UseKind]():               {"root", "storage", "network", "console", "input"},
	reflect.TypeFor[rustdesk.ApproveMode]():        {string(rustdesk.ApprovePassword), string(rustdesk.ApproveClick)},
	reflect.TypeFor[rustdesk.VerificationMethod](): {string(rustdesk.VerifyTemporary), string(rustdesk.VerifyPermanent)},
	reflect.TypeFor[rustdesk.OS]():                 {string(rustdesk.Linux), string(rustdesk.Windows), string(rustdesk.MacOS)},
}

// A notation reads and writes the values of a Go type whose own text differs
// from the text on a page.
type notation struct {
	parse  func(text string) (any, error)
	print  func(value any) string
	sample string // a valid value, for error messages
}

var notations = map[reflect.Type]notation{
	reflect.TypeFor[storage.Size]():  {parseSize, func(v any) string { return sizeText(v.(storage.Size)) }, "16GiB"},
	reflect.TypeFor[time.Duration](): {parseDuration, func(v any) string { return durationText(v.(time.Duration)) }, "3m"},
	reflect.TypeFor[gpu.Guest](): {
		func(text string) (any, error) { return gpu.Guest(indexOf(guests(), text)), nil },
		func(v any) string { return guestText(v.(gpu.Guest)) }, "sequoia"},
	reflect.TypeFor[install.CardTime](): {
		func(text string) (any, error) { return install.CardTime(indexOf(cardTimes, text)), nil },
		func(v any) string { return cardTimes[v.(install.CardTime)] }, "later"},
	reflect.TypeFor[iommu.Address](): {parseAddress, func(v any) string { return v.(iommu.Address).String() }, `"0000:01:00"`},
}

// cardTimes holds the words for [install.CardLater] and [install.CardAtOnce].
var cardTimes = []string{"later", "at-once"}

func purposes() []string {
	var all []string
	for _, p := range []storage.Purpose{storage.Boot, storage.Firmware, storage.Image, storage.Games, storage.Models, storage.Data, storage.Scratch, storage.Bulk, storage.Backup} {
		all = append(all, string(p))
	}
	return all
}

// guests returns the words for operating systems, in the order of the constants
// of gpu.Guest.
func guests() []string {
	var all []string
	for g := gpu.AnyGuest; g <= gpu.MacOSTahoe; g++ {
		all = append(all, guestText(g))
	}
	return all
}

// guestText returns the word for an operating system, such as "linux",
// "windows-11" or "sequoia".
func guestText(g gpu.Guest) string { return kebab(strings.TrimPrefix(g.String(), "macOS ")) }

func indexOf(words []string, text string) int {
	for i, word := range words {
		if word == text {
			return i
		}
	}
	return -1
}

// units holds the units of a size. GB and TB are missing, because on disks they
// are powers of 1000, and PVE counts in powers of 1024.
var units = []struct {
	names []string
	unit  storage.Size
}{{[]string{"TiB", "T"}, storage.TiB}, {[]string{"GiB", "G"}, storage.GiB}, {[]string{"MiB", "M"}, storage.MiB}, {[]string{"KiB", "K"}, storage.KiB}}

// parseSize parses a size of the page: a number with a unit.
func parseSize(text string) (any, error) {
	for _, u := range units {
		for _, name := range u.names {
			digits, found := strings.CutSuffix(text, name)
			if !found {
				continue
			}
			digits = strings.TrimSpace(digits)
			n, err := strconv.ParseFloat(digits, 64)
			bytes := n * float64(u.unit)
			if err != nil || strings.Trim(digits, "0123456789.") != "" || bytes >= math.MaxInt64 || bytes != math.Trunc(bytes) {
				return nil, fmt.Errorf("%q is not a size: want a number and a unit, such as 16GiB", text)
			}
			return storage.Size(bytes), nil
		}
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil {
		return nil, fmt.Errorf("%s has no unit: want a number and a unit, such as %sGiB or %sMiB", text, text, text)
	}
	for _, decimal := range []string{"TB", "GB", "MB", "KB", "kB"} {
		if digits, found := strings.CutSuffix(text, decimal); found {
			binary := strings.ToUpper(decimal[:1]) + "iB"
			return nil, fmt.Errorf("%q is in powers of 1000, and PVE counts in powers of 1024: did you mean %s%s?", text, strings.TrimSpace(digits), binary)
		}
	}
	return nil, fmt.Errorf("%q is not a size: want a number and a unit (KiB, MiB, GiB, TiB), such as 16GiB", text)
}

// sizeText returns the exact text of a size on the page.
func sizeText(size storage.Size) string {
	for _, u := range units {
		if size != 0 && size%u.unit == 0 {
			return fmt.Sprintf("%d%s", size/u.unit, u.names[0])
		}
	}
	return strconv.FormatFloat(float64(size)/float64(storage.KiB), 'f', -1, 64) + "KiB"
}

func parseDuration(text string) (any, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is not a time: want a number and a unit, such as 90s or 3m", text)
	case d <= 0:
		return nil, fmt.Errorf("%q is not above zero: leave the key out for the usual time", text)
	}
	return d, nil
}

// durationText returns the text of a time without units that are zero: "3m"
// instead of "3m0s".
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func parseAddress(text string) (any, error) {
	if a, err := iommu.ParseAddress(text); err == nil {
		return a, nil
	}
	if a, err := iommu.ParseSlot(text); err == nil {
		return a, nil
	}
	return nil, fmt.Errorf("%q is not a PCI address: want one as lspci -D prints it, such as \"0000:01:00\" or \"0000:01:00.0\"", text)
}

// scalarText returns the text of a value on the page. ok is false if the page
// writes the value as a list or a mapping.
func scalarText(v reflect.Value) (text string, ok bool) {
	if n, special := notations[v.Type()]; special {
		return n.print(v.Interface()), true
	}
	if s, is := v.Interface().(shorthand); is {
		return s.short()
	}
	if m, is := v.Interface().(encoding.TextMarshaler); is {
		text, err := m.MarshalText()
		return string(text), err == nil
	}
	switch v.Kind() {
	case reflect.String:
		return v.String(), true
	case reflect.Bool, reflect.Int, reflect.Int64, reflect.Uint16, reflect.Float64:
		return fmt.Sprint(v.Interface()), true
	}
	return "", false
}
