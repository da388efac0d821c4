package iommu_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jaypipes/ghw"

	"github.com/proxstation/proxstation/iommu"
)

// machine writes a machine with n PCI functions in groups of their own, each
// with the attributes that a graphics card has.
func machine(b *testing.B, n int) string {
	b.Helper()
	dir := b.TempDir()
	write := func(name, text string) {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			b.Fatal(err)
		}
	}
	link := func(name, target string) {
		file := filepath.Join(dir, name)
		relative, err := filepath.Rel(filepath.Dir(file), filepath.Join(dir, target))
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(file), 0o755), os.Symlink(relative, file)); err != nil {
			b.Fatal(err)
		}
	}
	write("proc/cmdline", "BOOT_IMAGE=/vmlinuz quiet\n")
	write("sys/bus/pci/drivers/vfio-pci/bind", "")
	write("sys/module/vfio_pci/initstate", "live\n")
	link("sys/bus/pci/drivers/vfio-pci/module", "sys/module/vfio_pci")
	for i := range n {
		address := fmt.Sprintf("0000:%02x:%02x.%d", i/256, i/8%32, i%8)
		device := "sys/devices/pci0000:00/0000:00:01.0/" + address
		for name, text := range map[string]string{
			"class": "0x030000", "vendor": "0x10de", "device": "0x2c05", "subsystem_vendor": "0x1462", "subsystem_device": "0x5317", "revision": "0xa1",
			"driver_override": "(null)", "boot_vga": "0", "numa_node": "-1", "reset_method": "flr bus", "current_link_speed": "2.5 GT/s PCIe",
			"max_link_speed": "32.0 GT/s PCIe", "current_link_width": "16", "max_link_width": "16", "power_state": "D0", "d3cold_allowed": "1",
			"power/runtime_status": "active", "irq": "16", "enable": "1", "local_cpus": "ff", "modalias": "pci:v000010DEd00002C05sv00001462sd00005317bc03sc00i00",
			"resource": "0x0000000084000000 0x0000000087ffffff 0x0000000000040200\n0x0000006000000000 0x00000063ffffffff 0x000000000014220c\n" +
				"0x0000000000000000 0x0000000000000000 0x0000000000000000\n0x0000006400000000 0x0000006401ffffff 0x000000000014220c\n" +
				"0x0000000000000000 0x0000000000000000 0x0000000000000000\n0x0000000000004000 0x000000000000407f 0x0000000000040101",
		} {
			write(device+"/"+name, text+"\n")
		}
		write(device+"/config", string(make([]byte, 256)))
		link(device+"/driver", "sys/bus/pci/drivers/vfio-pci")
		link(device+"/iommu_group", fmt.Sprintf("sys/kernel/iommu_groups/%d", i))
		link("sys/bus/pci/devices/"+address, device)
		link(fmt.Sprintf("sys/kernel/iommu_groups/%d/devices/%s", i, address), device)
		write(fmt.Sprintf("sys/kernel/iommu_groups/%d/type", i), "DMA-FQ\n")
	}
	return dir
}

// A recorder notes what was read, so that a benchmark can read the same files.
type recorder struct {
	fsys fs.FS
	read map[string]func(file string) error // by what was done to which file
}

func (r recorder) note(op, name string, err error, again func(file string) error) {
	if err == nil {
		r.read[op+" "+name] = again
	}
}

func (r recorder) Open(name string) (fs.File, error) {
	f, err := r.fsys.Open(name)
	if info, statErr := fs.Stat(r.fsys, name); statErr != nil || info.IsDir() {
		return f, err
	}
	r.note("read", name, err, func(file string) error { _, err := os.ReadFile(file); return err })
	return f, err
}

func (r recorder) Stat(name string) (fs.FileInfo, error) { return fs.Stat(r.fsys, name) }

func (r recorder) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(r.fsys, name)
	r.note("list", name, err, func(file string) error { _, err := os.ReadDir(file); return err })
	return entries, err
}

func (r recorder) ReadLink(name string) (string, error) {
	target, err := fs.ReadLink(r.fsys, name)
	r.note("follow", name, err, func(file string) error { _, err := os.Readlink(file); return err })
	return target, err
}

func (r recorder) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(r.fsys, name) }

// steps returns what Read does to the files of a machine: to read the same
// files, links and directories again, and look at none.
func steps(b *testing.B, dir string) []func() error {
	b.Helper()
	r := recorder{os.DirFS(dir), map[string]func(string) error{}}
	if _, err := iommu.Read(r); err != nil {
		b.Fatal(err)
	}
	var steps []func() error
	for _, key := range slices.Sorted(maps.Keys(r.read)) {
		_, name, _ := strings.Cut(key, " ")
		file := filepath.Join(dir, name)
		steps = append(steps, func() error { return r.read[key](file) })
	}
	return steps
}

// BenchmarkRead reads all that is known of a machine: PCI functions with BARs,
// reset methods and links, groups, IOMMUs, interrupts, modules, the boot
// loader, and what the host lives on. In turns with it, it reads the same
// files and nothing else; raw/op is the time for that, and ×raw the ratio.
func BenchmarkRead(b *testing.B) {
	for _, n := range []int{40, 500, 4000} {
		b.Run(fmt.Sprintf("functions=%d", n), func(b *testing.B) {
			dir := machine(b, n)
			steps := steps(b, dir)
			var read, raw time.Duration
			for b.Loop() {
				began := time.Now()
				facts, err := iommu.Read(os.DirFS(dir))
				if err != nil || len(facts.Functions) != n {
					b.Fatal(len(facts.Functions), err)
				}
				read += time.Since(began)
				began = time.Now()
				for _, step := range steps {
					if err := step(); err != nil {
						b.Fatal(err)
					}
				}
				raw += time.Since(began)
			}
			b.ReportMetric(float64(read.Microseconds())/float64(b.N), "µs-read/op")
			b.ReportMetric(float64(raw.Microseconds())/float64(b.N), "µs-raw/op")
			b.ReportMetric(read.Seconds()/raw.Seconds(), "×raw")
			b.ReportMetric(float64(len(steps)), "files/op")
		})
	}
}

// BenchmarkReadGHW reads the functions of a small machine with ghw, which knows
// drivers and groups of them and loads the database of names: here one of a
// line, not the usual megabyte.
func BenchmarkReadGHW(b *testing.B) {
	dir := machine(b, 40)
	names := filepath.Join(dir, "pci.ids")
	err := errors.Join(os.MkdirAll(filepath.Join(dir, "sys/devices/system/node"), 0o755),
		os.WriteFile(names, []byte("10de  NVIDIA Corporation\n"), 0o644))
	if err != nil {
		b.Fatal(err)
	}
	b.Setenv("PCIDB_PATH", names)
	for b.Loop() {
		info, err := ghw.PCI(ghw.WithChroot(dir), ghw.WithDisableWarnings(), ghw.WithDisableTools())
		if err != nil || len(info.Devices) != 40 {
			b.Fatal(info, err)
		}
	}
}
