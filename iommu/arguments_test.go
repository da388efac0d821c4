package iommu_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

func TestMisspeltArguments(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{ // "" if the kernel knows the argument, or if the argument is not judged
		"quiet": "", "iommu=pt": "", "amd_iommu=on": "", "intel_iommu=on,sm_on": "", "vfio-pci.ids=10de:2504": "", "vfio_pci.disable_idle_d3=1": "",
		"vfio_iommu_type1.allow_unsafe_interrupts=1": "", "pcie_acs_override=downstream,multifunction": "", "pcie_acs_override=id:10de:2504": "",
		"initcall_blacklist=sysfb_init": "", "modprobe.blacklist=nouveau": "", "video=efifb:off": "", "intel_idle.max_cstate=1": "", "i915.enable_guc=3": "",
		"nomodeset": "", "vfio_mlx5.debug=1": "", "rootdelay=10": "", "intel_pstate=disable": "", "pci=noaer": "",
		"vfio-pci-ids=10de:2504": "vfio-pci.ids=10de:2504", "vfio_pci_ids=10de:2504": "vfio-pci.ids=10de:2504", "vfio.pci.ids=10de:2504": "vfio-pci.ids=10de:2504",
		"vfio-pci.id=10de:2504": "vfio-pci.ids=10de:2504", "vfio-pci.isd=10de:2504": "vfio-pci.ids=10de:2504", "vfio.ids=10de:2504": "vfio-pci.ids=10de:2504",
		"vfio-pci=ids=10de:2504": "vfio-pci.ids=10de:2504", "vifo-pci.ids=10de:2504": "vfio-pci.ids=10de:2504", "VFIO-PCI.ids=10de:2504": "vfio-pci.ids=10de:2504",
		"vfio-pci.disable_vag=1": "vfio-pci.disable_vga=1", "intel_iomu=on": "intel_iommu=on", "intel-iommmu=on": "intel_iommu=on", "Intel_iommu=on": "intel_iommu=on",
		"intel_iommu=no": "intel_iommu=on", "intel_iommu=1": "intel_iommu=on", "intel_iommu": "intel_iommu=on", "intel_iommu=on;iommu=pt": "intel_iommu=on iommu=pt",
		"intel_iommu=on,iommu=pt": "intel_iommu=on iommu=pt", "iomu=pt": "iommu=pt", "iommu=tp": "iommu=pt", "pci_acs_override=downstream": "pcie_acs_override=downstream",
		"pcie_acs_overide=downstream": "pcie_acs_override=downstream", "pcie_acs_override=downsteam": "pcie_acs_override=downstream",
		"initcal_blacklist=sysfb_init": "initcall_blacklist=sysfb_init", "blacklist=nouveau": "modprobe.blacklist=nouveau", "modprobe.blacklists=nouveau": "modprobe.blacklist=nouveau",
		"pt=on": "iommu=pt", ",10de:228b": "vfio-pci.ids=ID,ID with all ids in one list without blanks", "vfio_pci_core.ids=10de:2504": "vfio-pci.ids=10de:2504", "efifb:off": "video=efifb:off", "video=efifb:eek:ff": "video=efifb:off", "disable_idle_d3=1": "vfio-pci.disable_idle_d3=1",
	} {
		facts := iommu.Facts{Running: cmdline("BOOT_IMAGE=/vmlinuz " + arg)}
		found := slices.DeleteFunc(facts.Check(), func(f proxstation.Finding) bool { return f.ID != "iommu.unknown-argument" })
		switch {
		case want == "" && len(found) > 0:
			t.Errorf("%s: %v", arg, found)
		case want != "" && (len(found) != 1 || !strings.Contains(found[0].Fix, "Write "+want+" for ")):
			t.Errorf("%s: %v, want %q", arg, found, want)
		}
	}
}

// Quotes around several arguments cause only one finding, even if the IOMMU is
// off because of these quotes.
func TestQuotedArguments(t *testing.T) {
	t.Parallel()
	off := iommu.Facts{GroupsKnown: proxstation.Yes, UnitsKnown: proxstation.Yes, ACPI: iommu.ACPI{DMAR: proxstation.Yes}, Running: cmdline(`root=/dev/sda1 "quiet intel_iommu=on iommu=pt"`)}
	found := slices.DeleteFunc(off.Check(), func(f proxstation.Finding) bool { return f.ID == "iommu.loader-unknown" })
	if len(found) != 1 || found[0].ID != "iommu.off" || !strings.Contains(found[0].Fix, `Remove the quotes around "quiet intel_iommu=on iommu=pt"`) {
		t.Errorf("%v", found)
	}
}

