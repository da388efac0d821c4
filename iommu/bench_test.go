package iommu_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/jaypipes/ghw"

	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/iommu"
)

// written writes the reference host's files to a folder.
func written(b *testing.B) string {
	b.Helper()
	tree, err := hosttree.Load("reference")
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	if err := tree.WriteDir(dir); err != nil {
		b.Fatal(err)
	}
	return dir
}

// BenchmarkRead reads all that is known of the reference host: PCI functions
// with BARs, reset methods and links, groups, IOMMUs, interrupts, modules, the
// boot loader, and what the host lives on. It is one open file after another.
func BenchmarkRead(b *testing.B) {
	dir := written(b)
	for b.Loop() {
		facts, err := iommu.Read(os.DirFS(dir))
		if err != nil || len(facts.Functions) != 13 {
			b.Fatal(len(facts.Functions), err)
		}
	}
}

// BenchmarkReadGHW reads the same functions with ghw, which knows drivers and
// groups of them and loads the database of names: here one of a line, not the
// usual megabyte.
func BenchmarkReadGHW(b *testing.B) {
	dir := written(b)
	names := filepath.Join(dir, "pci.ids")
	err := errors.Join(os.MkdirAll(filepath.Join(dir, "sys/devices/system/node"), 0o755),
		os.WriteFile(names, []byte("10de  NVIDIA Corporation\n"), 0o644))
	if err != nil {
		b.Fatal(err)
	}
	b.Setenv("PCIDB_PATH", names)
	for b.Loop() {
		info, err := ghw.PCI(ghw.WithChroot(dir), ghw.WithDisableWarnings(), ghw.WithDisableTools())
		if err != nil || len(info.Devices) != 13 {
			b.Fatal(info, err)
		}
	}
}
