package gpu_test

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/iommu"
)

// The function "host" reads a described host. A program on a real host calls
// iommu.Read(nil) instead.
func host(name string) iommu.Facts {
	tree, err := hosttree.Load(name)
	if err != nil {
		panic(err)
	}
	facts, err := iommu.Read(tree)
	if err != nil {
		panic(err)
	}
	return facts
}

func ExampleCards() {
	for _, card := range gpu.Cards(host("reference").Functions) {
		fmt.Println(card.Address(), card.Name(), card.Display().Driver, "integrated:", card.Integrated())
	}
	// Output:
	// 0000:00:02.0 Intel Coffee Lake 8086:3e92 i915 integrated: true
	// 0000:01:00.0 NVIDIA Blackwell 10de:2c05 vfio-pci integrated: false
}

func ExampleCard() {
	card := gpu.Cards(host("amd-desktop").Functions)[0]
	fmt.Println(card)
	fmt.Println(card.Addresses())
	for _, f := range card.Functions {
		fmt.Println(f.Address, f.Model, "class", f.Class, "group", f.Group)
	}
	// Output:
	// AMD Navi 22 1002:73df at 0000:0c:00.0
	// [0000:0c:00.0 0000:0c:00.1]
	// 0000:0c:00.0 1002:73df class 030000 group 22
	// 0000:0c:00.1 1002:ab28 class 040300 group 23
}

func ExampleFamily() {
	fmt.Println(gpu.FamilyOf(iommu.Model{Vendor: gpu.NVIDIA, Device: 0x2c05}))
	fmt.Println(gpu.FamilyOf(iommu.Model{Vendor: gpu.AMD, Device: 0x73f0}))
	fmt.Println(gpu.FamilyOf(iommu.Model{Vendor: gpu.AMD, Device: 0xffff}))
	// Output:
	// NVIDIA Blackwell
	// AMD Navi 3x
	// unknown
}

func ExampleIGD() {
	for _, family := range []gpu.Family{gpu.IntelCoffeeLake, gpu.IntelAlderLake} {
		igd, _ := family.IGD()
		fmt.Printf("%s: %s %q\n", family, igd.ROM, igd.LPCArgument("hostpci0"))
	}
	// Output:
	// Intel Coffee Lake: CFL_CML_GOPv9.1_igd.rom ""
	// Intel Alder Lake: RKL_TGL_ADL_RPL_GOPv17.1_igd.rom "-set device.hostpci0.x-igd-lpc=on"
}

func ExampleGuest() {
	guest, err := gpu.ParseGuest("macOS Sequoia")
	fmt.Println(guest, guest.IsMacOS(), guest < gpu.MacOSTahoe, err)
	// Output: macOS Sequoia true true <nil>
}

func ExampleJudge() {
	for _, card := range gpu.Cards(host("reference").Functions) {
		verdict := gpu.Judge(gpu.MacOSSequoia, card)
		fmt.Printf("%s: %s\n  %s (%s)\n", verdict.Card, verdict.Support, verdict.Why, verdict.Source)
	}
	// Output:
	// Intel Coffee Lake 8086:3e92: supported
	//   macOS has drivers for Intel Coffee Lake from macOS High Sierra to macOS Tahoe (WhateverGreen FAQ.IntelHD)
	// NVIDIA Blackwell 10de:2c05: unsupported
	//   Apple ships no driver for NVIDIA cards newer than Kepler, and there has never been a driver for Volta, GTX 16 and RTX cards (Dortania GPU Buyers Guide)
}

func ExampleVerdict() {
	card, _ := gpu.CardAt(host("reference").Functions, address("0000:01:00.0"))
	verdict := gpu.Judge(gpu.Linux, card)
	fmt.Println(verdict)
	fmt.Println(verdict.Support, verdict.Err())
	// Output:
	// Linux and NVIDIA Blackwell 10de:2c05: conditional, NVIDIA's proprietary kernel modules do not support Blackwell; it takes NVIDIA's open kernel modules, version 570 or newer
	// conditional <nil>
}

func ExampleSupport() {
	text, err := json.Marshal([]gpu.Support{gpu.Supported, gpu.SupportUnknown})
	fmt.Println(string(text), err)
	// Output: ["supported","unknown"] <nil>
}

func ExampleUnsupportedError() {
	card, _ := gpu.CardAt(host("reference").Functions, address("0000:01:00.0"))
	err := gpu.Judge(gpu.MacOSSequoia, card).Err()
	if refused, ok := errors.AsType[*gpu.UnsupportedError](err); ok {
		fmt.Println(refused.Instead)
	}
	fmt.Println(errors.Is(err, gpu.ErrUnsupported))
	// Output:
	// give it an Intel UHD 630 or an AMD RX 6600 to 6900 XT, and this card to Windows or Linux
	// true
}

