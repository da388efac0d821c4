package recovery

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/proxstation/proxstation/gpu"
)

func TestParseRelease(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Release{
		"Sequoia": Sequoia, "high-sierra": HighSierra, " BIG SUR ": BigSur, "10.13": HighSierra, "10.15.7": Catalina,
		"11": BigSur, "15.7.4": Sequoia, "macOS 12": Monterey, "macOS Tahoe": Tahoe, "26.1": Tahoe,
	} {
		if got, err := ParseRelease(text); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "macOS", "10", "10.12", "Sierra", "16", "151", "Sequoia 2"} {
		if got, err := ParseRelease(text); !errors.Is(err, ErrRelease) {
			t.Errorf("%q: %v, %v, want ErrRelease", text, got, err)
		}
	}
}

func TestReleases(t *testing.T) {
	t.Parallel()
	for r := HighSierra; r <= Tahoe; r++ {
		board, err := r.Board()
		if err != nil || len(board.ID) != len("Mac-7BA5B2D9E42DDD94") || len(board.Serial) != len(noSerial) || r.Version() == "" {
			t.Errorf("%v: %+v, %v", r, board, err)
		}
		text, err := json.Marshal(r)
		var back Release
		if err != nil || json.Unmarshal(text, &back) != nil || back != r {
			t.Errorf("%v became %s became %v", r, text, back)
		}
	}
	if Release(99).String() != "Release(99)" || Release(99).Version() != "" {
		t.Error("Release(99)")
	}
}

func FuzzParseRelease(f *testing.F) {
	f.Add("macOS 15.7.4")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := ParseRelease(text); err == nil {
			if again, err := ParseRelease(r.String()); err != nil || again != r {
				t.Errorf("%v became %v, %v", r, again, err)
			}
		} else if !errors.Is(err, ErrRelease) {
			t.Error(err)
		}
	})
}

// This package and package gpu list the releases in the same order. The test
// fails if a release is missing in one of them.
func TestReleasesAreGuests(t *testing.T) {
	t.Parallel()
	for r := HighSierra; r <= Tahoe; r++ {
		if got := r.Guest().String(); got != "macOS "+r.String() {
			t.Errorf("%s is the guest %s", r, got)
		}
		if back, ok := ReleaseOf(r.Guest()); !ok || back != r {
			t.Errorf("%s comes back as %s, %v", r, back, ok)
		}
	}
	if guest := Release(0).Guest(); guest != gpu.AnyGuest {
		t.Errorf("an unknown release is %s", guest)
	}
	for _, guest := range []gpu.Guest{gpu.AnyGuest, gpu.Linux, gpu.Windows11, gpu.MacOSTahoe + 1} {
		if r, ok := ReleaseOf(guest); ok {
			t.Errorf("%s is %s", guest, r)
		}
	}
}
