package workstation_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

func TestMacModel(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		release gpu.Guest
		device  iommu.ID // the ID of an Intel GPU; 0 if there is no Intel GPU
		want    string
	}{
		{gpu.MacOSHighSierra, 0, "iMacPro1,1"}, {gpu.MacOSMojave, 0, "iMacPro1,1"}, {gpu.MacOSCatalina, 0, "MacPro7,1"}, {gpu.MacOSTahoe, 0, "MacPro7,1"},
		{gpu.MacOSHighSierra, 0x3e92, "iMac18,1"}, {gpu.MacOSMojave, 0x3e92, "iMac19,1"}, {gpu.MacOSSequoia, 0x3e92, "iMac19,1"}, {gpu.MacOSTahoe, 0x3e92, "iMac20,1"},
		{gpu.MacOSCatalina, 0x9bc5, "iMac20,1"}, {gpu.MacOSTahoe, 0x9bc5, "iMac20,1"}, {gpu.MacOSBigSur, 0x8a52, "MacBookPro16,2"},
		{gpu.MacOSMonterey, 0x1912, "iMac17,1"}, {gpu.MacOSVentura, 0x1912, "iMac18,1"}, {gpu.MacOSSonoma, 0x5912, "iMac19,1"},
		{gpu.MacOSHighSierra, 0x0166, "iMac13,1"}, {gpu.MacOSBigSur, 0x0166, "iMac14,4"}, {gpu.MacOSMonterey, 0x0412, "iMac16,2"},
		{gpu.Linux, 0x3e92, ""}, {gpu.Windows11, 0, ""}, {gpu.AnyGuest, 0, ""},
	} {
		card := gpu.Card{}
		if test.device != 0 {
			card = cardOf(igpu, gpu.Intel, test.device)
		}
		if have := gpu.MacModel(test.release, card); have != test.want {
			t.Errorf("%s on %x: %q, want %q", test.release, test.device, have, test.want)
		}
	}
	for release := gpu.MacOSHighSierra; release <= gpu.MacOSTahoe; release++ {
		for _, device := range []iommu.ID{0, 0x0166, 0x0412, 0x1612, 0x1912, 0x5912, 0x3e92, 0x9bc5, 0x8a52, 0x2c05} {
			if gpu.MacModel(release, cardOf(igpu, gpu.Intel, device)) == "" {
				t.Errorf("%s on %x: no Mac", release, device)
			}
		}
	}
}

func TestMacOSCPU(t *testing.T) {
	t.Parallel()
	for model, want := range map[string]string{
		"": "host", "Intel(R) Core(TM) i7-9700K CPU @ 3.60GHz": "host", "Intel(R) Core(TM)2 Duo CPU E8400": "host", "11th Gen Intel(R) Core(TM) i7-11700": "host", "Intel(R) Xeon(R) CPU E3-1245 v5": "host",
		"12th Gen Intel(R) Core(TM) i5-12400": "Cascadelake-Server", "13th Gen Intel(R) Core(TM) i9-13900K": "Cascadelake-Server", "Intel(R) Core(TM) i7-14700K": "Cascadelake-Server",
		"Intel(R) Core(TM) Ultra 7 155H": "Cascadelake-Server", "Intel(R) Core(TM) 7 150U": "Cascadelake-Server", "Intel(R) N100": "Cascadelake-Server", "Intel(R) Core(TM) i3-N305": "Cascadelake-Server", "AMD Ryzen 9 5950X 16-Core Processor": "Cascadelake-Server",
	} {
		args := profile.MacOS{HostCPU: model}.VM().Defaults["args"]
		if !strings.Contains(args, "-cpu "+want+",") {
			t.Errorf("%q: %s, want %s", model, args, want)
		}
		old := profile.MacOS{HostCPU: model, Release: gpu.MacOSMonterey}.VM().Defaults["args"]
		if want != "host" && !strings.Contains(old, "-cpu Penryn,") {
			t.Errorf("%q before Ventura: %s", model, old)
		}
	}
}

