package gpu_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
)

var macReleases = []gpu.Guest{gpu.MacOSHighSierra, gpu.MacOSMojave, gpu.MacOSCatalina, gpu.MacOSBigSur, gpu.MacOSMonterey,
	gpu.MacOSVentura, gpu.MacOSSonoma, gpu.MacOSSequoia, gpu.MacOSTahoe}

// macSupport returns a letter for each release from High Sierra to Tahoe: y for
// supported, c for conditional, n for never, ? for unknown.
func macSupport(c gpu.Card) string {
	var b strings.Builder
	for _, guest := range macReleases {
		b.WriteByte("?ycn"[gpu.Judge(guest, c).Support])
	}
	return b.String()
}

func TestJudgeMacOS(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		card gpu.Card
		want string
	}{
		{"RTX 5070 Ti", card(gpu.NVIDIA, 0x2c05), "nnnnnnnnn"},
		{"RTX 2060", card(gpu.NVIDIA, 0x1f08), "nnnnnnnnn"},
		{"H100", card(gpu.NVIDIA, 0x2330), "nnnnnnnnn"},
		{"NVIDIA of tomorrow", card(gpu.NVIDIA, 0x3456), "nnnnnnnnn"},
		{"Titan V", card(gpu.NVIDIA, 0x1d81), "nnnnnnnnn"},
		{"GTX 1080", card(gpu.NVIDIA, 0x1b80), "cnnnnnnnn"},
		{"GTX 970", card(gpu.NVIDIA, 0x13c2), "cnnnnnnnn"},
		{"GT 710", card(gpu.NVIDIA, 0x128b), "yyyynnnnn"},
		{"GTX 660, GK106", card(gpu.NVIDIA, 0x11c0), "nnnnnnnnn"},
		{"Fermi", card(gpu.NVIDIA, 0x1200), "?????????"},
		{"UHD 630", card(gpu.Intel, 0x3e92), "cyyyyyyyy"},
		{"UHD P630", card(gpu.Intel, 0x3e94), "ccccccccc"},
		{"UHD 610", card(gpu.Intel, 0x3e90), "nnnnnnnnn"},
		{"Comet Lake UHD 630", card(gpu.Intel, 0x9bc5), "nnyyyyyyy"},
		{"Comet Lake UHD 610", card(gpu.Intel, 0x9ba8), "nnnnnnnnn"},
		{"HD 2500", card(gpu.Intel, 0x0152), "nnnnnnnnn"},
		{"HD 3000", card(gpu.Intel, 0x0126), "cnnnnnnnn"},
		{"HD 4000", card(gpu.Intel, 0x0162), "yyyynnnnn"},
		{"HD 4600", card(gpu.Intel, 0x0412), "yyyyynnnn"},
		{"HD 4600 mobile", card(gpu.Intel, 0x0416), "cccccnnnn"},
		{"HD 6000", card(gpu.Intel, 0x1626), "yyyyynnnn"},
		{"HD 530", card(gpu.Intel, 0x1912), "yyyyycccc"},
		{"HD 630", card(gpu.Intel, 0x5912), "yyyyyyyyy"},
		{"Iris Plus G7", card(gpu.Intel, 0x8a52), "nnyyyyyyy"},
		{"Ice Lake G1", card(gpu.Intel, 0x8a56), "nnnnnnnnn"},
		{"UHD 750", card(gpu.Intel, 0x4c8a), "nnnnnnnnn"},
		{"UHD 770", card(gpu.Intel, 0x4680), "nnnnnnnnn"},
		{"Arc A770", card(gpu.Intel, 0x56a0), "nnnnnnnnn"},
		{"RX 580", card(gpu.AMD, 0x67df), "yyyyyyyyy"},
		{"RX 580 2048SP", card(gpu.AMD, 0x6fdf), "nnnnnnnnn"},
		{"RX 550, Lexa", card(gpu.AMD, 0x699f), "ccccccccc"},
		{"Vega 64", card(gpu.AMD, 0x687f), "yyyyyyyyy"},
		{"Radeon VII", card(gpu.AMD, 0x66af), "nyyyyyyyy"},
		{"RX 5700", card(gpu.AMD, 0x731f), "nnccccccc"},
		{"RX 6900 XT", card(gpu.AMD, 0x73bf), "nnncccccc"},
		{"RX 6700 XT", card(gpu.AMD, 0x73df), "nnncccccn"},
		{"RX 6600", card(gpu.AMD, 0x73ff), "nnnnccccc"},
		{"RX 6400", card(gpu.AMD, 0x743f), "nnnnnnnnn"},
		{"RX 7900 XTX", card(gpu.AMD, 0x744c), "nnnnnnnnn"},
		{"RX 7600M XT", card(gpu.AMD, 0x73f0), "nnnnnnnnn"},
		{"RX 9070", card(gpu.AMD, 0x7550), "nnnnnnnnn"},
		{"Raphael", card(gpu.AMD, 0x164e), "nnnnnnnnn"},
		{"ASPEED", card(0x1a03, 0x2000), "?????????"},
	} {
		if got := macSupport(test.card); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestJudgeOthers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		guest gpu.Guest
		card  gpu.Card
		want  gpu.Support
		says  string // a text in the reason or in the conditions
	}{
		{gpu.Linux, card(gpu.NVIDIA, 0x2c05), gpu.Conditional, "570"},
		{gpu.Linux, card(gpu.NVIDIA, 0x2684), gpu.Supported, ""},
		{gpu.Linux, card(gpu.NVIDIA, 0x1b80), gpu.Conditional, "580"},
		{gpu.Linux, card(gpu.NVIDIA, 0x1180), gpu.Conditional, "470"},
		{gpu.Linux, card(gpu.AMD, 0x744c), gpu.Supported, ""},
		{gpu.Linux, card(gpu.Intel, 0x3e92), gpu.Supported, ""},
		{gpu.Windows11, card(gpu.NVIDIA, 0x2c05), gpu.Supported, ""},
		{gpu.Windows10, card(gpu.AMD, 0x73ff), gpu.Supported, ""},
		{gpu.Windows11, card(gpu.NVIDIA, 0x3456), gpu.SupportUnknown, "family"},
		{gpu.AnyGuest, card(gpu.NVIDIA, 0x2c05), gpu.SupportUnknown, "system"},
		{gpu.Guest(99), card(gpu.NVIDIA, 0x2c05), gpu.SupportUnknown, "system"},
	} {
		v := gpu.Judge(test.guest, test.card)
		if v.Support != test.want || !strings.Contains(v.Why+strings.Join(v.Conditions, " "), test.says) {
			t.Errorf("%s on %s: %+v", v.Card, v.Guest, v)
		}
		if (v.Support == gpu.Conditional) != (len(v.Conditions) > 0) {
			t.Errorf("%s is %s with conditions %q", v.Card, v.Support, v.Conditions)
		}
	}
}

