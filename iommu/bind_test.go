package iommu_test

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/iommu"
)

func TestBindIsPlannedForExactFunctions(t *testing.T) {
	t.Parallel()
	facts := read(t, "two-identical-cards")
	card, audio := address(t, "0000:0b:00.0"), address(t, "0000:0b:00.1")
	b, err := facts.Bind([]iommu.Address{card, audio, card}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const want = "~ 0000:0b:00.0 10de:2504  nouveau -> vfio-pci\n~ 0000:0b:00.1 10de:228e  snd_hda_intel -> vfio-pci\n"
	if b.String() != want {
		t.Errorf("got %s", b)
	}
	text, err := json.Marshal(b)
	var back iommu.Binding
	if err != nil || json.Unmarshal(text, &back) != nil || !slices.Equal(back.Functions, b.Functions) {
		t.Errorf("%s became %+v, %v", text, back, err)
	}
}

func TestBindRefuses(t *testing.T) {
	t.Parallel()
	lost := "function 0000:0c:00.0 class=030000 id=10de:2b85 lost=1 driver=nvidia"
	for _, test := range []struct{ host, address, want string }{
		{"reference", "0000:02:00.0", "iommu.in-use"},
		{"reference", "0000:00:1f.6", "iommu.in-use"},
		{"reference", "0000:00:02.0", "iommu.only-console"},
		{"reference", "0000:00:01.0", "iommu.bridge"},
		{"reference", "0000:7f:00.0", "iommu.no-device"},
		{"reference", "0000:0c:00.0", "iommu.lost"},
		{"no-iommu", "0000:01:00.0", "iommu.no-group"},
		{"vmd-domain", "0000:00:0e.0", "iommu.in-use"},
		{"amd-desktop", "0000:01:00.0", "iommu.uses-unknown"}, // the root file system is on ZFS
	} {
		facts := read(t, test.host, lost)
		_, err := facts.Bind([]iommu.Address{address(t, test.address)}, nil)
		refused, ok := errors.AsType[*iommu.RefusedError](err)
		if !ok || !errors.Is(err, iommu.ErrRefused) || !slices.Contains(ids(refused.Findings), test.want) {
			t.Errorf("%s %s: %v, want %s", test.host, test.address, err, test.want)
		}
	}
	api := iommu.Facts{Functions: []iommu.Function{{Class: 0x030000}}}
	if _, err := api.Bind([]iommu.Address{{}}, nil); !errors.Is(err, iommu.ErrRefused) || !strings.Contains(err.Error(), "driver is not known") {
		t.Errorf("facts of the API: %v", err)
	}
}

func TestBindOfTheOnlyConsoleMustBeAllowed(t *testing.T) {
	t.Parallel()
	facts := read(t, "single-gpu")
	card := []iommu.Address{address(t, "0000:01:00.0")}
	if _, err := facts.Bind(card, &iommu.BindOptions{Allow: []iommu.UseKind{iommu.UseConsole}}); err != nil {
		t.Error(err)
	}
	if _, err := facts.Bind(card, &iommu.BindOptions{Allow: []iommu.UseKind{iommu.UseNetwork}}); !errors.Is(err, iommu.ErrRefused) {
		t.Errorf("got %v", err)
	}
}

// A tree of plain files is not a kernel: nothing happens when a file is
// written. Apply must notice this when it reads the files back, and must
// restore the content that it replaced.
func TestApplyReadsBack(t *testing.T) {
	t.Parallel()
	tree, err := hosttree.Load("two-identical-cards", `file sys/bus/pci/drivers_probe ""`)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := tree.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	sys, err := os.OpenRoot(dir + "/sys")
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	facts, err := iommu.Read(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	b, err := facts.Bind([]iommu.Address{address(t, "0000:0b:00.0")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(sys); !errors.Is(err, iommu.ErrNotBound) || !strings.Contains(err.Error(), `with driver "nouveau"`) {
		t.Errorf("got %v", err)
	}
	got, err := os.ReadFile(dir + "/sys/bus/pci/devices/0000:0b:00.0/driver_override")
	if err != nil || !strings.HasPrefix(string(got), "\n") {
		t.Errorf("override left as %q, %v", got, err)
	}
	if err := b.Release(sys); err != nil {
		t.Errorf("nothing to release: %v", err)
	}
}
