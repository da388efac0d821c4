package workstation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/macos"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

// checkOSK removes the SMC's key from a configuration. It returns the key of
// the Spec, or the key of the VM if the Spec has no key.
func (d *differ) checkOSK(vm VM, config map[string]string, have string) (hidden map[string]string, osk proxstation.Secret) {
	args := config["args"]
	osk = vm.OSK
	for _, known := range []string{args, have} {
		if osk.IsZero() {
			osk = proxstation.NewSecret(macos.OSK(known))
		}
	}
	args = macos.HideOSK(args)
	if !macos.OSKHidden(args) {
		return config, proxstation.Secret{}
	}
	if osk.IsZero() {
		d.problems.add(vm, "osk", "", "macOS does not boot without the key of its system management controller: read the key from a Mac of yours, and give it (osk: on the page of homelab, MACOS_OSK for examples/macos)")
	}
	return withValue(config, "args", args), osk
}

// This adds the findings about macOS VMs that the plan makes or changes.
func (d *differ) macOS(after Facts) {
	for _, vm := range d.spec.VMs {
		if !vm.Guest.IsMacOS() || !d.plans(vm.ID) {
			continue
		}
		will := after.VMs[vm.ID].Config
		tell := func(id string, severity proxstation.Severity, seen, why, fix string) {
			d.find(proxstation.Finding{ID: id, Severity: severity, Subject: fmt.Sprintf("VM %d", vm.ID), Seen: seen, Why: printable.Sentence(why), Fix: printable.Sentence(fix)})
		}
		d.macOSCPU(will, tell)
		d.macOSImages(vm, tell)
		noted := func(part string) bool {
			return slices.ContainsFunc(vm.Notes, func(f proxstation.Finding) bool { return strings.HasPrefix(f.ID, "opencore."+part) })
		}
		if will[macos.RecoverySlot] != "" && !noted("image") {
			tell("macos.scan-policy", proxstation.Info, macos.RecoverySlot+" boots the recovery system, from a FAT file system without a partition table (as recovery.WriteDisk makes it)", "with OpenCore's own ScanPolicy, its menu shows only APFS and so no recovery system",
				"set ScanPolicy to 0 in Misc, Security of OpenCore's config.plist")
		}
		card := d.cardOf(will)
		if model := gpu.MacModel(vm.Guest, card); model != "" && !noted("") {
			tell("macos.model", proxstation.Info, "Apple gives "+vm.Guest.String()+" only to certain models of Mac", "the model that OpenCore shows to macOS decides; the VM's smbios1 has no effect",
				"set SystemProductName to "+model+" in PlatformInfo, Generic of OpenCore's config.plist")
		}
		have := d.facts.VMs[vm.ID].Config["machine"]
		if want := will["machine"]; have != "" && want != have && !qmconf.PinsMachine("machine", have, want) {
			tell("macos.machine", proxstation.Warning, fmt.Sprintf("machine: %s becomes %s", have, want), "every device of the guest gets another PCI address, and OpenCore must support this machine type",
				"first configure OpenCore for this machine type, and keep the virtual display until macOS has booted on it")
		}
		if card.Integrated() {
			d.macOSCard(will, tell)
			macOSFit(will, card, tell)
		}
	}
}

type teller func(id string, severity proxstation.Severity, seen, why, fix string)

func (d *differ) macOSCPU(config map[string]string, tell teller) {
	emulated := !strings.Contains(config["args"], "-cpu host")
	if d.facts.CPU != "" && !macos.KnowsCPU(d.facts.CPU) && !emulated {
		tell("macos.cpu", proxstation.Warning, "-cpu host on "+d.facts.CPU, "macOS does not know this processor and stops at once",
			"in args, write -cpu with a processor that Macs had in place of -cpu host (the profile chooses this processor if MacOS.HostCPU is Facts.CPU)")
	}
	if bits := macos.CPUOf(config).AddressBits(0); macos.Hangs(bits) {
		tell("macos.address-bits", proxstation.Warning, fmt.Sprintf("the guest's processor has %d bits of physical address", bits),
			"the firmware puts the card's memory above 16 TiB, and macOS hangs while it sets PCI up", "add host-phys-bits-limit=39 to -cpu host, or phys-bits=39 to another processor")
	}
}

