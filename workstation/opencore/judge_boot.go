package opencore

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/macos"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// judgeSecurity judges which drives OpenCore searches and which systems it may
// start.
func (j *judge) judgeSecurity() {
	j.judgeScanPolicy()
	security := func(name string) (Key, Value) {
		key := Key{"Misc", "Security", name}
		return key, j.get(key...)
	}
	modelKey, model := security("SecureBootModel")
	dmgKey, dmg := security("DmgLoading")
	off := model.Text == "Disabled"
	if dmg.Text == "Any" && !off {
		j.want("opencore.dmg-loading", proxstation.Blocker, dmgKey, TextValue("Signed"), "with Any and Apple's Secure Boot on, OpenCore refuses every start", manual+", DmgLoading")
	}
	if dmg.Text == "Disabled" && j.machine.recovery() {
		j.want("opencore.dmg-loading", proxstation.Blocker, dmgKey, TextValue("Signed"), "the recovery system is a disk image, and OpenCore would not start it", manual+", DmgLoading")
	}
	if off || model.Text == "x86legacy" {
		return
	}
	j.want("opencore.secure-boot", proxstation.Warning, Key{"Kernel", "Quirks", "ForceSecureBootScheme"}, BoolValue(true), "in a VM macOS uses another scheme of Secure Boot than the Mac's model has, and refuses its own updates", manual+", Kernel, Quirks")
	product := j.get(genericKey("SystemProductName")...).Text
	want, t2 := map[string]string{"iMac20,1": "j185", "iMac20,2": "j185f", "iMacPro1,1": "j137", "MacPro7,1": "j160", "Macmini8,1": "j174", "MacBookPro16,2": "j214k"}[product]
	if model.Text != "Default" && model.Text != "" && (!t2 || model.Text != want) && j.machine.Release >= gpu.MacOSMonterey {
		j.want("opencore.secure-boot", proxstation.Warning, modelKey, TextValue("Default"), "from macOS 12 on, it must be the value for SystemProductName, "+product, manual+", SecureBootModel")
	}
}

// The bits of ScanPolicy (OpenCore Configuration, Security).
const (
	scanFileSystems = 1 << 0
	scanDevices     = 1 << 1
	scanAPFS        = 1 << 8
	scanSATA        = 1 << 16
	scanSCSI        = 1 << 18
	scanVirtIO      = 1 << 24
)

// failsafeScan is the ScanPolicy that OpenCore uses if the key is missing.
const failsafeScan = 0x10F0103

// judgeScanPolicy checks that OpenCore looks at the VM's drives. The drive with
// the recovery system, which package recovery makes, has FAT. ScanPolicy has no
// bit for FAT, so OpenCore shows this drive only if ScanPolicy is 0.
func (j *judge) judgeScanPolicy() {
	key := Key{"Misc", "Security", "ScanPolicy"}
	policy, known := j.get(key...).Int()
	if !known {
		policy = failsafeScan
	}
	var hidden []string
	if policy&scanFileSystems != 0 && policy&scanAPFS == 0 {
		hidden = append(hidden, "macOS (APFS)")
	}
	if policy&scanFileSystems != 0 && j.machine.recovery() {
		hidden = append(hidden, macos.RecoverySlot+" with the recovery system (FAT)")
	}
	for _, slot := range qmconf.Disks(j.machine.VM) {
		bit := map[string]int64{"sata": scanSATA, "ide": scanSATA, "scsi": scanSCSI, "virtio": scanVirtIO}[qmconf.Family(slot)]
		if policy&scanDevices != 0 && policy&bit == 0 && slot != macos.OpenCoreSlot {
			hidden = append(hidden, slot)
		}
	}
	if policy != 0 && len(hidden) > 0 {
		j.want("opencore.scan-policy", proxstation.Blocker, key, IntegerValue(0), "OpenCore's menu would not show "+strings.Join(hidden, ", "), manual+", ScanPolicy")
	}
}

// judgeProcessor judges the processor that the guest sees, and the quirks that
// depend on it.
func (j *judge) judgeProcessor() {
	quirk := func(name string) Key { return Key{"Kernel", "Quirks", name} }
	j.want("opencore.cpu-info", proxstation.Blocker, quirk("ProvideCurrentCpuInfo"), BoolValue(true), "in a VM macOS reads a register that is not there, and panics", manual+", Kernel, Quirks")
	if j.machine.Release <= gpu.MacOSMonterey {
		j.want("opencore.power-management", proxstation.Warning, Key{"Kernel", "Emulate", "DummyPowerManagement"}, BoolValue(true), "a VM has no power management of the processor, and Apple's driver for it panics", manual+", Kernel, Emulate")
	} else if j.get(quirk("AppleCpuPmCfgLock")...).True() {
		j.want("opencore.cfg-lock", proxstation.Warning, quirk("AppleCpuPmCfgLock"), BoolValue(false), "it patches a driver that is gone from macOS 13 on", manual+", Kernel, Quirks")
	}
	cpu := macos.CPUOf(j.machine.VM)
	if family := j.machine.Card.Family(); (j.mode == Display || j.mode == Headless) && !cpu.Fits(family) {
		fix := "use -cpu host in the VM's args"
		if model := macos.ModelFor(family); model != "" {
			fix += ", or add " + model + " to -cpu"
		}
		j.say("opencore.cpu-model", proxstation.Blocker, "-cpu "+cpu.String()+" beside "+j.machine.Card.Name(), "Lilu takes the generation of the graphics from the processor, and so loads the drivers of another generation", fix, liluCPU)
	}
	if bits := cpu.AddressBits(j.machine.HostBits); macos.Hangs(bits) {
		j.say("opencore.address-bits", proxstation.Blocker, fmt.Sprintf("the guest's processor has %d bits of physical address", bits), "the firmware puts the card's memory above 16 TiB, and macOS hangs while it sets PCI up",
			"add host-phys-bits-limit=39 to -cpu host in the VM's args, or phys-bits=39 to another processor", installGuide+", extras/kaslr-fix; edk2 OvmfPkg MemDetect.c")
	}
	if j.machine.Release >= gpu.MacOSVentura && !j.avx2() && !j.loaded(cryptexFixup) {
		j.say("opencore.avx2", proxstation.Blocker, "-cpu "+cpu.String(), "from Ventura on macOS's libraries use AVX2", "use -cpu host or Cascadelake-Server, or give CryptexFixup from "+homes[cryptexFixup]+"/releases as a kernel extension", "CryptexFixup README")
	}
	j.judgeHotplug()
}