// The findings on an argument depend on the file in which the argument is
// written. All advice names the file and the command of the loader that boots
// the host.
func TestArgumentsElsewhere(t *testing.T) {
	t.Parallel()
	const systemd, grub = `cmdline initrd=\EFI\proxmox\vmlinuz root=ZFS=rpool/ROOT/pve-1 boot=zfs`, "cmdline BOOT_IMAGE=/boot/vmlinuz root=/dev/sda3 ro quiet"
	defaults := func(s string) string {
		return "file etc/default/grub " + strconv.Quote("GRUB_CMDLINE_LINUX_DEFAULT=\""+s+"\"\n")
	}
	kernel := func(s string) string { return "file etc/kernel/cmdline " + strconv.Quote(s) }
	for name, test := range map[string]struct {
		host  string
		lines []string
		seen  string // "" if there is no finding
		fix   string
	}{
		"systemd-boot, in GRUB's file": {"amd-desktop", []string{defaults("quiet pcie_acs_override=downstream"), systemd, kernel("root=ZFS=rpool/ROOT/pve-1 boot=zfs\n")},
			"/etc/default/grub line 1: pcie_acs_override=downstream", "Add pcie_acs_override=downstream to the first line of /etc/kernel/cmdline, run proxmox-boot-tool refresh"},
		"systemd-boot, on the second line": {"amd-desktop", []string{systemd, kernel("root=ZFS=rpool/ROOT/pve-1 boot=zfs\niommu=pt\n")},
			"/etc/kernel/cmdline line 2: iommu=pt", "the first line of /etc/kernel/cmdline"},
		"systemd-boot, in force anyway": {"amd-desktop", []string{defaults("quiet iommu=pt"), systemd + " iommu=pt", kernel("root=ZFS=rpool/ROOT/pve-1 boot=zfs iommu=pt\n")}, "", ""},
		"GRUB, in the other's file": {"single-gpu", []string{grub, defaults("quiet"), kernel("root=ZFS=rpool/ROOT/pve-1 vfio-pci.ids=10de:2b85\n")},
			"/etc/kernel/cmdline line 1: vfio-pci.ids=10de:2b85", "GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub, run update-grub"},
		"GRUB, in a misspelt variable": {"single-gpu", []string{grub, `file etc/default/grub "GRUB_CMDLINE_LINUX_DEFAULT=quiet\nGRUB_CMDLINE_LINUX_DEFUALT=\"quiet iommu=pt\"\n"`},
			"/etc/default/grub line 2: iommu=pt", "Add iommu=pt to GRUB_CMDLINE_LINUX_DEFAULT"},
		"GRUB, set anew by a later file": {"single-gpu", []string{grub, defaults("quiet iommu=pt"), `file etc/default/grub.d/zz.cfg "GRUB_CMDLINE_LINUX_DEFAULT=quiet\n"`},
			"/etc/default/grub line 1: iommu=pt", "Add iommu=pt to"},
		"GRUB, after the dashes": {"single-gpu", []string{grub + " -- iommu=pt", defaults("quiet -- iommu=pt")},
			"/etc/default/grub line 1: iommu=pt", "Add iommu=pt to /etc/default/grub line 1, before its \"--\", run update-grub"},
		"GRUB, the dashes in the variable that comes first": {"single-gpu", []string{grub, `file etc/default/grub "GRUB_CMDLINE_LINUX=\"--\"\nGRUB_CMDLINE_LINUX_DEFAULT=\"quiet iommu=pt\"\n"`},
			"/etc/default/grub line 2: iommu=pt", "Add iommu=pt to /etc/default/grub line 1, before its \"--\""},
		"GRUB, nothing of ours": {"single-gpu", []string{grub, defaults("quiet"), kernel("root=ZFS=rpool/ROOT/pve-1 boot=zfs quiet splash\n")}, "", ""},
	} {
		found := slices.DeleteFunc(read(t, test.host, test.lines...).Check(), func(f proxstation.Finding) bool { return f.ID != "iommu.other-loader" })
		switch {
		case test.seen == "" && len(found) == 0:
		case len(found) != 1 || !strings.Contains(found[0].Seen, test.seen) || !strings.Contains(found[0].Fix, test.fix):
			t.Errorf("%s: %v", name, found)
		}
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		host          string
		lines         []string
		file, command string
	}{
		"GRUB":         {"single-gpu", nil, "/etc/default/grub", "update-grub"},
		"systemd-boot": {"amd-desktop", nil, "/etc/kernel/cmdline", "proxmox-boot-tool refresh"},
		"entries of another distribution": {"single-gpu", []string{`cmdline initrd=\EFI\arch\initramfs-linux.img root=UUID=x rw`,
			`file boot/loader/entries/arch.conf "title Arch\noptions root=UUID=x rw\n"`}, "/boot/loader/entries/arch.conf", ""},
	} {
		place := read(t, test.host, test.lines...).Place()
		if place.File != test.file || place.Command != test.command || place.Why == "" || place.Edit == "" {
			t.Errorf("%s: %+v", name, place)
		}
	}
}

// Advise never names an argument that is in force. For an argument that is only
// configured, it asks for a restart.
func TestAdvise(t *testing.T) {
	t.Parallel()
	facts := read(t, "single-gpu", "cmdline BOOT_IMAGE=/vmlinuz ro quiet iommu=pt", `file etc/default/grub "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet iommu=pt nomodeset\"\n"`)
	for args, want := range map[string]string{
		"iommu=pt":                      "",
		"nomodeset":                     "nomodeset is configured in /etc/default/grub already, run update-grub, and restart",
		"iommu=pt initcall_blacklist=x": "add initcall_blacklist=x to GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub, run update-grub, and restart",
	} {
		if got := facts.Advise(strings.Fields(args)...); got != want {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
}