// Every verdict has a reason. Every verdict whose Support is not unknown names
// its source.
func TestVerdictsAreSourced(t *testing.T) {
	t.Parallel()
	for vendor := range map[iommu.ID]bool{gpu.Intel: true, gpu.AMD: true, gpu.NVIDIA: true, 0x1a03: true} {
		for device := range 0x10000 {
			if device%101 != 0 && gpu.FamilyOf(model(vendor, iommu.ID(device))) == gpu.UnknownFamily || device%5 > 1 {
				continue
			}
			for _, guest := range []gpu.Guest{gpu.MacOSHighSierra, gpu.MacOSSequoia, gpu.MacOSTahoe, gpu.Windows11, gpu.Linux} {
				v := gpu.Judge(guest, card(vendor, iommu.ID(device)))
				if v.Why == "" || (v.Source == "") != (v.Support == gpu.SupportUnknown) || (v.Instead != "") != (v.Support == gpu.Unsupported) {
					t.Fatalf("%04x:%04x for %s: %+v", vendor, device, guest, v)
				}
				if (v.Err() != nil) != (v.Support == gpu.Unsupported) {
					t.Fatalf("%04x:%04x for %s: %v", vendor, device, guest, v.Err())
				}
			}
		}
	}
}

func TestVerdictDeviceID(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		guest        gpu.Guest
		vendor, from iommu.ID
		want         iommu.ID // 0 if the guest sees the card's own number
	}{
		{gpu.MacOSSequoia, gpu.Intel, 0x3e92, 0}, {gpu.MacOSSequoia, gpu.Intel, 0x3e91, 0}, {gpu.MacOSSequoia, gpu.Intel, 0x3e98, 0},
		{gpu.MacOSSequoia, gpu.Intel, 0x9bc8, 0}, {gpu.MacOSSequoia, gpu.Intel, 0x3e94, 0x3e9b}, {gpu.MacOSSequoia, gpu.Intel, 0x9bca, 0x3e9b},
		{gpu.MacOSSequoia, gpu.Intel, 0x3ea0, 0x3ea5}, {gpu.MacOSHighSierra, gpu.Intel, 0x3e92, 0x5912}, {gpu.MacOSSequoia, gpu.Intel, 0x5917, 0x5916},
		{gpu.MacOSSequoia, gpu.Intel, 0x1912, 0x5912}, {gpu.MacOSMonterey, gpu.Intel, 0x1912, 0}, {gpu.MacOSMonterey, gpu.Intel, 0x0416, 0x0412},
		{gpu.MacOSSequoia, gpu.AMD, 0x73ff, 0}, {gpu.MacOSSequoia, gpu.AMD, 0x73ef, 0x73ff}, {gpu.MacOSSequoia, gpu.AMD, 0x73af, 0x73bf},
		{gpu.MacOSSequoia, gpu.AMD, 0x699f, 0x67ff}, {gpu.Windows11, gpu.Intel, 0x3e94, 0}, {gpu.MacOSSequoia, gpu.NVIDIA, 0x2c05, 0},
	} {
		v := gpu.Judge(test.guest, card(test.vendor, test.from))
		var got iommu.ID
		if v.DeviceID != nil {
			got = *v.DeviceID
		}
		if got != test.want {
			t.Errorf("%s:%s for %s is shown as %s, want %s", test.vendor, test.from, test.guest, got, test.want)
		}
		if v.DeviceID != nil && !strings.Contains(strings.Join(v.Conditions, " "), "device-id=0x"+got.String()) {
			t.Errorf("the conditions do not say device-id=0x%s: %q", got, v.Conditions)
		}
	}
}

