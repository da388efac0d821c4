package iommu_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

// UseConsole marks the display that is the machine's only console, if there is
// exactly one.
func TestOnlyConsole(t *testing.T) {
	t.Parallel()
	const free = "remove sys/bus/pci/devices/%/driver\n" // removes the driver of the card, which the next line then describes again
	const card = "function 0000:01:00.0 class=030000 id=10de:2c05 group=1 parent=0000:00:01.0 "
	for name, test := range map[string]struct {
		host string
		line string
		want string // "" if no display is the only console
	}{
		"iGPU, card on vfio-pci":          {"reference", "", "0000:00:02.0"},
		"iGPU, card on pci-stub":          {"reference", card + "driver=pci-stub bootvga=0", "0000:00:02.0"},
		"iGPU, card without driver":       {"reference", free + card + "bootvga=0", "0000:00:02.0"},
		"iGPU, card that does not answer": {"reference", card + "driver=nouveau bootvga=0 lost=1", "0000:00:02.0"},
		"iGPU, card without connectors":   {"reference", "function 0000:01:00.0 class=030200 id=10de:20b0 group=1 parent=0000:00:01.0 driver=nvidia", "0000:00:02.0"},
		"iGPU and card, both drawing":     {"reference", card + "driver=nouveau bootvga=0", ""},
		"the firmware's, without driver":  {"reference", free + card + "bootvga=1", ""},
		"a BMC beside a card":             {"server-bmc", "", ""},
		"a BMC whose driver is kept off": {"server-bmc",
			free + "function 0000:03:00.0 class=030000 id=102b:0536 group=21 bootvga=0 parent=0000:02:00.0", "0000:19:00.0"},
		"only a BMC draws":     {"held-by-vfio", "", "0000:03:00.0"},
		"a display in a VM":    {"nested-vm", "function 0000:00:10.0 class=030000 id=10de:2504 driver=vfio-pci bootvga=0", "0000:00:02.0"},
		"no display, headless": {"vmd-domain", free + "function 0000:00:02.0 class=030000 id=8086:4680 group=1 bootvga=0", ""},
	} {
		got := ""
		_, rest, _ := strings.Cut(test.line, "function ")
		at, _, _ := strings.Cut(rest, " ")
		for _, use := range read(t, test.host, strings.Replace(test.line, "%", at, 1)).Uses {
			if use.Kind == iommu.UseConsole {
				got += use.Address.String()
			}
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestConsoleDisplays(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		vendor, device iommu.ID
		want           string
	}{
		{0x1a03, 0x2000, "ASPEED"}, {0x102b, 0x0534, "Matrox G200eR"}, {0x1002, 0x515e, "ATI ES1000"}, {0x1234, 0x1111, "QEMU standard VGA"},
		{0x102b, 0x0525, ""}, // a G400, which is a graphics card
		{0x1a03, 0x1150, ""}, // the bridge in ASPEED's chip
		{0x10de, 0x2c05, ""}, {0x8086, 0x3e92, ""}, {0, 0, ""},
	} {
		if got := (iommu.Function{Model: iommu.Model{Vendor: test.vendor, Device: test.device}}).Console(); got != test.want {
			t.Errorf("%v:%v is %q, want %q", test.vendor, test.device, got, test.want)
		}
	}
}

// The display of a BMC is recognised from the data of the PVE API alone.
func TestConsoleDisplayIsNoCard(t *testing.T) {
	t.Parallel()
	bmc := iommu.Facts{GroupsKnown: proxstation.Yes, Functions: []iommu.Function{{Address: address(t, "0000:03:00.0"), Class: 0x030000,
		Model: iommu.Model{Vendor: 0x1a03, Device: 0x2000}, Group: iommu.Group(1)}}}
	found := bmc.CheckDevice(address(t, "0000:03:00.0"))
	if len(found) != 1 || found[0].ID != "iommu.server-console" || found[0].Severity != proxstation.Blocker || !strings.Contains(found[0].Seen, "BMC") {
		t.Errorf("%v", found)
	}
	facts := read(t, "server-bmc")
	i := slices.IndexFunc(facts.Check(), func(f proxstation.Finding) bool { return f.ID == "iommu.server-console" })
	if i < 0 || facts.Check()[i].Severity != proxstation.Info || facts.Check()[i].Subject != "0000:03:00.0" {
		t.Errorf("nothing is said of the machine's BMC: %v", facts.Check())
	}
	_, err := facts.Bind(addresses(t, "0000:03:00.0"), nil)
	if refused, ok := errors.AsType[*iommu.RefusedError](err); !ok || refused.Findings[0].ID != "iommu.server-console" {
		t.Errorf("bound: %v", err)
	}
	if _, err := facts.Bind(addresses(t, "0000:03:00.0"), &iommu.BindOptions{Allow: []iommu.UseKind{iommu.UseConsole}}); err != nil {
		t.Errorf("not bound although it is allowed: %v", err)
	}
}