func ExampleReady() {
	facts := host("single-gpu")
	for _, finding := range gpu.Ready(gpu.Cards(facts.Functions)[0], gpu.Windows11, facts) {
		fmt.Println(finding.Severity, finding.ID, "-", finding.Seen)
	}
	// Output:
	// warning iommu.only-console - the only display that shows the host's console; driver "", boot_vga yes
	// info gpu.large-bar - the BARs are 32 GiB together
	// warning gpu.host-driver - 0000:01:00.1 by snd_hda_intel
	// info gpu.framebuffer - /proc/iomem: efifb in the memory of 0000:01:00.0, BAR 1
	// warning gpu.reset - reset_method: flr bus
}

func ExampleDevice() {
	d, err := gpu.ParseDevice("01:00")
	fmt.Println(d, d.Whole, d.Covers(address("0000:01:00.1")), err)
	// Output: 0000:01:00 true true <nil>
}

func ExampleHostPCI() {
	h := gpu.HostPCI{Mapping: "rtx", PCIe: true, PrimaryVGA: true}
	fmt.Println("hostpci0:", h)
	// Output: hostpci0: mapping=rtx,pcie=1,x-vga=1
}

func ExampleParseHostPCI() {
	h, err := gpu.ParseHostPCI("01:00,x-vga=on,pcie=1,rombar=1")
	fmt.Println(h, err)
	h, err = gpu.ParseHostPCI("01:00,pci=1") // the device can be read although the key is unknown
	fmt.Println(h.Devices, h.Unread, err)
	fmt.Println(h.Validate())
	// Output:
	// 0000:01:00,pcie=1,x-vga=1 <nil>
	// [0000:01:00] [pci=1] <nil>
	// gpu: hostpci "0000:01:00,pci=1": not a valid hostpci value: PVE has no key "pci"
}

func ExampleCheckRules() {
	h, err := gpu.ParseHostPCI("00:02.0,legacy-igd=1,romfile=CFL_CML_GOPv9.1_igd.rom")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(gpu.CheckRules([]gpu.HostPCI{h}, "pc", "none"))
	err = gpu.CheckRules([]gpu.HostPCI{h}, "q35", "none")
	if broken, ok := errors.AsType[*gpu.RuleError](err); ok {
		fmt.Println(broken.Rule == gpu.RuleIGDNeedsI440FX, broken.Rule)
	}
	// Output:
	// <nil>
	// true legacy-igd needs the machine type pc (i440fx)
}

func ExampleRule() {
	err := &gpu.RuleError{Value: gpu.HostPCI{Mapping: "rtx", PCIe: true}, Rule: gpu.RulePCIeNeedsQ35, Seen: "machine: pc"}
	fmt.Println(err)
	// Output: gpu: hostpci "mapping=rtx,pcie=1": PVE refuses to start the VM: pcie=1 needs the machine type q35, not machine: pc
}

func ExampleMapping() {
	card, _ := gpu.CardAt(host("reference").Functions, address("0000:01:00.0"))
	mapping, err := gpu.NewMapping("rtx", "pve", card)
	fmt.Println(mapping.ID, mapping.Entries[0], err)
	// Output: rtx id=10de:2c05,iommugroup=1,node=pve,path=0000:01:00,subsystem-id=1462:5317 <nil>
}

func ExampleMappingEntry() {
	e, err := gpu.ParseMappingEntry("node=pve,path=0000:01:00,id=10de:2c05,iommugroup=1")
	fmt.Println(e.Node, e.Devices, e.Model, e.Group, err)
	// Output: pve [0000:01:00] 10de:2c05 1 <nil>
}

func ExampleNode() {
	rtx, err := gpu.ParseMappingEntry("node=pve,path=0000:01:00,id=10de:2c05,iommugroup=1,subsystem-id=1462:5317")
	if err != nil {
		fmt.Println(err)
		return
	}
	node := gpu.Node{Name: "pve", Functions: host("reference").Functions,
		Mappings: []gpu.Mapping{{ID: "rtx", Entries: []gpu.MappingEntry{rtx}}}}
	for _, text := range []string{"01:00", "0000:01:00.0;01:00.1", "mapping=rtx,pcie=1"} {
		h, err := gpu.ParseHostPCI(text)
		fmt.Println(node.Resolve(h), err)
	}
	// Output:
	// [[0000:01:00.0 0000:01:00.1]] <nil>
	// [[0000:01:00.0 0000:01:00.1]] <nil>
	// [[0000:01:00.0 0000:01:00.1]] <nil>
}

