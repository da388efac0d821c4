package storage_test

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// The function "mount" keeps a file system mounted until the test ends.
func mount(t *testing.T, source, target, kind string) {
	t.Helper()
	if err := os.Mkdir(target, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(source, target, kind, 0, ""); err != nil {
		t.Fatalf("mounting %s at %s: %v", source, target, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(target, 0); err != nil {
			t.Errorf("unmounting %s: %v", target, err)
		}
	})
}
