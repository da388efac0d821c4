package opencore

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/opencoretest"
	"github.com/proxstation/proxstation/iommu"
)

// cardAt returns a card as a node reports it.
func cardAt(address string, vendor, device iommu.ID) gpu.Card {
	a, err := iommu.ParseAddress(address)
	if err != nil {
		panic(err)
	}
	return gpu.Card{Functions: []iommu.Function{{Address: a, Class: 0x030000, Model: iommu.Model{Vendor: vendor, Device: device}}}}
}

func uhd630() gpu.Card { return cardAt("0000:00:02.0", gpu.Intel, 0x3e92) }
func rx6600() gpu.Card { return cardAt("0000:03:00.0", gpu.AMD, 0x73ff) }

// vmWith returns the configuration of a macOS VM with other values for some
// keys.
func vmWith(keys ...string) map[string]string {
	vm := map[string]string{"machine": "pc", "net0": "vmxnet3=BC:24:11:00:00:01,bridge=vmbr0", "virtio0": "local-lvm:vm-130-disk-2,size=128G", "sata4": "local-lvm:vm-130-disk-1,media=disk",
		"args": "-device isa-applesmc,osk=[secret] -cpu host,host-phys-bits-limit=39 -global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"}
	for i := 0; i+1 < len(keys); i += 2 {
		vm[keys[i]] = strings.ReplaceAll(keys[i+1], "ARGS", vm["args"])
	}
	return vm
}

const upt = "ARGS -set device.hostpci0.bus=pcie.0 -set device.hostpci0.addr=2.0 -set device.hostpci0.x-igd-opregion=on"

// The following functions return the machines of the tests.
func onDisplay() Machine {
	return Machine{Release: gpu.MacOSSequoia, Card: uhd630(), VM: vmWith("hostpci0", "0000:00:02.0,legacy-igd=1")}
}
func headless() Machine {
	return Machine{Release: gpu.MacOSSequoia, Card: uhd630(), VM: vmWith("machine", "q35", "hostpci0", "mapping=igpu", "args", upt)}
}
func onRX6600() Machine {
	return Machine{Release: gpu.MacOSSequoia, Card: rx6600(), VM: vmWith("machine", "q35", "hostpci0", "0000:03:00,pcie=1,x-vga=1")}
}
func withoutCard() Machine {
	return Machine{Release: gpu.MacOSSequoia, VM: vmWith("machine", "q35", "sata5", "local-lvm:vm-130-disk-3,media=disk")}
}

// imageWith returns the tests' image with other values in config.plist. The
// parameter "values" has keys that are joined with slashes. An absent value
// deletes its key.
func imageWith(t *testing.T, values map[string]Value) Image {
	t.Helper()
	disk := testDisk(t)
	image, err := Read(disk, int64(len(disk)))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range slices.Sorted(maps.Keys(values)) {
		key := keyOf(path)
		if image.ConfigText, err = edit(image.ConfigText, Change{key, image.Config.Get(key...), values[path]}); err != nil {
			t.Fatal(err)
		}
		if image.Config, image.Twice, err = parse(image.ConfigText); err != nil {
			t.Fatal(err)
		}
	}
	return image
}

// testDisk returns the tests' image, which no test may change.
func testDisk(t *testing.T) opencoretest.Memory {
	t.Helper()
	return theDisk()
}

var theDisk = sync.OnceValue(func() opencoretest.Memory { return opencoretest.New(opencoretest.Config).FAT(12, 2<<20) })

// keyOf splits a text at its slashes. In device paths, the text has colons
// instead of slashes.
func keyOf(path string) Key {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(part, ":", "/")
	}
	return parts
}

const (
	igpuPath = "DeviceProperties/Add/PciRoot(0x0):Pci(0x2,0x0)/"
	args     = "NVRAM/Add/" + variables + "/boot-args"
)

func withKexts(image Image, versions map[string]string) Image {
	image.Kexts = slices.Clone(image.Kexts)
	for i, k := range image.Kexts {
		if version, other := versions[k.Path]; other {
			image.Kexts[i].Version = version
		}
	}
	return image
}

