package gpu_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
)

// The arguments that keep the firmware's picture off a card depend on the
// picture's driver, on the kernel, and on the arguments in force.
func TestFirmwarePictures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		picture, kernel, cmdline, driver string
		class                            iommu.Class // 0 stands for VGA
		severity                         proxstation.Severity
		says, never                      string
	}{
		"efifb":                           {"efifb", "6.8.12-4-pve", "quiet", "vfio-pci", 0, proxstation.Blocker, "initcall_blacklist=sysfb_init", "simple"},
		"efifb with an argument in vain":  {"efifb", "6.8.12-4-pve", "quiet video=efifb:off", "vfio-pci", 0, proxstation.Blocker, "initcall_blacklist=sysfb_init", ""},
		"vesafb":                          {"vesafb", "6.8.12-4-pve", "quiet", "vfio-pci", 0, proxstation.Blocker, "cd /sys/bus/pci/drivers/vfio-pci && echo 0000:01:00.0 > unbind && echo 0000:01:00.0 > bind", "BOOTFB"},
		"simpledrm, sysfb_init in force":  {"simpledrm", "6.18.1", "quiet initcall_blacklist=sysfb_init", "vfio-pci", 0, proxstation.Blocker, "sysfb_init,simpledrm_platform_driver_init", "add initcall_blacklist=sysfb_init "},
		"the same on Proxmox VE":          {"simpledrm", "6.8.12-4-pve", "quiet initcall_blacklist=sysfb_init", "vfio-pci", 0, proxstation.Blocker, "module_blacklist=simpledrm", "simpledrm_platform"},
		"all is in force":                 {"simplefb", "6.18.1", "initcall_blacklist=sysfb_init,simpledrm_platform_driver_init", "vfio-pci", 0, proxstation.Blocker, "BOOTFB stays reserved", "for good"},
		"the host's driver has the card":  {"efifb", "6.8.12-4-pve", "quiet", "", 0, proxstation.Info, "vfio-pci removes the picture", "initcall"},
		"and the kernel is older than it": {"efifb", "5.13.19-2-pve", "quiet", "", 0, proxstation.Warning, "initcall_blacklist=sysfb_init", "vfio-pci removes the picture"},
		"held on an old kernel":           {"vesafb", "5.13.19-2-pve", "quiet", "vfio-pci", 0, proxstation.Blocker, "vesa-framebuffer.0 > /sys/bus/platform/drivers/vesa-framebuffer/unbind", "BOOTFB"},
		"simpledrm on an old kernel":      {"simpledrm", "5.15.30-2-pve", "quiet", "vfio-pci", 0, proxstation.Blocker, "initcall_blacklist=sysfb_init", "unbind"},
		"a display that is no VGA":        {"simpledrm", "6.8.12-4-pve", "quiet", "", 0x038000, proxstation.Warning, "class 038000", "vfio-pci removes the picture"},
	} {
		bar := 1
		running := iommu.ParseCmdline(test.cmdline)
		c := card(gpu.NVIDIA, 0x2684)
		c.Functions[0].Driver = test.driver
		if test.class != 0 {
			c.Functions[0].Class = test.class
		}
		facts := iommu.Facts{Functions: c.Functions, Kernel: test.kernel, Running: &running, Framebuffers: []iommu.Framebuffer{
			{Address: c.Address(), Name: test.picture, Firmware: true, BAR: &bar, Seen: "/proc/iomem"}}}
		var got proxstation.Finding
		for _, f := range gpu.Ready(c, gpu.AnyGuest, facts) {
			if f.ID == "gpu.framebuffer" {
				got = f
			}
		}
		text := got.Why + got.Fix
		if got.Severity != test.severity || !strings.Contains(text, test.says) || test.never != "" && strings.Contains(text, test.never) {
			t.Errorf("%s: %v", name, got)
		}
		if test.severity == proxstation.Blocker && !strings.Contains(got.Why, "BAR 1") {
			t.Errorf("%s: the BAR is not named: %v", name, got)
		}
	}
}

