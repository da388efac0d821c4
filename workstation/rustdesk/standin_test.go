package rustdesk

import (
	_ "embed"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// standIn is the content of a package: a script that behaves like RustDesk's
// command line (core_main.rs). Like RustDesk, it always exits with 0, and
// before 1.4.2 it logs its command line. It keeps its state in the directory
// $D. $C is the directory of the service's files.
//
// Tests put files into $D. "unprivileged", "policy", "nosession", "refuses" and
// "deaf-options" cause failures. With "unregistered", RustDesk has not
// registered and has no key pair. "deaf" has a line for each time that the
// server does not answer. "id" holds the ID.
//
//go:embed testdata/standin.sh
var standIn string

// wrapper returns the content of a package of a version. The package only works
// in this guest.
func (g *guest) wrapper(version string) string {
	return strings.NewReplacer("%DIR%", g.dir, "%VERSION%", version, "%CONFIG%", g.config()).Replace(standIn)
}

// config returns the directory with the service's files.
func (g *guest) config() string {
	path, err := MainFile.Path(g.os, "")
	g.must(err)
	return g.root + filepath.Dir(path)
}

// setOptions writes options into the stand-in's files, as if they had been set
// earlier.
func setOptions(t *testing.T, dir string, options map[string]string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "options"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, value := range options {
		if err := os.WriteFile(filepath.Join(dir, "options", name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
