package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/NVIDIA/go-nvlib/pkg/nvpci"
	"github.com/jaypipes/ghw"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/bench/machine"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/workstation/inventory"
)

// files compares how fast machines of several sizes are read from their files.
// Each function is a graphics card. The file pci.ids, which has the names of
// devices, has only one entry. Therefore the time to read it does not matter.
func files(ctx context.Context, short bool) error {
	sizes, rounds := []int{40, 500, 4000}, map[int]int{40: 50, 500: 9, 4000: 3}
	if short {
		sizes, rounds = sizes[:1], map[int]int{40: 1}
	}
	for _, n := range sizes {
		if err := filesOf(ctx, n, rounds[n]); err != nil {
			return err
		}
	}
	return nil
}

func filesOf(ctx context.Context, n, rounds int) error {
	dir, err := os.MkdirTemp("", "machine")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := machine.Write(dir, n); err != nil {
		return err
	}
	steps, err := machine.Raw(dir)
	if err != nil {
		return err
	}
	names := filepath.Join(dir, "usr/share/misc/pci.ids")
	if err := os.Setenv("PCIDB_PATH", names); err != nil { // tells ghw where pci.ids is
		return err
	}
	peers := []contender{
		{fmt.Sprintf("the same %d files, raw", len(steps)), func() error { return all(steps) }},
		{"ghw.PCI", func() error {
			info, err := ghw.PCI(ghw.WithChroot(dir), ghw.WithDisableWarnings(), ghw.WithDisableTools())
			if err != nil {
				return err
			}
			return count(n, len(info.Devices))
		}},
	}
	if n <= 40 { // nvpci parses the names database again for each card, so many cards take minutes
		peers = append(peers, contender{"nvpci.GetGPUs", func() error {
			cards, err := nvpci.New(nvpci.WithLogger(silent{}), nvpci.WithPCIDevicesRoot(filepath.Join(dir, "sys/bus/pci/devices")), nvpci.WithPCIDatabasePath(names)).GetGPUs()
			if err != nil {
				return err
			}
			return count(n, len(cards))
		}})
	}
	if lspci, err := exec.LookPath("lspci"); err == nil {
		peers = append(peers, contender{"lspci -nnk", func() error {
			return exec.CommandContext(ctx, lspci, "-A", "linux-sysfs", "-O", "sysfs.path="+filepath.Join(dir, "sys/bus/pci"), "-i", names, "-nnk").Run()
		}})
	}
	return comparison{fmt.Sprintf("the facts of a machine with %d functions", n), "≤ 1.3", func() error {
		facts, err := iommu.Read(os.DirFS(dir))
		return errors.Join(err, count(n, len(facts.Functions)), count((n+7)/8, len(gpu.Cards(facts.Functions)))) // a card has eight functions
	}, peers, rounds, false}.print()
}

// A silent logger discards nvpci's two warnings about each card without
// vfio-dev.
type silent struct{}

// Warningf does nothing.
func (silent) Warningf(string, ...any) {}

func all(steps []func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// count returns an error if a contender read too few items, because such a
// contender would only seem fast.
func count(want, got int) error {
	if got != want {
		return fmt.Errorf("%d are found, want %d", got, want)
	}
	return nil
}

// report compares programs that describe the machine on which they run. Each
// measurement is a complete run of a program.
func report(ctx context.Context, short bool) error {
	rounds := 50
	if short {
		rounds = 1
	}
	dir, err := os.MkdirTemp("", "programs")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ours, nothing := filepath.Join(dir, "inventory"), filepath.Join(dir, "nothing")
	source := filepath.Join(dir, "main.go")
	build := func(program, source string) error {
		command := exec.CommandContext(ctx, "go", "build", "-o", program, source)
		command.Dir = filepath.Join("..", "..", "..") // the library's root: "go run" starts this program in internal/bench/peers
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	err = errors.Join(os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600),
		build(ours, "./examples/inventory"), build(nothing, source))
	if err != nil {
		return err
	}
	program := func(name string, args ...string) func() error {
		return func() error { return exec.CommandContext(ctx, name, args...).Run() }
	}
	facts, err := inventory.Read(nil)
	if err != nil {
		return err
	}
	peers := []contender{{"a Go program that does nothing", program(nothing)}}
	if lspci, err := exec.LookPath("lspci"); err == nil {
		peers = append(peers, contender{"lspci -nnk", program(lspci, "-nnk")})
	}
	return comparison{fmt.Sprintf("the inventory of this machine (%d cards), as a program", len(facts.GPUs)), "≤ 12 ms without cards", program(ours), peers, rounds, false}.print()
}
