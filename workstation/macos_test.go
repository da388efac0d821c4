package workstation_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// dummyOSK has the length of a key but is not a real key.
var dummyOSK = strings.Repeat("not-a-key", 8)[:64]

const (
	openCore = "local:import/opencore-osx-proxmox-vm.raw"
	sequoia  = "local:import/recovery-sequoia.raw"
)

// igpu is the slot of the reference host's UHD 630.
var igpu = func() iommu.Address {
	a, err := iommu.ParseAddress("0000:00:02.0")
	if err != nil {
		panic(err)
	}
	return a
}()

// cardOf returns a graphics card as a node reports it.
func cardOf(address iommu.Address, vendor, device iommu.ID) gpu.Card {
	return gpu.Card{Functions: []iommu.Function{{Address: address, Class: 0x030000, Model: iommu.Model{Vendor: vendor, Device: device}}}}
}

// uhd630 is the iGPU of the reference host.
var uhd630 = cardOf(igpu, gpu.Intel, 0x3e92)

// macOSGoldens returns macOS VMs in the forms that people want, for the
// reference host with its iGPU mapped as igpu.
func macOSGoldens() []golden {
	const (
		common = "-device isa-applesmc,osk=OSK -smbios type=2 -device qemu-xhci,id=mac-xhci -device usb-kbd,id=mac-kbd,bus=mac-xhci.0 -device usb-tablet,id=mac-tablet,bus=mac-xhci.0"
		host   = " -cpu host,kvm=on,vendor=GenuineIntel,+kvm_pv_unhalt,+kvm_pv_eoi,+hypervisor,+invtsc,vmware-cpuid-freq=on,host-phys-bits-limit=39"
		q35    = " -global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"
		upt    = " -set device.hostpci0.bus=pcie.0 -set device.hostpci0.addr=2.0 -set device.hostpci0.x-igd-opregion=on"
		zen    = " -cpu Cascadelake-Server,vendor=GenuineIntel,+invtsc,-pcid,-hle,-rtm,-avx512f,-avx512dq,-avx512cd,-avx512bw,-avx512vl,-avx512vnni,kvm=on,vmware-cpuid-freq=on"
	)
	args := func(parts ...string) string {
		return strings.ReplaceAll(common+strings.Join(parts, ""), "OSK", dummyOSK)
	}
	mac := func(change func(*profile.MacOS)) workstation.VM {
		p := profile.MacOS{OSK: proxstation.NewSecret(dummyOSK), OpenCore: openCore, Mapping: "igpu"}
		change(&p)
		return p.VM()
	}
	plain := map[string]string{"agent": "enabled=1", "args": args(host, q35), "balloon": "0", "bios": "ovmf", "boot": "order=sata4;virtio0", "cores": "4", "cpu": "host",
		"machine": "q35", "memory": "16384", "name": "macos", "net0": "vmxnet3=MAC,bridge=vmbr0", "ostype": "other", "scsihw": "virtio-scsi-single", "sockets": "1", "tablet": "0", "vga": "vmware",
		"efidisk0": "local-lvm:vm-130-disk-0,efitype=4m,pre-enrolled-keys=0,size=4M", "sata4": "local-lvm:vm-130-disk-1,discard=on,media=disk,size=150M,ssd=1",
		"virtio0": "local-lvm:vm-130-disk-2,discard=on,iothread=1,size=128G"}
	recovery := map[string]string{"sata5": "service-pool:vm-130-disk-0,discard=on,media=disk,size=1400M,ssd=1"}
	legacy := map[string]string{"machine": "pc", "args": args(host)}
	return []golden{
		{"macOS, being installed", mac(func(p *profile.MacOS) { p.Recovery = sequoia }), with(plain, recovery)},
		{"macOS, being installed for the iGPU", mac(func(p *profile.MacOS) { p.Recovery, p.Card = sequoia, uhd630 }), with(plain, recovery, legacy)},
		{"macOS on the iGPU", mac(func(p *profile.MacOS) { p.Card, p.Stage = uhd630, profile.MacOnCard }), with(plain, legacy, map[string]string{
			"vga": "none", "hostpci0": "mapping=igpu,legacy-igd=1,romfile=CFL_CML_GOPv9.1_igd.rom"})},
		{"macOS on the iGPU by its address", mac(func(p *profile.MacOS) {
			p.Card, p.Stage, p.Mapping, p.ROM = uhd630, profile.MacOnCard, "", "own.rom"
		}), with(plain, legacy, map[string]string{
			"vga": "none", "hostpci0": "0000:00:02.0,legacy-igd=1,romfile=own.rom"})},
		{"macOS beside the iGPU", mac(func(p *profile.MacOS) {
			p.Card, p.Stage, p.Mode = uhd630, profile.MacOnCard, profile.IGPUHeadless
		}), with(plain, map[string]string{
			"args": args(host, q35, upt), "hostpci0": "mapping=igpu,romfile=Universal_noGOP_igd.rom"})},
		{"macOS High Sierra on the iGPU", mac(func(p *profile.MacOS) {
			p.Release, p.Card, p.Stage, p.Data = gpu.MacOSHighSierra, uhd630, profile.MacOnCard, 20*storage.GiB
		}), without(with(plain, legacy, map[string]string{
			"boot": "order=sata4;sata0", "vga": "none", "hostpci0": "mapping=igpu,legacy-igd=1,device-id=0x5912,romfile=CFL_CML_GOPv9.1_igd.rom",
			"sata0": "local-lvm:vm-130-disk-1,discard=on,size=128G,ssd=1", "sata1": "service-pool:vm-130-disk-0,discard=on,size=20G,ssd=1",
			"sata4": "local-lvm:vm-130-disk-2,discard=on,media=disk,size=150M,ssd=1"}), "virtio0")},
		{"macOS on an AMD processor", mac(func(p *profile.MacOS) {
			p.HostCPU, p.Screen, p.Network = "AMD Ryzen 9 5950X 16-Core Processor", profile.VirtIOGPU, profile.VirtIONetwork
		}), with(plain, map[string]string{"args": args(zen, q35), "vga": "virtio", "net0": "virtio=MAC,bridge=vmbr0"})},
		{"macOS without OpenCore, with a processor of one's own", mac(func(p *profile.MacOS) { p.OpenCore, p.CPU, p.Cores = "", "Skylake-Client-v4,model=158", 8 }), without(with(plain, map[string]string{
			"args": args(" -cpu Skylake-Client-v4,model=158", q35), "boot": "order=virtio0", "cores": "8", "virtio0": "local-lvm:vm-130-disk-1,discard=on,iothread=1,size=128G"}), "sata4")},
	}
}

