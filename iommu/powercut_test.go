package iommu

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

var errPowerCut = errors.New("power cut")

// The power is cut at every step in turn. Whatever was done by then, each file
// is old or new; Apply goes on to the end, and Undo returns every byte.
func TestPowerCutAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"apply again", "undo"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for cut := 0; ; cut++ {
				dir, root := host(t)
				before := snapshot(t, dir)
				steps, r := 0, recorder{}
				err := threeFiles().apply(t.Context(), disk{root, func(string) error {
					if steps++; steps > cut {
						return errPowerCut
					}
					return nil
				}}, r.run)
				if err == nil {
					if cut < 20 {
						t.Errorf("only %d steps were seen", cut)
					}
					return
				}
				if !errors.Is(err, errPowerCut) {
					t.Fatalf("step %d: %v", cut, err)
				}
				oldOrNew(t, dir, before, cut)
				if name == "apply again" {
					if err := threeFiles().Apply(t.Context(), root, r.run); err != nil || len(r.ran) < 2 {
						t.Fatalf("step %d: again: %v, ran %q", cut, err, r.ran)
					}
					if got := snapshot(t, dir)[cmdlineFile]; got != `-rw-r----- "root=\xff\x00 quiet iommu=pt"` {
						t.Fatalf("step %d: again: %s", cut, got)
					}
				}
				err = Undo(t.Context(), root, r.run)
				if err != nil && !errors.Is(err, ErrNothingToUndo) {
					t.Fatalf("step %d: undo: %v", cut, err)
				}
				after := snapshot(t, dir)
				if errors.Is(err, ErrNothingToUndo) { // the cut came before the journal: only its directory may be left
					delete(after, "var/lib/proxstation")
					delete(after, tempName(journalFile))
				}
				if diff := compare(after, before); diff != "" {
					t.Fatalf("step %d: undo: %s", cut, diff)
				}
			}
		})
	}
}

func oldOrNew(t *testing.T, dir string, before map[string]string, cut int) {
	t.Helper()
	now := snapshot(t, dir)
	for _, change := range threeFiles().Changes {
		got, old := now[change.Path], before[change.Path]
		if got != old && !strings.HasSuffix(got, fmt.Sprintf(" %q", *change.After)) {
			t.Fatalf("step %d: %s is neither old nor new: %s", cut, change.Path, got)
		}
	}
}

func TestPowerCutDuringUndo(t *testing.T) {
	t.Parallel()
	for cut := 0; ; cut++ {
		dir, root := host(t)
		before := snapshot(t, dir)
		if err := threeFiles().Apply(t.Context(), root, nil); err != nil {
			t.Fatal(err)
		}
		steps := 0
		err := undo(t.Context(), disk{root, func(string) error {
			if steps++; steps > cut {
				return errPowerCut
			}
			return nil
		}}, nil)
		oldOrNew(t, dir, before, cut)
		if err == nil {
			return
		}
		err = Undo(t.Context(), root, nil)
		if err != nil && !errors.Is(err, ErrNothingToUndo) {
			t.Fatalf("step %d: %v", cut, err)
		}
		after := snapshot(t, dir)
		if errors.Is(err, ErrNothingToUndo) { // after the journal went, its directory may be left
			delete(after, "var/lib/proxstation")
			delete(after, tempName(journalFile))
		}
		if diff := compare(after, before); diff != "" {
			t.Fatalf("step %d: %s", cut, diff)
		}
	}
}
