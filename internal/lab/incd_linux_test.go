package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestInCD runs inside the machine of [TestCD]. It mounts each CD twice: with
// the names that Linux prefers (Rock Ridge), and with the names that Windows
// reads (Joliet). The directory /want/LABEL has the files that must be on the
// CD with this label.
func TestInCD(t *testing.T) { //nolint:paralleltest // alone in its process
	inLab(t)
	drives, err := filepath.Glob("/dev/sr*")
	wanted, err2 := os.ReadDir("/want")
	if err != nil || err2 != nil || len(drives) != len(wanted) {
		t.Fatalf("drives %v for CDs %v: %v, %v", drives, wanted, err, err2)
	}
	for _, drive := range drives {
		for tree, options := range map[string]string{"Rock Ridge": "nojoliet", "Joliet": "norock"} {
			dir := t.TempDir()
			if err := unix.Mount(drive, dir, "iso9660", unix.MS_RDONLY, options); err != nil {
				t.Fatalf("%s: %s: %v", drive, tree, err)
			}
			label := labelOf(t, drive)
			if err := sameFiles(dir, "/want/"+label); err != nil {
				t.Errorf("%s of %s: %v", tree, label, err)
			}
			if err := unix.Unmount(dir, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// labelOf returns the label of the CD in a drive, from the primary volume
// descriptor (ECMA-119 section 8.4.7).
func labelOf(t *testing.T, drive string) string {
	t.Helper()
	file, err := os.Open(drive)
	if err != nil {
		t.Fatal(err)
	}
	label := make([]byte, 32)
	if _, err := file.ReadAt(label, 16*2048+40); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimRight(label, " \x00"))
}

// sameFiles returns an error unless two directories hold files with the same
// names and contents.
func sameFiles(got, want string) error {
	entries, err := os.ReadDir(got)
	if err != nil {
		return err
	}
	wanted, err := os.ReadDir(want)
	if err != nil {
		return err
	}
	if len(entries) != len(wanted) {
		return fmt.Errorf("has %v, want %v", entries, wanted)
	}
	for _, entry := range wanted {
		a, err := os.ReadFile(filepath.Join(got, entry.Name()))
		if err != nil {
			return fmt.Errorf("%w; the directory has %v", err, entries)
		}
		b, err := os.ReadFile(filepath.Join(want, entry.Name()))
		if err != nil {
			return err
		}
		if !bytes.Equal(a, b) {
			return fmt.Errorf("%s has %d bytes, want the %d bytes of the seed", entry.Name(), len(a), len(b))
		}
	}
	return nil
}
