package sysfs_test

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/proxstation/proxstation/internal/sysfs"
)

func link(target string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
}

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func tree() fstest.MapFS {
	return fstest.MapFS{
		"devices/pci0000:00/0000:00:02.0/vendor": file("0x8086\n"),
		"devices/pci0000:00/0000:00:02.0/irq":    file("17\n"),
		"devices/pci0000:00/0000:00:02.0/driver": link("../../../bus/pci/drivers/i915"),
		"bus/pci/devices/0000:00:02.0":           link("../../../devices/pci0000:00/0000:00:02.0"),
		"bus/pci/drivers/i915/bind":              file(""),
		"out":                                    link("../etc"),
		"absolute":                               link("/etc"),
		"empty":                                  &fstest.MapFile{Mode: fs.ModeDir | 0o755},
		"loop/a":                                 link("b"),
		"round":                                  link("round"),
	}
}

func TestAttributes(t *testing.T) {
	t.Parallel()
	const dev = "bus/pci/devices/0000:00:02.0"
	if got, err := sysfs.Attr(tree(), dev+"/vendor"); got != "0x8086" || err != nil {
		t.Errorf("Attr = %q, %v", got, err)
	}
	if got, err := sysfs.Uint(tree(), dev+"/vendor", 16); got != 0x8086 || err != nil {
		t.Errorf("Uint(hexadecimal) = %d, %v", got, err)
	}
	if _, err := sysfs.Uint(tree(), dev+"/vendor", 8); err == nil || !strings.Contains(err.Error(), "vendor") {
		t.Errorf("Uint beyond its bits: %v", err)
	}
	if _, err := sysfs.Uint(tree(), dev+"/class", 32); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Uint of nothing: %v", err)
	}
	if _, ok, err := sysfs.Optional(tree(), dev+"/boot_vga"); ok || err != nil {
		t.Errorf("Optional of nothing = %v, %v", ok, err)
	}
	if got, ok, err := sysfs.Optional(tree(), dev+"/irq"); got != "17" || !ok || err != nil {
		t.Errorf("Optional = %q, %v, %v", got, ok, err)
	}
	if got, ok, err := sysfs.Link(tree(), dev+"/driver"); got != "i915" || !ok || err != nil {
		t.Errorf("Link = %q, %v, %v", got, ok, err)
	}
	if _, ok, err := sysfs.Link(tree(), dev+"/iommu_group"); ok || err != nil {
		t.Errorf("Link of nothing = %v, %v", ok, err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	if got, err := sysfs.Names(tree(), "bus/pci"); !slices.Equal(got, []string{"devices", "drivers"}) || err != nil {
		t.Errorf("Names = %q, %v", got, err)
	}
	if got, err := sysfs.Names(tree(), "empty"); len(got) != 0 || err != nil {
		t.Errorf("Names of an empty directory = %q, %v", got, err)
	}
	if _, err := sysfs.Names(tree(), "nowhere"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Names of nothing: %v", err)
	}
}

func TestReal(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"bus/pci/devices/0000:00:02.0":        "devices/pci0000:00/0000:00:02.0",
		"bus/pci/devices/0000:00:02.0/driver": "bus/pci/drivers/i915",
		"bus/pci":                             "bus/pci",
	} {
		if got, err := sysfs.Real(tree(), name); got != want || err != nil {
			t.Errorf("Real(%s) = %q, %v; want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]error{
		"out": fs.ErrInvalid, "absolute": fs.ErrInvalid, "nowhere": fs.ErrNotExist, "loop/a": fs.ErrNotExist, "round": fs.ErrInvalid,
	} {
		if got, err := sysfs.Real(tree(), name); !errors.Is(err, want) {
			t.Errorf("Real(%s) = %q, %v; want %v", name, got, err, want)
		}
	}
}
