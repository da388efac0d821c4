package rustdesk

import (
	_ "embed"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// standIn is the content of a package: a script that behaves like RustDesk's
// command line (core_main.rs). It keeps its state in the directory $D, and its
// files below $C, where the service's files are. Tests cause failures by files
// in $D: "unprivileged", "policy", "nosession", "refuses", "deaf-options",
// "unregistered" (no key pair either), and "deaf", which holds how often the
// server does not answer. "id" holds its ID. It always exits with 0, and before
// 1.4.2 it logs its command line.
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
