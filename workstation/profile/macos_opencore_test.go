package profile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/opencore"
	"github.com/proxstation/proxstation/workstation/profile"
)

func function(address string, class iommu.Class, vendor, device iommu.ID) iommu.Function {
	a, err := iommu.ParseAddress(address)
	if err != nil {
		panic(err)
	}
	return iommu.Function{Address: a, Class: class, Model: iommu.Model{Vendor: vendor, Device: device}}
}

func card(address string, vendor, device iommu.ID) gpu.Card {
	return gpu.Card{Functions: []iommu.Function{function(address, 0x030000, vendor, device)}}
}

// Machine returns the VM with its card, before and after the VM gets the card.
func TestMacOSMachine(t *testing.T) {
	t.Parallel()
	uhd, rx := card("0000:00:02.0", gpu.Intel, 0x3e92), card("0000:03:00.0", gpu.AMD, 0x73ff)
	q35 := map[string]string{"machine": "q35", "args": "-device isa-applesmc,osk=[secret] -cpu host -no-reboot", "hostpci0": "mapping=igpu,pcie=1,x-vga=1", "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0"}
	for _, test := range []struct {
		name  string
		mac   profile.MacOS
		have  map[string]string
		mode  opencore.Mode
		path  string
		later bool
		args  string // a part of the arguments
	}{
		{"to be installed, then legacy", profile.MacOS{Card: uhd, Mapping: "igpu"}, nil, opencore.Display, "PciRoot(0x0)/Pci(0x2,0x0)", true, "isa-applesmc"},
		{"legacy", profile.MacOS{Card: uhd, Stage: profile.MacOnCard}, nil, opencore.Display, "PciRoot(0x0)/Pci(0x2,0x0)", false, "-cpu host"},
		{"headless", profile.MacOS{Card: uhd, Stage: profile.MacOnCard, Mode: profile.IGPUHeadless}, nil, opencore.Headless, "PciRoot(0x0)/Pci(0x2,0x0)", false, "ICH9-LPC"},
		{"a VM that exists, headless", profile.MacOS{Card: uhd, Mapping: "igpu", Stage: profile.MacOnCard, Mode: profile.IGPUHeadless}, q35, opencore.Headless, "PciRoot(0x0)/Pci(0x2,0x0)", false, "-no-reboot -global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"},
		{"a discrete card", profile.MacOS{Card: rx, Stage: profile.MacOnCard}, nil, opencore.Discrete, "PciRoot(0x0)/Pci(0x1C,0x0)/Pci(0x0,0x0)", false, ""},
		{"no card", profile.MacOS{}, nil, opencore.NoCard, "", false, ""},
		{"without its card again", profile.MacOS{Card: uhd, Stage: profile.MacOffCard}, q35, opencore.NoCard, "", false, ""},
	} {
		m := test.mac.Machine(test.have)
		if m.Mode() != test.mode || m.Path() != test.path || m.CardLater != test.later || !strings.Contains(m.VM["args"], test.args) || m.VM["virtio0"] == "" {
			t.Errorf("%s: %s at %s, later %v: %v", test.name, m.Mode(), m.Path(), m.CardLater, m.VM)
		}
	}
	if !strings.Contains(q35["hostpci0"], "pcie=1") {
		t.Error("the caller's configuration was changed")
	}
}

func TestMacOSChoose(t *testing.T) {
	t.Parallel()
	uhd := card("0000:00:02.0", gpu.Intel, 0x3e92)
	for _, test := range []struct {
		name string
		mac  profile.MacOS
		lpc  iommu.ID
		want profile.IGPUMode
		why  string
	}{
		{"a UHD 630", profile.MacOS{Card: uhd}, 0xa305, profile.IGPULegacy, "boot display"},
		{"on a board of the 500 series", profile.MacOS{Card: card("0000:00:02.0", gpu.Intel, 0x9bc5)}, 0x4387, profile.IGPUHeadless, "500 series"},
		{"as it was asked for", profile.MacOS{Card: uhd, Mode: profile.IGPUHeadless}, 0xa305, profile.IGPUHeadless, "asked for"},
		{"against the facts", profile.MacOS{Card: uhd, Mode: profile.IGPULegacy}, 0x4387, profile.IGPULegacy, "asked for"},
		{"a discrete card", profile.MacOS{Card: card("0000:03:00.0", gpu.AMD, 0x73ff)}, 0xa305, profile.IGPUChosen, "not an Intel iGPU"},
		{"no card", profile.MacOS{}, 0xa305, profile.IGPUChosen, "not an Intel iGPU"},
	} {
		facts := workstation.Facts{IOMMU: iommu.Facts{Functions: []iommu.Function{function("0000:00:1f.0", 0x060100, gpu.Intel, test.lpc)}}}
		have := test.mac.Choose(facts)
		if have.Mode != test.want || !strings.Contains(have.Why, test.why) || (have.Price == "") != (test.want == profile.IGPUChosen) {
			t.Errorf("%s: %+v", test.name, have)
		}
		if have.Mode == profile.IGPUHeadless && !strings.Contains(have.Price, "experimental") {
			t.Errorf("%s: the price does not say that it is experimental", test.name)
		}
	}
}

