package iommu_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

// A virtual function is judged as a separate device, although it is in the slot
// of its physical function.
func TestVirtualFunctions(t *testing.T) {
	t.Parallel()
	facts := read(t, "odd-laptop")
	physical, virtual := address(t, "0000:00:02.0"), address(t, "0000:00:02.1")
	fn, _ := facts.Function(virtual)
	if fn.Lost != proxstation.No {
		t.Errorf("a virtual function is taken for lost: %v", fn.Lost)
	}
	if fn.VirtualOf == nil || *fn.VirtualOf != physical {
		t.Fatalf("physfn is not read: %+v", fn)
	}
	for _, a := range []iommu.Address{physical, virtual} {
		if slot := facts.Slot(a); len(slot) != 1 || slot[0].Address != a {
			t.Errorf("the device of %s: %v", a, slot)
		}
		if err := facts.Isolated(a); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	_, err := facts.Prepare([]iommu.Address{virtual}, nil)
	if refused, ok := errors.AsType[*iommu.RefusedError](err); !ok || refused.Findings[0].ID != "iommu.virtual-function" {
		t.Errorf("kept from the start on: %v", err)
	}
	if _, err := facts.Bind([]iommu.Address{virtual}, nil); err != nil {
		t.Errorf("at run time: %v", err)
	}
	// Without ACS, all functions are in one group. The physical function and
	// the virtual function go to the guest together, and the virtual function
	// does not count as a device that shares the physical function's group.
	const shared = "function 0000:00:02.% class=030000 id=8086:46a6 group=0 driver=i915"
	facts = read(t, "odd-laptop", "remove sys/kernel/iommu_groups/17 sys/kernel/iommu_groups/18", strings.Replace(shared, "%", "1", 1), strings.Replace(shared, "%", "2", 1))
	if err := facts.Isolated(virtual); !errors.Is(err, iommu.ErrShared) || !strings.Contains(err.Error(), "0000:00:02.0") {
		t.Errorf("the virtual function: %v", err)
	}
	if err := facts.Isolated(physical); err != nil {
		t.Errorf("the physical function: %v", err)
	}
	// If the graphics card outside the machine shows no picture, the card
	// inside is the console.
	uses := read(t, "odd-laptop", "function 0000:06:00.0 class=030000 id=10de:1f02 group=22 driver=vfio-pci parent=0000:05:01.0").Uses
	if !slices.ContainsFunc(uses, func(u iommu.Use) bool { return u.Kind == iommu.UseConsole && u.Address == physical }) {
		t.Errorf("virtual functions count as consoles: %v", uses)
	}
}

// On a card with a USB-C port, the functions' modules have other names than
// their drivers. The plan finds the modules before vfio-pci has the functions,
// and also afterwards.
func TestPrepareCardOfFourFunctions(t *testing.T) {
	t.Parallel()
	card := addresses(t, "0000:06:00.0", "0000:06:00.1", "0000:06:00.2", "0000:06:00.3")
	for name, lines := range map[string][]string{
		"on their drivers": nil,
		"on vfio-pci": {
			"function 0000:06:00.2 class=0c0330 id=10de:1ada group=22 driver=vfio-pci parent=0000:05:01.0",
			"function 0000:06:00.3 class=0c8000 id=10de:1adb group=22 driver=vfio-pci parent=0000:05:01.0"},
	} {
		plan, err := read(t, "odd-laptop", lines...).Prepare(card, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"+options vfio-pci ids=10de:10f9,10de:1ada,10de:1adb,10de:1f02\n", "+softdep i2c_nvidia_gpu pre: vfio-pci\n",
			"+softdep nouveau pre: vfio-pci\n", "+softdep snd_hda_intel pre: vfio-pci\n", "+softdep xhci_pci pre: vfio-pci\n"} {
			if !strings.Contains(plan.String(), want) {
				t.Errorf("%s: no %q in %s", name, want, plan)
			}
		}
		for _, never := range []string{"nvidia_gpu pre", "xhci_hcd"} {
			if strings.Contains(strings.ReplaceAll(plan.String(), "i2c_nvidia_gpu pre", ""), never+" ") {
				t.Errorf("%s: %q in %s", name, never, plan)
			}
		}
	}
}

func TestOddPlaces(t *testing.T) {
	t.Parallel()
	facts := read(t, "odd-laptop")
	if card, _ := facts.Function(address(t, "0000:06:00.0")); card.Removable != proxstation.Yes || card.Module != "" {
		t.Errorf("the card outside: %+v", card)
	}
	if found := facts.CheckDevice(address(t, "10000:e1:00.0")); len(found) == 0 || !strings.Contains(found[0].Fix, "Turn VMD off") {
		t.Errorf("behind VMD: %v", found)
	}
	// A card behind a switch that isolates its ports is alone in its group.
	if err := read(t, "server-bmc").Isolated(address(t, "0000:19:00.0")); err != nil {
		t.Errorf("behind a switch: %v", err)
	}
	lost, _ := read(t, "odd-laptop", "function 0000:06:00.0 class=030000 id=10de:1f02 group=22 parent=0000:05:01.0 lost=1 link=2.5x63").Function(address(t, "0000:06:00.0"))
	if lost.Lost != proxstation.Yes || lost.Link != nil {
		t.Errorf("a lost card has a link: %+v", lost)
	}
}

// If any function has the file reset_method, a function without this file has
// no way to be reset. If no function has the file, the reset methods are not
// known, because the kernel may be too old to show them.
func TestResetMethodsThatAreNotThere(t *testing.T) {
	t.Parallel()
	facts := read(t, "odd-laptop")
	if audio, _ := facts.Function(address(t, "0000:06:00.1")); audio.ResetMethods == nil || len(audio.ResetMethods) != 0 {
		t.Errorf("%q", audio.ResetMethods)
	}
	for _, fn := range read(t, "no-iommu", "remove sys/bus/pci/devices/0000:01:00.0/reset_method").Functions {
		if fn.ResetMethods != nil {
			t.Errorf("%s: %q", fn.Address, fn.ResetMethods)
		}
	}
}

// If a host starts a unified kernel image, the boot loader counts as unknown
// and no argument is planned, because only the arguments in the image have an
// effect.
func TestUnifiedKernelImage(t *testing.T) {
	t.Parallel()
	facts := read(t, "odd-laptop", `file etc/kernel/proxmox-boot-uuids "1A2B-3C4D\n"`)
	if loader, why := facts.BootLoader(); loader != iommu.LoaderUnknown || !strings.Contains(why, "systemd-stub 257") {
		t.Errorf("%v: %s", loader, why)
	}
	if _, err := facts.Prepare(addresses(t, "0000:06:00.0"), &iommu.PrepareOptions{Args: []string{"iommu=pt"}}); !errors.Is(err, iommu.ErrLoader) {
		t.Errorf("an argument is planned: %v", err)
	}
	i := slices.IndexFunc(facts.Check(), func(f proxstation.Finding) bool { return f.ID == "iommu.loader-unknown" })
	if i < 0 || !strings.Contains(facts.Check()[i].Fix, "build the image anew") {
		t.Errorf("%v", facts.Check())
	}
}

// Prepare refuses if an argument turns the IOMMU off, because such an argument
// takes precedence over an argument that turns it on.
func TestPrepareRefusesWhileToldOff(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		running, configured string
		refused             bool
	}{
		"off":                   {"iommu=off", "iommu=off", true},
		"off, not any more":     {"iommu=off", "quiet", false},
		"Intel's off":           {"intel_iommu=off", "intel_iommu=off", true},
		"pass-through, not off": {"iommu=pt", "iommu=pt", false},
	} {
		plan, err := read(t, "no-iommu", "acpi DMAR", "cmdline BOOT_IMAGE=/boot/vmlinuz root=/dev/sda3 ro "+test.running,
			`file etc/default/grub "GRUB_CMDLINE_LINUX_DEFAULT=\"`+test.configured+`\"\n"`).Prepare(addresses(t, "0000:01:00.0"), nil)
		if refused, ok := errors.AsType[*iommu.RefusedError](err); ok != test.refused || ok && refused.Findings[0].ID != "iommu.off-by-argument" {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && !strings.Contains(plan.String(), "intel_iommu=on") {
			t.Errorf("%s: %s", name, plan)
		}
	}
}
