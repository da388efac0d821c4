package iommu_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

func cmdline(s string) *iommu.Cmdline {
	c := iommu.ParseCmdline(s)
	return &c
}

func TestCheckSaysWhyItIsOff(t *testing.T) {
	t.Parallel()
	off := iommu.Facts{GroupsKnown: proxstation.Yes, UnitsKnown: proxstation.Yes}
	acpi := func(dmar, ivrs proxstation.Answer) iommu.ACPI { return iommu.ACPI{DMAR: dmar, IVRS: ivrs} }
	for name, test := range map[string]struct {
		acpi    iommu.ACPI
		running *iommu.Cmdline
		id, fix string
	}{
		"firmware, argument in vain": {acpi(proxstation.No, proxstation.No), cmdline("intel_iommu=on"), "iommu.firmware-off", "firmware's set-up"},
		"intel without argument":     {acpi(proxstation.Yes, proxstation.No), cmdline("quiet"), "iommu.off", "Add intel_iommu=on"},
		"intel with argument":        {acpi(proxstation.Yes, proxstation.No), cmdline("intel_iommu=sm_on,on"), "iommu.off", "DMAR errors"},
		"intel told off":             {acpi(proxstation.Yes, proxstation.No), cmdline("intel_iommu=off"), "iommu.off-by-argument", "Remove intel_iommu=off"},
		"all told off":               {acpi(proxstation.No, proxstation.Yes), cmdline("iommu=off"), "iommu.off-by-argument", "Remove iommu=off"},
		"amd":                        {acpi(proxstation.No, proxstation.Yes), cmdline(""), "iommu.off", "AMD-Vi errors"},
		"tables not known":           {acpi(proxstation.Unknown, proxstation.Unknown), nil, "iommu.off", "Turn on VT-d (Intel) or IOMMU (AMD)"},
	} {
		facts := off
		facts.ACPI, facts.Running = test.acpi, test.running
		findings := facts.Check()
		if len(findings) == 0 || findings[0].ID != test.id || !strings.Contains(findings[0].Fix, test.fix) || findings[0].Severity != proxstation.Blocker {
			t.Errorf("%s: %v", name, findings)
		}
	}
	if got := ids(iommu.Facts{}.Check()); !slices.Equal(got, []string{"iommu.unknown"}) {
		t.Errorf("nothing known: %v", got)
	}
}