func ExampleNode_Drift() {
	old, err := gpu.ParseMappingEntry("node=pve,path=0000:02:00,id=10de:2c05,iommugroup=1,subsystem-id=1462:5317")
	if err != nil {
		fmt.Println(err)
		return
	}
	node := gpu.Node{Name: "pve", Functions: host("reference").Functions}
	for _, finding := range node.Drift(gpu.Mapping{ID: "rtx", Entries: []gpu.MappingEntry{old}}) {
		fmt.Println(finding)
	}
	// Output:
	// blocker: mapping rtx (gpu.mapping-model)
	//   seen: PCI device mapping invalid (hardware probably changed): 'id' does not match for 'rtx' (126f:2262 != 10de:2c05)
	//   why:  VMs with this mapping do not start on node pve.
	//   fix:  10de:2c05 is at 0000:01:00.0 now: write the mapping anew for that address.
	// blocker: mapping rtx (gpu.mapping-group)
	//   seen: PCI device mapping invalid (hardware probably changed): 'iommugroup' does not match for 'rtx' (8 != 1)
	//   why:  VMs with this mapping do not start on node pve.
	//   fix:  Write the mapping anew: group numbers change with the firmware, the kernel and the slots.
	// blocker: mapping rtx (gpu.mapping-subsystem)
	//   seen: PCI device mapping invalid (hardware probably changed): 'subsystem-id' does not match for 'rtx' (126f:2262 != 1462:5317)
	//   why:  VMs with this mapping do not start on node pve.
	//   fix:  Write the mapping anew: another board has the same chip.
}

func ExampleNode_Check() {
	node := gpu.Node{Name: "pve", Functions: host("reference").Functions}
	for _, finding := range node.Check("hostpci0", gpu.HostPCI{Devices: []gpu.Device{{Address: address("0000:00:02.0")}}}, gpu.MacOSSequoia) {
		fmt.Println(finding)
	}
	// Output:
	// info: hostpci0 (gpu.igd-headless)
	//   seen: no legacy-igd
	//   why:  The iGPU computes and draws, but its connectors stay dark until the guest's driver has loaded.
	//   fix:  See the guest by screen sharing, or set legacy-igd=1 with romfile=CFL_CML_GOPv9.1_igd.rom on machine: pc with vga: none.
}

func ExampleConflict() {
	node := gpu.Node{Name: "pve", Functions: host("reference").Functions}
	windows := gpu.Claim{VMID: 140, Values: []gpu.HostPCI{{Devices: []gpu.Device{gpu.WholeDevice(address("0000:01:00.0"))}}}}
	linux := gpu.Claim{VMID: 141, Values: []gpu.HostPCI{{Devices: []gpu.Device{{Address: address("0000:01:00.1")}}}}}
	for _, conflict := range node.Conflicts([]gpu.Claim{windows, linux}) {
		fmt.Println(conflict)
	}
	// Output: VMs 140 and 141 want 0000:01:00.1
}

func ExampleClaim() {
	rtx := []gpu.HostPCI{{Devices: []gpu.Device{gpu.WholeDevice(address("0000:01:00.0"))}, PCIe: true}}
	node := gpu.Node{Name: "pve", Functions: host("reference").Functions}
	findings := node.CheckClaims([]gpu.Claim{{VMID: 140, Values: rtx, OnBoot: true}, {VMID: 141, Values: rtx, OnBoot: true}})
	for _, finding := range findings {
		fmt.Println(finding.Severity, finding.ID, "-", finding.Seen)
	}
	// Output:
	// info gpu.shared-card - VMs 140 and 141 want 0000:01:00.0, 0000:01:00.1
	// warning gpu.onboot-race - onboot: 1 on both, and VMs 140 and 141 want 0000:01:00.0, 0000:01:00.1
}

// CheckConfig judges all settings of a VM that matter to its cards.
func ExampleNode_CheckConfig() {
	n := gpu.Node{Name: "pve", Functions: reference}
	for _, f := range n.CheckConfig(map[string]string{"hostpci0": "00:02.0,legacy-igd=1,romfile=CFL_CML_GOPv9.1_igd.rom", "machine": "pc"}) {
		fmt.Println(f.ID, "-", f.Seen)
	}
	// Output: gpu.seabios - bios not set
}

func ExampleContainer() {
	cards := gpu.Cards(host("reference").Functions)
	plex := gpu.Container{VMID: 110, Name: "plex", Devices: []string{"/dev/dri/renderD128"}}
	for _, card := range cards {
		device, uses := plex.Uses(card, cards)
		fmt.Println(card.Name(), uses, device)
	}
	// Output:
	// Intel Coffee Lake 8086:3e92 true /dev/dri/renderD128
	// NVIDIA Blackwell 10de:2c05 false
}
