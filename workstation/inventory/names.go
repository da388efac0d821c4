package inventory

import (
	"bufio"
	"io/fs"
	"strings"

	"github.com/jaypipes/ghw"

	"github.com/proxstation/proxstation/internal/sysfs"
	"github.com/proxstation/proxstation/iommu"
)

// nameFunctions adds names from the PCI names database of the machine below
// root, or of the running machine if root is nil. A missing database is not an
// error: the functions then have no names.
func nameFunctions(root fs.FS, functions []iommu.Function) {
	if root != nil {
		nameFrom(root, functions)
		return
	}
	info, err := ghw.PCI(ghw.WithDisableWarnings())
	if err != nil {
		return
	}
	for i, f := range functions {
		if device := info.GetDevice(f.Address.String()); device != nil && device.Product != nil && device.Product.Name != "UNKNOWN" {
			functions[i].Name = device.Product.Name
		}
	}
}

// databases holds the paths of the PCI names database in several distributions.
var databases = []string{"share/misc/pci.ids", "share/hwdata/pci.ids"}

// nameFrom reads the database of a tree. ghw cannot read it, because it only
// accepts paths of the running machine. The line of a vendor is like
// "10de  NVIDIA Corporation". Below it, each device of the vendor has a line
// like "\t2c05  GB203 [GeForce RTX 5070 Ti]" (pci.ids(5)).
func nameFrom(root fs.FS, functions []iommu.Function) {
	wanted := map[iommu.Model]string{}
	for _, f := range functions {
		wanted[f.Model] = ""
	}
	usr := sysfs.Sub(root, "usr")
	for _, name := range databases {
		file, err := usr.Open(name)
		if err != nil {
			continue
		}
		read(bufio.NewScanner(file), wanted)
		file.Close()
		break
	}
	for i, f := range functions {
		if name := wanted[f.Model]; name != "" {
			functions[i].Name = name
		}
	}
}

// The function "read" adds the wanted names to the map. It stops at the list of
// classes, which is last in the file.
func read(lines *bufio.Scanner, wanted map[iommu.Model]string) {
	var vendor iommu.ID
	known := false // whether the line of a vendor has been read
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "C ") {
		line, isDevice := strings.CutPrefix(lines.Text(), "\t")
		number, name, _ := strings.Cut(line, "  ")
		id, err := iommu.ParseID(number)
		switch {
		case err != nil: // a comment, or a line about a board with the device
		case !isDevice:
			vendor, known = id, true
		case known:
			if _, ok := wanted[iommu.Model{Vendor: vendor, Device: id}]; ok {
				wanted[iommu.Model{Vendor: vendor, Device: id}] = strings.TrimSpace(name)
			}
		}
	}
}
