package storage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/proxstation/proxstation/storage"
)

func TestParseSize(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text  string
		want  storage.Size
		print string // empty if it is the same as text
	}{
		{"0", 0, ""}, {"512", 512, ""}, {"4K", 4 * storage.KiB, ""}, {"528K", 528 * storage.KiB, ""}, {"64G", 64 * storage.GiB, ""},
		{"1T", storage.TiB, ""}, {"1024G", storage.TiB, "1T"}, {"1.5G", 1536 * storage.MiB, "1536M"}, {"32.0M", 32 * storage.MiB, "32M"},
		{"8388607T", 8388607 * storage.TiB, ""},
	}
	for _, test := range tests {
		got, err := storage.ParseSize(test.text)
		if err != nil || got != test.want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", test.text, got, err, test.want)
		}
		if print := got.String(); print != test.print && (test.print != "" || print != test.text) {
			t.Errorf("ParseSize(%q) prints as %q", test.text, print)
		}
	}
	for _, text := range []string{"", "G", "-1", "+1", "1X", "1 G", "8388608T", "9223372036854775808", "1.", ".5G", "1e3", "99999999999.5T", "0x10", "1,5G"} {
		if got, err := storage.ParseSize(text); !errors.Is(err, storage.ErrSize) {
			t.Errorf("ParseSize(%q) = %d, %v, want ErrSize", text, got, err)
		}
	}
}

func FuzzParseSize(f *testing.F) {
	for _, seed := range []string{"64G", "1.5T", "0", "528K", "18446744073709551615"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		size, err := storage.ParseSize(text)
		if err != nil {
			return
		}
		if again, err := storage.ParseSize(size.String()); err != nil || again != size || size < 0 {
			t.Errorf("%q is %d, prints as %q, which is %d, %v", text, size, size, again, err)
		}
	})
}

func ExampleSize() {
	disk := 64 * storage.GiB
	fmt.Println(disk, disk+512*storage.MiB, storage.Size(1_000_204_886_016).Human())
	// Output: 64G 66048M 931.5 GiB
}

func ExampleTier() {
	for _, tier := range []storage.Tier{storage.Tier1, storage.Tier2, storage.Tier3, storage.TierUnknown} {
		text, _ := json.Marshal(tier)
		fmt.Println(tier, tier.Media(), string(text))
	}
	// Output:
	// 1 NVMe "1"
	// 2 SSD "2"
	// 3 HDD "3"
	// unknown unknown "unknown"
}

func TestTierText(t *testing.T) {
	t.Parallel()
	for _, tier := range []storage.Tier{storage.TierUnknown, storage.Tier1, storage.Tier2, storage.Tier3} {
		var back storage.Tier
		if err := back.UnmarshalText([]byte(tier.String())); err != nil || back != tier {
			t.Errorf("%s comes back as %s, %v", tier, back, err)
		}
	}
	if _, err := storage.ParseTier("4"); !errors.Is(err, storage.ErrTier) {
		t.Errorf("tier 4: %v, want ErrTier", err)
	}
}
