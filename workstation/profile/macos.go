package profile

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/macos"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/opencore"
)

// MacOS is the profile of a macOS VM on an Intel iGPU. Only the caller can
// supply the OSK and the two images. All other fields have useful defaults.
//
// If a field is not set, an existing VM keeps its value: its slots, its
// arguments, its virtual display.
//
// The VM is built in two stages. In the first stage macOS is installed on a
// virtual display. The second stage is a small change: the VM gets its card.
//
//	mac := MacOS{OSK: osk, OpenCore: "local:import/opencore.raw", Recovery: "local:import/recovery-sequoia.raw",
//		HostCPU: facts.CPU, Card: card, Mapping: "igpu"} // card is one of facts.Cards()
//	spec.VMs = append(spec.VMs, mac.VM())                // the first stage
//	mac.Stage = MacOnCard                    // later
//
// OpenCore boots macOS, and its config.plist decides which Mac macOS sees. The
// smbios1 that PVE gives the VM is valid only until OpenCore replaces it
// (OpenCore Configuration, PlatformInfo: UpdateSMBIOS). So the profile leaves
// smbios1 alone. [MacModel] returns the value for SystemProductName (in
// PlatformInfo, Generic). [Diff] reports this value as a finding.
//
// Both stages set args. PVE allows that only to root@pam with a password, as
// the plan says. For a clean shutdown the guest needs its guest agent (qemu-ga
// for macOS).
type MacOS struct {
	// ID is the VMID; 0 is 130.
	ID int
	// Name is the VM's name; the default is "macos".
	Name string
	// Release is the release of macOS; the default is Sequoia.
	Release gpu.Guest
	// Stage is the stage of the VM. The default is MacInstall, which leaves the
	// card of an existing VM as it is.
	Stage MacStage
	// Cores is the number of virtual CPUs; 0 is 4. OSX-PROXMOX allows only
	// powers of two.
	Cores int
	// Memory is the guest's memory; 0 is 16 GiB.
	Memory storage.Size
	// System is the size of the system's disk; 0 means 128 GiB. Data is the
	// size of a second disk, on the second tier; 0 means no second disk.
	System, Data storage.Size
	// Bridge is the network bridge; the default is "vmbr0".
	Bridge string
	// Network is the model of the network card; the default is VMXNET3.
	Network MacNetwork
	// Screen is the virtual display; the default is VMwareSVGA.
	Screen MacScreen

	// Card is the graphics card, one of [Facts.Cards]. If the Card is set in
	// the first stage, it already decides the machine type, which should not
	// change under an installed macOS. Mapping is the resource mapping with
	// which the VM names the card. If Mapping is empty, the VM names the card's
	// address.
	Card    gpu.Card
	Mapping string
	// Mode is how an Intel iGPU is passed through. The default is a mode that
	// suits the iGPU.
	Mode IGPUMode
	// ROM is the option ROM in the node's /usr/share/kvm. If it is empty, the
	// profile chooses a ROM that suits card and mode; see [gpu.CheckROM].
	ROM string

	// HostCPU is the model name of the host's processor, [Facts].CPU. An empty
	// HostCPU means an Intel processor before the 12th generation. CPU is the
	// value of QEMU's -cpu. If CPU is empty, the profile chooses a value that
	// suits HostCPU and Release.
	HostCPU, CPU string
	// OSK is a key of 64 characters, for which macOS asks the system management
	// controller. The key belongs to the owner of a Mac, and our code does not
	// contain it. It appears in no plan and no error. If it is not set, the VM
	// keeps its own key.
	//
	// On the node it is no secret: every change of args puts it into the VM's
	// configuration, QEMU's command line in the list of processes, and the logs
	// of PVE's tasks and cluster (qemu-server PVE/API2/Qemu.pm logs all
	// parameters but cipassword). Nothing over the API can prevent that.
	OSK proxstation.Secret
	// OpenCore and Recovery are the images of the boot loader and of the
	// recovery system. Each is a volume of content type import
	// ("local:import/..."), a file on the node ("/var/lib/vz/template/iso/...",
	// for root@pam with a password) or a disk that the VM has. They become
	// disks, because OpenCore does not look for a recovery system on CDs.
	// Without OpenCore the VM boots from its system disk.
	OpenCore, Recovery string
	// Image is the plan with which OpenCore was made from another OpenCore
	// image. If Image is set, the VM's plan lists the changes in the image. See
	// [MacOS.Machine].
	Image opencore.Plan
	// Tuning joins devices to the VM or pins its CPUs.
	Tuning

	loaderSlot, bootOrder string // set by BeforeLoader
}

// A MacStage is a stage in the life of a macOS VM.
type MacStage uint8

// These are the stages of a macOS VM.
const (
	MacInstall MacStage = iota // macOS is being installed, on a virtual display
	MacOnCard                  // the VM has its graphics card
	MacOffCard                 // the VM is on a virtual display again, without the card
)

// A MacNetwork is a network card for which macOS has a driver.
type MacNetwork string

// These are the network cards for macOS.
const (
	VMXNET3       MacNetwork = "vmxnet3" // works with all releases
	VirtIONetwork MacNetwork = "virtio"  // works from Big Sur on
)

