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
// 2.0, q35 and virtio devices; the memory does not balloon, because a
// passed-through card writes to it.
//
// Hyper-V enlightenments need no option: for this ostype PVE switches on what
// QEMU has of them (relaxed, vapic, time, spinlocks, vpindex, synic, stimer,
// ipi and more; qemu-server PVE/QemuServer/CPUConfig.pm,
// get_hyperv_enlightenments), and beside a primary card (x-vga) it hides KVM
// and gives a vendor ID of its own. The hidden=1 and hv-vendor-id that old
// guides ask for, against NVIDIA's code 43, are not needed: NVIDIA's drivers
// allow a GeForce in a VM from 465 on.
type Windows11 struct {
	// ID is the VMID; 0 is 140.
	ID int
	// Name is the VM's name; empty is "windows".
	Name string
	// Cores is the number of virtual CPUs; 0 is 8.
	Cores int
	// Memory is the guest's memory; 0 is 16 GiB.
	Memory storage.Size
	// System is the size of drive C:; 0 is 128 GiB.
	System storage.Size
	// Games is the size of drive D:, on the second tier; 0 is none.
	Games storage.Size
	// Card is the resource mapping of the graphics card; empty is none.
	Card string
	// Bridge is the network bridge; empty is "vmbr0".
	Bridge string
	// Install is the volume of the Windows image, and Drivers of virtio-win
	// (both "local:iso/..."). As long as Install is set, the VM keeps an
	// emulated display to install on; without it and with a Card, the card is
	// the only display.
	Install, Drivers string
	// Tuning is what makes it faster or joins devices to it: pinned cores,
	// huge pages, USB.
	Tuning
}

// VM returns the VM that the profile stands for.
func (p Windows11) VM() workstation.VM {
	vm := base(cmp.Or(p.ID, 140), cmp.Or(p.Name, "windows"), gpu.Windows11)
	vm.Config["ostype"] = "win11"
	vm.Config["cores"] = fmt.Sprint(cmp.Or(p.Cores, 8))
	vm.Config["memory"] = qmconf.MiB(cmp.Or(p.Memory, 16*storage.GiB))
	vm.Config["net0"] = "model=virtio,bridge=" + cmp.Or(p.Bridge, "vmbr0")
	vm.Disks = []workstation.Disk{
		{Slot: "scsi0", Purpose: storage.Boot, Size: cmp.Or(p.System, 128*storage.GiB)},
		{Slot: "efidisk0", Purpose: storage.Firmware, Options: map[string]string{"efitype": "4m", "pre-enrolled-keys": "1"}},
		{Slot: "tpmstate0", Purpose: storage.Firmware, Options: map[string]string{"version": "v2.0"}},
	}
	if p.Games != 0 {
		vm.Disks = append(vm.Disks, workstation.Disk{Slot: "scsi1", Purpose: storage.Games, Size: p.Games})
	}
	attach(&vm, "ide2", p.Install)
	attach(&vm, "ide0", p.Drivers)
	if p.Install != "" {
		vm.Config["boot"] = "order=scsi0;ide2"
	}
	passthrough(&vm, p.Card, p.Install != "", "x-vga=1")
	p.into(&vm)
	return vm
}

// base returns what all workstations have in common.
func base(id int, name string, guest gpu.Guest) workstation.VM {
	return workstation.VM{ID: id, Name: name, Guest: guest, Config: map[string]string{
		"bios": "ovmf", "machine": "q35", "cpu": "host", "sockets": "1", "balloon": "0",
		"scsihw": "virtio-scsi-single", "agent": "enabled=1", "boot": "order=scsi0",
	}}
}

// attach puts an image into a CD drive; an empty volume is no drive.
func attach(vm *workstation.VM, slot, volume string) {
	if volume != "" {
		vm.Disks = append(vm.Disks, workstation.Disk{Slot: slot, Purpose: storage.Image, Volume: volume, Options: map[string]string{"media": "cdrom"}})
	}
}

// passthrough gives the VM a card. While it is being installed the emulated
// display stays the first.
func passthrough(vm *workstation.VM, mapping string, installing bool, primary string) {
	vm.Config["vga"] = "std"
	if mapping == "" {
		return
	}
	vm.Config["hostpci0"] = "mapping=" + mapping + ",pcie=1"
	if !installing && primary != "" {
		vm.Config["hostpci0"] += "," + primary
		vm.Config["vga"] = "none"
	}
}
