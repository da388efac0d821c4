package inventory_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/workstation/inventory"
)

func TestInventoryOfBrokenTrees(t *testing.T) {
	t.Parallel()
	if _, err := inventory.Read(fstest.MapFS{}); !errors.Is(err, iommu.ErrNothing) {
		t.Errorf("an empty tree: %v, want ErrNothing", err)
	}
	for _, missing := range []string{"sys/kernel/iommu_groups", "sys/class/iommu", "sys/block", "proc", "etc", "sys/firmware", "boot"} {
		tree, err := hosttree.Load("reference", "remove "+missing)
		if err != nil {
			t.Fatal(err)
		}
		report, err := inventory.Read(tree)
		if err != nil || len(report.GPUs) != 2 {
			t.Errorf("without %s: %v, %d cards, want 2", missing, err, len(report.GPUs))
		}
	}
}

// What a machine has, for programs. With nil it is the machine at hand.
func ExampleRead() {
	tree, err := hosttree.Load("reference") // or os.DirFS of a captured tree
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := inventory.Read(tree)
	if err != nil {
		fmt.Println(err)
		return
	}
	card, err := json.Marshal(report.GPUs[1])
	fmt.Println(report.IOMMU.State, string(card), err)
	// Output:
	// on {"address":"0000:01:00.0","vendorID":"10de","deviceID":"2c05","name":"NVIDIA Blackwell 10de:2c05","family":"NVIDIA Blackwell","functions":["0000:01:00.0","0000:01:00.1"],"driver":"vfio-pci","group":1,"isolated":"yes","blockers":[]} <nil>
}

// Where the host's kernel arguments are configured.
func ExampleBoot() {
	tree, err := hosttree.Load("amd-desktop")
	if err != nil {
		panic(err)
	}
	report, err := inventory.Read(tree)
	fmt.Println(report.Boot.File, "then", report.Boot.Command, err)
	// Output: /etc/kernel/cmdline then proxmox-boot-tool refresh <nil>
}
