package inventory_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
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

// The names of cards come only from the tree's own database, not from the
// database of the running machine.
func TestNamesOfATree(t *testing.T) {
	t.Parallel()
	const database = "# a comment\n8086  Intel Corporation\n\t3e92  CoffeeLake-S GT2 [UHD Graphics 630]\n\t\t1043 872f  a board\n" +
		"10de  NVIDIA Corporation\n\t2c05  GB203\x1b[2J [GeForce RTX 5070 Ti]\n\t3e92  another's\nC 03  Display controller\n\t2c05  a class\n"
	for file, want := range map[string][2]string{
		"usr/share/misc/pci.ids":   {"CoffeeLake-S GT2 [UHD Graphics 630]", "GB203\x1b[2J [GeForce RTX 5070 Ti]"},
		"usr/share/hwdata/pci.ids": {"CoffeeLake-S GT2 [UHD Graphics 630]", "GB203\x1b[2J [GeForce RTX 5070 Ti]"},
		"usr/share/pci.ids":        {"Intel Coffee Lake 8086:3e92", "NVIDIA Blackwell 10de:2c05"},
	} {
		tree, err := hosttree.Load("reference", fmt.Sprintf("file %s %q", file, database))
		if err != nil {
			t.Fatal(err)
		}
		report, err := inventory.Read(tree)
		if err != nil || len(report.GPUs) != 2 {
			t.Fatalf("%s: %v, %v", file, report.GPUs, err)
		}
		if got := [2]string{report.GPUs[0].Name, report.GPUs[1].Name}; got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

// A counter counts how often files with a certain ending are read to their end.
type counter struct {
	fs.FS

	ending string
	times  int
}

func (c *counter) Open(name string) (fs.File, error) {
	file, err := c.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, c.ending) {
		return file, err
	}
	return counted{file, c}, nil
}

type counted struct {
	fs.File

	by *counter
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.File.Read(p)
	if errors.Is(err, io.EOF) {
		c.by.times++
	}
	return n, err
}

// The database of names is large. It must be read only once for any number of
// cards, and not at all on a machine without cards.
func TestNamesAreReadForCardsOnly(t *testing.T) {
	t.Parallel()
	const nvme = "cmdline quiet\nfile usr/share/misc/pci.ids \"10de  NVIDIA\"\nfunction 0000:00:01.0 class=010802 id=144d:a808\n"
	card := "function 0000:0%d:00.0 class=030000 id=10de:2c05\n"
	for text, want := range map[string]int{nvme: 0, nvme + fmt.Sprintf(card, 1): 1, nvme + fmt.Sprintf(card, 1) + fmt.Sprintf(card, 2): 1} {
		tree, err := hosttree.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		machine := &counter{FS: tree, ending: "pci.ids"}
		if _, err := inventory.Read(machine); err != nil || machine.times != want {
			t.Errorf("%s\nthe database is read %d times, want %d; %v", text, machine.times, want, err)
		}
	}
}

// Read returns the inventory of a machine, which programs read as JSON. With
// nil, it reads the running machine.
func ExampleRead() {
	tree, err := hosttree.Load("reference") // or os.DirFS of a captured tree's directory
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

// Boot says where the host's kernel arguments are configured.
func ExampleBoot() {
	tree, err := hosttree.Load("amd-desktop")
	if err != nil {
		panic(err)
	}
	report, err := inventory.Read(tree)
	fmt.Println(report.Boot.File, "then", report.Boot.Command, err)
	// Output: /etc/kernel/cmdline then proxmox-boot-tool refresh <nil>
}