// Each row has one fault. Judge must report this fault. If the finding wants a
// value of a key, the test also checks that Configure sets this value, and that
// Judge then no longer reports the fault.
func TestJudge(t *testing.T) {
	t.Parallel()
	data := func(b ...byte) Value { return DataValue(b) }
	for name, test := range map[string]struct {
		machine  func() Machine
		vm       []string // keys and values that the row changes in the VM
		release  gpu.Guest
		card     gpu.Card
		values   map[string]Value
		image    func(Image) Image
		id       string
		severity proxstation.Severity
		want     string // the value that the finding wants, or a part of its Fix
		cured    bool
	}{
		// These rows are about the image.
		"a vault":           {machine: onDisplay, image: func(i Image) Image { i.Vault = proxstation.Yes; return i }, id: "opencore.vault", severity: proxstation.Blocker, want: "without a vault"},
		"a vault is wanted": {machine: onDisplay, values: map[string]Value{"Misc/Security/Vault": TextValue("Secure")}, id: "opencore.vault-mode", severity: proxstation.Blocker, want: "Optional", cured: true},
		"no word of vaults": {machine: onDisplay, values: map[string]Value{"Misc/Security/Vault": {}}, id: "opencore.vault-mode", severity: proxstation.Blocker, want: "Optional", cured: true},
		"a damaged table":   {machine: onDisplay, image: func(i Image) Image { i.Layout.Damage = "x"; return i }, id: "opencore.partition-table", severity: proxstation.Warning, want: "anew"},
		"a key twice":       {machine: onDisplay, image: twice, id: "opencore.duplicate-key", severity: proxstation.Warning, want: "Delete"},
		"old for Tahoe":     {machine: onDisplay, release: gpu.MacOSTahoe, image: func(i Image) Image { i.Version = Version{1, 0, 4}; return i }, id: "opencore.version", severity: proxstation.Blocker, want: "1.0.5"},
		"old for Sequoia":   {machine: onDisplay, image: func(i Image) Image { i.Version = Version{0, 9, 9}; return i }, id: "opencore.version", severity: proxstation.Warning, want: "1.0.2"},
		"of no version":     {machine: onDisplay, image: func(i Image) Image { i.Version = Version{}; return i }, id: "opencore.version", severity: proxstation.Warning, want: "nvram"},
		"an old schema":     {machine: onDisplay, id: "opencore.schema", severity: proxstation.Info, want: "ocvalidate"},
		"no driver for HFS": {machine: withoutCard, image: func(i Image) Image { i.Drivers = nil; return i }, id: "opencore.hfs", severity: proxstation.Blocker, want: "OpenHfsPlus"},
		"no OpenRuntime":    {machine: onDisplay, values: map[string]Value{"UEFI/Drivers/0/Enabled": BoolValue(false)}, id: "opencore.runtime", severity: proxstation.Blocker, want: "true", cured: true},
		"no APFS":           {machine: onDisplay, values: map[string]Value{"UEFI/APFS/EnableJumpstart": BoolValue(false)}, id: "opencore.apfs", severity: proxstation.Blocker, want: "true", cured: true},
		"new APFS alone":    {machine: onDisplay, release: gpu.MacOSCatalina, values: map[string]Value{"UEFI/APFS/MinDate": IntegerValue(0)}, id: "opencore.apfs-old", severity: proxstation.Blocker, want: "-1", cured: true},

		"no file to start": {machine: onDisplay, image: func(i Image) Image { i.Starts = proxstation.No; return i }, id: "opencore.boot-file", severity: proxstation.Blocker, want: "EFI/BOOT/BOOTx64.efi"},
		"a missing kext":   {machine: withoutCard, values: map[string]Value{"Misc/Debug/Target": IntegerValue(3), "Kernel/Add/2/BundlePath": TextValue("MCEReporterDisabler.kext")}, id: "opencore.kext-missing", severity: proxstation.Blocker, want: "false", cured: true},
		"a missing kext, no log": {machine: withoutCard, values: map[string]Value{"Kernel/Add/2/BundlePath": TextValue("Other.kext"), "Misc/Debug/Target": IntegerValue(0)},
			id: "opencore.kext-missing", severity: proxstation.Warning, want: "false", cured: true},
		"a missing driver": {machine: onDisplay, values: map[string]Value{"Misc/Debug/Target": IntegerValue(67), "UEFI/Drivers/1/Path": TextValue("OpenCanopy.efi")}, id: "opencore.driver-missing", severity: proxstation.Blocker, want: "false", cured: true},
		"a missing driver of old": {machine: onDisplay, values: map[string]Value{"Misc/Debug/Target": IntegerValue(1), "Misc/Security/HaltLevel": {}, "UEFI/Drivers": {Kind: Array, Items: []Item{{Value: TextValue("openruntime.efi")}, {Value: TextValue("#Off.efi")}, {Value: TextValue("ApfsDriverLoader.efi")}}}},
			id: "opencore.driver-missing", severity: proxstation.Blocker, want: "#ApfsDriverLoader.efi", cured: true},
		"a missing table": {machine: onDisplay, image: func(i Image) Image { i.ACPI = nil; return i }, id: "opencore.acpi-missing", severity: proxstation.Info, want: "false"},

		// These rows are about the Mac model.
		"a Mac too old":          {machine: onDisplay, release: gpu.MacOSTahoe, values: map[string]Value{"PlatformInfo/Generic/SystemProductName": TextValue("iMac19,1")}, id: "opencore.model", severity: proxstation.Blocker, want: "iMac20,1", cured: true},
		"a Mac too new":          {machine: onDisplay, release: gpu.MacOSMojave, values: map[string]Value{"PlatformInfo/Generic/SystemProductName": TextValue("iMac20,1")}, id: "opencore.model", severity: proxstation.Blocker, want: "iMac19,1", cured: true},
		"a Mac without an iGPU":  {machine: onDisplay, id: "opencore.model", severity: proxstation.Warning, want: "iMac19,1", cured: true},
		"no Mac at all":          {machine: onDisplay, values: map[string]Value{"PlatformInfo/Generic/SystemProductName": TextValue("PC")}, id: "opencore.model", severity: proxstation.Warning, want: "iMac19,1", cured: true},
		"no name of a Mac":       {machine: onRX6600, values: map[string]Value{"PlatformInfo/Generic/SystemProductName": {}}, id: "opencore.model", severity: proxstation.Blocker, want: "MacPro7,1", cured: true},
		"a Mac Pro":              {machine: onRX6600, values: map[string]Value{"PlatformInfo/Generic/SystemProductName": TextValue("MacPro7,1")}, id: "opencore.mac-pro", severity: proxstation.Info, want: "RestrictEvents"},
		"a Mac that is not said": {machine: onDisplay, values: map[string]Value{"PlatformInfo/Automatic": BoolValue(false)}, id: "opencore.platform-info", severity: proxstation.Warning, want: "true", cured: true},
		"a sample's identity":    {machine: onDisplay, id: "opencore.identity", severity: proxstation.Warning, want: "checkcoverage"},
		"a ROM as text":          {machine: onDisplay, values: map[string]Value{"PlatformInfo/Generic/ROM": TextValue("0A1B2C3D4E5F")}, id: "opencore.identity", severity: proxstation.Warning, want: "identity"},
		"a ROM of its own":       {machine: onDisplay, values: map[string]Value{"PlatformInfo/Generic/ROM": data(2, 3, 4, 5, 6, 7)}, id: "opencore.rom", severity: proxstation.Info, want: "net0"},

		// These rows are about kernel extensions.
		"no Lilu":              {machine: onDisplay, image: func(i Image) Image { i.Kexts = nil; return i }, id: "opencore.lilu", severity: proxstation.Blocker, want: "1.6.8 or newer from github.com/acidanthera/Lilu/releases"},
		"no Lilu, no card":     {machine: withoutCard, image: func(i Image) Image { i.Kexts = nil; return i }, id: "opencore.lilu", severity: proxstation.Info, want: "Download"},
		"an old Lilu":          {machine: onDisplay, release: gpu.MacOSTahoe, image: func(i Image) Image { return withKexts(i, map[string]string{"Lilu.kext": "1.6.8"}) }, id: "opencore.lilu", severity: proxstation.Blocker, want: "1.7.1"},
		"Lilu of no version":   {machine: onDisplay, image: func(i Image) Image { return withKexts(i, map[string]string{"Lilu.kext": "x"}) }, id: "opencore.lilu", severity: proxstation.Warning, want: "1.6.8"},
		"Lilu off":             {machine: onDisplay, values: map[string]Value{"Kernel/Add/0/Enabled": BoolValue(false)}, id: "opencore.lilu", severity: proxstation.Blocker, want: "true", cured: true},
		"WhateverGreen gated":  {machine: onDisplay, values: map[string]Value{"Kernel/Add/2/MaxKernel": TextValue("23.99.99")}, id: "opencore.whatevergreen", severity: proxstation.Blocker, want: `""`, cured: true},
		"no entry":             {machine: onDisplay, values: map[string]Value{"Kernel/Add/2/BundlePath": TextValue("Other.kext")}, id: "opencore.whatevergreen", severity: proxstation.Blocker, want: "WhateverGreen.kext", cured: true},
		"an old WhateverGreen": {machine: headless, image: func(i Image) Image { return withKexts(i, map[string]string{"WhateverGreen.kext": "1.6.6"}) }, id: "opencore.whatevergreen", severity: proxstation.Blocker, want: "1.6.7"},
		"Lilu behind":          {machine: onDisplay, image: behind, id: "opencore.kext-order", severity: proxstation.Blocker, want: "Lilu.kext", cured: true},
		"Lilu behind the SMC":  {machine: withoutCard, vm: []string{"args", "-cpu host,host-phys-bits-limit=39"}, image: behindSMC, id: "opencore.kext-order", severity: proxstation.Warning, want: "Lilu.kext", cured: true},
		"a damaged one":        {machine: onDisplay, image: func(i Image) Image { i.Kexts[0].Problem = "x"; return i }, id: "opencore.kext-damaged", severity: proxstation.Blocker, want: "anew"},
		"two SMCs":             {machine: onDisplay, values: map[string]Value{"Kernel/Add/1/Enabled": BoolValue(true)}, id: "opencore.smc", severity: proxstation.Warning, want: "false", cured: true},
		"no SMC, one off":      {machine: onDisplay, vm: []string{"args", "-cpu host,host-phys-bits-limit=39"}, id: "opencore.smc", severity: proxstation.Blocker, want: "true", cured: true},
		"no SMC":               {machine: onDisplay, vm: []string{"args", "-cpu host"}, image: func(i Image) Image { i.Kexts = i.Kexts[:1]; return i }, id: "opencore.smc", severity: proxstation.Blocker, want: "VirtualSMC"},
		"an old VirtualSMC": {machine: onDisplay, vm: []string{"args", "-cpu host"}, values: map[string]Value{"Kernel/Add/1/Enabled": BoolValue(true)},
			image: func(i Image) Image { return withKexts(i, map[string]string{"VirtualSMC.kext": "1.3.2"}) }, id: "opencore.smc-version", severity: proxstation.Warning, want: "newer"},

		// These rows are about what OpenCore searches and starts.
		"recovery is hidden":   {machine: withoutCard, id: "opencore.scan-policy", severity: proxstation.Blocker, want: "0", cured: true},
		"VirtIO is hidden":     {machine: onDisplay, values: map[string]Value{"Misc/Security/ScanPolicy": IntegerValue(0x10F0303)}, id: "", severity: 0},
		"a failsafe policy":    {machine: withoutCard, values: map[string]Value{"Misc/Security/ScanPolicy": {}}, id: "opencore.scan-policy", severity: proxstation.Blocker, want: "0", cured: true},
		"SATA alone":           {machine: onDisplay, values: map[string]Value{"Misc/Security/ScanPolicy": IntegerValue(0x10103)}, id: "opencore.scan-policy", severity: proxstation.Blocker, want: "0", cured: true},
		"any disk image":       {machine: onDisplay, values: map[string]Value{"Misc/Security/DmgLoading": TextValue("Any"), "Misc/Security/SecureBootModel": TextValue("Default")}, id: "opencore.dmg-loading", severity: proxstation.Blocker, want: "Signed", cured: true},
		"no disk image":        {machine: withoutCard, values: map[string]Value{"Misc/Security/DmgLoading": TextValue("Disabled")}, id: "opencore.dmg-loading", severity: proxstation.Blocker, want: "Signed", cured: true},
		"another scheme":       {machine: onDisplay, values: map[string]Value{"Misc/Security/SecureBootModel": TextValue("Default"), "Kernel/Quirks/ForceSecureBootScheme": BoolValue(false)}, id: "opencore.secure-boot", severity: proxstation.Warning, want: "true", cured: true},
		"another Mac's scheme": {machine: onDisplay, values: map[string]Value{"Misc/Security/SecureBootModel": TextValue("j137"), "PlatformInfo/Generic/SystemProductName": TextValue("iMac19,1")}, id: "opencore.secure-boot", severity: proxstation.Warning, want: "Default", cured: true},

		// These rows are about the processor and the kernel.
		"no processor's facts": {machine: onDisplay, values: map[string]Value{"Kernel/Quirks/ProvideCurrentCpuInfo": BoolValue(false)}, id: "opencore.cpu-info", severity: proxstation.Blocker, want: "true", cured: true},
		"power management":     {machine: onDisplay, release: gpu.MacOSMonterey, values: map[string]Value{"Kernel/Emulate/DummyPowerManagement": BoolValue(false)}, id: "opencore.power-management", severity: proxstation.Warning, want: "true", cured: true},
		"a lock that is gone":  {machine: onDisplay, values: map[string]Value{"Kernel/Quirks/AppleCpuPmCfgLock": BoolValue(true)}, id: "opencore.cfg-lock", severity: proxstation.Warning, want: "false", cured: true},
		"Skylake's model":      {machine: onDisplay, vm: []string{"args", "-device isa-applesmc -cpu Skylake-Client-v4,vendor=GenuineIntel"}, id: "opencore.cpu-model", severity: proxstation.Blocker, want: "model=158"},
		"Cascade Lake's model": {machine: headless, vm: []string{"args", strings.Replace(upt, "ARGS", "-cpu Cascadelake-Server", 1)}, id: "opencore.cpu-model", severity: proxstation.Blocker, want: "model=158"},
		"46 bits":              {machine: onDisplay, vm: []string{"args", "-device isa-applesmc -cpu host,phys-bits=46"}, id: "opencore.address-bits", severity: proxstation.Blocker, want: "39"},
		"no AVX2":              {machine: withoutCard, vm: []string{"args", "-device isa-applesmc -cpu Penryn"}, id: "opencore.avx2", severity: proxstation.Blocker, want: "CryptexFixup"},
		"hot-plug":             {machine: headless, vm: []string{"args", strings.Replace(upt, "ARGS", "-cpu host", 1)}, id: "opencore.hotplug", severity: proxstation.Warning, want: "ICH9-LPC"},
		"a patch that is off": {machine: onRX6600, values: map[string]Value{"Kernel/Patch/0": {Kind: Dict, Items: []Item{{Key: "Base", Value: TextValue("IOPCIConfigurator::IOPCIIsHotplugPort")}, {Key: "Enabled", Value: BoolValue(true)}, {Key: "MaxKernel", Value: TextValue("23.99.99")}}}},
			id: "opencore.hotplug-patch", severity: proxstation.Info, want: "Set Kernel -> Patch -> 0 -> MaxKernel"},

		// These rows are about the iGPU.
		"no platform id":        {machine: onDisplay, id: "opencore.platform-id", severity: proxstation.Blocker, want: "<07009B3E>", cured: true},
		"headless":              {machine: headless, id: "opencore.platform-id", severity: proxstation.Blocker, want: "<0300913E>", cured: true},
		"Comet Lake":            {machine: headless, card: cardAt("0000:00:02.0", gpu.Intel, 0x9bc5), id: "opencore.platform-id", severity: proxstation.Blocker, want: "<0300C89B>", cured: true},
		"Comet Lake's display":  {machine: onDisplay, card: cardAt("0000:00:02.0", gpu.Intel, 0x9bc8), id: "opencore.platform-id", severity: proxstation.Blocker, want: "<07009B3E>", cured: true},
		"Kaby Lake":             {machine: onDisplay, card: cardAt("0000:00:02.0", gpu.Intel, 0x5912), id: "opencore.platform-id", severity: proxstation.Blocker, want: "<00001259>", cured: true},
		"Skylake in Monterey":   {machine: onDisplay, release: gpu.MacOSMonterey, card: cardAt("0000:00:02.0", gpu.Intel, 0x1912), id: "opencore.platform-id", severity: proxstation.Blocker, want: "<00001219>", cured: true},
		"Skylake in Ventura":    {machine: headless, release: gpu.MacOSVentura, card: cardAt("0000:00:02.0", gpu.Intel, 0x1912), id: "opencore.platform-id", severity: proxstation.Blocker, want: "<03001259>", cured: true},
		"Skylake's tiles":       {machine: onDisplay, card: cardAt("0000:00:02.0", gpu.Intel, 0x1912), values: map[string]Value{igpuPath + "framebuffer-patch-enable": one, igpuPath + "framebuffer-stolenmem": one}, id: "opencore.framebuffer", severity: proxstation.Warning, want: "<01000000>", cured: true},
		"Coffee in High Sierra": {machine: onDisplay, release: gpu.MacOSHighSierra, id: "opencore.platform-id", severity: proxstation.Blocker, want: "<00001259>", cured: true},
		"Ice Lake":              {machine: onDisplay, card: cardAt("0000:00:02.0", gpu.Intel, 0x8a52), id: "opencore.platform-id", severity: proxstation.Blocker, want: "<0000528A>", cured: true},
		"Ice Lake, headless":    {machine: headless, card: cardAt("0000:00:02.0", gpu.Intel, 0x8a52), id: "opencore.headless", severity: proxstation.Blocker, want: "legacy"},
		"an empty platform id":  {machine: onDisplay, values: map[string]Value{igpuPath + "AAPL,ig-platform-id": data()}, id: "opencore.platform-id", severity: proxstation.Blocker, want: "<07009B3E>", cured: true},
		"a text":                {machine: onDisplay, values: map[string]Value{igpuPath + "AAPL,ig-platform-id": TextValue("07009B3E")}, id: "opencore.platform-id", severity: proxstation.Blocker, want: "<07009B3E>", cured: true},
		"the wrong way round":   {machine: onDisplay, values: map[string]Value{igpuPath + "AAPL,ig-platform-id": data(0x3E, 0x9B, 0, 7)}, id: "opencore.platform-id", severity: proxstation.Blocker, want: "<07009B3E>", cured: true},
		"the other mode":        {machine: onDisplay, values: map[string]Value{igpuPath + "AAPL,ig-platform-id": data(3, 0, 0x91, 0x3E)}, id: "opencore.platform-id", severity: proxstation.Warning, want: "<07009B3E>", cured: true},
		"another id":            {machine: onDisplay, values: map[string]Value{igpuPath + "AAPL,ig-platform-id": data(1, 2, 3, 4)}, id: "opencore.platform-id", severity: proxstation.Warning, want: "<07009B3E>", cured: true},
		"memory":                {machine: onDisplay, id: "opencore.framebuffer", severity: proxstation.Warning, want: "<01000000>", cured: true},
		"a P630's number":       {machine: onDisplay, card: cardAt("0000:00:02.0", gpu.Intel, 0x3e94), id: "opencore.device-id", severity: proxstation.Blocker, want: "<9B3E0000>", cured: true},
		"behind a bridge":       {machine: headless, vm: []string{"args", "-device isa-applesmc -cpu host"}, id: "opencore.igpu-place", severity: proxstation.Blocker, want: "bus=pcie.0"},
		"behind a port":         {machine: headless, vm: []string{"args", "-device isa-applesmc -cpu host", "hostpci0", "mapping=igpu,pcie=1"}, id: "opencore.igpu-place", severity: proxstation.Blocker, want: "take pcie=1 away"},
		"on a bus of its own":   {machine: headless, vm: []string{"args", "-set device.hostpci0.bus=own.0"}, id: "opencore.card-place", severity: proxstation.Warning, want: "where PVE puts it"},
		"properties elsewhere":  {machine: onDisplay, values: map[string]Value{"DeviceProperties/Add/PciRoot(0x0):Pci(0x10,0x0)/AAPL,ig-platform-id": data(7, 0, 0x9B, 0x3E)}, id: "opencore.igpu-path", severity: proxstation.Warning, want: "(absent)", cured: true},
		"an experiment":         {machine: headless, id: "opencore.headless-experimental", severity: proxstation.Warning, want: "docs/macos.md"},
		"a GT1":                 {machine: onDisplay, card: cardAt("0000:00:02.0", gpu.Intel, 0x3e90), id: "opencore.card", severity: proxstation.Blocker},
		"Rocket Lake":           {machine: headless, card: cardAt("0000:00:02.0", gpu.Intel, 0x4c8a), id: "opencore.card", severity: proxstation.Blocker},
		"Haswell":               {machine: onDisplay, release: gpu.MacOSBigSur, card: cardAt("0000:00:02.0", gpu.Intel, 0x0412), id: "opencore.platform-id", severity: proxstation.Warning, want: "FAQ.IntelHD"},
		"an empty property":     {machine: withoutCard, values: map[string]Value{igpuPath + "AAPL,ig-platform-id": data()}, id: "opencore.empty-property", severity: proxstation.Warning, want: "(absent)", cured: true},
		"without acceleration":  {machine: onDisplay, values: map[string]Value{args: TextValue("-igfxvesa keepsyms=1")}, id: "opencore.boot-args", severity: proxstation.Blocker, want: "keepsyms=1", cured: true},
		"without Metal":         {machine: headless, values: map[string]Value{args: TextValue("igfxgl=1 -wegoff")}, id: "opencore.boot-args", severity: proxstation.Blocker, want: `""`, cured: true},
		"the safe mode":         {machine: headless, values: map[string]Value{args: TextValue("-v -x keepsyms=1")}, id: "opencore.boot-args", severity: proxstation.Blocker, want: "-v keepsyms=1", cured: true},
		"another framebuffer":   {machine: headless, values: map[string]Value{args: TextValue("igfxframe=0x3E9B0007 -v")}, id: "opencore.boot-args", severity: proxstation.Warning, want: "-v", cured: true},
		"unsigned programs":     {machine: withoutCard, values: map[string]Value{args: TextValue("amfi_get_out_of_my_way=1")}, id: "opencore.boot-args", severity: proxstation.Info, want: ""},

		// These rows are about AMD's cards.
		"a dark Navi":          {machine: onRX6600, id: "opencore.pikera", severity: proxstation.Warning, want: "keepsyms=1 agdpmod=pikera", cured: true},
		"on the root":          {machine: onRX6600, vm: []string{"hostpci0", "0000:03:00", "args", "ARGS -set device.hostpci0.bus=pcie.0 -set device.hostpci0.addr=10.0"}, id: "opencore.pikera", severity: proxstation.Blocker, want: "agdpmod=pikera", cured: true},
		"another agdpmod":      {machine: onRX6600, values: map[string]Value{args: TextValue("agdpmod=vit9696 -v")}, id: "opencore.pikera", severity: proxstation.Warning, want: "-v agdpmod=pikera", cured: true},
		"Tahoe on AMD":         {machine: onRX6600, release: gpu.MacOSTahoe, id: "opencore.whatevergreen-amd", severity: proxstation.Blocker, want: "false", cured: true},
		"Tahoe's connectors":   {machine: onRX6600, release: gpu.MacOSTahoe, id: "opencore.pikera", severity: proxstation.Warning, want: "macOS 15"},
		"Navi 22":              {machine: onRX6600, card: cardAt("0000:03:00.0", gpu.AMD, 0x73df), id: "opencore.nootrx", severity: proxstation.Blocker, want: "NootRX/releases"},
		"Navi 22 with another": {machine: onRX6600, card: cardAt("0000:03:00.0", gpu.AMD, 0x73df), id: "opencore.whatevergreen-navi22", severity: proxstation.Blocker, want: "false", cured: true},
		"an RX 6650 XT":        {machine: onRX6600, card: cardAt("0000:03:00.0", gpu.AMD, 0x73ef), id: "opencore.device-id", severity: proxstation.Blocker, want: "<FF730000>", cured: true},
		"large regions":        {machine: onRX6600, values: map[string]Value{"Booter/Quirks/ResizeAppleGpuBars": IntegerValue(8)}, id: "opencore.rebar", severity: proxstation.Blocker, want: "-1", cured: true},
		"larger regions":       {machine: onRX6600, values: map[string]Value{"UEFI/Quirks/ResizeGpuBars": IntegerValue(10)}, id: "opencore.rebar", severity: proxstation.Warning, want: "-1", cured: true},
		"regions on the host":  {machine: onRX6600, id: "opencore.rebar-host", severity: proxstation.Info, want: "resource0_resize"},
		"AMD without AVX2":     {machine: onRX6600, vm: []string{"args", "-device isa-applesmc -cpu Penryn"}, id: "opencore.avx2-amd", severity: proxstation.Blocker, want: "-cpu host"},
		"an RTX":               {machine: onRX6600, card: cardAt("0000:01:00.0", gpu.NVIDIA, 0x2c05), id: "opencore.card", severity: proxstation.Blocker, want: "RX 6600"},

		// These rows are about the network and variables.
		"VirtIO in Catalina":  {machine: onDisplay, release: gpu.MacOSCatalina, vm: []string{"net0", "virtio=BC:24:11:00:00:01"}, id: "opencore.network", severity: proxstation.Blocker, want: "vmxnet3"},
		"e1000 in Sequoia":    {machine: onDisplay, vm: []string{"net0", "e1000=BC:24:11:00:00:01"}, id: "opencore.network", severity: proxstation.Warning, want: "vmxnet3"},
		"another's network":   {machine: onDisplay, values: map[string]Value{"Kernel/Add/2/BundlePath": TextValue("IntelMausi.kext")}, id: "opencore.network-kext", severity: proxstation.Info, want: "false"},
		"not built in":        {machine: onDisplay, id: "opencore.network-built-in", severity: proxstation.Info, want: "PciRoot(0x0)/Pci(0x12,0x0)"},
		"an old csr":          {machine: onDisplay, id: "opencore.nvram", severity: proxstation.Warning, want: "csr-active-config", cured: true},
		"no list of old ones": {machine: onDisplay, values: map[string]Value{"NVRAM/Delete/" + variables: {}}, id: "opencore.nvram", severity: proxstation.Warning, want: "csr-active-config", cured: true},
		"a guest of another":  {machine: onDisplay, release: gpu.Windows11, id: "opencore.release", severity: proxstation.Blocker, want: "macOS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			machine := test.machine()
			machine.VM = maps.Clone(machine.VM)
			for i := 0; i+1 < len(test.vm); i += 2 {
				machine.VM[test.vm[i]] = strings.ReplaceAll(test.vm[i+1], "ARGS", machine.VM["args"])
			}
			if test.release != 0 {
				machine.Release = test.release
			}
			if len(test.card.Functions) > 0 {
				machine.Card = test.card
			}
			image := imageWith(t, test.values)
			if test.image != nil {
				image = test.image(image)
			}
			check(t, image, machine, test.id, test.severity, test.want, test.cured)
		})
	}
}

