package iommu

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// If the journal cannot be read, neither Apply nor Undo changes anything,
// because the change could not be undone.
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
	for looks := range 4 { // Apply calls Err at the beginning, and before each file
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

// The type "cancelled" is a context that is cancelled after its method Err was
// called the given number of times.
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

// Only root can read the journal, because it holds the old content of the
// files.
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

// Undo keeps a directory if others have put something into it.
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

// The next plan removes the leftovers of a killed run, even if it changes other
// files.
func TestAnotherPlanRemovesLeftovers(t *testing.T) {
	t.Parallel()
	v := newVolatile()
	r := recorder{fail: errors.New("no space left")}
	if err := threeFiles().apply(t.Context(), disk{v}, r.run); !errors.Is(err, r.fail) {
		t.Fatal(err)
	}
	v.now[tempName(cmdlineFile)] = &inode{fileInfo: fileInfo{Mode: 0o600, Names: 1}}
	other := HostPlan{Changes: []FileChange{{Path: modulesFile, After: text("x")}}}
	v.now["etc/modules-load.d"] = &inode{fileInfo: fileInfo{Mode: fs.ModeDir | 0o755}}
	if err := other.apply(t.Context(), disk{v}, nil); err != nil || v.now[tempName(cmdlineFile)] != nil {
		t.Errorf("%v, leftover %v", err, v.now[tempName(cmdlineFile)])
	}
}

// Undo restores mode and owner even if the bytes of the file are already the
// old bytes.
func TestUndoRestoresModeAndOwnerAlone(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*inode){
		"mode": func(i *inode) { i.Mode = 0o600 }, "owner": func(i *inode) { i.Owner = [2]int{0, 0} }, "attributes": func(i *inode) { i.Attrs = nil },
	} {
		v := newVolatile()
		before := v.snapshot()
		if err := threeFiles().apply(t.Context(), disk{v}, nil); err != nil {
			t.Fatal(err)
		}
		i := v.now[cmdlineFile]
		i.data = newVolatile().now[cmdlineFile].data
		change(i)
		if err := undo(t.Context(), disk{v}, nil); err != nil {
			t.Error(err)
		}
		if diff := compare(v.snapshot(), before); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// The type "lying" is a file system that reports a replaced file but does not
// replace it.
type lying struct{ *volatile }

func (l lying) Rename(from, to string) error {
	if to == cmdlineFile {
		return l.Remove(from)
	}
	return l.volatile.Rename(from, to)
}

func TestWhatWasWrittenIsReadBack(t *testing.T) {
	t.Parallel()
	var r recorder
	if err := threeFiles().apply(t.Context(), disk{lying{newVolatile()}}, r.run); !errors.Is(err, ErrForeignEdit) || len(r.ran) > 0 {
		t.Errorf("got %v, ran %q", err, r.ran)
	}
}

// A temporary file is always a new file, even if somebody has just put
// something at its path.
func TestTemporaryFilesAreExclusive(t *testing.T) {
	t.Parallel()
	dir, root := host(t)
	for name, plant := range map[string]func(string) error{
		"file": func(name string) error { return os.WriteFile(name, []byte("theirs"), 0o666) },
		"link": func(name string) error { return os.Symlink(filepath.Base(cmdlineFile), name) },
	} {
		if err := plant(filepath.Join(dir, "etc/kernel", name)); err != nil {
			t.Fatal(err)
		}
		before := snapshot(t, dir)
		if _, err := (rootFiles{root}).Create("etc/kernel/" + name); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", name, err)
		}
		if diff := compare(snapshot(t, dir), before); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// PlanUndo returns the changes that Undo makes, and changes nothing itself.
func TestPlanUndo(t *testing.T) {
	t.Parallel()
	dir, root := host(t)
	before := snapshot(t, dir)
	if _, err := PlanUndo(t.Context(), root); !errors.Is(err, ErrNothingToUndo) {
		t.Errorf("nothing applied: %v", err)
	}
	if diff := compare(snapshot(t, dir), before); diff != "" {
		t.Error(diff)
	}
	if err := threeFiles().Apply(t.Context(), root, nil); err != nil {
		t.Fatal(err)
	}
	applied := snapshot(t, dir)
	plan, err := PlanUndo(t.Context(), root)
	if err != nil || len(plan.Changes) != 3 || len(plan.Commands) != 2 || plan.Reboot == "" {
		t.Fatalf("%+v, %v", plan, err)
	}
	for i, c := range threeFiles().Changes {
		if back := plan.Changes[i]; back.Path != c.Path || !same(back.Before, c.After) || !same(back.After, c.Before) {
			t.Errorf("%s, planned back as %s", c, back)
		}
	}
	if diff := compare(snapshot(t, dir), applied); diff != "" {
		t.Error(diff)
	}
	if err := os.WriteFile(filepath.Join(dir, cmdlineFile), []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := PlanUndo(t.Context(), root); !errors.Is(err, ErrForeignEdit) {
		t.Errorf("edited: %v", err)
	}
}
