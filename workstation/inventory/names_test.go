package inventory

import (
	"bufio"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/iommu"
)

// FuzzNames reads databases of names. Each name must be a part of a line of the
// database.
func FuzzNames(f *testing.F) {
	f.Add("10de  NVIDIA Corporation\n\t2c05  GB203 [GeForce RTX 5070 Ti]\n\t\t1462 5315  a board\nC 03  Display controller\n")
	f.Add("\t2c05  x\n10de\n\t2c05\n")
	f.Fuzz(func(t *testing.T, text string) {
		model := iommu.Model{Vendor: 0x10de, Device: 0x2c05}
		wanted := map[iommu.Model]string{model: ""}
		read(bufio.NewScanner(strings.NewReader(text)), wanted)
		if name := wanted[model]; len(wanted) != 1 || !strings.Contains(text, name) || strings.ContainsAny(name, "\n") {
			t.Errorf("%q of %q", wanted, text)
		}
	})
}
