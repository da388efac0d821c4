package hosttree_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/internal/hosttree"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write("outside", "secret")
	write("tree/proc/cmdline", "quiet\n")
	write("host.txt", "cmdline quiet\n")
	write("bad.txt", "nonsense\n")
	for name, target := range map[string]string{"relative": "../../../outside", "absolute": filepath.Join(dir, "outside"), "within": "../proc/cmdline"} {
		link := filepath.Join(dir, "tree/etc", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(link), 0o755), os.Symlink(target, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"tree", "host.txt"} {
		tree, err := hosttree.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if text, err := fs.ReadFile(tree, "proc/cmdline"); string(text) != "quiet\n" || err != nil {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	tree, err := hosttree.Open(filepath.Join(dir, "tree"))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := fs.ReadFile(tree, "etc/within"); string(text) != "quiet\n" || err != nil {
		t.Errorf("a link within the tree: %q, %v", text, err)
	}
	for _, name := range []string{"etc/relative", "etc/absolute"} {
		if text, err := fs.ReadFile(tree, name); err == nil {
			t.Errorf("%s leads out of the tree, to %q", name, text)
		}
	}
	for _, name := range []string{"nowhere", "nowhere.txt", "bad.txt", "outside"} {
		if _, err := hosttree.Open(filepath.Join(dir, name)); err == nil || !strings.HasPrefix(err.Error(), "hosttree: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// If somebody else wrote the mark of a complete capture, Open does not trust
// the mark.
func TestOpenOfADamagedMark(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(file string) error{
		"a link":   func(file string) error { return os.Symlink("proc/cmdline", file) },
		"nonsense": func(file string) error { return os.WriteFile(file, []byte("A capture of many files"), 0o600) },
	} {
		dir := t.TempDir()
		if err := plant(filepath.Join(dir, "capture.txt")); err != nil {
			t.Fatal(err)
		}
		if _, err := hosttree.Open(dir); !errors.Is(err, hosttree.ErrIncomplete) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
