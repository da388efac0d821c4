package iommu_test

import (
	"os"
	"testing"

	"github.com/proxstation/proxstation/iommu"
)

// Read works on the machine that runs the test, and its facts agree with each
// other.
func TestReadThisMachine(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/sys/bus/pci/devices"); err != nil {
		t.Skip("this machine has no /sys/bus/pci")
	}
	facts, err := iommu.Read(nil)
	if err != nil {
		t.Fatal(err)
	}
	state, why := facts.State()
	t.Logf("IOMMU %v: %s; %d functions", state, why, len(facts.Functions))
	for _, fn := range facts.Functions {
		if _, grouped := fn.Group.Int(); grouped && state == iommu.Off {
			t.Errorf("%s has a group, though the IOMMU is off", fn.Address)
		}
	}
}
