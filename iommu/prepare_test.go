package iommu_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/iommu"
)

func addresses(t *testing.T, list ...string) []iommu.Address {
	t.Helper()
	var out []iommu.Address
	for _, s := range list {
		out = append(out, address(t, s))
	}
	return out
}

func TestPrepareOnSystemdBoot(t *testing.T) {
	t.Parallel()
	facts := read(t, "amd-desktop")
	plan, err := facts.Prepare(addresses(t, "0000:0c:00.0", "0000:0c:00.1"),
		&iommu.PrepareOptions{Args: []string{"iommu=pt"}, Allow: []iommu.UseKind{iommu.UseConsole}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `--- /dev/null
+++ b/etc/modprobe.d/00-proxstation.conf
@@ -0,0 +1,8 @@
+# Written by proxstation: keeps these PCI functions for guests. Do not edit.
+# function 0000:0c:00.0 1002:73df amdgpu,radeon
+# function 0000:0c:00.1 1002:ab28 snd_hda_intel
+# argument iommu=pt
+options vfio-pci ids=1002:73df,1002:ab28
+softdep amdgpu pre: vfio-pci
+softdep radeon pre: vfio-pci
+softdep snd_hda_intel pre: vfio-pci
--- /dev/null
+++ b/etc/modules-load.d/proxstation.conf
@@ -0,0 +1,3 @@
+# Written by proxstation.
+vfio-pci
+vfio_iommu_type1
--- a/etc/kernel/cmdline
+++ b/etc/kernel/cmdline
@@ -1,1 +1,1 @@
-root=ZFS=rpool/ROOT/pve-1 boot=zfs
+root=ZFS=rpool/ROOT/pve-1 boot=zfs iommu=pt
$ update-initramfs -u -k all
$ proxmox-boot-tool refresh
restart the host: kernel arguments change
`
	if plan.String() != want {
		t.Errorf("got %s", plan)
	}
}

func TestPrepareIdenticalCardsByAddress(t *testing.T) {
	t.Parallel()
	facts := read(t, "two-identical-cards")
	plan, err := facts.Prepare(addresses(t, "0000:0b:00.0", "0000:0b:00.1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	text := plan.String()
	for _, want := range []string{
		"+install vfio-pci if grep -qs PCI_ID=10DE:2504 /sys/bus/pci/devices/0000:0b:00.0/uevent; then echo vfio-pci > /sys/bus/pci/devices/0000:0b:00.0/driver_override; fi; ",
		"/sbin/modprobe --ignore-install vfio-pci $CMDLINE_OPTS\n", "+softdep nouveau pre: vfio-pci\n", "$ update-initramfs -u -k all\nrestart the host: 0000:0b:00.0 is not on vfio-pci yet\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	for _, never := range []string{"ids=", "0000:0a:", "blacklist", "vfio_virqfd", "disable_vga", "grub"} {
		if strings.Contains(text, never) {
			t.Errorf("%q in %s", never, text)
		}
	}
	both, err := facts.Prepare(addresses(t, "0000:0b:00.0", "0000:0b:00.1", "0000:0a:00.0", "0000:0a:00.1"),
		&iommu.PrepareOptions{Allow: []iommu.UseKind{iommu.UseConsole}})
	if err != nil || !strings.Contains(both.String(), "+options vfio-pci ids=10de:228e,10de:2504\n") {
		t.Errorf("both cards: %v, %s", err, both)
	}
}

func TestPrepareTurnsTheIOMMUOnThroughGRUB(t *testing.T) {
	t.Parallel()
	off := []string{"acpi DMAR", "cmdline BOOT_IMAGE=/boot/vmlinuz root=/dev/sda3 ro quiet", `file etc/default/grub "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n"`}
	facts := read(t, "no-iommu", off...)
	plan, err := facts.Prepare(addresses(t, "0000:01:00.0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	const want = `--- /dev/null
+++ b/etc/default/grub.d/proxstation.cfg
@@ -0,0 +1,2 @@
+# Written by proxstation.
+GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT intel_iommu=on"
$ update-initramfs -u -k all
$ update-grub
restart the host: kernel arguments change
`
	if !strings.HasSuffix(plan.String(), want) {
		t.Errorf("got %s", plan)
	}
	later := read(t, "no-iommu", append(off, `file etc/default/grub.d/zz.cfg "GRUB_CMDLINE_LINUX_DEFAULT=quiet\n"`)...)
	if _, err := later.Prepare(addresses(t, "0000:01:00.0"), nil); !errors.Is(err, iommu.ErrLoader) || !strings.Contains(err.Error(), "sets GRUB_CMDLINE_LINUX_DEFAULT anew") {
		t.Errorf("a later file takes it away: %v", err)
	}
	ended := read(t, "no-iommu", append(off, `file etc/default/grub "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet -- single\"\n"`)...)
	if _, err := ended.Prepare(addresses(t, "0000:01:00.0"), nil); !errors.Is(err, iommu.ErrLoader) || !strings.Contains(err.Error(), `/etc/default/grub line 1 has "--"`) {
		t.Errorf("arguments for init: %v", err)
	}
	unknown := read(t, "no-iommu", append(off, "cmdline quiet", "dir sys/firmware/efi")...)
	if _, err := unknown.Prepare(addresses(t, "0000:01:00.0"), nil); !errors.Is(err, iommu.ErrLoader) {
		t.Errorf("loader unknown: %v", err)
	}
}

func TestPrepareLeavesAloneWhatIsRight(t *testing.T) {
	t.Parallel()
	// The reference host's own files already give the card to vfio-pci.
	plan, err := read(t, "reference").Prepare(addresses(t, "0000:01:00.0", "0000:01:00.1"), &iommu.PrepareOptions{Args: []string{"iommu=pt"}})
	if err != nil || !plan.Empty() || plan.Reboot != "" {
		t.Errorf("%v, %s", err, plan)
	}
}

func TestPrepareRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		host, line, address, want string
	}{
		"ids of others":     {"two-identical-cards", `file etc/modprobe.d/x.conf "options vfio_pci disable_vga=1 ids=8086:1234\n"`, "0000:0b:00.0", "iommu.foreign-ids"},
		"install of others": {"two-identical-cards", `file etc/modprobe.d/x.conf "install vfio-pci /bin/true\n"`, "0000:0b:00.0", "iommu.foreign-ids"},
		"ids as argument":   {"two-identical-cards", `file etc/default/grub "GRUB_CMDLINE_LINUX_DEFAULT=vfio-pci.ids=1:2\n"`, "0000:0b:00.0", "iommu.foreign-ids"},
		"our file edited":   {"two-identical-cards", `file etc/modprobe.d/00-proxstation.conf "# mine\n"`, "0000:0b:00.0", "iommu.foreign-edit"},
		"root disk":         {"reference", "", "0000:02:00.0", "iommu.in-use"},
		"the only console":  {"single-gpu", "", "0000:01:00.0", "iommu.only-console"},
		"no such device":    {"reference", "", "0000:7f:00.0", "iommu.no-device"},
	} {
		_, err := read(t, test.host, test.line).Prepare(addresses(t, test.address), nil)
		refused, ok := errors.AsType[*iommu.RefusedError](err)
		if !ok || !slices.Contains(ids(refused.Findings), test.want) {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
}

// onDisk writes a host's tree into a directory and opens the directory.
func onDisk(t *testing.T, name string, lines ...string) *os.Root {
	t.Helper()
	tree, err := hosttree.Load(name, lines...)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := tree.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// A host on disk is prepared for one card, and then for a second card. Then
// both cards are given back. In the end every file is as it was.
func TestPrepareAndGiveBackOnDisk(t *testing.T) {
	t.Parallel()
	root := onDisk(t, "amd-desktop", "function 0000:0d:00.0 class=0c0330 id=1b21:2142 driver=xhci_hcd group=30", "dir var/lib")
	now := func() iommu.Facts {
		facts, err := iommu.Read(root.FS())
		if err != nil {
			t.Fatal(err)
		}
		return facts
	}
	apply := func(plan iommu.HostPlan, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if err := plan.Apply(t.Context(), root, nil); err != nil {
			t.Fatal(err)
		}
		return plan.String()
	}
	cmdline := func() string {
		text, _ := root.ReadFile("etc/kernel/cmdline")
		return string(text)
	}
	opts := &iommu.PrepareOptions{Args: []string{"iommu=pt"}, Allow: []iommu.UseKind{iommu.UseConsole}}
	card, usb := addresses(t, "0000:0c:00.0", "0000:0c:00.1"), addresses(t, "0000:0d:00.0")
	before := cmdline()
	apply(now().Prepare(card, opts))
	if again, err := now().Prepare(card, opts); err != nil || !again.Empty() {
		t.Errorf("prepared twice: %v, %s", err, again)
	}
	if text := apply(now().Prepare(usb, opts)); !strings.Contains(text, "+options vfio-pci ids=1002:73df,1002:ab28,1b21:2142\n") {
		t.Errorf("the second: %s", text)
	}
	if text := apply(now().GiveBack(card)); !strings.Contains(text, "+options vfio-pci ids=1b21:2142\n") || cmdline() == before {
		t.Errorf("the first given back: %s", text)
	}
	apply(now().GiveBack(usb))
	if cmdline() != before {
		t.Errorf("all given back: %q, was %q", cmdline(), before)
	}
	for _, file := range []string{"etc/modprobe.d/00-proxstation.conf", "etc/modules-load.d/proxstation.conf"} {
		if _, err := root.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", file, err)
		}
	}
	if plan, err := now().GiveBack(usb); err != nil || !plan.Empty() {
		t.Errorf("given back twice: %v, %s", err, plan)
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	for _, test := range []struct {
		before, after *string
		want          string
	}{
		{nil, text("a\n"), "--- /dev/null\n+++ b/f\n@@ -0,0 +1,1 @@\n+a\n"},
		{text("a\n"), nil, "--- a/f\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-a\n"},
		{text("a\nb\n"), text("a\nb"), "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n-b\n+b\n\\ No newline at end of file\n"},
		{text("1\n2\n3\n4\n5\n6\n7\n8\n9\n"), text("1\n2\n3\n4\nx\n6\n7\n8\n9\n"),
			"--- a/f\n+++ b/f\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+x\n 6\n 7\n 8\n"},
		{text("1\n2\n"), text("1\n2\n2\n"), "--- a/f\n+++ b/f\n@@ -1,2 +1,3 @@\n 1\n 2\n+2\n"},
	} {
		c := iommu.FileChange{Path: "f", Before: test.before, After: test.after}
		if c.String() != test.want {
			t.Errorf("got %q\nwant %q", c, test.want)
		}
	}
}
