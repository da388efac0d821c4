package profile

import (
	"cmp"
	"fmt"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// Windows11 is the profile of a gaming VM: UEFI with Secure Boot keys, a TPM
// 2.0, q35 and virtio devices. The memory does not balloon, because a
// passed-through card writes to it.
//
// If a field is not set, an existing VM keeps its value.
//
// Hyper-V enlightenments need no option. For this ostype PVE switches on all
// enlightenments that QEMU has (relaxed, vapic, time, spinlocks, vpindex,
// synic, stimer, ipi and more; qemu-server PVE/QemuServer/CPUConfig.pm,
// get_hyperv_enlightenments). If the VM has a primary card (x-vga), PVE also
// hides KVM and sets a vendor ID of its own. Old guides ask for hidden=1 and
// hv-vendor-id against NVIDIA's code 43. Neither is needed: NVIDIA's drivers
// allow a GeForce in a VM from 465 on.
type Windows11 struct {
	// ID is the VMID; 0 is 140.
	ID int
	// Name is the VM's name; the default is "windows".
	Name string
	// Cores is the number of virtual CPUs; 0 is 8.
	Cores int
	// Memory is the guest's memory; 0 is 16 GiB.
	Memory storage.Size
	// System is the size of drive C:; 0 is 128 GiB.
	System storage.Size
	// Games is the size of drive D:, on the second tier. 0 means no such drive.
	Games storage.Size
	// Card is the resource mapping of the graphics card. It is empty for a VM
	// without a card.
	Card string
	// Bridge is the network bridge; the default is "vmbr0".
	Bridge string
	// Install is the volume of the Windows image, and Drivers is the volume of
	// the virtio-win image (both "local:iso/..."). A VM that is made with
	// Install has an emulated display for the installation. A VM without
	// Install but with a Card has the card as its only display.
	Install, Drivers string
	// OnlyDisplay makes the Card the only display of an existing VM. Set it
	// once Windows and the card's driver are installed.
	OnlyDisplay bool
	// Tuning makes the VM faster or joins devices to it: pinned cores, huge
	// pages, USB.
	Tuning
}

// VM returns the VM that the profile describes.
func (p Windows11) VM() workstation.VM {
	vm := base(cmp.Or(p.ID, 140), cmp.Or(p.Name, "windows"), gpu.Windows11)
	vm.Defaults["ostype"] = "win11"
	size(&vm, p.Cores, 8, p.Memory, 16*storage.GiB)
	network(&vm, "virtio", p.Bridge)
	vm.Disks = []workstation.Disk{
		{Slot: "scsi0", Purpose: storage.Boot, Size: p.System, NewSize: 128 * storage.GiB},
		{Slot: "efidisk0", Purpose: storage.Firmware, Options: map[string]string{"efitype": "4m", "pre-enrolled-keys": "1"}, NewSize: firmwareSize},
		{Slot: "tpmstate0", Purpose: storage.Firmware, Options: map[string]string{"version": "v2.0"}, NewSize: firmwareSize},
	}
	if p.Games != 0 {
		vm.Disks = append(vm.Disks, workstation.Disk{Slot: "scsi1", Purpose: storage.Games, Size: p.Games})
	}
	attach(&vm, "ide2", p.Install)
	attach(&vm, "ide0", p.Drivers)
	if p.Install != "" {
		vm.Defaults["boot"] = "order=scsi0;ide2"
	}
	passthrough(&vm, p.Card, p.Install != "", "x-vga=1")
	if p.OnlyDisplay && p.Card != "" {
		vm.Config["hostpci0"], vm.Config["vga"] = "mapping="+p.Card+",x-vga=1", "none"
	}
	p.into(&vm)
	return vm
}

// The function "base" returns the settings that all profiles of workstations
// share. All are defaults.
func base(id int, name string, guest gpu.Guest) workstation.VM {
	return workstation.VM{ID: id, Name: name, Guest: guest, Config: map[string]string{}, Defaults: map[string]string{
		"bios": "ovmf", "machine": "q35", "cpu": "host", "sockets": "1", "balloon": "0",
		"scsihw": "virtio-scsi-single", "agent": "enabled=1", "boot": "order=scsi0",
	}}
}

// firmwareSize is the approximate size of the volumes that PVE makes for the
// firmware, the TPM and cloud-init.
const firmwareSize = 4 * storage.MiB

// The function "size" sets the number of processors and the memory. A field
// that is 0 gets its default.
func size(vm *workstation.VM, cores, defaultCores int, memory, defaultMemory storage.Size) {
	vm.Defaults["cores"], vm.Defaults["memory"] = fmt.Sprint(defaultCores), qmconf.MiB(defaultMemory)
	if cores != 0 {
		vm.Config["cores"] = fmt.Sprint(cores)
	}
	if memory != 0 {
		vm.Config["memory"] = qmconf.MiB(memory)
	}
}

// The function "network" gives the VM a network card.
func network(vm *workstation.VM, model, bridge string) {
	vm.Defaults["net0"] = "model=" + model + ",bridge=vmbr0"
	if bridge != "" {
		vm.Config["net0"] = "bridge=" + bridge
	}
}

// The function "attach" puts an image into a CD drive. If there is no volume,
// the VM gets no drive.
func attach(vm *workstation.VM, slot, volume string) {
	if volume != "" {
		vm.Disks = append(vm.Disks, workstation.Disk{Slot: slot, Purpose: storage.Image, Volume: volume, Options: map[string]string{"media": "cdrom"}})
	}
}

// passthrough gives the VM a card. During the installation the emulated display
// stays the first display.
func passthrough(vm *workstation.VM, mapping string, installing bool, primary string) {
	vm.Defaults["vga"] = "std"
	if mapping == "" {
		return
	}
	vm.Config["hostpci0"], vm.Defaults["hostpci0"] = "mapping="+mapping, "pcie=1"
	if !installing && primary != "" {
		vm.Defaults["hostpci0"] += "," + primary
		vm.Defaults["vga"] = "none"
	}
}