func without(config map[string]string, keys ...string) map[string]string {
	config = maps.Clone(config)
	for _, key := range keys {
		delete(config, key)
	}
	return config
}

var igpuMapping = []workstation.CardMapping{{ID: "igpu", Card: igpu}}

func TestMacOSGoldens(t *testing.T) {
	t.Parallel()
	for _, g := range macOSGoldens() {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sim := pvetest.New(pvetest.Reference(), nil)
				node := asRoot(t, sim)
				madeAs(t, sim, node, workstation.Spec{VMs: []workstation.VM{g.vm}, Mappings: igpuMapping})
				state, _ := sim.VM(g.vm.ID)
				if have := settled(state.Config); !maps.Equal(have, g.config) {
					t.Errorf("PVE has\n%s\nwant\n%s", lines(have), lines(g.config))
				}
			})
		})
	}
}

// madeAs applies a Spec and starts its VMs. It checks that plans before and
// after the start are empty, and that nothing that is printed shows the key.
func madeAs(t *testing.T, sim *pvetest.Node, node *workstation.Node, spec workstation.Spec) {
	t.Helper()
	first := plan(t, node, spec)
	report := func(e workstation.Event) {
		if strings.Contains(e.Message, dummyOSK) {
			t.Errorf("an event shows the key: %s", e.Message)
		}
	}
	if err := node.Apply(t.Context(), first, &workstation.ApplyOptions{Progress: report}); err != nil {
		t.Fatalf("%v\n%s", err, first)
	}
	if text := fmt.Sprintf("%s %+v %#v", first, first, first.Steps); strings.Contains(text, dummyOSK) {
		t.Errorf("the plan shows the key:\n%s", text)
	}
	if again := plan(t, node, spec); !again.Empty() {
		t.Errorf("a second plan is not empty:\n%s", again)
	}
	for _, vm := range spec.VMs {
		if err := sim.PowerOn(vm.ID); err != nil {
			t.Errorf("it does not start: %v", err)
		}
		if again := plan(t, node, spec); !again.Empty() {
			t.Errorf("a plan of the running VM is not empty:\n%s", again)
		}
		if err := sim.PowerOff(vm.ID); err != nil {
			t.Error(err)
		}
	}
	if err := sim.Check(); err != nil {
		t.Error(err)
	}
}

