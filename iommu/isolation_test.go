package iommu_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

func TestHarmlessBridges(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		class  iommu.Class
		driver string
		want   bool
	}{
		{0x060400, "pcieport", true},
		{0x060400, "", true},
		{0x060400, "shpchp", false}, // the driver does not manage its own DMA, so the group is not viable
		{0x060000, "", true},
		{0x060100, "", true},
		{0x060100, "lpc_ich", false},
		{0x060700, "", true},
		{0x068000, "", false}, // the class of NVSwitch and NTB
		{0x060a00, "", false}, // InfiniBand
		{0x030000, "vfio-pci", false},
		{0x000000, "", false}, // the class is not known
	} {
		fn := iommu.Function{Class: test.class, Driver: test.driver}
		if got := fn.IsHarmlessBridge(); got != test.want {
			t.Errorf("class %v, driver %q: %v", test.class, test.driver, got)
		}
	}
}

func TestIsolated(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		host, address string
		want          error
		answer        proxstation.Answer
	}{
		{"reference", "0000:01:00.0", nil, proxstation.Yes},
		{"reference", "0000:01:00.1", nil, proxstation.Yes},
		{"reference", "0000:00:1f.3", nil, proxstation.Yes}, // CheckDevice names the NIC beside the device's functions
		{"reference", "0000:7f:00.0", iommu.ErrNoDevice, proxstation.Unknown},
		{"amd-desktop", "0000:0c:00.0", nil, proxstation.Yes}, // the card has two functions in two groups
		{"group-holes-and-group-0", "0000:01:00.0", nil, proxstation.Yes},
		{"group-holes-and-group-0", "0000:00:1f.2", iommu.ErrNoGroup, proxstation.No},
		{"shared-group", "0000:04:00.0", iommu.ErrShared, proxstation.No},
		{"no-iommu", "0000:01:00.0", iommu.ErrNoGroup, proxstation.No},
	} {
		facts := read(t, test.host)
		a := address(t, test.address)
		if err := facts.Isolated(a); !errors.Is(err, test.want) {
			t.Errorf("%s %s: %v, want %v", test.host, a, err, test.want)
		}
		if got := facts.IsIsolated(a); got != test.answer {
			t.Errorf("%s %s: %v, want %v", test.host, a, got, test.answer)
		}
	}
	unknown := iommu.Facts{Functions: []iommu.Function{{}}}
	if err := unknown.Isolated(iommu.Address{}); !errors.Is(err, iommu.ErrUnknown) {
		t.Errorf("groups not known: %v", err)
	}
}

func TestSharedErrorNamesTheOthersAndTheBridge(t *testing.T) {
	t.Parallel()
	facts := read(t, "shared-group")
	err := facts.Isolated(address(t, "0000:04:00.1"))
	shared, ok := errors.AsType[*iommu.SharedError](err)
	if !ok {
		t.Fatalf("got %v", err)
	}
	const want = "iommu: 0000:04:00 shares its IOMMU group 12 with 0000:01:00.1 (1022:43b5, class 0106), 0000:03:00.0 (10ec:8168, class 0200)"
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if shared.Above == nil || shared.Above.String() != "0000:00:01.3" {
		t.Errorf("above: %v", shared.Above)
	}
	finding := facts.CheckDevice(address(t, "0000:04:00.0"))[0]
	if !strings.Contains(finding.Fix, "below the bridge 0000:00:01.3") {
		t.Errorf("fix: %s", finding.Fix)
	}
}

func TestAMemberOfWhichNothingIsKnownIsAnotherDevice(t *testing.T) {
	t.Parallel()
	facts := read(t, "reference", "link sys/kernel/iommu_groups/1/devices/0000:01:01.0 ../../../../devices/gone")
	if err := facts.Isolated(address(t, "0000:01:00.0")); !errors.Is(err, iommu.ErrShared) {
		t.Errorf("got %v", err)
	}
}

func TestViable(t *testing.T) {
	t.Parallel()
	fn := func(driver string, known proxstation.Answer) iommu.Function {
		return iommu.Function{Group: iommu.Group(0), Driver: driver, DriverKnown: known}
	}
	for name, test := range map[string]struct {
		functions []iommu.Function
		want      proxstation.Answer
		blocking  int
	}{
		"all let go":        {[]iommu.Function{fn("vfio-pci", proxstation.Yes), fn("", proxstation.Yes), fn("pcieport", proxstation.Yes), fn("pci-stub", proxstation.Yes)}, proxstation.Yes, 0},
		"one half bound":    {[]iommu.Function{fn("vfio-pci", proxstation.Yes), fn("snd_hda_intel", proxstation.Yes)}, proxstation.No, 1},
		"a bridge's helper": {[]iommu.Function{fn("shpchp", proxstation.Yes)}, proxstation.No, 1},
		"driver not known":  {[]iommu.Function{fn("vfio-pci", proxstation.Yes), fn("", proxstation.Unknown)}, proxstation.Unknown, 0},
		"empty group":       {nil, proxstation.Unknown, 0},
	} {
		facts := iommu.Facts{Functions: append(test.functions, iommu.Function{Driver: "nvme", DriverKnown: proxstation.Yes})}
		if got, blocking := facts.Viable(iommu.Group(0)); got != test.want || len(blocking) != test.blocking {
			t.Errorf("%s: %v, %v", name, got, blocking)
		}
	}
	if got, _ := (iommu.Facts{Functions: []iommu.Function{{DriverKnown: proxstation.Yes}}}).Viable(iommu.GroupID{}); got != proxstation.Unknown {
		t.Errorf("no group: %v", got)
	}
}
