package macos

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// A Change is a plan that makes or changes a VM with macOS.
type Change struct {
	VM    int
	Guest gpu.Guest
	// Machine is the machine type before the change; empty if it is not set, or
	// if the VM is new.
	Machine string
	Config  map[string]string     // the configuration after the change
	Card    gpu.Card              // the VM's first card; a Card without functions if the VM has no card
	Notes   []proxstation.Finding // what is known about the VM's OpenCore image
	// HostCPU is the model name of the host's processor; empty if it is not
	// known.
	HostCPU string
	// Thin is the LVM-thin storage to which the plan copies the image of
	// OpenCore; empty if there is no such storage.
	Thin string
}

// Check reports what keeps macOS from starting after the change, and what only a
// person can check.
func (c Change) Check() []proxstation.Finding {
	j := &judgement{Change: c}
	j.cpu()
	j.image()
	noted := func(part string) bool {
		return slices.ContainsFunc(c.Notes, func(f proxstation.Finding) bool { return strings.HasPrefix(f.ID, "opencore."+part) })
	}
	if c.Config[RecoverySlot] != "" && !noted("image") {
		j.tell("macos.scan-policy", proxstation.Info, RecoverySlot+" boots the recovery system, from a FAT file system without a partition table (as recovery.WriteDisk makes it)", "with OpenCore's own ScanPolicy, its menu shows only APFS and so no recovery system",
			"set ScanPolicy to 0 in Misc, Security of OpenCore's config.plist")
	}
	if model := gpu.MacModel(c.Guest, c.Card); model != "" && !noted("") {
		j.tell("macos.model", proxstation.Info, "Apple gives "+c.Guest.String()+" only to certain models of Mac", "the model that OpenCore shows to macOS decides; the VM's smbios1 has no effect",
			"set SystemProductName to "+model+" in PlatformInfo, Generic of OpenCore's config.plist")
	}
	have := c.Machine
	if want := c.Config["machine"]; have != "" && want != have && !qmconf.PinsMachine("machine", have, want) {
		j.tell("macos.machine", proxstation.Warning, fmt.Sprintf("machine: %s becomes %s", have, want), "every device of the guest gets another PCI address, and OpenCore must support this machine type",
			"first configure OpenCore for this machine type, and keep the virtual display until macOS has booted on it")
	}
	if c.Card.Integrated() {
		j.card()
		j.fit()
	}
	return j.findings
}

type judgement struct {
	Change
	findings []proxstation.Finding
}

func (j *judgement) tell(id string, severity proxstation.Severity, seen, why, fix string) {
	j.findings = append(j.findings, proxstation.Finding{ID: id, Severity: severity, Subject: fmt.Sprintf("VM %d", j.VM), Seen: seen, Why: printable.Sentence(why), Fix: printable.Sentence(fix)})
}

func (j *judgement) cpu() {
	emulated := !strings.Contains(j.Config["args"], "-cpu host")
	if j.HostCPU != "" && !KnowsCPU(j.HostCPU) && !emulated {
		j.tell("macos.cpu", proxstation.Warning, "-cpu host on "+j.HostCPU, "macOS does not know this processor and stops at once",
			"in args, write -cpu with a processor that Macs had in place of -cpu host (the profile chooses this processor if MacOS.HostCPU is Facts.CPU)")
	}
	if bits := CPUOf(j.Config).AddressBits(0); Hangs(bits) {
		j.tell("macos.address-bits", proxstation.Warning, fmt.Sprintf("the guest's processor has %d bits of physical address", bits),
			"the firmware puts the card's memory above 16 TiB, and macOS hangs while it sets PCI up", "add host-phys-bits-limit=39 to -cpu host, or phys-bits=39 to another processor")
	}
}

// fit warns if macOS would not recognise the iGPU as an iGPU, or if the
// generation of the processor differs from the generation of the iGPU.
func (j *judgement) fit() {
	if path := DevicePath(j.Config, "hostpci0"); BehindBridge(path) {
		j.tell("macos.igpu-place", proxstation.Warning, "hostpci0: "+j.Config["hostpci0"]+" is at "+path, "Lilu takes an Intel display for an integrated one only directly below the PCI root: behind a bridge it gets no driver",
			"add -set device.hostpci0.bus=pcie.0 -set device.hostpci0.addr=2.0 to args, and take pcie=1 out of hostpci0 (the profile's mode headless does both)")
	}
	if cpu := CPUOf(j.Config); !cpu.Fits(j.Card.Family()) {
		fix := "use -cpu host"
		if model := ModelFor(j.Card.Family()); model != "" {
			fix += ", or add " + model + " to -cpu"
		}
		j.tell("macos.cpu-model", proxstation.Warning, "-cpu "+cpu.String()+" beside "+j.Card.Name(), "Lilu takes the generation of the graphics from the guest's processor, and so loads the drivers of another generation", fix)
	}
}

// image warns about images on LVM-thin, because some people found the
// first MiB of the copy damaged (github.com/lucid-fabrics/osx-proxmox-next,
// pull request 102).
func (j *judgement) image() {
	if j.Thin != "" {
		j.tell("macos.import", proxstation.Info, OpenCoreSlot+" on "+j.Thin+", an LVM-thin storage", "some people found the first MiB damaged after PVE had copied an image there: the firmware then sees no OpenCore",
			"if the VM does not boot, write the image's first MiB to the volume again, on the node: dd if=IMAGE of=/dev/VG/VOLUME bs=1M count=1 conv=notrunc")
	}
}

// card reports what the host loses when the guest gets its iGPU. It also
// reports the firmware settings that macOS needs, because no API shows them.
func (j *judgement) card() {
	j.tell("macos.console", proxstation.Warning, "the guest gets the host's integrated graphics",
		"the host's console goes dark when the VM starts, and stays dark when it stops: PVE does not give the card back to its driver",
		"reach the host over the network; to get the console back after the VM has stopped, bind the iGPU to i915 again: cd /sys/bus/pci/drivers && echo 0000:00:02.0 > vfio-pci/unbind && echo 0000:00:02.0 > i915/bind")
	j.tell("macos.firmware", proxstation.Info, "no API shows the settings of the host's firmware", "macOS needs 128 MB for the iGPU, and the iGPU's option ROM needs a host that was started by UEFI",
		"in the firmware: DVMT Pre-Allocated of 128 MB or more, the iGPU as primary display, no CSM")
	h, err := gpu.ParseHostPCI(j.Config["hostpci0"])
	if err != nil || h.ROMFile == "" {
		return
	}
	sum, known := gpu.ROMChecksum(h.ROMFile)
	fix := "put the ROM there, and compare its checksum with the publisher's checksum"
	if known {
		fix = fmt.Sprintf("put the ROM there from %s; sha256sum /usr/share/kvm/%s must say %s", gpu.ROMRelease, h.ROMFile, sum)
	}
	j.tell("macos.rom", proxstation.Info, "romfile="+h.ROMFile, "QEMU reads /usr/share/kvm/"+h.ROMFile+" on the node and does not start without it; no API shows whether the file is there", fix)
}
