package opencore_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"

	"github.com/proxstation/proxstation/internal/opencoretest"
	"github.com/proxstation/proxstation/workstation/opencore"
)

// Read returns the content of an image as data.
func ExampleRead() {
	disk := opencoretest.New(opencoretest.Config).GPT(16, 20<<20)
	image, err := opencore.Read(disk, int64(len(disk)))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(image.Layout)
	fmt.Println("OpenCore", image.Version)
	fmt.Println(image.Config.Get("PlatformInfo", "Generic", "SystemProductName"))
	for _, kext := range image.Kexts {
		fmt.Println(kext.ID, kext.Version)
	}
	// Output:
	// FAT16 in partition 1 of GPT
	// OpenCore 1.0.5
	// iMacPro1,1
	// as.vit9696.Lilu 1.7.1
	// as.vit9696.VirtualSMC 1.3.7
	// as.vit9696.WhateverGreen 1.7.0
}

// For a file that is not an OpenCore image, the error says what the file is.
func ExampleImageError() {
	_, err := opencore.Read(strings.NewReader("QFI\xfb....."), 9)
	var problem *opencore.ImageError
	if errors.As(err, &problem) {
		fmt.Println(problem.Found + ": " + problem.Why)
	}
	// Output: a qcow2 image: convert it: qemu-img convert -O raw IMAGE.qcow2 IMAGE.raw
}

// machine returns a VM with a UHD 630 beside a virtual display.
func machine() opencore.Machine {
	address, err := iommu.ParseAddress("0000:00:02.0")
	if err != nil {
		panic(err)
	}
	return opencore.Machine{
		Release: gpu.MacOSSequoia,
		Card:    gpu.Card{Functions: []iommu.Function{{Address: address, Class: 0x030000, Model: iommu.Model{Vendor: gpu.Intel, Device: 0x3e92}}}},
		VM: map[string]string{"machine": "q35", "hostpci0": "mapping=igpu", "virtio0": "local-lvm:vm-130-disk-0",
			"args": "-device isa-applesmc -cpu host -global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off -set device.hostpci0.bus=pcie.0 -set device.hostpci0.addr=2.0"},
	}
}

// A Machine returns the device path at which the firmware has the card.
func ExampleMachine() {
	m := machine()
	fmt.Println(m.Mode(), m.Path())
	m.VM["args"] = "" // without the args, PVE puts the card behind a bridge, and Lilu then treats the card as external
	fmt.Println(m.Path())
	// Output:
	// headless PciRoot(0x0)/Pci(0x2,0x0)
	// PciRoot(0x0)/Pci(0x1E,0x0)/Pci(0x1,0x0)/Pci(0x10,0x0)
}

// Judge returns the faults of an image for a VM, with the key, its value and
// the wanted value.
func ExampleJudge() {
	disk := opencoretest.New(opencoretest.Config).FAT(12, 2<<20)
	image, err := opencore.Read(disk, int64(len(disk)))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range opencore.Judge(image, machine()) {
		if len(f.Changes) > 0 && f.ID != "opencore.nvram" {
			fmt.Printf("%s %s: %s, want %s (%s)\n", f.Severity, f.Key[len(f.Key)-1], f.Now, f.Want, f.Source)
		}
	}
	// Output:
	// blocker AAPL,ig-platform-id: (absent), want <0300913E> (WhateverGreen FAQ.IntelHD; Dortania OpenCore Install Guide)
	// warning SystemProductName: iMacPro1,1, want iMac19,1 (Dortania OpenCore Install Guide, extras/smbios-support)
	// warning enable-metal: (absent), want <01000000> (WhateverGreen FAQ.IntelHD)
}