// If the requested virtual functions do not exist, a finding gives the reason.
func TestVirtualFunctionsAskedFor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cmdline string
		change  func(*iommu.Function, *iommu.Facts)
		want    string // the finding's ID; "" if there is no finding
	}{
		"nobody asks":     {"quiet", func(*iommu.Function, *iommu.Facts) {}, ""},
		"none are wanted": {"i915.max_vfs=0", func(fn *iommu.Function, _ *iommu.Facts) { fn.Driver = "i915" }, ""},
		"the kernel's own i915": {"i915.enable_guc=3 i915.max_vfs=7", func(fn *iommu.Function, f *iommu.Facts) {
			fn.Driver, f.Modules = "i915", []iommu.Module{{Name: "i915"}}
		}, "gpu.sriov-driver"},
		"none are made": {"i915.max_vfs=7", func(fn *iommu.Function, f *iommu.Facts) {
			fn.Driver, fn.SRIOV = "i915", &iommu.SRIOV{Total: 7}
			f.Modules = []iommu.Module{{Name: "i915", Parameters: map[string]string{"max_vfs": "7"}}}
		}, "gpu.sriov-driver"},
		"they are there": {"xe.max_vfs=7", func(fn *iommu.Function, _ *iommu.Facts) { fn.Driver, fn.SRIOV = "xe", &iommu.SRIOV{Total: 7, Now: 7} }, ""},
		"a guest has the physical one": {"xe.max_vfs=7", func(fn *iommu.Function, _ *iommu.Facts) {
			fn.Driver, fn.SRIOV = "vfio-pci", &iommu.SRIOV{Total: 7}
		}, "gpu.physical-taken"},
		"GVT-g on a processor that has none": {"i915.enable_gvt=1", func(fn *iommu.Function, _ *iommu.Facts) { fn.Driver = "i915" }, "gpu.gvt-gone"},
	} {
		running := iommu.ParseCmdline(test.cmdline)
		facts := iommu.Facts{Running: &running}
		c := card(gpu.Intel, 0x46d1)
		test.change(&c.Functions[0], &facts)
		facts.Functions = c.Functions
		var got []string
		for _, f := range gpu.Ready(c, gpu.AnyGuest, facts) {
			if strings.HasPrefix(f.ID, "gpu.sriov") || f.ID == "gpu.physical-taken" || f.ID == "gpu.gvt-gone" {
				got = append(got, f.ID)
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %v, want %q", name, got, test.want)
		}
	}
}

// A card is reported if it may not wake up: if it is in D3cold or in error, and
// always if it is an RX 9070. A card that is kept awake, or that cannot reach
// D3cold, is not reported.
func TestPowerOfIdleCards(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		device  iommu.ID
		power   iommu.Power
		idle    string // the value of vfio-pci's parameter disable_idle_d3
		finding bool
	}{
		"RX 9070 asleep":         {0x7550, iommu.Power{State: "D3cold", Runtime: "suspended", D3ColdAllowed: proxstation.Yes}, "N", true},
		"RX 9070 awake":          {0x7550, iommu.Power{State: "D0", D3ColdAllowed: proxstation.Yes}, "N", true},
		"RX 9070 kept awake":     {0x7550, iommu.Power{State: "D0", D3ColdAllowed: proxstation.Yes}, "Y", false},
		"RX 9070 without D3cold": {0x7550, iommu.Power{State: "D3hot", D3ColdAllowed: proxstation.No}, "N", false},
		"RX 6600 in D3hot":       {0x73ff, iommu.Power{State: "D3hot", D3ColdAllowed: proxstation.Yes}, "N", false},
		"RX 6600 in error":       {0x73ff, iommu.Power{State: "D3hot", Runtime: "error", D3ColdAllowed: proxstation.Yes}, "N", true},
	} {
		c := card(gpu.AMD, test.device)
		c.Functions[0].Driver, c.Functions[0].Power = "vfio-pci", &test.power
		facts := iommu.Facts{Functions: c.Functions, Modules: []iommu.Module{{Name: "vfio_pci", Parameters: map[string]string{"disable_idle_d3": test.idle}}}}
		found := false
		for _, f := range gpu.Ready(c, gpu.AnyGuest, facts) {
			found = found || f.ID == "gpu.power" && strings.Contains(f.Fix, "disable_idle_d3=1")
		}
		if found != test.finding {
			t.Errorf("%s: found %v, want %v", name, found, test.finding)
		}
	}
}

