package iommu_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/iommu"
)

func address(t *testing.T, s string) iommu.Address {
	t.Helper()
	a, err := iommu.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The function "read" reads a host of internal/hosttree. It first adds the lines
// to the host's description.
func read(t *testing.T, name string, lines ...string) iommu.Facts {
	t.Helper()
	tree, err := hosttree.Load(name, lines...)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := iommu.Read(tree)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func ids(findings []proxstation.Finding) []string {
	var ids []string
	for _, f := range findings {
		ids = append(ids, f.ID)
	}
	return ids
}

// wantCard is the expected JSON of the reference host's RTX 5070 Ti.
const wantCard = `{
	"address": "0000:01:00.0",
	"class": "030000",
	"model": {
		"vendorID": "10de",
		"deviceID": "2c05"
	},
	"subsystem": {
		"vendorID": "1462",
		"deviceID": "5317"
	},
	"revision": 161,
	"group": 1,
	"driver": "vfio-pci",
	"parent": "0000:00:01.0",
	"driverKnown": "yes",
	"removable": "unknown",
	"bootVGA": "no",
	"resetMethods": [
		"flr",
		"bus"
	],
	"link": {
		"speed": "2.5 GT/s PCIe",
		"maxSpeed": "32.0 GT/s PCIe",
		"width": 16,
		"maxWidth": 16
	},
	"bars": [
		{
			"index": 0,
			"bytes": 67108864,
			"prefetchable": true
		},
		{
			"index": 1,
			"bytes": 268435456,
			"prefetchable": true,
			"resizable": [
				67108864,
				134217728,
				268435456,
				536870912,
				1073741824,
				2147483648,
				4294967296,
				8589934592,
				17179869184
			]
		},
		{
			"index": 3,
			"bytes": 33554432,
			"prefetchable": true
		},
		{
			"index": 5,
			"bytes": 128,
			"io": true,
			"prefetchable": false
		}
	],
	"mdev": "no",
	"acs": "unknown",
	"lost": "no"
}`

func TestReadCard(t *testing.T) {
	t.Parallel()
	facts := read(t, "reference")
	fn, ok := facts.Function(address(t, "0000:01:00.0"))
	if !ok {
		t.Fatal("the card is not there")
	}
	got, err := json.MarshalIndent(fn, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != wantCard {
		t.Errorf("got %s", got)
	}
}

func TestReadGroupsWithHoles(t *testing.T) {
	t.Parallel()
	facts := read(t, "group-holes-and-group-0")
	var got []int
	for _, g := range facts.Groups {
		got = append(got, g.ID)
	}
	if !slices.Equal(got, []int{0, 1, 3, 7, 8}) || facts.GroupsKnown != proxstation.Yes {
		t.Errorf("groups %v, known %v", got, facts.GroupsKnown)
	}
	if g := facts.Groups[2]; len(g.Devices) != 0 || g.Type != "DMA" {
		t.Errorf("the empty group is %+v", g)
	}
	card, _ := facts.Function(address(t, "0000:01:00.0"))
	if n, ok := card.Group.Int(); n != 0 || !ok {
		t.Errorf("the card is in group %v", card.Group)
	}
	if fn, _ := facts.Function(address(t, "0000:00:1f.2")); fn.Group != (iommu.GroupID{}) {
		t.Errorf("the function without a group is in %v", fn.Group)
	}
}

func TestReadOddities(t *testing.T) {
	t.Parallel()
	facts := read(t, "held-by-vfio",
		"function 0000:0b:00.0 class=030200 id=10de:20b0 lost=1 numa=1 group=40",
		"dir sys/devices/pci0000:0b/0000:0b:00.0/mdev_supported_types",
		"group 41", "link sys/kernel/iommu_groups/41/devices/0000:0c:00.0 ../../../../devices/none",
		`file sys/kernel/iommu_groups/42/name "vfio-noiommu\n"`, "dir sys/kernel/iommu_groups/42/devices")
	card, _ := facts.Function(address(t, "0000:0a:00.0"))
	if card.Override != "vfio-pci" || card.Driver != "vfio-pci" {
		t.Errorf("override %q, driver %q", card.Override, card.Driver)
	}
	lost, _ := facts.Function(address(t, "0000:0b:00.0"))
	if lost.Lost != proxstation.Yes || lost.MDev != proxstation.Yes || lost.NUMANode == nil || *lost.NUMANode != 1 || lost.Driver != "" {
		t.Errorf("%+v", lost)
	}
	ghost, ok := facts.Function(address(t, "0000:0c:00.0"))
	if n, _ := ghost.Group.Int(); !ok || n != 41 || ghost.Lost != proxstation.Unknown || ghost.DriverKnown != proxstation.Unknown {
		t.Errorf("a member that is no known function: %+v", ghost)
	}
	if g := facts.Groups[len(facts.Groups)-1]; g.ID != 42 || !g.NoIOMMU {
		t.Errorf("VFIO's own group: %+v", g)
	}
}

func TestReadAccessControlServices(t *testing.T) {
	t.Parallel()
	// The function "config" returns a configuration space with a capability at
	// 0x100 that leads to ACS at 0x140.
	config := func(control byte) string {
		space := make([]byte, 4096)
		copy(space[0x100:], []byte{0x01, 0x00, 0x01, 0x14})
		copy(space[0x140:], []byte{0x0d, 0x00, 0x01, 0x00, 0x5f, 0x00, control, 0x00})
		b, _ := json.Marshal(string(space)) // JSON keeps the bytes, because all of them are ASCII
		return "file sys/bus/pci/devices/0000:00:01.0/config " + string(b)
	}
	for control, want := range map[byte]proxstation.Answer{0x1d: proxstation.Yes, 0x05: proxstation.No} {
		port, _ := read(t, "reference", config(control)).Function(address(t, "0000:00:01.0"))
		if port.ACS != want {
			t.Errorf("control %#x: %v", control, port.ACS)
		}
	}
}

func TestReadKernel(t *testing.T) {
	t.Parallel()
	facts := read(t, "reference")
	if facts.Kernel != "6.14.11-4-pve" || !facts.Running.Has("iommu=pt") {
		t.Errorf("kernel %q, arguments %v", facts.Kernel, facts.Running)
	}
	if len(facts.Units) != 2 || facts.Units[0].Name != "dmar0" || *facts.Units[0].Extended != 0x19e2ff0505e {
		t.Errorf("units %+v", facts.Units)
	}
	module, _ := facts.Module("vfio_pci")
	if module.Parameters["ids"] != "10de:2c05,10de:22e9" {
		t.Errorf("vfio_pci %+v", module)
	}
	// Only root may read the table, but everybody can see that it exists.
	if facts.ACPI.DMAR != proxstation.Yes || facts.ACPI.Flags == nil || *facts.ACPI.Flags != 1 {
		t.Errorf("ACPI %+v", facts.ACPI)
	}
	denied := read(t, "reference", "deny sys/firmware/acpi/tables/DMAR")
	if denied.ACPI.DMAR != proxstation.Yes || denied.ACPI.Flags != nil {
		t.Errorf("ACPI without root %+v", denied.ACPI)
	}
	i := slices.IndexFunc(denied.Findings, func(f proxstation.Finding) bool { return strings.HasSuffix(f.Subject, "DMAR") })
	if i < 0 || denied.Findings[i].Fix != "Run as root." {
		t.Errorf("findings %v", denied.Findings)
	}
}

func TestReadFramebuffers(t *testing.T) {
	t.Parallel()
	facts := read(t, "single-gpu")
	if len(facts.Framebuffers) != 1 || facts.Framebuffers[0].Address != address(t, "0000:01:00.0") ||
		facts.Framebuffers[0].Name != "efifb" || !facts.Framebuffers[0].Firmware {
		t.Errorf("%+v", facts.Framebuffers)
	}
	drm := read(t, "reference", `file sys/class/graphics/fb0/name "i915drmfb\n"`,
		"link sys/class/graphics/fb0/device ../../../bus/pci/devices/0000:00:02.0")
	if len(drm.Framebuffers) != 1 || drm.Framebuffers[0].Name != "i915drmfb" || drm.Framebuffers[0].Firmware {
		t.Errorf("%+v", drm.Framebuffers)
	}
}

// The captured hosts are complete. Only the disks below ZFS are not known,
// because sysfs does not show them.
func TestHostsAreWhole(t *testing.T) {
	t.Parallel()
	for _, name := range hosttree.Names() {
		facts := read(t, name)
		for _, finding := range facts.Findings {
			if finding.ID != "iommu.uses-unknown" || !strings.Contains(finding.Seen, "zfs") {
				t.Errorf("%s: %v", name, finding)
			}
		}
		if facts.Kernel == "" || facts.Vendor == "" || len(facts.Uses) == 0 {
			t.Errorf("%s: kernel %q, vendor %q, uses %v", name, facts.Kernel, facts.Vendor, facts.Uses)
		}
	}
}

func TestPartialTreesGivePartialFacts(t *testing.T) {
	t.Parallel()
	for _, gone := range []string{
		"sys", "proc", "etc", "boot", "sys/kernel", "sys/class", "sys/class/iommu", "sys/firmware", "sys/block",
		"sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0", "sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/class",
		"proc/cmdline", "proc/interrupts", "proc/self", "proc/net", "proc/iomem", "etc/default",
	} {
		facts := read(t, "reference", "remove "+gone)
		quiet := []string{"boot", "sys/block", "etc", "etc/default"}
		if len(facts.Findings) == 0 && !slices.Contains(quiet, gone) {
			t.Errorf("without %s nothing is said", gone)
		}
		for _, finding := range facts.Check() {
			if finding.ID == "" || finding.Subject == "" || finding.Seen == "" || finding.Why == "" || finding.Fix == "" || finding.Severity == 0 {
				t.Errorf("without %s: incomplete finding %+v", gone, finding)
			}
		}
	}
	if facts := read(t, "reference", "remove sys/kernel"); facts.GroupsKnown != proxstation.Unknown {
		t.Errorf("groups known to be %v without sys/kernel", facts.GroupsKnown)
	}
}

func TestReadNothing(t *testing.T) {
	t.Parallel()
	_, err := iommu.Read(fstest.MapFS{"README": &fstest.MapFile{}})
	if !errors.Is(err, iommu.ErrNothing) {
		t.Errorf("got %v", err)
	}
}
