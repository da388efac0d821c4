package gpu_test

import (
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
)

// The arguments that keep the firmware's picture off a card depend on its
// driver, on the kernel, and on the arguments in force.
func TestFirmwarePictures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		picture, kernel, cmdline, driver string
		class                            iommu.Class // 0: VGA
		severity                         proxstation.Severity
		says, never                      string
	}{
		"efifb":                           {"efifb", "6.8.12-4-pve", "quiet", "vfio-pci", 0, proxstation.Blocker, "initcall_blacklist=sysfb_init", "simple"},
		"efifb with an argument in vain":  {"efifb", "6.8.12-4-pve", "quiet video=efifb:off", "vfio-pci", 0, proxstation.Blocker, "initcall_blacklist=sysfb_init", ""},
		"vesafb":                          {"vesafb", "6.8.12-4-pve", "quiet", "vfio-pci", 0, proxstation.Blocker, "cd /sys/bus/pci/drivers/vfio-pci && echo 0000:01:00.0 > unbind && echo 0000:01:00.0 > bind", "BOOTFB"},
		"simpledrm, sysfb_init in force":  {"simpledrm", "6.18.1", "quiet initcall_blacklist=sysfb_init", "vfio-pci", 0, proxstation.Blocker, "sysfb_init,simpledrm_platform_driver_init", "add initcall_blacklist=sysfb_init "},
		"the same on Proxmox VE":          {"simpledrm", "6.8.12-4-pve", "quiet initcall_blacklist=sysfb_init", "vfio-pci", 0, proxstation.Blocker, "module_blacklist=simpledrm", "simpledrm_platform"},
		"all is in force":                 {"simplefb", "6.18.1", "initcall_blacklist=sysfb_init,simpledrm_platform_driver_init", "vfio-pci", 0, proxstation.Blocker, "BOOTFB stays taken", "for good"},
		"the host's driver has the card":  {"efifb", "6.8.12-4-pve", "quiet", "", 0, proxstation.Info, "vfio-pci removes it", "initcall"},
		"and the kernel is older than it": {"efifb", "5.13.19-2-pve", "quiet", "", 0, proxstation.Warning, "initcall_blacklist=sysfb_init", "vfio-pci removes it"},
		"held on an old kernel":           {"vesafb", "5.13.19-2-pve", "quiet", "vfio-pci", 0, proxstation.Blocker, "vesa-framebuffer.0 > /sys/bus/platform/drivers/vesa-framebuffer/unbind", "BOOTFB"},
		"simpledrm on an old kernel":      {"simpledrm", "5.15.30-2-pve", "quiet", "vfio-pci", 0, proxstation.Blocker, "initcall_blacklist=sysfb_init", "unbind"},
		"a display that is no VGA":        {"simpledrm", "6.8.12-4-pve", "quiet", "", 0x038000, proxstation.Warning, "class 038000", "vfio-pci removes it"},
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

// Virtual functions that somebody asked for and that do not exist are reported
// with the reason.
func TestVirtualFunctionsAskedFor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cmdline string
		change  func(*iommu.Function, *iommu.Facts)
		want    string // ID; "": none
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

// An idle card in D3cold may not wake up and is reported. A card that is awake,
// or that is kept awake, is not.
func TestPowerOfIdleCards(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		device  iommu.ID
		power   iommu.Power
		idle    string // disable_idle_d3
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
