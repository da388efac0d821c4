package lab

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// inside are the packages whose tests run in the lab.
var inside = []string{"iommu", "storage"}

// TestBoots boots the four machines, two at a time, and runs the tests inside.
func TestBoots(t *testing.T) {
	t.Parallel()
	if err := Available(); err != nil {
		if os.Getenv("PROXSTATION_LAB") == "required" {
			t.Fatal(err)
		}
		t.Skip("no boots: ", err)
	}
	dir := t.TempDir()
	init := build(t, dir, "init", "build", "./init")
	programs := map[string]string{}
	for _, name := range inside {
		programs[name+".test"] = build(t, dir, name+".test", "test", "-c", "../../"+name)
	}
	turns := make(chan bool, 2)
	for _, m := range Machines() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			turns <- true
			defer func() { <-turns }()
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			runs, console, err := m.Boot(ctx, t.TempDir(), init, programs)
			if err != nil {
				t.Fatalf("%v\n%s", err, console)
			}
			for name, run := range runs {
				if run.Exit != 0 || !strings.Contains(run.Output, "--- PASS: TestInLab") {
					t.Errorf("%s in %s ended with %d:\n%s", name, m.Name, run.Exit, run.Output)
				}
			}
			t.Logf("lab: booted %s in %s: %d tests passed inside", m.Name, time.Since(began).Round(time.Second), strings.Count(console, "--- PASS"))
		})
	}
}

// build makes a static binary of a package of ours.
func build(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	out := filepath.Join(dir, name)
	cmd := exec.CommandContext(t.Context(), "go", append(args[:len(args)-1], "-o", out, args[len(args)-1])...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", name, err, output)
	}
	return out
}

func TestParseConsole(t *testing.T) {
	t.Parallel()
	runs := parseConsole("noise\nLAB: begin a.test\nPASS\nLAB: end a.test exit=0\nLAB: begin b.test\nboom\nLAB: end b.test exit=2\nLAB: begin c.test\ncut off")
	if len(runs) != 2 || runs["a.test"].Output != "PASS\n" || runs["a.test"].Exit != 0 || runs["b.test"].Exit != 2 {
		t.Errorf("parseConsole = %+v", runs)
	}
}

func TestInitramfsIsAnArchive(t *testing.T) {
	t.Parallel()
	var archive bytes.Buffer
	if err := writeInitramfs(&archive, []file{{"a", plain, []byte("hello")}}); err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(&archive)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(data, []byte("070701")) || !bytes.Contains(data, []byte("hello")) || !bytes.Contains(data, []byte("TRAILER!!!")) || len(data)%4 != 0 {
		t.Errorf("archive %q", data)
	}
}

func TestAvailableNamesWhatIsMissing(t *testing.T) {
	t.Setenv("PROXSTATION_LAB_KERNEL", t.TempDir())
	if err := Available(); !errors.Is(err, ErrMissing) {
		t.Errorf("Available() = %v, want ErrMissing", err)
	}
}