func TestCheckRules(t *testing.T) {
	t.Parallel()
	groups, units := some()
	grub := iommu.LoaderFacts{Synced: proxstation.No, Defaults: []iommu.HostFile{{Path: "etc/default/grub", Text: `GRUB_CMDLINE_LINUX_DEFAULT="quiet iommu=pt"`}}}
	on := iommu.Facts{Groups: groups, Units: units, GroupsKnown: proxstation.Yes, UnitsKnown: proxstation.Yes, Loader: grub,
		Running: cmdline("BOOT_IMAGE=/boot/vmlinuz root=/dev/sda1 ro quiet iommu=pt")}
	for name, test := range map[string]struct {
		change func(*iommu.Facts)
		want   string
	}{
		"nothing to say": {func(*iommu.Facts) {}, ""},
		"no remapping":   {func(f *iommu.Facts) { f.Interrupts.Remapped = proxstation.No }, "iommu.no-interrupt-remapping"},
		"unsafe": {func(f *iommu.Facts) {
			f.Modules = []iommu.Module{{Name: "vfio_iommu_type1", Parameters: map[string]string{"allow_unsafe_interrupts": "Y"}}}
		}, "iommu.unsafe-interrupts"},
		"override":      {func(f *iommu.Facts) { f.Running = cmdline(f.Running.String() + " pcie_acs_override=downstream") }, "iommu.acs-override iommu.not-configured"},
		"not booted":    {func(f *iommu.Facts) { f.Running = cmdline("BOOT_IMAGE=/boot/vmlinuz root=/dev/sda1 ro quiet") }, "iommu.not-booted"},
		"gone":          {func(f *iommu.Facts) { f.Loader.Defaults[0].Text = `GRUB_CMDLINE_LINUX_DEFAULT="iommu=pt"` }, "iommu.not-configured"},
		"not refreshed": {func(f *iommu.Facts) { f.Loader.Menu = cmdline("root=/dev/sda1 ro quiet") }, "iommu.not-refreshed"},
		"refreshed":     {func(f *iommu.Facts) { f.Loader.Menu = cmdline("root=/dev/sda1 ro quiet iommu=pt") }, ""},
		"old guide": {func(f *iommu.Facts) {
			f.Kernel, f.ModulesLoad = "6.8.12-10-pve", []iommu.HostFile{{Path: "etc/modules", Text: "vfio\nvfio_virqfd\n"}}
		}, "iommu.virqfd-gone"},
		"old kernel": {func(f *iommu.Facts) {
			f.Kernel, f.ModulesLoad = "6.1.0", []iommu.HostFile{{Path: "etc/modules", Text: "vfio_virqfd\n"}}
		}, ""},
		"no loader": {func(f *iommu.Facts) { f.Running = cmdline("quiet iommu=pt") }, "iommu.loader-unknown"},
	} {
		facts := on
		facts.Loader.Defaults = slices.Clone(grub.Defaults)
		test.change(&facts)
		if got := strings.Join(ids(facts.Check()), " "); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestCheckDevice(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		host, address, want string
	}{
		{"reference", "0000:01:00.0", ""},
		{"reference", "0000:00:02.0", "iommu.only-console"},
		{"reference", "0000:02:00.0", "iommu.in-use"},
		{"reference", "0000:00:1f.6", "iommu.in-use"},
		{"reference", "0000:00:1f.3", "iommu.in-use"},
		{"reference", "0000:7f:00.0", "iommu.no-device"},
		{"vmd-domain", "10000:e1:00.0", "iommu.shared-group iommu.in-use"},
		{"vmd-domain", "0000:00:0e.0", "iommu.shared-group iommu.in-use"},
		{"no-iommu", "0000:01:00.0", "iommu.firmware-off"},
		{"single-gpu", "0000:01:00.0", "iommu.only-console"},
		{"shared-group", "0000:01:00.1", "iommu.shared-group iommu.in-use"},
		{"amd-desktop", "0000:0c:00.0", "iommu.only-console"},
		{"two-identical-cards", "0000:0b:00.0", ""},
	} {
		facts := read(t, test.host)
		findings := facts.CheckDevice(address(t, test.address))
		got := slices.Compact(ids(findings))
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s %s: %v, want %q", test.host, test.address, findings, test.want)
		}
	}
	facts := iommu.Facts{Functions: []iommu.Function{{Lost: proxstation.Yes}}}
	if got := ids(facts.CheckDevice(iommu.Address{})); !slices.Equal(got, []string{"iommu.group-unknown", "iommu.lost"}) {
		t.Errorf("a lost device: %v", got)
	}
}

func TestUses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ host, address, kind, seen string }{
		{"reference", "0000:02:00.0", "root", "/ on dm-1 on nvme0n1p3 on nvme0n1"},
		{"reference", "0000:02:00.0", "root", "/boot/efi on nvme0n1p2 on nvme0n1"},
		{"reference", "0000:02:00.0", "root", "swap on dm-0 on nvme0n1p3 on nvme0n1"},
		{"reference", "0000:00:1f.6", "network", "default route on vmbr0 over eno1"},
		{"vmd-domain", "0000:00:0e.0", "root", "/ on dm-1 on nvme0n1p3 on nvme0n1"},
		{"group-holes-and-group-0", "0000:00:17.0", "root", "/ on sda2 on sda"},
	} {
		want := iommu.Use{Address: address(t, test.address), Kind: iommu.UseKind(test.kind), Seen: test.seen}
		if uses := read(t, test.host).Uses; !slices.Contains(uses, want) {
			t.Errorf("%s: %v, want %v", test.host, uses, want)
		}
	}
	// If one half of a mirror cannot be followed to its controller, the other
	// half still counts.
	half := read(t, "shared-group", "link sys/devices/virtual/block/dm-1/slaves/sdz1 ../../../../gone")
	if half.UsesKnown != proxstation.Unknown || !slices.ContainsFunc(half.Uses, func(u iommu.Use) bool { return u.Kind == iommu.UseRoot }) {
		t.Errorf("half of root: uses known: %v, %v", half.UsesKnown, half.Uses)
	}
	mirror := read(t, "reference", "file proc/self/mountinfo\n| 30 1 0:40 / / rw - btrfs /dev/sdb1 rw",
		`file sys/fs/btrfs/1234/devices/sdb1/x ""`, `file sys/fs/btrfs/1234/devices/nvme0n1p3/x ""`, `file sys/fs/btrfs/features/x ""`)
	for _, a := range addresses(t, "0000:00:17.0", "0000:02:00.0") {
		if !slices.ContainsFunc(mirror.Uses, func(u iommu.Use) bool { return u.Address == a && strings.HasPrefix(u.Seen, "/ on ") }) {
			t.Errorf("a mirror of Btrfs: no %v among %v", a, mirror.Uses)
		}
	}
	other := read(t, "reference", `file sys/fs/btrfs/1234/devices/sdb1/x ""`, "file proc/self/mountinfo\n| 30 1 252:1 / / rw - ext4 /dev/mapper/pve-root rw\n"+
		`| 31 1 0:40 / /mnt/my\040data rw - btrfs /dev/sdb1 rw`)
	want := iommu.Use{Address: address(t, "0000:00:17.0"), Kind: iommu.UseStorage, Seen: "/mnt/my data on sdb1 on sdb"}
	if !slices.Contains(other.Uses, want) {
		t.Errorf("%v, want %v", other.Uses, want)
	}
}

