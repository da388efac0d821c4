package loader_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/opencoretest"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/loader"
	"github.com/proxstation/proxstation/workstation/opencore"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// imageFile returns the path of an OpenCore image.
func imageFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "oc.iso")
	if err := os.WriteFile(name, opencoretest.New(opencoretest.Config).FAT(12, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// An existing VM may get the copy in a new drive, in a drive that it has, or
// not at all. This depends on its drives and on the field Replace. A VM that
// already starts from the copy gets no new drive.
func TestExistingVM(t *testing.T) {
	t.Parallel()
	image := imageFile(t)
	fresh, err := loader.Source{Image: image}.Plan(profile.MacOS{}, facts())
	if err != nil {
		t.Fatal(err)
	}
	mine := "local-lvm:vm-130-disk-2,media=disk,serial=opencore-" + fresh.Plan.Mark()
	base := map[string]string{"machine": "q35", "net0": "vmxnet3=BC:24:11:00:00:01,bridge=vmbr0", "virtio0": "local-lvm:vm-130-disk-0", "args": fresh.VM().Defaults["args"]}
	for _, test := range []struct {
		name    string
		drives  map[string]string
		replace bool
		gone    bool // whether the image is gone
		kept    string
		volume  bool
		boot    string
	}{
		{name: "the copy", drives: map[string]string{"sata4": mine, "boot": "order=sata4;virtio0"}},
		{name: "the copy, to be replaced by itself", drives: map[string]string{"sata4": mine, "boot": "order=sata4;virtio0"}, replace: true},
		{name: "another loader", drives: map[string]string{"ide0": "local:130/vm-130-disk-1.raw", "boot": "order=ide0;virtio0"}, kept: "starts from ide0; it is not the copy"},
		{name: "another loader, to be replaced", drives: map[string]string{"ide0": "local:130/vm-130-disk-1.raw", "boot": "order=ide0;virtio0"}, replace: true, volume: true, boot: "order=sata0;ide0;virtio0"},
		{name: "another copy", drives: map[string]string{"sata4": "local-lvm:vm-130-disk-2,serial=opencore-00000000", "boot": "order=sata4;virtio0"}, kept: "starts from sata4; it is not the copy"},
		{name: "the copy behind another", drives: map[string]string{"sata4": mine, "sata0": "local-lvm:vm-130-disk-3,serial=opencore-00000000", "boot": "order=sata0;sata4;virtio0"}, kept: "starts from sata0"},
		{name: "the copy behind another, to be first", drives: map[string]string{"sata4": mine, "sata0": "local-lvm:vm-130-disk-3", "boot": "order=sata0;sata4;virtio0"}, replace: true, boot: "order=sata4;sata0;virtio0"},
		{name: "the copy, out of the order", drives: map[string]string{"sata4": mine, "boot": "order=virtio0"}, replace: true, boot: "order=sata4;virtio0"},
		{name: "no image any more", drives: map[string]string{"sata4": mine, "boot": "order=sata4;virtio0"}, gone: true, kept: "oc.iso.gone is not here, so that nobody compared the boot loader"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			with := facts()
			config := maps.Clone(base)
			maps.Copy(config, test.drives)
			with.VMs = map[int]workstation.VMFacts{130: {ID: 130, Name: "macos", Config: config}}
			source := loader.Source{Image: image, Replace: test.replace}
			if test.gone {
				source.Image += ".gone"
			}
			made, err := source.Plan(profile.MacOS{}, with)
			if err != nil {
				t.Fatal(err)
			}
			vm := made.VM()
			if (made.Volume != "") != test.volume || vm.Config["boot"] != test.boot || (len(made.Kept) > 0) != (test.kept != "") || len(made.Kept) > 0 && !strings.Contains(made.Kept[0].Seen, test.kept) {
				t.Errorf("volume %q, boot %q, kept %v", made.Volume, vm.Config["boot"], made.Kept)
			}
			noted := slices.ContainsFunc(vm.Notes, func(f proxstation.Finding) bool { return f.ID == "opencore.image" })
			if noted != (test.kept == "") {
				t.Errorf("notes about an image: %v, although kept is %q", noted, test.kept)
			}
		})
	}
}

// A VM that is taken off its card keeps its copy, which is configured for the
// card.
func TestOffTheCard(t *testing.T) {
	t.Parallel()
	address, err := iommu.ParseAddress("0000:00:02.0")
	if err != nil {
		t.Fatal(err)
	}
	card := gpu.Card{Functions: []iommu.Function{{Address: address, Class: 0x030000, Model: iommu.Model{Vendor: gpu.Intel, Device: 0x3e92}}}}
	source := loader.Source{Image: imageFile(t), Replace: true}
	fresh, err := source.Plan(profile.MacOS{Card: card}, facts())
	if err != nil {
		t.Fatal(err)
	}
	with := facts()
	with.VMs = map[int]workstation.VMFacts{130: {Name: "macos", Config: map[string]string{"sata4": "local-lvm:vm-130-disk-2,serial=opencore-" + fresh.Plan.Mark(), "boot": "order=sata4",
		"args": fresh.VM().Defaults["args"], "machine": "pc", "net0": "vmxnet3=BC:24:11:00:00:01", "virtio0": "local-lvm:vm-130-disk-0"}}}
	for _, stage := range []profile.MacStage{profile.MacInstall, profile.MacOnCard, profile.MacOffCard} {
		made, err := source.Plan(profile.MacOS{Card: card, Stage: stage}, with)
		if err != nil || made.Volume != "" || made.Plan.Mark() != fresh.Plan.Mark() {
			t.Errorf("%s: volume %q, %v\n%s", stage, made.Volume, err, made.Plan)
		}
	}
}

// No two VMs share a made-up identity, even if they are otherwise the same.
func TestMadeUpForEachVM(t *testing.T) {
	t.Parallel()
	image, other := imageFile(t), facts()
	other.Node = "pve2"
	names := map[string]bool{}
	for _, id := range []int{130, 131} {
		for _, node := range []workstation.Facts{facts(), other} {
			made, err := loader.Source{Image: image, MadeUp: true}.Plan(profile.MacOS{ID: id}, node)
			if err != nil {
				t.Fatal(err)
			}
			names[made.Volume], names[made.To] = true, true
		}
	}
	if len(names) != 8 {
		t.Errorf("the copies are %v", names)
	}
}

// If a source lacks a number of the identity, an existing VM keeps its boot
// loader. Plan does not compare this boot loader with the copy.
func TestLacks(t *testing.T) {
	t.Parallel()
	with := facts()
	with.VMs = map[int]workstation.VMFacts{130: {Name: "macos", Config: map[string]string{"sata4": "local-lvm:vm-130-disk-2"}}}
	made, err := loader.Source{Image: imageFile(t), Lacks: "env:MLB is not known"}.Plan(profile.MacOS{}, with)
	if err != nil || made.Volume != "" || len(made.Kept) != 1 || !strings.Contains(made.Kept[0].Seen, "env:MLB is not known, so that nobody compared it") {
		t.Errorf("%+v, %v", made.Kept, err)
	}
}

// The first Bring writes the copy and uploads it. If the node has the copy
// already, Bring does not write it again.
func TestBring(t *testing.T) {
	t.Parallel()
	sim := pvetest.New(pvetest.Reference(), &pvetest.Options{Speed: 100}).Start()
	t.Cleanup(sim.Close)
	node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: sim.URL(), RootCAs: sim.CertPool(), Username: "root@pam", Password: "secret"}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	image := imageFile(t)
	bring := func(change func(*loader.Copy)) (loader.Copy, error) {
		t.Helper()
		now, err := node.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		made, err := loader.Source{Image: image, MadeUp: true}.Plan(profile.MacOS{}, now)
		if err != nil {
			t.Fatal(err)
		}
		change(&made)
		return made, made.Bring(t.Context(), node, nil)
	}
	if _, err := bring(func(c *loader.Copy) { c.To = filepath.Join(image, "no folder") }); err == nil || !strings.Contains(err.Error(), "in which you may write") {
		t.Errorf("a copy below a file: %v", err)
	}
	for _, damaged := range [][]byte{[]byte("cut off, or something else"), opencoretest.New(opencoretest.Config).FAT(12, 1<<20)} {
		made, err := bring(func(c *loader.Copy) {
			if err := os.WriteFile(c.To, damaged, 0o600); err != nil {
				t.Error(err)
			}
		})
		if !errors.Is(err, opencore.ErrImage) || !strings.Contains(err.Error(), made.To+" is not the configured copy") {
			t.Errorf("a file of %d bytes was taken for the copy: %v", len(damaged), err)
		}
		if err := os.Remove(made.To); err != nil {
			t.Fatal(err)
		}
	}
	made, err := bring(func(*loader.Copy) {})
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(made.To)
	if err != nil || filepath.Dir(made.To) != filepath.Dir(image) {
		t.Fatalf("%s: %v", made.To, err)
	}
	if _, err := bring(func(*loader.Copy) {}); err != nil {
		t.Error(err)
	}
	if again, err := os.ReadFile(made.To); err != nil || string(again) != string(first) {
		t.Errorf("the copy has other numbers now (%v)", err)
	}
	if err := os.Remove(made.To); err != nil {
		t.Fatal(err)
	}
	if _, err := bring(func(*loader.Copy) {}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(made.To); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a copy that is on the node was written again: %v", err)
	}
	if err := sim.Check(); err != nil {
		t.Error(err)
	}
}

