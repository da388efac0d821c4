package iommu

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// oldOrNew checks that each file of the plan has its old or its new content,
// and its old owner, mode and attributes.
func oldOrNew(t *testing.T, v *volatile, before map[string]string) {
	t.Helper()
	for _, change := range threeFiles().Changes {
		i := v.now[change.Path]
		if i == nil {
			if before[change.Path] != "" {
				t.Errorf("%s is gone", change.Path)
			}
			continue
		}
		now := i.String()
		fresh := &inode{fileInfo: fileInfo{Mode: 0o644, Attrs: map[string][]byte{"system.posix_acl_access": {1}}}}
		if change.Before != nil {
			fresh = newVolatile().now[change.Path]
		}
		fresh.data = []byte(*change.After)
		if now != before[change.Path] && now != fresh.String() {
			t.Errorf("%s is neither old nor new: %s", change.Path, now)
		}
	}
}

func undoAll(t *testing.T, v *volatile) {
	t.Helper()
	for range 10 {
		switch err := undo(t.Context(), disk{v}, nil); {
		case errors.Is(err, ErrNothingToUndo):
			return
		case err != nil:
			t.Errorf("undo: %v", err)
			return
		}
	}
	t.Error("undo does not end")
}

// The power is cut before each operation of Apply in turn, with and without the
// loss of changes that were not synced. Each file then has its old or its new
// content. Apply can continue to the end, and Undo restores every byte.
func TestPowerCutWhileApplying(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("applied again %v", again), func(t *testing.T) {
			t.Parallel()
			everyCut(t, 30, func(t *testing.T, v *volatile, survives func(string) bool) bool {
				t.Helper()
				before := newVolatile().snapshot()
				err := threeFiles().apply(t.Context(), disk{v}, nil)
				if err != nil && !errors.Is(err, errPowerCut) {
					t.Error(err)
				}
				after := v.restart(survives)
				oldOrNew(t, after, before)
				if again {
					var r recorder
					if err := threeFiles().apply(t.Context(), disk{after}, r.run); err != nil {
						t.Errorf("again: %v", err)
					}
					after = after.restart(survives)
					if got := string(after.now[cmdlineFile].data); got != "root=\xff\x00 quiet iommu=pt" {
						t.Errorf("again: %q", got)
					}
				}
				undoAll(t, after)
				if diff := compare(after.restart(survives).snapshot(), before); diff != "" {
					t.Errorf("undone: %s", diff)
				}
				return err == nil
			})
		})
	}
}

// The power is cut before each operation of Undo in turn. Afterwards Undo runs
// again. In one half of the test, Apply runs before the second Undo, and
// completes the plan that was partly undone.
func TestPowerCutWhileUndoing(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("applied again %v", again), func(t *testing.T) {
			t.Parallel()
			everyCut(t, 15, func(t *testing.T, v *volatile, survives func(string) bool) bool {
				t.Helper()
				before, cut := v.snapshot(), v.cut
				v.cut = -1
				if err := threeFiles().apply(t.Context(), disk{v}, nil); err != nil {
					t.Error(err)
				}
				v.cut = len(v.ops) + cut
				err := undo(t.Context(), disk{v}, nil)
				after := v.restart(survives)
				oldOrNew(t, after, before)
				if again {
					if err := threeFiles().apply(t.Context(), disk{after}, nil); err != nil {
						t.Errorf("applied again: %v", err)
					}
				}
				undoAll(t, after)
				if diff := compare(after.restart(survives).snapshot(), before); diff != "" {
					t.Errorf("undone: %s", diff)
				}
				return err == nil
			})
		})
	}
}

// If Undo is interrupted, the journal still holds a single plan. Apply then
// completes this plan, and one more Undo takes the plan back.
func TestAnUndoThatWasCutShortStaysOnePlan(t *testing.T) {
	t.Parallel()
	v := newVolatile()
	before := v.snapshot()
	if err := threeFiles().apply(t.Context(), disk{v}, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stop := func(context.Context, []string) error { cancel(); return context.Canceled }
	if err := undo(ctx, disk{v}, stop); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for range 2 {
		if err := threeFiles().apply(t.Context(), disk{v}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := undo(t.Context(), disk{v}, nil); err != nil {
		t.Fatal(err)
	}
	if diff := compare(v.snapshot(), before); diff != "" {
		t.Errorf("after one undo: %s", diff)
	}
}

// A failed plan and the plan after it are undone together. Each file then has
// the content that it had before the first plan.
func TestASecondPlanKeepsWhatWasBeforeTheFirst(t *testing.T) {
	t.Parallel()
	v := newVolatile()
	before := v.snapshot()
	r := recorder{fail: errors.New("no space left")}
	if err := threeFiles().apply(t.Context(), disk{v}, r.run); !errors.Is(err, r.fail) {
		t.Fatal(err)
	}
	second := HostPlan{Changes: []FileChange{{Path: cmdlineFile, Before: threeFiles().Changes[2].After, After: text("root=/dev/sda1")}}}
	if err := second.apply(t.Context(), disk{v}, nil); err != nil || string(v.now[cmdlineFile].data) != "root=/dev/sda1" {
		t.Fatalf("%v, %s", err, v.now[cmdlineFile])
	}
	if err := undo(t.Context(), disk{v}, nil); err != nil {
		t.Fatal(err)
	}
	if diff := compare(v.snapshot(), before); diff != "" {
		t.Error(diff)
	}
}

// Each operation fails in turn, as on a full disk. The error is returned, and
// an undo leaves nothing behind.
func TestEveryFailureIsTold(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left on device")
	clean := newVolatile()
	if err := errors.Join(threeFiles().apply(t.Context(), disk{clean}, nil), undo(t.Context(), disk{clean}, nil)); err != nil {
		t.Fatal(err)
	}
	for _, op := range clean.ops {
		v := newVolatile()
		before := v.snapshot()
		v.fail[op] = full
		err := threeFiles().apply(t.Context(), disk{v}, nil)
		undoErr := undo(t.Context(), disk{v}, nil)
		if !errors.Is(err, full) && !errors.Is(undoErr, full) {
			t.Errorf("%s failed: apply %v, undo %v", op, err, undoErr)
		}
		delete(v.fail, op)
		undoAll(t, v)
		if diff := compare(v.snapshot(), before); diff != "" {
			t.Errorf("%s failed: %s", op, diff)
		}
	}
}
