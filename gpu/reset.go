package gpu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/iommu"
)

// The method "reset" reports whether the card can be reset between two guests.
// This depends on the chip. The kernel tries the methods of reset_method in
// their order (Documentation/ABI/testing/sysfs-bus-pci). PVE only writes a
// warning into its task log if a reset fails.
func (j *judgement) reset() {
	methods := j.card.Display().ResetMethods
	if methods == nil || j.hangs(methods) {
		return // the methods are unknown, or another finding reports them
	}
	f := proxstation.Finding{ID: "gpu.reset", Severity: proxstation.Warning, Seen: "reset_method: " + strings.Join(methods, " ")}
	j.resetNVIDIA(&f, methods)
	j.resetAMD(&f, methods)
	if f.Why == "" && len(methods) == 0 {
		f.Why = "The kernel cannot reset this card, so a second guest gets it in the state in which the first guest left it."
		f.Fix = "Restart the host between guests if the card does not come up."
	}
	if f.Why != "" {
		j.add(f)
	}
}

// resetNVIDIA judges the chips for which the kernel lists the wrong method.
func (j *judgement) resetNVIDIA(f *proxstation.Finding, methods []string) {
	flr := slices.Contains(methods, "flr")
	file := "/sys/bus/pci/devices/" + j.card.Address().String() + "/reset_method"
	switch chip := j.card.Chip(); {
	case chip == "GB203" && !flr:
		// github.com/NVIDIA/open-gpu-kernel-modules issue 1353: the kernel
		// lists the method "bus", because it chose the methods before the audio
		// function appeared.
		f.Why = "Only FLR resets a GB203; the bus reset that the kernel lists does not work while the card has its audio function, and a failed reset can hang the host."
		f.Fix = "Write default to " + file + " and read the file again. If it does not list flr, restart the host between guests."
	case chip == "GB203" && methods[0] != "flr":
		f.Why = "Only FLR resets a GB203; the bus reset that the kernel lists does not work while the card has its audio function, and a failed reset can hang the host."
		f.Fix = "Write flr to " + file + " before the VM starts."
	case chip == "GB202" && flr:
		// This kernel still offers FLR for this chip. Newer kernels do not
		// (quirk_no_flr in drivers/pci/quirks.c).
		f.Why = "A GB202 may not come back from FLR: its configuration space then reads ff until the host is switched off and on."
		f.Fix = "Write bus to " + file + " before the VM starts, or use a kernel that does not offer flr for this card."
	}
}

// resetAMD judges the families that the module vendor-reset can reset, and the
// families that nothing can reset.
func (j *judgement) resetAMD(f *proxstation.Finding, methods []string) {
	listed := slices.Contains(methods, "device_specific")
	_, loaded := j.facts.Module("vendor_reset")
	choose := "choose its reset at each start of the host by " + j.chooseReset("device_specific")
	switch helped := j.card.is(AMDPolaris, AMDVega10, AMDVega20, AMDNavi10, AMDNavi12, AMDNavi14); {
	case j.card.is(AMDIntegrated):
		// Sources: github.com/gnif/vendor-reset issue 103 and
		// github.com/isc30/ryzen-gpu-passthrough-proxmox, both 2025.
		f.Why = "An AMD iGPU does not come back from a reset: the second start of a VM shows no picture or hangs until the host restarts."
		f.Fix = "Shut the guest down, never stop it; in Windows install RadeonResetBugFix as a service, which turns the card off before the guest ends. Otherwise restart the host between guests."
		if loaded {
			f.Seen += "; module vendor_reset is loaded"
			f.Why += " vendor-reset does not support AMD's iGPUs."
		}
	case helped && !listed && loaded:
		f.Seen += "; module vendor_reset is loaded"
		f.Why = "vendor-reset is loaded, but the kernel uses it for this card only if reset_method says so (Linux 5.15 and newer): " + j.card.Family().String() +
			" does not come back from a bus reset."
		f.Fix = printable.Sentence(choose)
	case helped && !listed:
		// github.com/gnif/vendor-reset README, supported devices.
		f.Why = j.card.Family().String() + " does not come back from a bus reset: the second start of a VM fails or hangs the host."
		f.Fix = "Install the module vendor-reset on the host and " + choose + "; or restart the host between guests."
	case helped && methods[0] != "device_specific":
		f.Why = "The kernel tries another reset before the reset that works for " + j.card.Family().String() + "."
		f.Fix = printable.Sentence(choose)
	case j.card.is(AMDNavi3x, AMDNavi4x):
		f.Severity = proxstation.Info
		f.Why = "Some of these cards do not come back from a reset, depending on firmware and kernel, and vendor-reset does not support them."
		f.Fix = "Try a second start of the VM before you rely on the card."
	}
}

