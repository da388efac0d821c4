package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
)

// A want is a finding that a host must have: its ID, a part of its Seen, and
// words of its Fix.
type want struct {
	id, seen string
	fix      []string
}

// cases holds hosts that are rebuilt from public reports, with the findings
// that would have helped each reporter.
var cases = map[string]struct {
	wants []want
	never []string // texts that no finding may contain
}{
	"01-ids-set-nvidia-first": {[]want{{"iommu.driver-first", "has the driver nvidia",
		[]string{`"softdep nvidia pre: vfio-pci"`, "/etc/modprobe.d/vfio.conf", "update-initramfs -u -k all"}}}, []string{"have not bound"}},
	"02-simpledrm-sysfb-no-help": {[]want{{"gpu.framebuffer", "simpledrm",
		[]string{"echo 0000:c3:00.0 > unbind && echo 0000:c3:00.0 > bind", "BOOTFB stays reserved", "simpledrm_platform_driver_init"}}}, []string{"add initcall_blacklist=sysfb_init to"}},
	"03-cezanne-all-in-one-group": {[]want{{"iommu.shared-group", "security processor",
		[]string{"cannot be moved to another slot", "ACS", "update the firmware", "pcie_acs_override=downstream,multifunction", "only claims"}}}, []string{"slot below another port", "one by one"}},
	"04-x58-no-interrupt-remapping": {[]want{{"iommu.no-interrupt-remapping", "revision 13",
		[]string{"erratum", "no setting of the firmware", "allow_unsafe_interrupts=1", "another machine"}}}, []string{"x2APIC"}},
	"05-igpu-display-0380-with-dgpu-primary": {[]want{
		{"gpu.not-primary", "class 038000", []string{"primary display"}},
		{"gpu.board-audio", "0000:00:1f.3", []string{"Leave it to the host"}}}, []string{"iommu.shared-group"}},
	"07-phoenix-usb-and-psp-bound": {[]want{{"iommu.ids-beyond", "1022:15c7",
		[]string{"options vfio-pci ids=1002:15bf,1002:1640 ", "update-initramfs"}}}, nil},
	"08-grub-edited-systemd-boot-boots": {[]want{{"iommu.off", "/etc/default/grub line 4",
		[]string{"intel_iommu=on iommu=pt", "first line of /etc/kernel/cmdline", "proxmox-boot-tool refresh"}}}, []string{"iommu.no-group", "gpu.host-driver", "update-grub"}},
	"10-vfs-gone-pf-on-vfio":        {[]want{{"gpu.physical-taken", "max_vfs=7", []string{"0000:00:02.1", "i915", "sriov_numvfs"}}}, nil},
	"12-uhd630-500-series-flr-hang": {[]want{{"gpu.reset-hang", "8086:4387", []string{"reset_method"}}}, nil},
	"14-apu2-root-ports-one-group": {[]want{{"iommu.shared-group", "default route",
		[]string{"No slot of this board", "update the firmware", "ACS override"}}}, []string{"whole group to the guest"}},
	"15-nic-renamed-after-gpu": {[]want{{"iommu.nic-renamed", "vmbr0 wants enp5s0",
		[]string{"enp7s0", "/etc/network/interfaces", "ifreload -a", "pve-network-interface-pinning"}}}, []string{"iommu.uses-unknown"}},
	"17-vfio-pci-ids-typo": {[]want{
		{"iommu.unknown-argument", "vfio-pci-ids=", []string{"vfio-pci.ids=8086:9a49,8086:a0c8", "/etc/default/grub", "update-grub"}},
		{"iommu.shared-group", "SMBus", nil}}, []string{"vfio refuses"}},
	"19-p5000-efifb-bar1": {[]want{{"gpu.framebuffer", "BAR 1", []string{"efi-framebuffer.0", "initcall_blacklist=sysfb_init", "primary display"}}}, []string{"BAR 0"}},
	"20-amd-igpu-reset-bug": {[]want{{"gpu.reset", "vendor_reset is loaded", []string{"RadeonResetBugFix", "never stop it", "restart the host"}}},
		[]string{"gpu.host-driver", "install the module vendor-reset"}},
	"21-rx9070-stuck-in-d3": {[]want{
		{"gpu.power", "D3cold", []string{"disable_idle_d3=1", "update-initramfs", "off and on"}},
		{"iommu.options-not-applied", "disable_vga: N", []string{"update-initramfs"}}}, nil},
	"24-two-identical-rx580": {[]want{{"iommu.identical-model", "0000:08:00.0 and 0000:09:00.0",
		[]string{"address", "driver_override", "-keep 0000:09:00", "the host has the other card"}}}, nil},
	"25-kernel-6.8.12-12-vf-permission-denied": {[]want{{"iommu.kernel-known-bad", "6.8.12-12-pve",
		[]string{"proxmox-boot-tool kernel pin 6.8.12-11-pve", "newer kernel"}}}, nil},
	"29-virqfd-and-acs-override-zfs": {[]want{
		{"iommu.virqfd-gone", "vfio_virqfd", []string{"Remove the line"}},
		{"iommu.acs-override", "downstream", []string{"/etc/kernel/cmdline"}}}, []string{"add intel_iommu", "blocker"}},
	"31-sriov-args-stock-i915": {[]want{{"gpu.sriov-driver", "max_vfs", []string{"dkms", "6.2.16-5-pve", "Secure Boot"}}}, nil},
	"35-acs-override-on-pve9-macpro": {[]want{
		{"iommu.acs-override", "downstream", nil},
		{"gpu.reset", "vendor_reset is loaded", []string{"udev/rules.d", "device_specific"}}}, []string{"install the module vendor-reset", "blocker"}},
}

