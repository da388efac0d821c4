package sysfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/proxstation/proxstation/internal/sysfs"
)

// onDisk writes a small sysfs with links, and with the traps of a hostile tree.
func onDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "tree/devices/pci0000:00/0000:00:02.0"), 0o755),
		os.MkdirAll(filepath.Join(dir, "tree/bus/pci/devices"), 0o755),
		os.WriteFile(filepath.Join(dir, "tree/devices/pci0000:00/0000:00:02.0/vendor"), []byte("0x8086\n"), 0o600),
		os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o600),
		os.Symlink("../../../devices/pci0000:00/0000:00:02.0", filepath.Join(dir, "tree/bus/pci/devices/0000:00:02.0")),
		os.Symlink("../secret", filepath.Join(dir, "tree/relative")),
		os.Symlink(filepath.Join(dir, "secret"), filepath.Join(dir, "tree/absolute")),
		os.Symlink("round", filepath.Join(dir, "tree/round")),
		syscall.Mkfifo(filepath.Join(dir, "tree/pipe"), 0o600),
	)
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "tree")
}

func TestTreeReadsLikeADirectory(t *testing.T) {
	t.Parallel()
	fsys, err := sysfs.OpenTree(onDisk(t))
	if err != nil {
		t.Fatal(err)
	}
	devices, err := fs.Sub(fsys, "devices")
	if err == nil {
		err = fstest.TestFS(devices, "pci0000:00/0000:00:02.0/vendor")
	}
	if err != nil {
		t.Error(err)
	}
	const link = "bus/pci/devices/0000:00:02.0"
	if got, err := sysfs.Uint(fsys, link+"/vendor", 16); got != 0x8086 || err != nil {
		t.Errorf("through a link: %x, %v", got, err)
	}
	if got, err := fs.ReadLink(fsys, link); got != "../../../devices/pci0000:00/0000:00:02.0" || err != nil {
		t.Errorf("the link: %q, %v", got, err)
	}
	if _, err := fs.ReadLink(fsys, link+"/vendor"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("a file that is no link: %v", err)
	}
	if info, err := fs.Lstat(fsys, link); err != nil || info.Mode().Type() != fs.ModeSymlink {
		t.Errorf("the link itself: %v, %v", info, err)
	}
	if sysfs.Guard(fsys) != fsys {
		t.Error("a tree is guarded twice")
	}
}

func TestTreeIsNotLeft(t *testing.T) {
	t.Parallel()
	dir := onDisk(t)
	fsys, err := sysfs.OpenTree(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{"relative": nil, "absolute": nil, "round": syscall.ELOOP, "pipe": sysfs.ErrSpecial, "nowhere": fs.ErrNotExist, "../secret": fs.ErrInvalid} {
		text, err := fs.ReadFile(fsys, name)
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %q, %v, want %v", name, text, err, want)
		}
	}
	if _, err := sysfs.OpenTree(filepath.Join(dir, "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a tree that is not there: %v", err)
	}
}