// judgeHotplug checks for the settings that keep macOS from waiting for
// hot-plugged devices.
func (j *judge) judgeHotplug() {
	const argument = "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"
	if j.machine.q35() && !strings.Contains(j.machine.VM["args"], argument) {
		j.say("opencore.hotplug", proxstation.Warning, "machine: "+j.machine.VM["machine"]+", args without "+argument, "macOS takes every device for a removable device, and may wait minutes for each while it sets PCI up",
			"add -global "+argument+" to the VM's args", isoReadme+"; "+darwinKVM)
	}
	for i, item := range j.get("Kernel", "Patch").Items {
		entry := Key{"Kernel", "Patch", strconv.Itoa(i)}
		if !strings.Contains(item.Value.Get("Base").Text, "IOPCIIsHotplugPort") || !macos.BehindBridge(j.path) || inKernel(item.Value, j.machine.kernel()) && item.Value.Get("Enabled").True() {
			continue
		}
		why := "the image has a patch against the wait for hot-plugged devices, and does not use it for this release"
		j.want("opencore.hotplug-patch", proxstation.Info, append(slices.Clone(entry), "Enabled"), BoolValue(true), why, darwinKVM)
		if !inKernel(item.Value, j.machine.kernel()) {
			j.want("opencore.hotplug-patch", proxstation.Info, append(slices.Clone(entry), "MaxKernel"), TextValue(""), why, darwinKVM)
		}
	}
}

// Kernel extensions for network cards of real boards. They have no use in a VM,
// because QEMU does not emulate these cards.
var hardware = []string{"IntelMausi.kext", "IntelMausiEthernet.kext", "RealtekRTL8111.kext", "LucyRTL8125Ethernet.kext", "AtherosE2200Ethernet.kext", "AppleIGC.kext", "itlwm.kext", "AirportItlwm.kext"}

// judgeNetwork compares the VM's network card with the drivers of the release.
func (j *judge) judgeNetwork() {
	model, _ := j.machine.network()
	switch {
	case model == "" || model == "vmxnet3" || model == "virtio" && j.machine.Release >= gpu.MacOSBigSur:
	case model == "virtio":
		j.say("opencore.network", proxstation.Blocker, "net0: "+j.machine.VM["net0"], "drivers for VirtIO came with Big Sur", "use vmxnet3", isoReadme)
	case (model == "e1000" || model == "e1000-82545em") && j.machine.Release < gpu.MacOSBigSur:
	default:
		j.say("opencore.network", proxstation.Warning, "net0: "+j.machine.VM["net0"], j.machine.Release.String()+" has no driver of its own for it, and recovery needs the network", "use vmxnet3 or, from Big Sur on, virtio", isoReadme)
	}
	for i, item := range j.get("Kernel", "Add").Items {
		bundle := item.Value.Get("BundlePath").Text
		if slices.Contains(hardware, bundle) && item.Value.Get("Enabled").True() && inKernel(item.Value, j.machine.kernel()) {
			j.want("opencore.network-kext", proxstation.Info, Key{"Kernel", "Add", strconv.Itoa(i), "Enabled"}, BoolValue(false), bundle+" drives a network card that the VM does not have", installGuide+", ktext")
		}
	}
	if path := macos.DevicePath(j.machine.VM, "net0"); model != "" && path != "" {
		j.want("opencore.network-built-in", proxstation.Info, Key{"DeviceProperties", "Add", path, "built-in"}, DataValue([]byte{1}), "iMessage and FaceTime want the first network card to be built in", postInstall+", universal/iservices")
	}
}

// judgeNVRAM looks for variables in NVRAM -> Add that are not in NVRAM ->
// Delete. If the VM's EFI disk already has such a variable, OpenCore does not
// change it.
func (j *judge) judgeNVRAM() {
	list := Key{"NVRAM", "Delete", variables}
	have := j.get(list...)
	for _, name := range []string{"boot-args", "csr-active-config"} {
		if j.get("NVRAM", "Add", variables, name).Kind == Absent || slices.ContainsFunc(have.Items, func(i Item) bool { return i.Value.Text == name }) {
			continue
		}
		f := j.say("opencore.nvram", proxstation.Warning, fmt.Sprintf("%s: %s is in NVRAM -> Add and not in NVRAM -> Delete", configFile, name), "if the VM's EFI disk has a value already, the old value stays: OpenCore only writes values that Delete removes first",
			fmt.Sprintf("add %s to %s", name, list), manual+", NVRAM")
		f.Key, f.Want = append(slices.Clone(list), strconv.Itoa(len(have.Items))), TextValue(name)
		f.Changes = []Change{{Key: f.Key, Want: f.Want}}
		if have.Kind == Absent {
			f.Changes[0] = Change{Key: list, Want: Value{Kind: Array, Items: []Item{{Value: f.Want}}}}
			have = f.Changes[0].Want // the next variable is added to the same array
		}
	}
}