// This checks which findings a plan for a macOS VM has.
func TestMacOSFindings(t *testing.T) {
	t.Parallel()
	mac := func(change func(*profile.MacOS)) workstation.VM {
		p := profile.MacOS{OSK: proxstation.NewSecret(dummyOSK), Card: uhd630, Mapping: "igpu"}
		change(&p)
		return p.VM()
	}
	onCard := func(p *profile.MacOS) { p.Stage = profile.MacOnCard }
	behind := mac(func(p *profile.MacOS) { onCard(p); p.Mode = profile.IGPUHeadless })
	behind.Config["hostpci0"] += ",pcie=1"
	behind.Config["args"], behind.Absent = "", nil
	behind.Defaults["args"], _, _ = strings.Cut(behind.Defaults["args"], " -set ")
	for name, test := range map[string]struct {
		vm       workstation.VM
		cpu      string // the CPU model of the host; if empty, the reference host's model
		have     map[string]string
		findings string // the IDs of the findings
		says     string
	}{
		"an image on LVM-thin":  {mac(func(p *profile.MacOS) { p.OpenCore = openCore }), "", nil, "macos.import", "is taken as it is: nobody looked into it"},
		"a first stage":         {mac(func(*profile.MacOS) {}), "", nil, "macos.model", "MacPro7,1"},
		"on the card":           {mac(onCard), "", nil, "macos.console macos.firmware macos.model macos.rom", "cd71fe6a13c7e9db4eb6b2fe46bfd54a8235b3a655c8aa5288a8ff0fa0d218e6"},
		"with a ROM of its own": {mac(func(p *profile.MacOS) { onCard(p); p.ROM = "own.rom" }), "", nil, "gpu.igd-rom macos.console macos.firmware macos.model macos.rom", "compare its checksum with the publisher's checksum"},
		"beside the card":       {mac(func(p *profile.MacOS) { onCard(p); p.Mode = profile.IGPUHeadless }), "", nil, "gpu.igd-headless macos.console macos.firmware macos.model macos.rom", "iMac19,1"},
		"on another processor":  {mac(func(*profile.MacOS) {}), "AMD Ryzen 9 5950X 16-Core Processor", nil, "macos.cpu macos.model", "write -cpu with a processor that Macs had"},
		"on the one that is told": {mac(func(p *profile.MacOS) { p.HostCPU = "12th Gen Intel(R) Core(TM) i5-12400" }), "12th Gen Intel(R) Core(TM) i5-12400", nil,
			"macos.model", ""},
		"beside a processor of another generation": {mac(func(p *profile.MacOS) { onCard(p); p.CPU = "Cascadelake-Server,phys-bits=46" }), "", nil,
			"macos.address-bits macos.console macos.cpu-model macos.firmware macos.model macos.rom", "add model=158 to -cpu"},
		"behind a bridge":    {behind, "", nil, "gpu.igd-headless macos.console macos.firmware macos.igpu-place macos.model macos.rom", "is at PciRoot(0x0)/Pci(0x1C,0x0)/Pci(0x0,0x0)"},
		"another machine":    {mac(func(p *profile.MacOS) { onCard(p); p.OSK = proxstation.Secret{} }), "", map[string]string{"name": "macos", "machine": "q35", "args": "-device isa-applesmc,osk=" + dummyOSK}, "macos.console macos.firmware macos.machine macos.model macos.rom", "machine: q35 becomes pc"},
		"the machine it has": {mac(func(*profile.MacOS) {}), "", map[string]string{"name": "macos", "machine": "pc-i440fx-10.1"}, "macos.model", ""},
		"from a file of the host": {mac(func(p *profile.MacOS) { p.Recovery = "/var/lib/vz/template/iso/recovery-high sierra.iso" }), "", nil, "macos.model macos.scan-policy",
			"sata5 (a file of the host; a volume of content type import needs only Datastore.Audit)"},
	} {
		host := pvetest.Reference()
		if test.cpu != "" {
			host.CPU = test.cpu
		}
		if test.have != nil {
			host.VMs = []pvetest.VM{{ID: 130, Config: test.have}}
		}
		p := plan(t, open(pvetest.New(host, nil)), workstation.Spec{VMs: []workstation.VM{test.vm}, Mappings: igpuMapping})
		var ids []string
		for _, f := range p.Findings {
			if strings.HasPrefix(f.ID, "macos.") || strings.HasPrefix(f.ID, "gpu.igd") || f.ID == "gpu.device-id" {
				ids = append(ids, f.ID)
			}
		}
		slices.Sort(ids)
		if strings.Join(ids, " ") != test.findings || !strings.Contains(p.String(), test.says) {
			t.Errorf("%s: %s, want %s and %q in\n%s", name, ids, test.findings, test.says, p)
		}
		if strings.Contains(p.String(), dummyOSK) || !strings.Contains(p.String(), "workstation.root-only") {
			t.Errorf("%s: the plan shows the key, or does not say that a token will not do:\n%s", name, p)
		}
	}
}