// A MacScreen is a virtual display that works in macOS, without acceleration.
type MacScreen string

// These are the virtual displays for macOS.
const (
	VMwareSVGA MacScreen = "vmware"
	VirtIOGPU  MacScreen = "virtio"
)

func (p MacOS) release() gpu.Guest { return cmp.Or(p.Release, gpu.MacOSSequoia) }

// VM returns the VM that the profile describes.
func (p MacOS) VM() workstation.VM {
	vm := base(cmp.Or(p.ID, 130), cmp.Or(p.Name, "macos"), p.release())
	mode := p.mode()
	vm.OSK = p.OSK
	vm.Defaults["ostype"] = "other"
	vm.Defaults["machine"] = mode.machine()
	size(&vm, p.Cores, 4, p.Memory, 16*storage.GiB)
	network(&vm, string(cmp.Or(p.Network, VMXNET3)), p.Bridge)
	if p.Network != "" {
		vm.Config["net0"] = strings.TrimSuffix("model="+string(p.Network)+","+vm.Config["net0"], ",")
	}
	vm.Defaults["vga"] = string(VMwareSVGA)
	if p.Screen != "" {
		vm.Config["vga"] = string(p.Screen)
	}
	vm.Defaults["tablet"] = "0" // the arguments add a USB tablet that macOS recognizes
	p.disks(&vm)
	if p.Stage != MacOffCard {
		vm.Notes = p.loaderNotes(vm.ID)
	}
	p.args(&vm, mode)
	p.into(&vm)
	return vm
}

// disks gives the VM its disks and images.
func (p MacOS) disks(vm *workstation.VM) {
	system, data := "virtio0", "virtio1"
	if p.release() < gpu.MacOSCatalina {
		system, data = "sata0", "sata1"
	}
	vm.Disks = []workstation.Disk{
		{Slot: system, Purpose: storage.Boot, Size: p.System, NewSize: 128 * storage.GiB},
		{Slot: "efidisk0", Purpose: storage.Firmware, Options: map[string]string{"efitype": "4m", "pre-enrolled-keys": "0"}, NewSize: firmwareSize},
	}
	if p.Data != 0 {
		vm.Disks = append(vm.Disks, workstation.Disk{Slot: data, Purpose: storage.Data, Size: p.Data})
	}
	vm.Defaults["boot"] = "order=" + system
	switch {
	case p.OpenCore != "" && p.loaderSlot != "":
		vm.Config["boot"] = p.bootOrder
		insert(vm, p.loaderSlot, storage.Data, p.OpenCore)
	case p.OpenCore != "":
		vm.Defaults["boot"] = "order=" + macos.OpenCoreSlot + ";" + system
		insert(vm, macos.OpenCoreSlot, storage.Firmware, p.OpenCore)
	}
	if p.Recovery != "" {
		insert(vm, macos.RecoverySlot, storage.Scratch, p.Recovery)
	}
}

// noHotplug keeps macOS from treating its devices as removable devices. It is
// needed on q35 from QEMU 6.1 on. PVE 8 and 9 have only later versions of QEMU.
const noHotplug = "-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"

// The method "args" gives the VM QEMU's arguments. A new VM gets all arguments
// that macOS needs. An existing VM gets only the arguments that a field asks
// for.
func (p MacOS) args(vm *workstation.VM, mode cardMode) {
	smc := macos.HideOSK("-device isa-applesmc,osk=")
	args := []string{smc, "-smbios type=2",
		"-device qemu-xhci,id=mac-xhci", "-device usb-kbd,id=mac-kbd,bus=mac-xhci.0", "-device usb-tablet,id=mac-tablet,bus=mac-xhci.0"}
	args = append(args, p.cpuArgs()...)
	if mode.machine() == "q35" {
		args = append(args, noHotplug)
	}
	card := p.giveCard(vm, mode)
	vm.Defaults["args"] = strings.Join(append(args, card...), " ")
	var asked []string
	if !p.OSK.IsZero() {
		asked = append(asked, smc)
	}
	if p.CPU != "" {
		asked = append(asked, p.cpuArgs()...)
	}
	if len(card) > 0 && mode.machine() == "q35" { // the card may turn an existing VM into q35
		asked = append(asked, noHotplug)
	}
	if asked = append(asked, card...); len(asked) > 0 {
		vm.Config["args"] = strings.Join(asked, " ")
	}
}

// The function "insert" adds an image as a disk. If the image is a disk of the
// VM already, this disk is attached. Any other image is copied.
func insert(vm *workstation.VM, slot string, purpose storage.Purpose, image string) {
	disk := workstation.Disk{Slot: slot, Purpose: purpose, Options: map[string]string{"media": "disk"}}
	_, volume, _ := qmconf.CutVolume(image)
	if !strings.HasPrefix(volume, "import/") && strings.HasPrefix(volume[strings.LastIndex(volume, "/")+1:], fmt.Sprintf("vm-%d-", vm.ID)) {
		disk.Volume = image
	} else {
		disk.Import = image
	}
	vm.Disks = append(vm.Disks, disk)
}