// Read finds the disks of ZFS in udev's records, because sysfs does not show
// them.
func TestUsesOfZFS(t *testing.T) {
	t.Parallel()
	const member = `file run/udev/data/b%s "E:ID_FS_TYPE=zfs_member\nE:ID_FS_LABEL=%s\n"`
	for name, test := range map[string]struct {
		host  string
		lines []string
		known proxstation.Answer
		want  []string // each use of storage: its address, its kind, and Seen
	}{
		"a mirror on two controllers": {"server-bmc", nil, proxstation.Yes, []string{
			"0000:00:11.5 root / on sda3 on sda", "0000:00:17.0 root / on sdb3 on sdb"}},
		"a pool without mounts": {"server-bmc", []string{"dir proc/spl/kstat/zfs/tank", "file proc/spl/kstat/zfs/arcstats \"\""}, proxstation.Yes, []string{
			"0000:00:11.5 root / on sda3 on sda", "0000:00:17.0 root / on sdb3 on sdb", "0000:1a:00.0 storage ZFS pool tank on nvme0n1p1 on nvme0n1"}},
		"a pool of which nothing is noted": {"server-bmc", []string{"dir proc/spl/kstat/zfs/backup"}, proxstation.Unknown, []string{
			"0000:00:11.5 root / on sda3 on sda", "0000:00:17.0 root / on sdb3 on sdb"}},
		"no records at all":         {"server-bmc", []string{"remove run"}, proxstation.Unknown, nil},
		"a desktop without records": {"amd-desktop", nil, proxstation.Unknown, nil},
		"and with them":             {"amd-desktop", []string{fmt.Sprintf(member, "259:3", "rpool")}, proxstation.Yes, []string{"0000:01:00.0 root / on nvme0n1p3 on nvme0n1"}},
		"records of another pool":   {"amd-desktop", []string{fmt.Sprintf(member, "259:3", "tank")}, proxstation.Unknown, nil},
		"volumes without mounts": {"vmd-domain", []string{"block sda at=0000:00:1f.6/ata1 dev=8:0", "block dm-9 slaves=sda dm/name=vg-vm--140--disk--0 dev=252:9"}, proxstation.Yes, []string{
			"0000:00:0e.0 root / on dm-1 on nvme0n1p3 on nvme0n1", "0000:00:1f.6 storage volumes (dm-9) on sda", "10000:e1:00.0 root / on dm-1 on nvme0n1p3 on nvme0n1"}},
	} {
		facts := read(t, test.host, test.lines...)
		var got []string
		for _, use := range facts.Uses {
			if use.Kind == iommu.UseRoot || use.Kind == iommu.UseStorage {
				got = append(got, fmt.Sprintf("%s %s %s", use.Address, use.Kind, use.Seen))
			}
		}
		if !slices.Equal(got, test.want) || facts.UsesKnown != test.known {
			t.Errorf("%s: known %v\ngot  %q\nwant %q", name, facts.UsesKnown, got, test.want)
		}
		if said := slices.Contains(ids(facts.Check()), "iommu.uses-unknown"); said != (test.known == proxstation.Unknown) {
			t.Errorf("%s: %v", name, facts.Findings)
		}
	}
}