// TestMacOSEveryWay goes through all releases and modes, from the first stage
// to the second and back. Each step is a small change, and PVE accepts and
// starts the resulting VM.
func TestMacOSEveryWay(t *testing.T) {
	t.Parallel()
	for release := gpu.MacOSHighSierra; release <= gpu.MacOSTahoe; release++ {
		for _, mode := range []profile.IGPUMode{profile.IGPULegacy, profile.IGPUHeadless} {
			t.Run(release.String()+" "+mode.String(), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					sim := pvetest.New(pvetest.Reference(), nil)
					node := asRoot(t, sim)
					mac := profile.MacOS{Release: release, OSK: proxstation.NewSecret(dummyOSK), OpenCore: openCore, Recovery: sequoia, Card: uhd630, Mapping: "igpu", Mode: mode}
					madeAs(t, sim, node, workstation.Spec{VMs: []workstation.VM{mac.VM()}, Mappings: igpuMapping})
					first, _ := sim.VM(130)
					mac.Stage = profile.MacOnCard
					spec := workstation.Spec{VMs: []workstation.VM{mac.VM()}, Mappings: igpuMapping}
					change := changed(plan(t, node, spec))
					if len(change) < 2 {
						t.Errorf("the second stage changes %s only", change)
					}
					for _, line := range change {
						if line != "hostpci0" && line != "vga" && line != "args" {
							t.Errorf("the second stage changes %s", line)
						}
					}
					madeAs(t, sim, node, spec)
					mac.Stage = profile.MacOffCard
					madeAs(t, sim, node, workstation.Spec{VMs: []workstation.VM{mac.VM()}, Mappings: igpuMapping})
					if back, _ := sim.VM(130); !maps.Equal(back.Config, first.Config) {
						t.Errorf("the way back leads to\n%s\nnot\n%s", lines(back.Config), lines(first.Config))
					}
					mac.Stage, mac.Screen = profile.MacOnCard, profile.VMwareSVGA
					for _, mac.Mode = range []profile.IGPUMode{profile.IGPULegacy, profile.IGPUHeadless, profile.IGPULegacy} {
						madeAs(t, sim, node, workstation.Spec{VMs: []workstation.VM{mac.VM()}, Mappings: igpuMapping})
					}
				})
			})
		}
	}
}

func changed(p workstation.Plan) []string {
	var keys []string
	for _, change := range p.Changes() {
		for _, line := range change.Lines {
			keys = append(keys, line.Key)
		}
	}
	return keys
}

// macOS has drivers for the iGPU of a Haswell only up to Monterey.
func TestMacOSRefusesAReleaseTheCardCannotDo(t *testing.T) {
	t.Parallel()
	host := pvetest.Reference()
	for i := range host.PCI {
		if host.PCI[i].Address == igpu.String() {
			host.PCI[i].Device = 0x0412
		}
	}
	facts, err := open(pvetest.New(host, nil)).Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for release, refused := range map[gpu.Guest]bool{gpu.MacOSMonterey: false, gpu.MacOSVentura: true} {
		mac := profile.MacOS{Release: release, OSK: proxstation.NewSecret(dummyOSK), Card: facts.Cards()[0], Mapping: "igpu", Stage: profile.MacOnCard}
		_, err = workstation.Diff(workstation.Spec{VMs: []workstation.VM{mac.VM()}, Mappings: igpuMapping}, facts)
		if errors.Is(err, gpu.ErrUnsupported) != refused {
			t.Errorf("%s: %v", release, err)
		}
	}
}

