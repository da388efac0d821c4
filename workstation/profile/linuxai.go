package profile

import (
	"cmp"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// LinuxAI is the profile of a VM that runs models on the card. It has UEFI
// without enrolled keys, so that the card's modules need no signature, and a
// disk for models on the second tier. It keeps the emulated display: the card
// only computes, and PVE's console is useful. The memory does not balloon,
// because it is pinned: a passed-through card writes to it.
//
// If a field is not set, an existing VM keeps its value.
//
// The guest needs a driver that supports the card. Only NVIDIA's open kernel
// modules from version 570 on support Blackwell (RTX 50). [Diff] reports an
// unsuitable driver as a finding (gpu.conditions).
type LinuxAI struct {
	// ID is the VMID; 0 is 141.
	ID int
	// Name is the VM's name; the default is "linux-ai".
	Name string
	// Cores is the number of virtual CPUs; 0 is 8.
	Cores int
	// Memory is the guest's memory; 0 is 32 GiB.
	Memory storage.Size
	// System is the size of the root disk; 0 is 64 GiB.
	System storage.Size
	// Models is the size of the disk for models and their cache. 0 means no
	// such disk.
	Models storage.Size
	// Card is the resource mapping of the graphics card. It is empty for a VM
	// without a card.
	Card string
	// Bridge is the network bridge; the default is "vmbr0".
	Bridge string
	// Image is the volume of a cloud image that becomes the root disk
	// ("local:import/..."). To use an installer in place of a cloud image, set
	// Install to its volume ("local:iso/...").
	Image, Install string
	// CloudInit configures the cloud image at its first boot.
	CloudInit CloudInit
	// Tuning makes the VM faster.
	Tuning
}

// VM returns the VM that the profile describes.
func (p LinuxAI) VM() workstation.VM {
	vm := base(cmp.Or(p.ID, 141), cmp.Or(p.Name, "linux-ai"), gpu.Linux)
	vm.Defaults["ostype"] = "l26"
	size(&vm, p.Cores, 8, p.Memory, 32*storage.GiB)
	network(&vm, "virtio", p.Bridge)
	vm.Disks = []workstation.Disk{
		{Slot: "scsi0", Purpose: storage.Boot, Size: p.System, NewSize: 64 * storage.GiB, Import: p.Image},
		{Slot: "efidisk0", Purpose: storage.Firmware, Options: map[string]string{"efitype": "4m", "pre-enrolled-keys": "0"}, NewSize: firmwareSize},
	}
	if p.Models != 0 {
		vm.Disks = append(vm.Disks, workstation.Disk{Slot: "scsi1", Purpose: storage.Models, Size: p.Models})
	}
	if p.Image != "" || !p.CloudInit.isZero() {
		p.CloudInit.into(&vm, "ide2")
		vm.Defaults["serial0"] = "socket" // many cloud images need a serial port (PVE manual, Cloud-Init Support)
	}
	attach(&vm, "ide2", p.Install)
	if p.Install != "" {
		vm.Defaults["boot"] = "order=scsi0;ide2"
	}
	p.into(&vm)
	passthrough(&vm, p.Card, p.Install != "", "")
	return vm
}