// An identity with only some of its numbers is refused before any file is read.
func TestHalfAnIdentity(t *testing.T) {
	t.Parallel()
	half := opencore.Identity{Serial: proxstation.NewSecret("C02XW0AAJV3Q"), UUID: proxstation.NewSecret("6D3BCE8A-9B3C-4E5A-8C57-6C2E9AB5E0F1")}
	_, err := loader.Source{Image: imageFile(t), Identity: half}.Plan(profile.MacOS{}, facts())
	wrong, ok := errors.AsType[*loader.SourceError](err)
	if !ok || wrong.Field != "identity" || !errors.Is(err, opencore.ErrIdentity) || !strings.Contains(err.Error(), "give mlb, rom too") || strings.Contains(err.Error(), "C02XW0AAJV3Q") {
		t.Errorf("%v", err)
	}
}

// A storage is refused if it does not exist or does not take images to import.
func TestStorage(t *testing.T) {
	t.Parallel()
	with := facts()
	with.Pools = append(with.Pools, storage.Pool{Storage: storage.Storage{Name: "nas", Content: []string{"iso"}, Active: true}})
	for name, want := range map[string]string{"none": "no storage none", "nas": "pvesm set nas --content iso,import"} {
		_, err := loader.Source{Image: imageFile(t), Storage: name}.Plan(profile.MacOS{}, with)
		if wrong, ok := errors.AsType[*loader.SourceError](err); !ok || wrong.Field != "storage" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// If the image is a disk, the copy is written to the working directory, because
// nothing may be written to /dev. Here the image is called vm-130-disk-1, so
// the copy has a name like a disk of the VM. The copy must still be imported.
func TestDiskOfTheVM(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root may make a loop device")
	}
	out, err := exec.CommandContext(t.Context(), "losetup", "--read-only", "--find", "--show", imageFile(t)).Output()
	if err != nil {
		t.Skipf("no loop device here: %v", err)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() { _ = exec.Command("losetup", "--detach", device).Run() })
	link := filepath.Join(t.TempDir(), "vm-130-disk-1") // a link as in /dev/pve
	if err := os.Symlink(device, link); err != nil {
		t.Fatal(err)
	}
	made, err := loader.Source{Image: link}.Plan(profile.MacOS{}, facts())
	if err != nil {
		t.Fatal(err)
	}
	if made.To != opencore.CopyName(link, made.Plan) || !strings.HasPrefix(made.Volume, "local:import/vm-130-disk-1-") {
		t.Errorf("the copy is %s and %s", made.To, made.Volume)
	}
	if !slices.ContainsFunc(made.VM().Disks, func(d workstation.Disk) bool { return d.Import == made.Volume && d.Volume == "" }) {
		t.Errorf("the copy is not imported: %+v", made.VM().Disks)
	}
}

// A volume has the copy's name but is shorter than the copy, because an earlier
// upload broke off. Plan refuses it.
func TestShortVolume(t *testing.T) {
	t.Parallel()
	source := loader.Source{Image: imageFile(t)}
	fresh, err := source.Plan(profile.MacOS{}, facts())
	if err != nil {
		t.Fatal(err)
	}
	for size, refused := range map[storage.Size]bool{0: false, 1 << 20: true, storage.Size(fresh.Plan.Size): false} {
		with := facts()
		with.Pools[0].Images = []storage.Volume{{ID: fresh.Volume, Size: size}}
		_, err := source.Plan(profile.MacOS{}, with)
		if refused != errors.Is(err, loader.ErrSource) || refused && !strings.Contains(err.Error(), "pvesm free "+fresh.Volume) {
			t.Errorf("a volume of %d bytes: %v", size, err)
		}
	}
}