// described holds the wanted findings on hosts of internal/hosttree. These
// hosts are in a bad state because somebody followed a guide or moved a card.
var described = map[string][]want{
	"guide-nvidia-first": {
		{"iommu.driver-first", "has the driver nvidia", []string{`"softdep nvidia pre: vfio-pci"`}},
		{"iommu.unknown-argument", "vfio_pci_ids=", []string{"Write vfio-pci.ids=10de:2484,10de:228b", "update-grub"}},
		{"iommu.modprobe-ignored", "blacklist nouveau nvidia", []string{`"blacklist nouveau" and "blacklist nvidia"`}},
		{"iommu.modules-load", "vfio_pci ids=10de:2484", []string{"/etc/modprobe.d/vfio.conf"}},
		{"iommu.nic-renamed", "enp7s0", []string{"Write enp8s0 for enp7s0"}}},
	"guide-wrong-loader":  {{"iommu.off", "/etc/default/grub line 2", []string{"first line of /etc/kernel/cmdline", "proxmox-boot-tool refresh"}}},
	"hpe-reserved-memory": {{"iommu.reserved-memory", "iommu_groups/20/reserved_regions", []string{"HP Shared Memory", "intel_iommu=on,relax_rmrr", "/etc/default/grub"}}},
	"amd-990fx":           {{"iommu.no-interrupt-remapping", "IO-APIC", []string{"ivrs_ioapic[NUMBER]=00:14.0", "update-grub"}}},
	"apu-one-group": {
		{"iommu.shared-group", "keyboard Some Keyboard", []string{"cannot be moved to another slot"}},
		{"gpu.framebuffer", "simplefb", []string{"module_blacklist=simpledrm", "simple-framebuffer.0"}},
		{"gpu.reset", "vendor_reset is loaded", []string{"RadeonResetBugFix"}}},
	"igpu-virtual-functions-gone": {
		{"gpu.physical-taken", "xe.max_vfs=7", []string{"0000:00:02.1"}},
		{"gpu.board-audio", "0000:00:1f.3", []string{"Leave it to the host"}},
		{"iommu.address-width", "39 bits", []string{"phys-bits=39"}}},
}

func TestDescribedHosts(t *testing.T) {
	t.Parallel()
	for name, wants := range described {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFindings(t, findingsOf(t, filepath.Join("..", "..", "internal", "hosttree", "hosts", name+".txt")), wants, nil)
		})
	}
}

// sharedCases returns the path of a folder with cases outside of the
// repository. If the folder does not exist, it skips the test.
func sharedCases(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "cases", name)
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return dir
}

func TestReportedHosts(t *testing.T) {
	t.Parallel()
	hosts, err := filepath.Glob(filepath.Join(sharedCases(t, "hosts"), "*", "host.txt"))
	if err != nil || len(hosts) < len(cases) {
		t.Fatalf("%d hosts for %d cases, %v", len(hosts), len(cases), err)
	}
	for _, host := range hosts {
		name := filepath.Base(filepath.Dir(host))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, known := cases[name]
			if !known {
				t.Fatal("nothing is said of what this host must be told")
			}
			findings := findingsOf(t, host)
			if proxstation.Worst(findings) < proxstation.Warning {
				t.Errorf("nothing is in the way of a host where a start failed: %v", findings)
			}
			wantFindings(t, findings, c.wants, c.never)
		})
	}
}

func findingsOf(t *testing.T, host string) []proxstation.Finding {
	t.Helper()
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-root", host, "-json"}, &out); err != nil {
		t.Fatal(err)
	}
	var report struct{ Findings []proxstation.Finding }
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	return report.Findings
}

func wantFindings(t *testing.T, findings []proxstation.Finding, wants []want, never []string) {
	t.Helper()
	for _, w := range wants {
		i := slices.IndexFunc(findings, func(f proxstation.Finding) bool { return f.ID == w.id && strings.Contains(f.Seen, w.seen) })
		if i < 0 {
			t.Errorf("no %s with %q among %v", w.id, w.seen, findings)
			continue
		}
		for _, word := range w.fix {
			if !strings.Contains(findings[i].Fix, word) && !strings.Contains(findings[i].Why, word) {
				t.Errorf("%q is not in %v", word, findings[i])
			}
		}
	}
	for _, f := range findings {
		for _, word := range never {
			if strings.Contains(f.String(), word) {
				t.Errorf("%q is in %v", word, f)
			}
		}
	}
}
