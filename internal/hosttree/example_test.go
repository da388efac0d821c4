package hosttree_test

import (
	"fmt"
	"io/fs"

	"github.com/proxstation/proxstation/internal/hosttree"
)

func ExampleLoad() {
	// This makes the reference host, with its card bound to nouveau.
	tree, err := hosttree.Load("reference",
		"function 0000:01:00.0 class=030000 id=10de:2c05 parent=0000:00:01.0 driver=nouveau group=1")
	if err != nil {
		fmt.Println(err)
		return
	}
	driver, err := fs.ReadLink(tree, "sys/bus/pci/devices/0000:01:00.0/driver")
	fmt.Println(driver, err)
	// Output: ../../../../bus/pci/drivers/nouveau <nil>
}

func ExampleParse() {
	tree, err := hosttree.Parse([]byte("cmdline quiet iommu=pt\nfile etc/hostname \"lab\\n\"\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	cmdline, err := fs.ReadFile(tree, "proc/cmdline")
	fmt.Printf("%q %v\n", cmdline, err)
	// Output: "quiet iommu=pt\n" <nil>
}
