package hosttree_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/proxstation/proxstation/internal/hosttree"
)

func load(t *testing.T, name string, lines ...string) *hosttree.Tree {
	t.Helper()
	tree, err := hosttree.Load(name, lines...)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestEveryHostIsASoundFileSystem(t *testing.T) {
	t.Parallel()
	for _, name := range hosttree.Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tree := load(t, name)
			err := fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				if entry.Type() == fs.ModeSymlink {
					if _, err := fs.Stat(tree, path); err != nil {
						t.Errorf("dangling link %s: %v", path, err)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestTreeKeepsTheRulesOfFS(t *testing.T) {
	t.Parallel()
	tree, err := hosttree.Parse([]byte("function 0000:01:00.0 class=030000 id=10de:2c05 group=0\nfile etc/hosts\n| a\n|  b\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := fstest.TestFS(tree, "etc/hosts", "sys/devices/pci0000:01/0000:01:00.0/vendor", "boot"); err != nil {
		t.Fatal(err)
	}
}

func TestShapeOfSysfs(t *testing.T) {
	t.Parallel()
	tree := load(t, "reference")
	links := map[string]string{
		"sys/bus/pci/devices/0000:01:00.0":                    "../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0",
		"sys/bus/pci/devices/0000:01:00.0/iommu_group":        "../../../../kernel/iommu_groups/1",
		"sys/bus/pci/devices/0000:01:00.0/driver":             "../../../../bus/pci/drivers/vfio-pci",
		"sys/bus/pci/devices/0000:01:00.0/subsystem":          "../../../../bus/pci",
		"sys/kernel/iommu_groups/1/devices/0000:01:00.0":      "../../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0",
		"sys/class/iommu/dmar0":                               "../../devices/virtual/iommu/dmar0",
		"sys/block/nvme0n1":                                   "../devices/pci0000:00/0000:00:1b.0/0000:02:00.0/nvme/nvme0/nvme0n1",
		"sys/block/nvme0n1/device":                            "../../nvme0",
		"sys/block/sda/device":                                "../../../0:0:0:0",
		"sys/block/dm-1/slaves/nvme0n1p3":                     "../../../../pci0000:00/0000:00:1b.0/0000:02:00.0/nvme/nvme0/nvme0n1/nvme0n1p3",
		"sys/class/net/vmbr0/brif/eno1":                       "../../../../pci0000:00/0000:00:1f.6/net/eno1/brport",
		"sys/devices/pci0000:00/0000:00:1f.6/net/eno1/device": "../../../0000:00:1f.6",
	}
	for name, want := range links {
		got, err := fs.ReadLink(tree, name)
		if err != nil || got != want {
			t.Errorf("%s -> %q, %v; want %q", name, got, err, want)
		}
		if _, err := fs.Stat(tree, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	files := map[string]string{
		"sys/bus/pci/devices/0000:01:00.0/vendor":           "0x10de\n",
		"sys/bus/pci/devices/0000:01:00.0/class":            "0x030000\n",
		"sys/bus/pci/devices/0000:01:00.0/reset_method":     "flr bus\n",
		"sys/bus/pci/devices/0000:01:00.0/max_link_speed":   "32.0 GT/s PCIe\n",
		"sys/bus/pci/devices/0000:01:00.0/modalias":         "pci:v000010DEd00002C05sv00001462sd00005317bc03sc00i00\n",
		"sys/bus/pci/devices/0000:01:00.0/resource1_resize": "0000000000007fc0\n",
		"sys/kernel/iommu_groups/1/type":                    "identity\n",
		"sys/module/vfio_pci/parameters/ids":                "10de:2c05,10de:22e9\n",
		"sys/block/sda/queue/rotational":                    "0\n",
		"sys/block/sda/device/model":                        "PNY CS900 250GB\n",
		"sys/class/block/dm-1/dm/name":                      "pve-root\n",
		"etc/hostname":                                      "pve\n",
		"sys/devices/virtual/iommu/dmar1/intel-iommu/ecap":  "f050da\n",
	}
	for name, want := range files {
		if got, err := fs.ReadFile(tree, name); err != nil || string(got) != want {
			t.Errorf("%s = %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestWideDomainsHaveTheirRootBusBelowTheController(t *testing.T) {
	t.Parallel()
	got, err := fs.ReadLink(load(t, "vmd-domain"), "sys/bus/pci/devices/10000:e1:00.0")
	const want = "../../../devices/pci0000:00/0000:00:0e.0/pci10000:e0/10000:e0:06.0/10000:e1:00.0"
	if err != nil || got != want {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

func TestDenyAndRemove(t *testing.T) {
	t.Parallel()
	tree := load(t, "reference", "deny sys/kernel/iommu_groups/1/type", "remove sys/class/iommu proc")
	if _, err := fs.ReadFile(tree, "sys/kernel/iommu_groups/1/type"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("denied file: %v", err)
	}
	for _, name := range []string{"sys/class/iommu", "proc", "proc/cmdline"} {
		if _, err := fs.Stat(tree, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadLinesAreRefusedWithTheirNumber(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"frobnicate x": "line 1: frobnicate: no such kind",
		"function":     "of what?",
		"\nfunction 00:00.0 class=060000 id=8086:1":                           "line 2: function: bad address",
		"function 0000:00:00.0 class=06 id=8086:1234":                         "bad class",
		"function 0000:00:00.0 class=060000 id=8086":                          "bad id",
		"function 0000:01:00.0 class=030000 id=1:2 parent=0000:00:01.0":       "bad id",
		"function 0000:01:00.0 class=030000 id=10de:2c05 parent=0000:00:01.0": "no function",
		"function 0000:01:00.0 class=030000 id=10de:2c05 bars=0":              "want NUMBER:SIZE",
		"| x":                        "without a file",
		"  x":                        "continues nothing",
		"file a \"x":                 "quote without end",
		"dir a\n| x":                 "only a file",
		"file ../x \"\"":             "bad path",
		"file a \"\"\nfile a/b \"\"": "not a directory",
		"file a/b \"\"\nfile a \"\"": "is a directory",
		"link a b\nlink b a":         "too many links",
		"link a ../..\n":             "leaves the tree",
		"remove nothing":             "not there",
		"deny sys":                   "not a file",
		"part sda1 of=sda":           "no disk",
	} {
		_, err := hosttree.Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := hosttree.Load("nowhere"); err == nil || !strings.Contains(err.Error(), "reference") {
		t.Errorf("unknown host: %v", err)
	}
}

func TestWriteDirMakesTheSameFiles(t *testing.T) {
	t.Parallel()
	tree := load(t, "two-identical-cards")
	dir := filepath.Join(t.TempDir(), "host")
	if err := tree.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	disk := os.DirFS(dir)
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case entry.Type() == fs.ModeSymlink:
			want, _ := fs.ReadLink(tree, name)
			if got, err := fs.ReadLink(disk, name); err != nil || got != want {
				t.Errorf("%s -> %q, %v; want %q", name, got, err, want)
			}
		case entry.Type().IsRegular():
			want, err := fs.ReadFile(tree, name)
			if errors.Is(err, fs.ErrPermission) {
				return nil
			}
			if got, err := fs.ReadFile(disk, name); err != nil || string(got) != string(want) {
				t.Errorf("%s = %q, %v; want %q", name, got, err, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// parts splits a description into pieces of whole lines. The pieces are small,
// so that the fuzzer can change many of them per second.
func parts(text string) []string {
	var parts []string
	for line := range strings.Lines(text) {
		goesOn := strings.ContainsAny(line[:1], "| \t")
		if len(parts) == 0 || !goesOn && len(parts[len(parts)-1]) > 400 {
			parts = append(parts, "")
		}
		parts[len(parts)-1] += line
	}
	return parts
}

// The fuzzer has useful seeds, because many of the pieces are valid
// descriptions by themselves.
func TestSeedsOfTheFuzzTarget(t *testing.T) {
	t.Parallel()
	all, parsed := 0, 0
	for _, name := range hosttree.Names() {
		text, err := hosttree.Text(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(parts(string(text)), ""); got != string(text) {
			t.Errorf("%s: the pieces are not the whole", name)
		}
		for _, part := range parts(string(text)) {
			all++
			if _, err := hosttree.Parse([]byte(part)); err == nil && len(part) <= 4096 {
				parsed++
			}
		}
	}
	if all < 50 || parsed*3 < all {
		t.Errorf("of %d pieces %d are descriptions", all, parsed)
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range hosttree.Names() {
		text, err := hosttree.Text(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, part := range parts(string(text)) {
			f.Add([]byte(part))
		}
	}
	f.Add([]byte("link a b\nlink b c/../a\nfile a/x \"\"\ndir b\nremove a\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 4096 { // the time for the walk grows with the square of the tree's size
			return
		}
		tree, err := hosttree.Parse(text)
		if err != nil {
			return
		}
		// Every accepted tree can be walked completely, and its files can be
		// read.
		err = fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
			if err == nil && entry.Type().IsRegular() {
				if _, err := fs.ReadFile(tree, name); err != nil && !errors.Is(err, fs.ErrPermission) {
					t.Errorf("%s: %v", name, err)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}
