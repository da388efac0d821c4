package lab

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestKmod boots a machine that loads no modules by itself, but has kmod and an
// index of all modules. The tests inside the machine write files of modprobe.d,
// and then load modules as udev does.
func TestKmod(t *testing.T) {
	t.Parallel()
	l, init, tests := find(t, "../../iommu", "../../examples/host")
	files, err := Tools(t.Context(), "modprobe", "sh", "grep", "false") // programs that are called by lines of modprobe.d
	if err != nil {
		missing(t, err)
	}
	files["/sbin/modprobe"] = files["/bin/modprobe"]
	maps.Copy(files, moduleTree(t, l))
	m := Machines()[0]
	m.Name, m.Disks, m.Modules = "kmod", nil, nil
	b := Boot{Machine: m, Init: init, Files: files}
	for _, path := range tests {
		c := command(path, m.Name, "^TestInKmod")
		c.Args = append(c.Args, "-test.timeout=7m")
		b.Commands = append(b.Commands, c)
	}
	outcome, err := l.Run(turns(t)(t), b)
	judge(t, outcome, "TestInKmod")
	if err != nil {
		t.Fatal(err)
	}
	if outcome.Tainted != "0" {
		t.Errorf("the kernel is tainted (%s); its console:\n%s", outcome.Tainted, outcome.Console)
	}
}

// TestPicture boots a machine whose firmware leaves a picture on the display.
func TestPicture(t *testing.T) {
	t.Parallel()
	l, init, tests := find(t, "../../iommu")
	m := Machines()[0]
	m.Name, m.Disks, m.Modules = "picture", nil, []string{"vfio-pci", "vfio_iommu_type1"}
	m.Devices = []string{m.Devices[0], "VGA,bus=pcie.0,addr=2.0"}
	m.Kernel = append(slices.Clone(m.Kernel), "vga=0x317") // 1024x768 with 16 bits, set by the VESA BIOS
	outcome, err := l.Run(turns(t)(t), Boot{Machine: m, Init: init, Commands: []Command{command(tests[0], m.Name, "^TestInPicture")}})
	judge(t, outcome, "TestInPicture")
	if err != nil {
		t.Fatal(err)
	}
}

// moduleTree returns the files of /lib/modules/RELEASE: the lab's modules, and
// the index that depmod(8) makes for these modules.
func moduleTree(t *testing.T, l Lab) map[string]string {
	t.Helper()
	depmod, err := exec.LookPath("depmod")
	if err != nil {
		depmod, err = exec.LookPath("/usr/sbin/depmod")
	}
	if err != nil {
		missing(t, err)
	}
	base := t.TempDir()
	dir := filepath.Join(base, "lib", "modules", l.version)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.CopyFS(filepath.Join(dir, "kernel"), os.DirFS(l.dir))); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.CommandContext(t.Context(), depmod, "-b", base, l.version).CombinedOutput(); err != nil {
		t.Fatalf("depmod: %v\n%s", err, output)
	}
	files := map[string]string{}
	err = filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			files[strings.TrimPrefix(path, base)] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
