package recovery

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestOpenAndSaveDisk(t *testing.T) {
	t.Parallel()
	s, c, dir := fixture(t)
	if _, err := Open(dir, c.Keys...); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	if _, err := fetch(t, c, dir); err != nil {
		t.Fatal(err)
	}
	list, err := Open(dir, c.Keys...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); !errors.Is(err, ErrSignature) {
		t.Errorf("with Apple's keys: %v, want ErrSignature", err)
	}

	out := t.TempDir()
	name := filepath.Join(out, "recovery.raw")
	cancelledCtx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := list.SaveDisk(cancelledCtx, dir, name); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := verifyFile(cancelledCtx, filepath.Join(dir, ImageName), list); !errors.Is(err, context.Canceled) {
		t.Errorf("verifying, cancelled: %v", err)
	}
	wantFiles(t, out)
	if err := list.SaveDisk(t.Context(), dir, name); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, out, "recovery.raw")
	var want bytes.Buffer
	if err := WriteDisk(&want, list, bytes.NewReader(s.image)); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("another disk: %v", err)
	}

	tampered := bytes.Clone(s.image)
	tampered[testSize/2] ^= 1
	if err := os.WriteFile(filepath.Join(dir, ImageName), tampered, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, c.Keys...); !errors.Is(err, ErrImage) {
		t.Errorf("tampered image: %v, want ErrImage", err)
	}
	if err := list.SaveDisk(t.Context(), dir, filepath.Join(out, "tampered.raw")); !errors.Is(err, ErrImage) {
		t.Errorf("disk of a tampered image: %v, want ErrImage", err)
	}
	wantFiles(t, out, "recovery.raw")
	if _, err := Open(dir, []*rsa.PublicKey{&mustKey(t, otherKey).PublicKey}...); !errors.Is(err, ErrSignature) {
		t.Errorf("another's key: %v, want ErrSignature", err)
	}
}