func TestMacOSRefuses(t *testing.T) {
	t.Parallel()
	facts, err := open(pvetest.New(pvetest.Reference(), nil)).Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mac := func(change func(*profile.MacOS)) workstation.VM {
		p := profile.MacOS{OSK: proxstation.NewSecret(dummyOSK), OpenCore: openCore, Recovery: sequoia}
		change(&p)
		return p.VM()
	}
	edit := func(vm workstation.VM, change func(*workstation.VM)) workstation.VM {
		change(&vm)
		return vm
	}
	card := func(c gpu.Card) func(*profile.MacOS) {
		return func(p *profile.MacOS) { p.Card, p.Stage = c, profile.MacOnCard }
	}
	for name, test := range map[string]struct {
		vm   workstation.VM
		is   error
		says string
	}{
		"no OSK":                 {mac(func(p *profile.MacOS) { p.OSK = proxstation.Secret{} }), workstation.ErrInvalid, "osk: macOS does not boot without the key"},
		"half an OSK":            {mac(func(p *profile.MacOS) { p.OSK = proxstation.NewSecret(dummyOSK[:32]) }), workstation.ErrInvalid, "osk: the key has 64 characters"},
		"an OSK with a quote":    {mac(func(p *profile.MacOS) { p.OSK = proxstation.NewSecret(dummyOSK[:63] + `"`) }), workstation.ErrInvalid, "osk: the key has 64 characters"},
		"too little memory":      {mac(func(p *profile.MacOS) { p.Memory = 2 * storage.GiB }), workstation.ErrInvalid, `memory "2048": macOS needs 4.0 GiB`},
		"an RTX card":            {mac(card(facts.Cards()[1])), gpu.ErrUnsupported, "RTX"},
		"no card":                {mac(card(gpu.Card{})), workstation.ErrInvalid, "hostpci0: the second stage needs the Card"},
		"no card but a mapping":  {mac(func(p *profile.MacOS) { card(gpu.Card{})(p); p.Mapping = "igpu" }), workstation.ErrInvalid, "hostpci0: the second stage needs the Card"},
		"a release of another":   {mac(func(p *profile.MacOS) { p.Release = gpu.Linux }), workstation.ErrInvalid, `guest "Linux": an Apple SMC is for macOS`},
		"virtio on Mojave":       {mac(func(p *profile.MacOS) { p.Release, p.Network = gpu.MacOSMojave, profile.VirtIONetwork }), workstation.ErrInvalid, "use vmxnet3"},
		"an image for CDs":       {mac(func(p *profile.MacOS) { p.Recovery = "local:iso/recovery-sequoia.iso" }), workstation.ErrInvalid, "content type import, not iso"},
		"legacy-igd on q35":      {edit(mac(card(facts.Cards()[0])), func(vm *workstation.VM) { vm.Config["machine"] = "q35" }), workstation.ErrInvalid, "legacy-igd needs the machine type pc"},
		"legacy-igd and a VGA":   {edit(mac(card(facts.Cards()[0])), func(vm *workstation.VM) { vm.Config["vga"] = "std" }), workstation.ErrInvalid, "legacy-igd needs vga: none"},
		"SeaBIOS":                {edit(mac(func(*profile.MacOS) {}), func(vm *workstation.VM) { delete(vm.Defaults, "bios") }), workstation.ErrInvalid, "macOS needs UEFI"},
		"data below nothing":     {mac(func(p *profile.MacOS) { p.Data = -1 }), workstation.ErrInvalid, "virtio1"},
		"more than 8 processors": {mac(func(p *profile.MacOS) { p.Cores = 16 }), workstation.ErrInvalid, "the host has 8 logical CPUs"},
	} {
		_, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{test.vm}, Mappings: igpuMapping}, facts)
		if !errors.Is(err, test.is) || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %v and %q", name, err, test.is, test.says)
		}
		if err != nil && strings.Contains(err.Error(), dummyOSK[:32]) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}