// macOSFit warns if macOS would not recognise the iGPU as an iGPU, or if the
// generation of the processor differs from the generation of the iGPU.
func macOSFit(config map[string]string, card gpu.Card, tell teller) {
	if path := macos.DevicePath(config, "hostpci0"); macos.BehindBridge(path) {
		tell("macos.igpu-place", proxstation.Warning, "hostpci0: "+config["hostpci0"]+" is at "+path, "Lilu takes an Intel display for an integrated one only directly below the PCI root: behind a bridge it gets no driver",
			"add -set device.hostpci0.bus=pcie.0 -set device.hostpci0.addr=2.0 to args, and take pcie=1 out of hostpci0 (the profile's mode headless does both)")
	}
	if cpu := macos.CPUOf(config); !cpu.Fits(card.Family()) {
		fix := "use -cpu host"
		if model := macos.ModelFor(card.Family()); model != "" {
			fix += ", or add " + model + " to -cpu"
		}
		tell("macos.cpu-model", proxstation.Warning, "-cpu "+cpu.String()+" beside "+card.Name(), "Lilu takes the generation of the graphics from the guest's processor, and so loads the drivers of another generation", fix)
	}
}

// macOSImages warns about images on LVM-thin, because some people found the
// first MiB of the copy damaged (github.com/lucid-fabrics/osx-proxmox-next,
// pull request 102).
func (d *differ) macOSImages(vm VM, tell teller) {
	choice, new := d.chosen[diskName(vm.ID, macos.OpenCoreSlot)]
	thin := slices.ContainsFunc(d.facts.Pools, func(p storage.Pool) bool { return p.Name == choice.Pool && p.Type == "lvmthin" })
	if new && thin {
		tell("macos.import", proxstation.Info, macos.OpenCoreSlot+" on "+choice.Pool+", an LVM-thin storage", "some people found the first MiB damaged after PVE had copied an image there: the firmware then sees no OpenCore",
			"if the VM does not boot, write the image's first MiB to the volume again, on the node: dd if=IMAGE of=/dev/VG/VOLUME bs=1M count=1 conv=notrunc")
	}
}

// macOSCard reports what the host loses when the guest gets its iGPU. It also
// reports the firmware settings that macOS needs, because no API shows them.
func (d *differ) macOSCard(config map[string]string, tell teller) {
	tell("macos.console", proxstation.Warning, "the guest gets the host's integrated graphics",
		"the host's console goes dark when the VM starts, and stays dark when it stops: PVE does not give the card back to its driver",
		"reach the host over the network; to get the console back after the VM has stopped, bind the iGPU to i915 again: cd /sys/bus/pci/drivers && echo 0000:00:02.0 > vfio-pci/unbind && echo 0000:00:02.0 > i915/bind")
	tell("macos.firmware", proxstation.Info, "no API shows the settings of the host's firmware", "macOS needs 128 MB for the iGPU, and the iGPU's option ROM needs a host that was started by UEFI",
		"in the firmware: DVMT Pre-Allocated of 128 MB or more, the iGPU as primary display, no CSM")
	h, err := gpu.ParseHostPCI(config["hostpci0"])
	if err != nil || h.ROMFile == "" {
		return
	}
	sum, known := gpu.ROMChecksum(h.ROMFile)
	fix := "put the ROM there, and compare its checksum with the publisher's checksum"
	if known {
		fix = fmt.Sprintf("put the ROM there from %s; sha256sum /usr/share/kvm/%s must say %s", gpu.ROMRelease, h.ROMFile, sum)
	}
	tell("macos.rom", proxstation.Info, "romfile="+h.ROMFile, "QEMU reads /usr/share/kvm/"+h.ROMFile+" on the node and does not start without it; no API shows whether the file is there", fix)
}

// cardOf returns the first card of the node that a VM has.
func (d *differ) cardOf(config map[string]string) gpu.Card {
	node := gpu.Node{Name: d.facts.Node, Functions: d.facts.IOMMU.Functions, Mappings: d.after}
	for _, h := range (VMFacts{Config: config}).hostPCI() {
		for _, a := range slices.Concat(node.Resolve(h)...) {
			if card, ok := gpu.CardAt(d.facts.IOMMU.Functions, a); ok {
				return card
			}
		}
	}
	return gpu.Card{}
}
