package slow_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/proxstation/proxstation/internal/slow"
)

func TestPick(t *testing.T) {
	cases := []string{"a", "b", "c"}
	name := func(s string) string { return s }
	t.Setenv("PROXSTATION_WHOLE", "")
	if got := slow.Pick(t, 2, cases, name); !slices.Equal(got, cases[:2]) {
		t.Errorf("a sample of two is %q", got)
	}
	if got := slow.Pick(t, 9, cases, name); !slices.Equal(got, cases) {
		t.Errorf("a sample larger than the suite is %q", got)
	}
	t.Setenv("PROXSTATION_WHOLE", "1")
	if got := slow.Pick(t, 2, cases, name); !slices.Equal(got, cases) {
		t.Errorf("the whole suite is %q", got)
	}
}

func TestDrawn(t *testing.T) {
	count := func() (drawn int) {
		for i := range 1600 {
			if slow.Drawn(fmt.Sprint("case ", i), 16) {
				drawn++
			}
		}
		return drawn
	}
	t.Setenv("PROXSTATION_WHOLE", "")
	if n := count(); n < 50 || n > 150 {
		t.Errorf("%d of 1600 cases are drawn, want about 100", n)
	}
	t.Setenv("PROXSTATION_WHOLE", "1")
	if n := count(); n != 1600 {
		t.Errorf("%d of 1600 cases run in a whole run", n)
	}
}
