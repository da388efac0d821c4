package loader_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/proxstation/proxstation/internal/opencoretest"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/loader"
	"github.com/proxstation/proxstation/workstation/opencore"
	"github.com/proxstation/proxstation/workstation/profile"
)

// facts returns the facts of a node without VMs.
func facts() workstation.Facts {
	return workstation.Facts{Node: "pve", Pools: []storage.Pool{{Storage: storage.Storage{Name: "local", Content: []string{"iso", "import"}, Active: true, Images: []storage.Volume{}}}}}
}

// This plans a copy of an image for a VM. The plan names the copy after its
// content. Bring then writes the copy and uploads it.
func ExampleSource_Plan() {
	dir, err := os.MkdirTemp("", "loader")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	image := filepath.Join(dir, "OpenCore-v21.iso.gz")
	if err := os.WriteFile(image, opencoretest.New(opencoretest.Config).FAT(12, 2<<20).Gzip(), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	made, err := loader.Source{Image: image}.Plan(profile.MacOS{}, facts())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, line := range made.Plan.Lines() {
		fmt.Println(line)
	}
	vm := made.VM()
	fmt.Println(made.VMID(), len(vm.Disks), vm.Defaults["boot"], made.Volume == "local:import/"+opencore.CopyName(image, made.Plan))
	// Output:
	// + NVRAM -> Delete -> 7C436110-AB2A-4BBB-A880-FE41995C9F82 -> 2: csr-active-config
	// 130 3 order=sata4;virtio0 true
}

// A SourceError names the field at fault.
func ExampleSourceError() {
	_, err := loader.Source{Image: "/no/such/image.iso"}.Plan(profile.MacOS{ID: 131}, facts())
	wrong, ok := errors.AsType[*loader.SourceError](err)
	fmt.Println(ok, errors.Is(err, loader.ErrSource), errors.Is(err, os.ErrNotExist))
	fmt.Println(wrong.VMID, wrong.Field)
	// Output:
	// true true true
	// 131 image
}

// A Copy lists its changes of the image. The zero Copy changes nothing.
func ExampleCopy() {
	var none loader.Copy
	fmt.Printf("%q %d\n", none.String(), len(none.Kept))
	made := loader.Copy{Volume: "local:import/oc-1a2b3c4d.raw", From: "oc.iso", Plan: opencore.Plan{Image: "OpenCore 1.0.5", Notes: []string{"Nothing was made up."}}}
	fmt.Print(made)
	// Output:
	// "" 0
	// + local:import/oc-1a2b3c4d.raw: a configured copy of oc.iso (OpenCore 1.0.5)
	//     ! Nothing was made up.
}
