package sysfs_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/proxstation/proxstation/internal/sysfs"
)

// Opening a pipe without a writer returns an error immediately and does not
// wait.
func TestGuardOpensNoPipe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "cmdline"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fs.ReadFile(sysfs.Guard(os.DirFS(dir)), "cmdline"); !errors.Is(err, sysfs.ErrSpecial) {
		t.Errorf("got %v", err)
	}
}