// Puts the same key into the configuration two times.
func twice(i Image) Image {
	const key = "<key>ConnectDrivers</key>"
	i.ConfigText = []byte(strings.Replace(string(i.ConfigText), key, key+"<false/>"+key, 1))
	i.Config, i.Twice, _ = parse(i.ConfigText)
	return i
}

// behindSMC switches VirtualSMC on, and puts Lilu's entry behind VirtualSMC's
// entry.
func behindSMC(i Image) Image {
	c := i.Config.Get("Kernel", "Add", "0")
	i.ConfigText, _ = edit(i.ConfigText, Change{Key{"Kernel", "Add", "1", "Enabled"}, BoolValue(false), BoolValue(true)})
	i.ConfigText, _ = edit(i.ConfigText, Change{Key: Key{"Kernel", "Add", "3"}, Want: c})
	i.ConfigText, _ = edit(i.ConfigText, Change{Key{"Kernel", "Add", "0"}, c, Value{}})
	i.Config, _, _ = parse(i.ConfigText)
	return i
}

// Puts WhateverGreen's entry before Lilu's entry.
func behind(i Image) Image {
	c := Change{Key: Key{"Kernel", "Add", "0"}, Want: i.Config.Get("Kernel", "Add", "2")}
	i.ConfigText, _ = edit(i.ConfigText, c)
	i.ConfigText, _ = edit(i.ConfigText, Change{Key{"Kernel", "Add", "3"}, c.Want, Value{}})
	i.Config, _, _ = parse(i.ConfigText)
	return i
}

