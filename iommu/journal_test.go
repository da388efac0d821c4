package iommu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A journal that cannot be read stops everything: without it nothing could be
// taken back.
func TestADamagedJournalStopsEverything(t *testing.T) {
	t.Parallel()
	dir, root := host(t)
	journal := filepath.Join(dir, journalFile)
	if err := os.MkdirAll(filepath.Dir(journal), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(journal, []byte(`{"entries":[`), 0o600); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	if err := threeFiles().Apply(t.Context(), root, nil); err == nil || !strings.Contains(err.Error(), "/"+journalFile) {
		t.Errorf("apply: %v", err)
	}
	if err := Undo(t.Context(), root, nil); err == nil || !strings.Contains(err.Error(), "/"+journalFile) {
		t.Errorf("undo: %v", err)
	}
	if diff := compare(snapshot(t, dir), before); diff != "" {
		t.Error(diff)
	}
}

func TestACancelledContextStopsBetweenFiles(t *testing.T) {
	t.Parallel()
	dir, root := host(t)
	before := snapshot(t, dir)
	for looks := range 4 { // before anything, and before each file
		if err := threeFiles().Apply(&cancelled{t.Context(), looks}, root, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("after %d: %v", looks, err)
		}
		if diff := compare(snapshot(t, dir), before); (diff == "") != (looks == 0) {
			t.Errorf("after %d: %s", looks, diff)
		}
		if looks > 0 {
			if err := Undo(&cancelled{t.Context(), looks}, root, nil); !errors.Is(err, context.Canceled) {
				t.Errorf("undo after %d: %v", looks, err)
			}
			if err := Undo(t.Context(), root, nil); err != nil {
				t.Error(err)
			}
		}
		if diff := compare(snapshot(t, dir), before); diff != "" {
			t.Errorf("after %d, undone: %s", looks, diff)
		}
	}
}

// A cancelled context is so from the second look at it on, or a later one.
type cancelled struct {
	context.Context

	looks int
}

func (c *cancelled) Err() error {
	c.looks--
	if c.looks < 0 {
		return context.Canceled
	}
	return nil
}

// Only root can read what the files held.
func TestTheJournalIsPrivate(t *testing.T) {
	t.Parallel()
	dir, root := host(t)
	if err := threeFiles().Apply(t.Context(), root, nil); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, journalFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// A directory in which others have put something is not ours to remove.
func TestUndoLeavesTheFilesOfOthers(t *testing.T) {
	t.Parallel()
	dir, root := host(t)
	if err := threeFiles().Apply(t.Context(), root, nil); err != nil {
		t.Fatal(err)
	}
	theirs := filepath.Join(dir, filepath.Dir(grubFile), "theirs.cfg")
	if err := os.WriteFile(theirs, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Undo(t.Context(), root, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(theirs); err != nil {
		t.Error(err)
	}
}