// Write makes the changes of a plan in a copy. The image itself does not
// change.
func ExampleWrite() {
	disk := opencoretest.New(opencoretest.Config).FAT(12, 2<<20)
	image, err := opencore.Read(disk, int64(len(disk)))
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := opencore.Configure(image, machine(), &opencore.Options{Leave: []string{"opencore.nvram"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range plan.Changes {
		fmt.Println(c.Change)
	}
	var copied bytes.Buffer
	if err := opencore.Write(&copied, disk, int64(len(disk)), plan); err != nil {
		fmt.Println(err)
		return
	}
	again, err := opencore.Read(bytes.NewReader(copied.Bytes()), int64(copied.Len()))
	fmt.Println(again.Config.Get("PlatformInfo", "Generic", "SystemProductName"), err)
	// Output:
	// + DeviceProperties -> Add -> PciRoot(0x0)/Pci(0x2,0x0) -> AAPL,ig-platform-id: <0300913E>
	// ~ PlatformInfo -> Generic -> SystemProductName: iMacPro1,1 -> iMac19,1
	// + DeviceProperties -> Add -> PciRoot(0x0)/Pci(0x2,0x0) -> enable-metal: <01000000>
	// iMac19,1 <nil>
}

// PlanFile makes a plan for a file, and WriteFile writes the copy beside it.
func ExamplePlanFile() {
	dir, err := os.MkdirTemp("", "opencore")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	from := filepath.Join(dir, "OpenCore-v21.iso.gz")
	if err := os.WriteFile(from, opencoretest.New(opencoretest.Config).GPT(16, 20<<20).Gzip(), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	plan, err := opencore.PlanFile(from, machine(), nil)
	if err == nil {
		err = plan.Err() // an error if a blocker remains
	}
	if err == nil {
		err = opencore.WriteFile(from, filepath.Join(dir, opencore.CopyName(from, plan)), plan)
	}
	fmt.Println(len(plan.Changes), "changes,", err)
	// Output: 4 changes, <nil>
}

// An identity is made up only if somebody asks for it, and is never shown.
func ExampleMakeIdentity() {
	identity, err := opencore.MakeIdentity("iMac19,1", "BC:24:11:00:00:01", bytes.NewReader(make([]byte, 64))) // a program passes crypto/rand.Reader
	fmt.Println(identity.Serial, len(identity.Serial.Reveal()), err)
	_, err = opencore.MakeIdentity("PowerBook5,8", "", bytes.NewReader(make([]byte, 64)))
	fmt.Println(errors.Is(err, opencore.ErrIdentity))
	// Output:
	// [secret] 12 <nil>
	// true
}

// ReadBundles reads a kernel extension from its folder or from the archive of
// its project.
func ExampleReadBundles() {
	dir, err := os.MkdirTemp("", "opencore")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for name, data := range opencoretest.Bundle("Lilu.kext", "Lilu", "as.vit9696.Lilu", "1.7.1") {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, data, 0o600)); err != nil {
			fmt.Println(err)
			return
		}
	}
	bundles, err := opencore.ReadBundles(filepath.Join(dir, "Lilu.kext"))
	fmt.Println(bundles[0].ID, bundles[0].Version, err)
	_, err = opencore.ReadBundles(dir)
	fmt.Println(errors.Is(err, opencore.ErrBundle))
	// Output:
	// as.vit9696.Lilu 1.7.1 <nil>
	// true
}

// Two kernel extensions with the same identifier are refused before anything is
// planned.
func ExampleSameBundleError() {
	lilu := opencore.Kext{Path: "Lilu.kext", ID: "as.vit9696.Lilu", Version: "1.7.1"}
	_, err := opencore.Configure(opencore.Image{}, machine(), &opencore.Options{Bundles: []opencore.Bundle{{Kext: lilu, From: "Lilu-1.7.1.zip/Lilu.kext"}, {Kext: lilu, From: "old/Lilu.kext"}}})
	fmt.Println(err)
	// Output: opencore: Lilu-1.7.1.zip/Lilu.kext and old/Lilu.kext are both as.vit9696.Lilu: give only one of them
}

func ExampleParseVersion() {
	have, known := opencore.ParseVersion("1.6.8")
	fmt.Println(have, known, have.Before(opencore.Version{Major: 1, Minor: 7, Patch: 1}))
	// Output: 1.6.8 true true
}

func ExampleValue() {
	id := opencore.DataValue([]byte{0x07, 0x00, 0x9B, 0x3E})
	fmt.Println(id.Kind, id, id.Bytes()[3] == 0x3E)
	fmt.Println(opencore.Key{"Misc", "Security", "ScanPolicy"}, opencore.IntegerValue(0))
	// Output:
	// data <07009B3E> true
	// Misc -> Security -> ScanPolicy 0
}