func check(t *testing.T, image Image, machine Machine, id string, severity proxstation.Severity, want string, cured bool) {
	t.Helper()
	of := func(list []Finding) (found []Finding) {
		for _, f := range list {
			if f.ID == id {
				found = append(found, f)
			}
			if f.Seen == "" || f.Why == "" || f.Source == "" || f.Fix == "" && f.ID != "opencore.card" {
				t.Errorf("a finding without words: %+v", f)
			}
		}
		return found
	}
	if id == "" {
		return
	}
	found := of(Judge(image, machine))
	if !slices.ContainsFunc(found, func(f Finding) bool {
		says := strings.Contains(f.Fix, want) || f.Want.Kind != Absent && strings.Contains(f.Want.String(), want) || f.Want.Kind == Absent && want == "(absent)"
		return f.Severity == severity && says
	}) {
		t.Fatalf("%s: %+v; want %s with %q", id, found, severity, want)
	}
	plan, err := Configure(image, machine, nil)
	if err != nil {
		t.Fatal(err)
	}
	rest := slices.DeleteFunc(of(plan.Findings), func(f Finding) bool {
		return f.Severity < severity
	})
	if (len(rest) == 0) != cured && severity > proxstation.Info {
		t.Errorf("after the plan %s says %+v; plan\n%s", id, rest, plan)
	}
}