// chooseReset returns the udev rule that sets a reset method whenever the card
// appears.
func (j *judgement) chooseReset(method string) string {
	m := j.card.Model()
	return fmt.Sprintf(`a rule in /etc/udev/rules.d/99-reset.rules: ACTION=="add", SUBSYSTEM=="pci", ATTR{vendor}=="0x%s", ATTR{device}=="0x%s", ATTR{reset_method}="%s"`, m.Vendor, m.Device, method)
}

// The method "hangs" reports whether a function-level reset of this iGPU may
// freeze the host. This is known of Comet Lake's UHD 630 on boards with a
// chipset of the 500 series (github.com/intel/gvt-linux issue 189, 2021 to
// 2023: kernels 5.15 to 6.2; github.com/patmagauran/i915ovmfPkg issue 23 for an
// HD 630). The model of the bridge 00:1f.0 shows the series (pci.ids: 4380 to
// 439f is Tiger Lake-H).
func (j *judgement) hangs(methods []string) bool {
	bridge, _ := j.facts.Function(must(iommu.ParseAddress("0000:00:1f.0")))
	series500 := bridge.Model.Vendor == Intel && bridge.Model.Device >= 0x4380 && bridge.Model.Device <= 0x439f
	if !j.card.is(IntelCometLake, IntelCoffeeLake) || !j.card.Integrated() || !series500 || !slices.Contains(methods, "flr") {
		return false
	}
	file := "/sys/bus/pci/devices/" + j.card.Address().String() + "/reset_method"
	j.add(proxstation.Finding{ID: "gpu.reset-hang", Severity: proxstation.Warning,
		Seen: "reset_method: " + strings.Join(methods, " ") + "; " + j.card.Model().String() + " with " + bridge.Model.String() + " at 0000:00:1f.0, a chipset of the 500 series",
		Why: "Resetting UHD 630 on these boards can freeze the whole host at the VM's start or stop (\"not ready after FLR; waiting\"; reported for kernels 5.15 to 6.2); " +
			"on these boards, macOS shows no picture on this iGPU at all (github.com/acidanthera/bugtracker issue 2360).",
		Fix: "Before the VM's first start, save all open work on the host, and take FLR away: echo > " + file + " (for each start of the host: \"w " + file + " - - - - \\n\" in /etc/tmpfiles.d/igd.conf)."})
	return true
}

// The method "power" reports that the card may not wake up. vfio-pci lets an
// idle card fall into D3cold, and some cards do not come back from that state.
// This is known of AMD's Navi 4x (github.com/mroboff/vm-curator issue 60,
// 2026). Other cards are judged by their present power state.
func (j *judgement) power() {
	d := j.card.Display()
	if d.Power == nil || d.Driver != "vfio-pci" || d.Power.D3ColdAllowed == proxstation.No && d.Power.State != "D3cold" {
		return
	}
	value, where := j.facts.Option("vfio_pci", "disable_idle_d3")
	module, _ := j.facts.Module("vfio_pci")
	if module.Parameters["disable_idle_d3"] == "Y" {
		return
	}
	bad := d.Power.State == "D3cold" || d.Power.State == "error" || d.Power.Runtime == "error"
	if !bad && !j.card.is(AMDNavi4x) {
		return
	}
	dir := "/sys/bus/pci/devices/" + d.Address.String()
	f := proxstation.Finding{ID: "gpu.power", Severity: proxstation.Warning,
		Seen: fmt.Sprintf("%s/power_state: %s, power/runtime_status: %s, d3cold_allowed: %s; vfio-pci disable_idle_d3: %s", dir, d.Power.State, or(d.Power.Runtime, "unknown"),
			d.Power.D3ColdAllowed, or(module.Parameters["disable_idle_d3"], "unknown")),
		Why: "vfio-pci lets the idle card fall into D3cold, and the VM's start may not wake it (\"Unable to power on device, stuck in D3\").",
		Fix: "Write \"options vfio-pci disable_idle_d3=1\" in /etc/modprobe.d/vfio.conf, run update-initramfs -u -k all, and switch the host off and on; for now: echo 0 > " + dir + "/d3cold_allowed."}
	if value == "1" || value == "Y" {
		f.Fix = "disable_idle_d3 is set (" + where + ") and not in force: run update-initramfs -u -k all, and switch the host off and on."
	}
	j.add(f)
}
