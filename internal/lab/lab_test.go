package lab

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/internal/slow"
)

// missing skips the test. If the lab is required, it fails the test instead.
func missing(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("PROXSTATION_LAB") == "required" {
		t.Fatal(err)
	}
	t.Skip("nothing is booted: ", err)
}

// find finds the lab and builds the programs that run inside: init, and the
// test binaries of packages. It also returns the programs' paths.
func find(t testing.TB, packages ...string) (l Lab, init string, tests []string) {
	t.Helper()
	if testing.Short() {
		t.Skip("boots kernels for minutes")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	l, err = Find(cmp.Or(os.Getenv("PROXSTATION_LAB_KERNEL"), filepath.Join(cache, "proxstation", "lab")))
	if err != nil {
		missing(t, err)
	}
	dir := t.TempDir() + "/"
	build := func(args ...string) {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOFLAGS=")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", args, err, output)
		}
	}
	build("build", "-ldflags=-s -w", "-o", dir, "./init")
	if len(packages) > 0 {
		build(append([]string{"test", "-c", "-ldflags=-s -w", "-o", dir}, packages...)...)
	}
	if tests, err = filepath.Glob(dir + "*.test"); err != nil || len(tests) != len(packages) {
		t.Fatalf("built %v of %v: %v", tests, packages, err)
	}
	return l, dir + "init", tests
}

// command returns a command that runs the lab tests of a binary.
func command(path, machine, run string) Command {
	return Command{Name: filepath.Base(path), Path: path, Args: []string{"-test.v", "-test.timeout=3m", "-test.run=" + run},
		Env: []string{"PROXSTATION_IN_LAB=" + machine}}
}

// turns returns a function that waits until fewer than two machines are
// running, because each machine uses a core.
func turns(t *testing.T) func(*testing.T) context.Context {
	t.Helper()
	turn := make(chan bool, 2)
	return func(t *testing.T) context.Context {
		turn <- true
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
		t.Cleanup(func() { cancel(); <-turn })
		return ctx
	}
}

// TestBoots boots the machines and runs the lab tests of all packages.
func TestBoots(t *testing.T) {
	t.Parallel()
	packages := []string{"../../examples/host"}
	files, err := filepath.Glob("../../*/inlab_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		packages = append(packages, filepath.Dir(file))
	}
	l, init, tests := find(t, packages...)
	tools, err := Tools(t.Context(), "lvm", "mkfs.btrfs", "mke2fs")
	if err != nil {
		missing(t, err)
	}
	turn := turns(t)
	for _, m := range slow.Pick(t, 1, Machines(), func(m Machine) string { return m.Name }) {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			ctx, began := turn(t), time.Now()
			b := Boot{Machine: m, Init: init, Files: tools}
			for _, path := range tests {
				if m.Name == "none" && filepath.Base(path) == "host.test" {
					continue // these tests only bind functions, and VFIO needs an IOMMU for that
				}
				b.Commands = append(b.Commands, command(path, m.Name, "^TestInLab"))
			}
			outcome, err := l.Run(ctx, b)
			judge(t, outcome, "TestInLab")
			if err != nil {
				t.Fatal(err)
			}
			if outcome.Tainted != "0" {
				t.Errorf("the kernel is tainted (%s); its console:\n%s", outcome.Tainted, outcome.Console)
			}
			t.Logf("lab: %s booted Linux %s in %s", m.Name, l.Kernel(), time.Since(began).Round(time.Second))
		})
	}
}

// judge fails the test if a program failed or ran no tests. It lists the tests
// that ran.
func judge(t *testing.T, o Outcome, prefix string) {
	t.Helper()
	for _, r := range o.Results {
		var tested []string
		for line := range strings.Lines(r.Output) {
			if strings.HasPrefix(strings.TrimSpace(line), "--- ") {
				tested = append(tested, strings.TrimSpace(line))
			}
		}
		if r.Exit != 0 || !strings.Contains(r.Output, "--- PASS: "+prefix) {
			t.Errorf("%s ended with %d:\n%s", r.Name, r.Exit, r.Output)
			continue
		}
		t.Logf("%s:\n%s", r.Name, strings.Join(tested, "\n"))
	}
}

// TestEndings ends machines in four ways and distinguishes the results: a test
// fails, a kernel panics, a machine hangs, and a machine is switched off.
func TestEndings(t *testing.T) {
	t.Parallel()
	l, init, tests := find(t, ".")
	turn := turns(t)
	endings := map[string]error{"Panic": ErrPanic, "Hang": ErrHang, "Off": ErrUnfinished}
	for _, ending := range slow.Pick(t, 1, slices.Sorted(maps.Keys(endings)), func(name string) string { return name }) {
		want := endings[ending]
		t.Run(ending, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(turn(t))
			defer cancel()
			fails, ends := command(tests[0], "bare", "^TestInLabFails$"), command(tests[0], "bare", "^TestInLab"+ending+"$")
			fails.Name, ends.Name = "fails", "ends"
			outcome, err := l.Run(ctx, Boot{Machine: Machine{Name: "bare"}, Init: init, Commands: []Command{fails, ends},
				Watch: func(e Event) {
					if strings.Contains(string(e.Output), "it hangs") {
						cancel() // has the same effect as the end of the time limit
					}
				}})
			var boot *BootError
			if !errors.As(err, &boot) || !errors.Is(err, want) || !strings.Contains(boot.Console, "Linux version "+l.Kernel()) {
				t.Errorf("the end: %v, want %v", err, want)
			}
			if len(outcome.Results) != 2 || outcome.Results[0].Exit != 1 || !strings.Contains(outcome.Results[0].Output, "--- FAIL: TestInLabFails") {
				t.Errorf("results %+v, want a failed test and one that did not end", outcome.Results)
			} else if ends := outcome.Results[1]; ends.Exit != -1 || !strings.Contains(ends.Output, "=== RUN   TestInLab"+ending) {
				t.Errorf("what did not end: %+v", ends)
			}
		})
	}
}

func TestModulesAndDevicesThatAreNotThere(t *testing.T) {
	t.Parallel()
	l, init, _ := find(t)
	if _, err := l.Run(t.Context(), Boot{Machine: Machine{Modules: []string{"no-such-module"}}, Init: init}); !errors.Is(err, ErrMissing) {
		t.Errorf("a module that is not there: %v", err)
	}
	_, err := l.Run(t.Context(), Boot{Machine: Machine{Name: "odd", Devices: []string{"no-such-device"}}, Init: init})
	if !errors.Is(err, ErrUnfinished) || !strings.Contains(err.Error(), "no-such-device") {
		t.Errorf("a device that is not there: %v", err)
	}
}

// BenchmarkBoot measures the time from QEMU's start until the machine is off.
func BenchmarkBoot(b *testing.B) {
	l, init, _ := find(b)
	m := Machines()[0]
	b.ResetTimer()
	for b.Loop() {
		if _, err := l.Run(b.Context(), Boot{Machine: m, Init: init}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestMachinesDifferInTheirIOMMUOnly(t *testing.T) {
	t.Parallel()
	machines := Machines()
	for _, m := range machines[1:] {
		i := slices.Index(m.Devices, workstation[0])
		if !slices.Equal(m.Devices[i:], workstation) || !slices.Equal(m.Disks, machines[0].Disks) {
			t.Errorf("%s has devices %v and disks %v", m.Name, m.Devices, m.Disks)
		}
	}
}