// The fix names the other display of this host, or says that the host has no
// other display.
func TestAnotherDisplayOfThisHost(t *testing.T) {
	t.Parallel()
	bar := 1
	c := card(gpu.NVIDIA, 0x2684)
	c.Functions[0].Driver, c.Functions[0].BootVGA = "vfio-pci", proxstation.Yes
	iGPU := iommu.Function{Address: address("0000:00:02.0"), Class: 0x030000, Model: iommu.Model{Vendor: gpu.Intel, Device: 0x4680}}
	guests := iGPU
	guests.Driver = "vfio-pci"
	for _, test := range []struct {
		want   string
		others []iommu.Function
	}{
		{"make 0000:00:02.0 the primary display", []iommu.Function{iGPU}},
		{"put a second graphics card in this host", []iommu.Function{guests}},
		{"put a second graphics card in this host", nil},
	} {
		want, others := test.want, test.others
		for _, pictures := range [][]iommu.Framebuffer{nil, {{Address: c.Address(), Name: "efifb", Firmware: true, BAR: &bar, Seen: "/proc/iomem"}}} {
			facts := iommu.Facts{Functions: append(others[:len(others):len(others)], c.Functions...), Kernel: "6.8.12-4-pve", Framebuffers: pictures}
			found := slices.DeleteFunc(gpu.Ready(c, gpu.AnyGuest, facts), func(f proxstation.Finding) bool { return f.ID != "gpu.boot-vga" && f.ID != "gpu.framebuffer" })
			if len(found) != 1 || !strings.Contains(strings.ToLower(found[0].Fix), want) {
				t.Errorf("%q is not in %v", want, found)
			}
		}
	}
}

// The fix removes disable_vga where it was set: from a file, or with the boot
// loader's command.
func TestDisableVGAIsRemovedWhereItIs(t *testing.T) {
	t.Parallel()
	iGPU := gpu.Card{Functions: []iommu.Function{{Address: address("0000:00:02.0"), Class: 0x030000, Model: iommu.Model{Vendor: gpu.Intel, Device: 0x3e92}}}}
	base := iommu.Facts{Functions: iGPU.Functions, Modules: []iommu.Module{{Name: "vfio_pci", Parameters: map[string]string{"disable_vga": "Y"}}}}
	file, argument := base, base
	file.Modprobe = []iommu.HostFile{{Path: "etc/modprobe.d/vfio.conf", Text: "options vfio-pci disable_vga=1\n"}}
	running := iommu.ParseCmdline("BOOT_IMAGE=/vmlinuz vfio_pci.disable_vga=1")
	argument.Running, argument.Loader.Synced = &running, proxstation.No
	argument.Loader.Defaults = []iommu.HostFile{{Path: "etc/default/grub", Text: "GRUB_CMDLINE_LINUX_DEFAULT=\"vfio_pci.disable_vga=1\"\n"}}
	for want, facts := range map[string]iommu.Facts{
		"/etc/modprobe.d/vfio.conf line 1: options vfio-pci disable_vga=1), run update-initramfs":   file,
		"Remove vfio_pci.disable_vga=1 from /etc/default/grub line 1, run update-grub, and restart": argument,
	} {
		found := slices.DeleteFunc(gpu.Ready(iGPU, gpu.AnyGuest, facts), func(f proxstation.Finding) bool { return f.ID != "gpu.disable-vga" })
		if len(found) != 1 || !strings.Contains(found[0].Fix, want) {
			t.Errorf("%q is not in %v", want, found)
		}
	}
}
