package iommu

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// After a plan and after its undo, the file has its old owner, mode (with
// setuid and setgid) and extended attributes.
func TestOwnerModeAndAttributesAreKept(t *testing.T) {
	t.Parallel()
	dir, root := host(t)
	file := filepath.Join(dir, cmdlineFile)
	if err := unix.Setxattr(file, "user.note", []byte("a\x00b"), 0); errors.Is(err, unix.ENOTSUP) {
		t.Log("no extended attributes here")
	} else if err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(file, 7, 3); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(file, 0o640|os.ModeSetuid|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	files := rootFiles{root}
	state := func() string {
		info, err := files.Stat(cmdlineFile)
		if err != nil {
			t.Fatal(err)
		}
		return (&inode{fileInfo: info}).String()
	}
	before := state()
	if os.Geteuid() == 0 && !strings.Contains(before, "[7 3]") || !strings.Contains(before, "ug") {
		t.Fatalf("before: %s", before)
	}
	if err := threeFiles().Apply(t.Context(), root, nil); err != nil || state() != before {
		t.Errorf("applied: %v, %s, was %s", err, state(), before)
	}
	if err := errors.Join(os.Chmod(file, 0o600), os.Chown(file, os.Geteuid(), os.Getegid())); err != nil {
		t.Fatal(err)
	}
	if err := Undo(t.Context(), root, nil); err != nil || state() != before {
		t.Errorf("undone: %v, %s, was %s", err, state(), before)
	}
}

const immutable = 0x10 // FS_IMMUTABLE_FL (linux/fs.h)

func TestImmutableFilesAreRefused(t *testing.T) {
	t.Parallel()
	dir, root := host(t)
	f, err := os.Open(filepath.Join(dir, cmdlineFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, immutable); err != nil {
		t.Skip("files cannot be immutable here: ", err)
	}
	err = threeFiles().Apply(t.Context(), root, nil)
	if !errors.Is(err, ErrIrreplaceable) || !strings.Contains(err.Error(), "chattr -i -a /etc/kernel/cmdline") {
		t.Errorf("got %v", err)
	}
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0); err != nil {
		t.Error(err)
	}
}

// Undo returns an error if it cannot remove a directory. The kernel reports
// such a directory as busy, for example because something is mounted on it.
func TestADirectoryThatStaysIsTold(t *testing.T) {
	t.Parallel()
	v := newVolatile()
	if err := threeFiles().apply(t.Context(), disk{v}, nil); err != nil {
		t.Fatal(err)
	}
	v.fail["remove "+filepath.Dir(grubFile)] = syscall.EBUSY
	if err := undo(t.Context(), disk{v}, nil); !errors.Is(err, syscall.EBUSY) {
		t.Errorf("got %v", err)
	}
}