// Findings about a VM's boot loader appear in every plan that changes the VM. A
// blocker among them blocks the plan.
func TestNotesOfAVM(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(pvetest.Reference(), nil)
		node := asRoot(t, sim)
		vm := profile.MacOS{OSK: proxstation.NewSecret(dummyOSK), OpenCore: openCore}.VM()
		vm.Notes = []proxstation.Finding{{ID: "opencore.vault", Severity: proxstation.Blocker, Subject: "VM 130 OpenCore", Seen: "vault.plist", Why: "It is signed.", Fix: "Take another."}}
		spec := workstation.Spec{VMs: []workstation.VM{vm}}
		blocked := plan(t, node, spec)
		if err := node.Apply(t.Context(), blocked, nil); !errors.Is(err, workstation.ErrBlocked) || !strings.Contains(blocked.String(), "VM 130 OpenCore (opencore.vault)") {
			t.Errorf("%v\n%s", err, blocked)
		}
		spec.VMs[0].Notes[0].Severity = proxstation.Info
		if err := node.Apply(t.Context(), plan(t, node, spec), nil); err != nil {
			t.Fatal(err)
		}
		if again := plan(t, node, spec); !again.Empty() || strings.Contains(again.String(), "opencore.vault") {
			t.Errorf("a plan that changes nothing says\n%s", again)
		}
	})
}

// A VM keeps its OSK, with or without quotes, and keeps the arguments that
// other people added.
func TestMacOSKeepsTheKeyAndOtherArguments(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const own = `-no-reboot -device isa-applesmc,osk="KEY" -smbios type=2 -cpu Penryn -smbios 'type=0,vendor=A B'`
		host := pvetest.Reference()
		host.VMs = []pvetest.VM{{ID: 130, Config: map[string]string{"name": "macos", "args": strings.ReplaceAll(own, "KEY", dummyOSK), "virtio0": "local-lvm:vm-130-disk-0,size=128G", "efidisk0": "local-lvm:vm-130-disk-1,size=4M"}}}
		sim := pvetest.New(host, nil)
		node := asRoot(t, sim)
		facts, err := node.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		before := facts.Snapshot(130)
		madeAs(t, sim, node, workstation.Spec{VMs: []workstation.VM{profile.MacOS{Card: uhd630, Stage: profile.MacOnCard, Mapping: "igpu", CPU: "host,kvm=on"}.VM()}, Mappings: igpuMapping})
		state, _ := sim.VM(130)
		for _, want := range []string{`-no-reboot -device isa-applesmc,osk="` + dummyOSK + `" -smbios type=2 -cpu host,kvm=on -smbios 'type=0,vendor=A B'`} {
			if !strings.Contains(state.Config["args"], want) {
				t.Errorf("args are %s, want %s in it", state.Config["args"], want)
			}
		}
		facts, err = node.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		back, err := workstation.RestorePlan(before, facts)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(back)
		if text := fmt.Sprintf("%s %+v %s", back, back, raw); err != nil || strings.Contains(text, dummyOSK) || !strings.Contains(text, "[secret]") {
			t.Errorf("the way back shows the key (%v):\n%s", err, text)
		}
		if err := node.Apply(t.Context(), back, nil); err != nil {
			t.Fatal(err)
		}
		if state, _ := sim.VM(130); state.Config["args"] != strings.ReplaceAll(own, "KEY", dummyOSK) {
			t.Errorf("the way back leads to %s", state.Config["args"])
		}
	})
}