// Usual machines have only findings of severity Info after the planned changes.
func TestJudgeIsContent(t *testing.T) {
	t.Parallel()
	own := Identity{Serial: proxstation.NewSecret("C02XW0AAJV3Q"), Board: proxstation.NewSecret("C02902304GULNV9A1"), UUID: proxstation.NewSecret("5A2C0B8E-93B1-4E2A-9E1F-0C4D8F7A6B51"), ROM: proxstation.NewSecret("BC:24:11:00:00:01")}
	for name, machine := range map[string]Machine{"display": onDisplay(), "headless": headless(), "RX 6600": onRX6600(), "none": withoutCard()} {
		plan, err := Configure(imageWith(t, nil), machine, &Options{Identity: own})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range plan.Findings {
			if f.Severity > proxstation.Info && f.ID != "opencore.headless-experimental" {
				t.Errorf("%s: %s", name, f)
			}
		}
		if err := plan.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A boolean of PVE's configuration may be 1, on, yes or true.
func TestModeReadsBooleans(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]Mode{"legacy-igd=1": Display, "legacy-igd=on": Display, "legacy-igd=true": Display, "legacy-igd=yes": Display,
		"legacy-igd=0": Headless, "legacy-igd=off": Headless, "romfile=legacy-igd=1": Headless} {
		m := Machine{Card: uhd630(), VM: map[string]string{"hostpci0": "0000:00:02.0," + value}}
		if m.Mode() != want {
			t.Errorf("%s: %s, want %s", value, m.Mode(), want)
		}
		if slot := m.Path() == "PciRoot(0x0)/Pci(0x2,0x0)"; slot != (want == Display) {
			t.Errorf("%s: at %s", value, m.Path())
		}
	}
}

// Read reports whether the image has the program that the firmware starts.
func TestImageWithoutBootFile(t *testing.T) {
	t.Parallel()
	tree := opencoretest.New(opencoretest.Config)
	for name, want := range map[string]proxstation.Answer{"EFI/BOOT/BOOTX64.EFI": proxstation.Yes, "EFI/BOOT/BOOTIA32.efi": proxstation.No} {
		other := maps.Clone(tree)
		delete(other, bootFile)
		other[name] = tree[bootFile]
		disk := other.FAT(16, 16<<20)
		if image, err := Read(disk, int64(len(disk))); err != nil || image.Starts != want {
			t.Errorf("%s: %v, %v", name, image.Starts, err)
		}
	}
}

// The VM's configuration may name a network card without an address. PVE adds
// the address when it makes the card.
func TestNetworkAddress(t *testing.T) {
	t.Parallel()
	for net0, want := range map[string]string{
		"virtio=BC:24:11:00:00:01,bridge=vmbr0":                "BC:24:11:00:00:01",
		"model=vmxnet3,macaddr=BC:24:11:00:00:01,bridge=vmbr0": "BC:24:11:00:00:01",
		"model=vmxnet3,bridge=vmbr0":                           "",
		"vmxnet3,bridge=vmbr0":                                 "",
	} {
		if _, have := (Machine{VM: map[string]string{"net0": net0}}).network(); have != want {
			t.Errorf("%s: %q, want %q", net0, have, want)
		}
	}
}
