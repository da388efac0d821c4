package sysfs_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/fstest"

	"github.com/proxstation/proxstation/internal/sysfs"
)

func TestGuardOpensFilesAndDirectoriesOnly(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("no device files here")
	}
	dir := t.TempDir()
	large, err := os.Create(filepath.Join(dir, "large"))
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(large.Truncate(sysfs.MaxFile+1), large.Close(),
		os.WriteFile(filepath.Join(dir, "file"), []byte("text\n"), 0o600),
		os.Symlink(os.DevNull, filepath.Join(dir, "device")))
	if err != nil {
		t.Fatal(err)
	}
	fsys := sysfs.Guard(os.DirFS(dir))
	if got, err := sysfs.Attr(fsys, "file"); got != "text" || err != nil {
		t.Errorf("file: %q, %v", got, err)
	}
	if names, err := sysfs.Names(fsys, "."); len(names) != 3 || err != nil {
		t.Errorf("directory: %v, %v", names, err)
	}
	for name, want := range map[string]error{"device": sysfs.ErrSpecial, "large": sysfs.ErrTooLarge, "nowhere": fs.ErrNotExist} {
		if _, err := fs.ReadFile(fsys, name); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	sub, err := fs.Sub(fsys, ".")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fs.ReadFile(sub, "device"); !errors.Is(err, sysfs.ErrSpecial) {
		t.Errorf("in a part of the tree: %v", err)
	}
}

// endless is a file without an end, whose Stat returns the size 0.
type endless struct{ fstest.MapFS }

func (e endless) Open(name string) (fs.File, error) {
	f, err := e.MapFS.Open(name)
	return endlessFile{f}, err
}

type endlessFile struct{ fs.File }

func (endlessFile) Read(p []byte) (int, error) { return len(p), nil }

func TestGuardReadsNoMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	f, err := sysfs.Guard(endless{fstest.MapFS{"file": file("")}}).Open("file")
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, f)
	if n != sysfs.MaxFile || !errors.Is(err, sysfs.ErrTooLarge) {
		t.Errorf("%d bytes, %v", n, err)
	}
}