func TestUnsupportedError(t *testing.T) {
	t.Parallel()
	err := gpu.Judge(gpu.MacOSSequoia, card(gpu.NVIDIA, 0x2c05)).Err()
	refused, ok := errors.AsType[*gpu.UnsupportedError](err)
	if !ok || !errors.Is(err, gpu.ErrUnsupported) {
		t.Fatalf("macOS with an RTX card: %v", err)
	}
	for _, part := range []string{"gpu: macOS Sequoia", "NVIDIA Blackwell 10de:2c05", "there has never been a driver", "UHD 630", "Dortania"} {
		if !strings.Contains(refused.Error(), part) {
			t.Errorf("%q does not say %q", refused, part)
		}
	}
	early := gpu.Judge(gpu.MacOSMojave, card(gpu.AMD, 0x73ff))
	if !strings.Contains(early.Instead, "macOS Monterey or later") {
		t.Errorf("too early a release: %+v", early)
	}
}

func TestGuestText(t *testing.T) {
	t.Parallel()
	for g := gpu.AnyGuest; g <= gpu.MacOSTahoe; g++ {
		back, err := gpu.ParseGuest(g.String())
		if err != nil || back != g {
			t.Errorf("%q is read as %q: %v", g, back, err)
		}
		var decoded gpu.Guest
		text, err := json.Marshal(g)
		if err == nil {
			err = json.Unmarshal(text, &decoded)
		}
		if err != nil || decoded != g {
			t.Errorf("%s is decoded as %s: %v", text, decoded, err)
		}
		if g.IsMacOS() != strings.HasPrefix(g.String(), "macOS") || g.IsWindows() != strings.HasPrefix(g.String(), "Windows") {
			t.Errorf("%s: IsMacOS %v, IsWindows %v", g, g.IsMacOS(), g.IsWindows())
		}
	}
	var g gpu.Guest
	if err := g.UnmarshalText([]byte("BeOS")); !errors.Is(err, gpu.ErrGuest) || g != gpu.AnyGuest {
		t.Errorf("BeOS is %s: %v", g, err)
	}
	if got := gpu.Guest(99).String(); got != "Guest(99)" {
		t.Error(got)
	}
}

func TestSupportText(t *testing.T) {
	t.Parallel()
	for s := gpu.SupportUnknown; s <= gpu.Unsupported; s++ {
		var back gpu.Support
		text, err := s.MarshalText()
		if err == nil {
			err = back.UnmarshalText(text)
		}
		if err != nil || back != s {
			t.Errorf("%s is read as %s: %v", text, back, err)
		}
	}
	var s gpu.Support
	if err := s.UnmarshalText([]byte("maybe")); err == nil {
		t.Error("maybe is a kind of support")
	}
	if got := gpu.Support(9).String(); got != "Support(9)" {
		t.Error(got)
	}
}
