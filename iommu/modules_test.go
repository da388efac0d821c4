package iommu_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

// builtIn describes a kernel with vfio-pci built in: the module has parameters,
// but no initstate.
var builtIn = []string{"dir sys/module/vfio_pci", "remove sys/module/vfio_pci", `file sys/module/vfio_pci/parameters/ids "\n"`, "driver vfio-pci"}

func TestReadBuiltIn(t *testing.T) {
	t.Parallel()
	if m, ok := read(t, "amd-desktop").Module("vfio_pci"); !ok || m.BuiltIn {
		t.Errorf("a loaded module: %+v, %v", m, ok)
	}
	if m, ok := read(t, "amd-desktop", builtIn...).Module("vfio_pci"); !ok || !m.BuiltIn {
		t.Errorf("built in: %+v, %v", m, ok)
	}
	if m, ok := read(t, "shared-group").Module("vfio_pci"); ok || m.BuiltIn {
		t.Errorf("not loaded: %+v, %v", m, ok)
	}
}

func TestOptionsOfBuiltInModules(t *testing.T) {
	t.Parallel()
	lines := append(slices.Clone(builtIn), `file etc/modprobe.d/vfio.conf "options vfio-pci ids=1002:73df disable_vga=1\noptions kvm ignore_msrs=1\nsoftdep amdgpu pre: vfio-pci\n"`)
	facts := read(t, "amd-desktop", lines...)
	i := slices.IndexFunc(facts.Check(), func(f proxstation.Finding) bool { return f.ID == "iommu.options-unread" })
	if i < 0 || !strings.Contains(facts.Check()[i].Fix, "vfio-pci.ids=1002:73df vfio-pci.disable_vga=1") {
		t.Fatalf("%v", facts.Check())
	}
	if found := ids(read(t, "amd-desktop", lines[4:]...).Check()); slices.Contains(found, "iommu.options-unread") {
		t.Errorf("of a module: %v", found)
	}
	// A file that kmod does not read keeps no card for guests, and does not
	// prevent a plan.
	plan, err := facts.Prepare(addresses(t, "0000:0c:00.0"), &iommu.PrepareOptions{Allow: []iommu.UseKind{iommu.UseConsole}})
	if err != nil || !strings.Contains(plan.String(), "boot=zfs vfio-pci.ids=1002:73df\n") {
		t.Errorf("%v, %s", err, plan)
	}
}

func TestPrepareWithBuiltInDriver(t *testing.T) {
	t.Parallel()
	facts := read(t, "amd-desktop", builtIn...)
	plan, err := facts.Prepare(addresses(t, "0000:0c:00.0", "0000:0c:00.1"), &iommu.PrepareOptions{Allow: []iommu.UseKind{iommu.UseConsole}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `--- /dev/null
+++ b/etc/modprobe.d/00-proxstation.conf
@@ -0,0 +1,5 @@
+# Written by proxstation: keeps these PCI functions for guests. Do not edit.
+# function 0000:0c:00.0 1002:73df amdgpu,radeon
+# function 0000:0c:00.1 1002:ab28 snd_hda_intel
+# argument vfio-pci.ids=1002:73df,1002:ab28
+# vfio-pci is built into the kernel, which is told the ids by an argument
--- /dev/null
+++ b/etc/modules-load.d/proxstation.conf
@@ -0,0 +1,2 @@
+# Written by proxstation.
+vfio_iommu_type1
--- a/etc/kernel/cmdline
+++ b/etc/kernel/cmdline
@@ -1,1 +1,1 @@
-root=ZFS=rpool/ROOT/pve-1 boot=zfs
+root=ZFS=rpool/ROOT/pve-1 boot=zfs vfio-pci.ids=1002:73df,1002:ab28
$ update-initramfs -u -k all
$ proxmox-boot-tool refresh
restart the host: kernel arguments change
`
	if plan.String() != want {
		t.Errorf("got %s", plan)
	}
	_, err = read(t, "two-identical-cards", builtIn...).Prepare(addresses(t, "0000:0b:00.0"), nil)
	if refused, ok := errors.AsType[*iommu.RefusedError](err); !ok || refused.Findings[0].ID != "iommu.vfio-built-in" {
		t.Errorf("one of two cards of a model: %v", err)
	}
	theirs := append(slices.Clone(builtIn), `file etc/default/grub "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet vfio-pci.ids=1:2\"\n"`)
	_, err = read(t, "single-gpu", theirs...).Prepare(addresses(t, "0000:01:00.1"), nil)
	if refused, ok := errors.AsType[*iommu.RefusedError](err); !ok || refused.Findings[0].ID != "iommu.foreign-ids" {
		t.Errorf("beside others' ids: %v", err)
	}
}

// The ids among the kernel's arguments change with the kept functions, and are
// removed together with the last function. This holds for both kinds of boot
// loader.
func TestBuiltInIDsFollowOnDisk(t *testing.T) {
	t.Parallel()
	for host, file := range map[string]string{"amd-desktop": "etc/kernel/cmdline", "single-gpu": "etc/default/grub.d/proxstation.cfg"} {
		root := onDisk(t, host, append(slices.Clone(builtIn), "function 0000:0d:00.0 class=0c0330 id=1b21:2142 driver=xhci_hcd group=30", "dir var/lib")...)
		before, _ := root.ReadFile(file)
		read := func() string { text, _ := root.ReadFile(file); return string(text) }
		facts := func() iommu.Facts {
			facts, err := iommu.Read(root.FS())
			if err != nil {
				t.Fatal(err)
			}
			return facts
		}
		do := func(plan iommu.HostPlan, err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", host, err)
			}
			if err := plan.Apply(t.Context(), root, nil); err != nil {
				t.Fatalf("%s: %v", host, err)
			}
		}
		audio := map[string]string{"amd-desktop": "0000:0c:00.1", "single-gpu": "0000:01:00.1"}[host]
		do(facts().Prepare(addresses(t, audio), nil))
		do(facts().Prepare(addresses(t, "0000:0d:00.0"), nil))
		if text := read(); strings.Count(text, "vfio-pci.ids=") != 1 || !strings.Contains(text, ",1b21:2142") {
			t.Errorf("%s: two functions: %q", host, text)
		}
		if again, err := facts().Prepare(addresses(t, "0000:0d:00.0"), nil); err != nil || !again.Empty() {
			t.Errorf("%s: prepared twice: %v, %s", host, err, again)
		}
		do(facts().GiveBack(addresses(t, audio)))
		if text := read(); strings.Count(text, "vfio-pci.ids=1b21:2142") != 1 || strings.Count(text, "ids=") != 1 {
			t.Errorf("%s: one function: %q", host, text)
		}
		do(facts().GiveBack(addresses(t, "0000:0d:00.0")))
		if text := read(); text != string(before) {
			t.Errorf("%s: all given back: %q, was %q", host, text, before)
		}
	}
}