// A recovery image and an OpenCore image that are files of the host become
// disks. Only root@pam with a password may make such disks.
func TestMacOSFromFilesOfTheHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		host := pvetest.Reference()
		mac := profile.MacOS{OSK: proxstation.NewSecret(dummyOSK), OpenCore: "/root/macos-install/EFI/opencore-osx-proxmox-vm.iso", Recovery: "/var/lib/vz/template/iso/recovery-high sierra.iso"}
		host.Files = map[string]int64{mac.OpenCore: 96 << 20, mac.Recovery: 800 << 20}
		sim := pvetest.New(host, nil)
		spec := workstation.Spec{VMs: []workstation.VM{mac.VM()}}
		token := open(sim)
		if err := token.Apply(t.Context(), plan(t, token, spec), nil); !errors.Is(err, workstation.ErrBlocked) || strings.Contains(err.Error(), dummyOSK) {
			t.Errorf("a token: %v", err)
		}
		madeAs(t, sim, asRoot(t, sim), spec)
		state, _ := sim.VM(130)
		if sizes := []string{state.Config["sata4"], state.Config["sata5"]}; !strings.Contains(sizes[0], "size=96M") || !strings.Contains(sizes[1], "size=800M") {
			t.Errorf("the disks are %s", sizes)
		}
	})
}

// If a VM does not start, PVE prints QEMU's whole command line, with the key of
// macOS in it. Our error does not show that key.
func TestErrorsDoNotShowTheKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		host := pvetest.Reference()
		host.VMs = []pvetest.VM{{ID: 130, Config: map[string]string{"name": "macos"}}}
		sim := pvetest.New(host, nil)
		sim.Inject(pvetest.Fault{Task: "qmstart", Kind: pvetest.TaskFails,
			Message: "start failed: command '/usr/bin/kvm -id 130 -device 'isa-applesmc,osk=" + dummyOSK + "' -smbios 'type=2'' failed: exit code 1"})
		err := asRoot(t, sim).Start(t.Context(), 130)
		var failed *workstation.TaskError
		if !errors.As(err, &failed) || !strings.Contains(failed.Exit, "osk=[secret]") || strings.Contains(fmt.Sprintf("%v %+v", err, failed), dummyOSK) {
			t.Errorf("error %v", err)
		}
	})
}

// A discrete card that macOS supports becomes the guest's display on q35.
func TestMacOSOnADiscreteCard(t *testing.T) {
	t.Parallel()
	vm := profile.MacOS{Card: cardOf(rtx, gpu.AMD, 0x73ff), Stage: profile.MacOnCard, Mode: profile.IGPULegacy}.VM().AsNew()
	if have := []string{vm.Config["machine"], vm.Config["vga"], vm.Config["hostpci0"]}; !slices.Equal(have, []string{"q35", "none", "0000:01:00,x-vga=1,pcie=1"}) {
		t.Errorf("it has %s", have)
	}
	// From Ice Lake on, QEMU 10.1 and newer uses legacy mode only with the
	// argument x-igd-lpc=on.
	vm = profile.MacOS{Card: cardOf(igpu, gpu.Intel, 0x8a52), Stage: profile.MacOnCard}.VM().AsNew()
	if !strings.HasSuffix(vm.Config["args"], " -set device.hostpci0.x-igd-lpc=on") || vm.Config["hostpci0"] != "0000:00:02.0,legacy-igd=1,romfile=ICL_GOPv14_igd.rom" {
		t.Errorf("it has %s and %s", vm.Config["args"], vm.Config["hostpci0"])
	}
}

// A macOS VM is made in two stages. The second stage is a small change of the
// first stage.
func ExampleMacOS() {
	mac := profile.MacOS{OSK: proxstation.NewSecret(dummyOSK), OpenCore: openCore, Recovery: sequoia, Card: uhd630, Mapping: "igpu"}
	first := mac.VM().AsNew()
	mac.Stage = profile.MacOnCard
	second := mac.VM().AsNew()
	for _, key := range slices.Sorted(maps.Keys(second.Config)) {
		if first.Config[key] != second.Config[key] {
			fmt.Printf("%s: %q -> %q\n", key, first.Config[key], second.Config[key])
		}
	}
	fmt.Println(strings.Fields(second.Config["args"])[:2], gpu.MacModel(second.Guest, uhd630))
	// Output:
	// hostpci0: "" -> "mapping=igpu,legacy-igd=1,romfile=CFL_CML_GOPv9.1_igd.rom"
	// vga: "vmware" -> "none"
	// [-device isa-applesmc,osk=[secret]] iMac19,1
}

func ExampleMacModel() {
	fmt.Println(gpu.MacModel(gpu.MacOSSequoia, uhd630), gpu.MacModel(gpu.MacOSSequoia, gpu.Card{}))
	// Output: iMac19,1 MacPro7,1
}