// A VM that has its card keeps its present mode. If another device is in the
// same slot, Choose ignores it.
func TestMacOSChooseKeepsTheMode(t *testing.T) {
	t.Parallel()
	for hostpci0, want := range map[string]profile.IGPUMode{
		"mapping=igpu,legacy-igd=1": profile.IGPULegacy, "0000:00:02.0,legacy-igd=1,rombar=1": profile.IGPULegacy, "mapping=igpu": profile.IGPUHeadless, "0000:00:02": profile.IGPUHeadless,
		"0000:05:00,pcie=1": profile.IGPULegacy, "mapping=nvme": profile.IGPULegacy, "": profile.IGPULegacy,
	} {
		mac := profile.MacOS{Card: card("0000:00:02.0", gpu.Intel, 0x3e92), Mapping: "igpu"}
		choice := mac.Choose(workstation.Facts{VMs: map[int]workstation.VMFacts{130: {Config: map[string]string{"hostpci0": hostpci0}}}})
		if choice.Mode != want {
			t.Errorf("hostpci0 %s: %+v, want %s", hostpci0, choice, want)
		}
	}
}

// An image that is a disk of the VM is used as it is. An image to import is
// copied, even if its name looks like a disk of the VM.
func TestMacOSImages(t *testing.T) {
	t.Parallel()
	for image, imported := range map[string]bool{"local-lvm:vm-130-disk-1": false, "local:130/vm-130-disk-1.raw": false, "local:import/vm-130-disk-1-1a2b3c4d.raw": true, "local:import/oc.raw": true} {
		disks := profile.MacOS{OpenCore: image}.VM().Disks
		if i := slices.IndexFunc(disks, func(d workstation.Disk) bool { return d.Slot == "sata4" }); i < 0 || (disks[i].Import == image) != imported || (disks[i].Volume == image) == imported {
			t.Errorf("%s: %+v", image, disks)
		}
	}
}

// A VM's plan lists the changes in its boot loader's image.
func TestMacOSNotes(t *testing.T) {
	t.Parallel()
	mac := profile.MacOS{OpenCore: "local:import/oc.raw", Image: opencore.Plan{Image: "OpenCore 1.0.5", Changes: []opencore.PlannedChange{
		{Change: opencore.Change{Key: opencore.Key{"Misc", "Security", "ScanPolicy"}, Have: opencore.IntegerValue(1), Want: opencore.IntegerValue(0)}}}}}
	notes := mac.VM().Notes
	if len(notes) != 1 || !strings.Contains(notes[0].Seen, "ScanPolicy: 1 -> 0") || notes[0].Subject != "VM 130 OpenCore" {
		t.Errorf("%+v", notes)
	}
	unread := profile.MacOS{OpenCore: "local:import/oc.raw", Card: card("0000:00:02.0", gpu.Intel, 0x3e92)}.VM().Notes
	if len(unread) != 1 || unread[0].ID != "opencore.unread" || !strings.Contains(unread[0].Fix, "iMac19,1") {
		t.Errorf("nobody looked into the image: %+v", unread)
	}
	mac.Stage = profile.MacOffCard
	if notes := mac.VM().Notes; len(notes) != 0 {
		t.Errorf("a VM that gives its card back has %+v", notes)
	}
}

// A new image comes first in the boot order. The VM's old boot loader comes
// after the new image.
func TestMacOSBeforeLoader(t *testing.T) {
	t.Parallel()
	have := map[string]string{"ide0": "local-lvm:vm-130-disk-1,media=disk", "sata0": "local-lvm:vm-130-disk-2", "boot": "order=ide0;sata0"}
	vm := profile.MacOS{OpenCore: "local:import/oc.raw"}.BeforeLoader(have).VM()
	if vm.Config["boot"] != "order=sata1;ide0;sata0" || !slices.ContainsFunc(vm.Disks, func(d workstation.Disk) bool { return d.Slot == "sata1" && d.Import == "local:import/oc.raw" }) {
		t.Errorf("boot %s, disks %+v", vm.Config["boot"], vm.Disks)
	}
}

// Choose returns a mode with its reason and its price.
func ExampleMacOS_Choose() {
	mac := profile.MacOS{Card: card("0000:00:02.0", gpu.Intel, 0x3e92)}
	choice := mac.Choose(workstation.Facts{})
	fmt.Println(choice.Mode, choice.Why != "", choice.Price != "")
	mac.Mode = choice.Mode
	fmt.Println(mac.Machine(nil).Mode(), mac.Machine(nil).Path())
	// Output:
	// legacy true true
	// display PciRoot(0x0)/Pci(0x2,0x0)
}