func TestUsesOfBondsAndVLANs(t *testing.T) {
	t.Parallel()
	// The bridge vmbr0 is on a VLAN, and the VLAN is on a bond of two cards.
	// nic1 is the second function of its device.
	facts := read(t, "reference",
		"function 0000:03:00.0 class=020000 id=8086:1521 group=9 driver=igb",
		"function 0000:03:00.1 class=020000 id=8086:1521 group=9 driver=igb",
		"net nic0 at=0000:03:00.0", "net nic1 at=0000:03:00.1", "net bond0", "net bond0.7",
		"link sys/devices/virtual/net/bond0/lower_nic0 ../../../../class/net/nic0",
		"link sys/devices/virtual/net/bond0/lower_nic1 ../../../../class/net/nic1",
		"link sys/devices/virtual/net/bond0.7/lower_bond0 ../bond0",
		"net vmbr1 ports=bond0.7",
		"file proc/net/route\n| Iface\n| vmbr1 00000000 0101A8C0 0003 0 0 0 00000000 0 0 0")
	for a, seen := range map[string]string{
		"0000:03:00.0": "default route on vmbr1 over bond0.7 over bond0 over nic0",
		"0000:03:00.1": "default route on vmbr1 over bond0.7 over bond0 over nic1",
	} {
		if want := (iommu.Use{Address: address(t, a), Kind: iommu.UseNetwork, Seen: seen}); !slices.Contains(facts.Uses, want) {
			t.Errorf("no %v among %v", want, facts.Uses)
		}
	}
	for _, u := range facts.Uses {
		if u.Address == address(t, "0000:00:1f.6") && u.Seen != "port eno1 of bridge vmbr0" {
			t.Errorf("the card without the route: %v", u)
		}
	}
	if facts.UsesKnown != proxstation.Yes {
		t.Errorf("uses known: %v", facts.UsesKnown)
	}
}

// If the only default route is an IPv6 route, the network card behind it is in
// use. A route on lo does not count.
func TestUsesOfIPv6Routes(t *testing.T) {
	t.Parallel()
	const v6 = `file proc/net/route "Iface\n"
file proc/net/ipv6_route
| fe800000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001    vmbr0
| 00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003    %
| 00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo`
	for name, want := range map[string]proxstation.Answer{"vmbr0": proxstation.Yes, "lo": proxstation.Unknown} {
		facts := read(t, "reference", strings.Replace(v6, "%", name, 1))
		use := iommu.Use{Address: address(t, "0000:00:1f.6"), Kind: iommu.UseNetwork, Seen: "default route on vmbr0 over eno1"}
		if slices.Contains(facts.Uses, use) != (want == proxstation.Yes) || facts.UsesKnown != want {
			t.Errorf("route on %s: known %v, %v", name, facts.UsesKnown, facts.Uses)
		}
	}
}

// The device of the default route may not be on PCI, such as a tunnel. Then the
// uses are not completely known, and no network card may be bound.
func TestUsesOfARouteThatLeadsNowhere(t *testing.T) {
	t.Parallel()
	facts := read(t, "reference", "net wg0", "file proc/net/route\n| Iface\n| wg0 00000000 00000000 0001 0 0 0 00000000 0 0 0")
	if facts.UsesKnown != proxstation.Unknown || !slices.Contains(ids(facts.Findings), "iommu.uses-unknown") {
		t.Errorf("uses known: %v, findings %v", facts.UsesKnown, facts.Findings)
	}
	if _, err := facts.Bind(addresses(t, "0000:00:1f.6"), nil); err == nil {
		t.Error("a network card was bound, though the route is not known")
	}
	if _, err := facts.Bind(addresses(t, "0000:01:00.0"), nil); err != nil {
		t.Errorf("the card has nothing to do with routes: %v", err)
	}
}
