package workstation

import (
	"strings"

	"github.com/proxstation/proxstation/storage"
)

// The requirements of Windows 11 (Microsoft, Windows 11 specifications).
const (
	windows11Memory = 4 * storage.GiB
	windows11Disk   = 64 * storage.GiB
)

// checkWindows reports settings with which Windows 11 would not run.
func (vm VM) checkWindows(config map[string]string, problems *problems) {
	if config["tpmstate0"] == "" {
		problems.add(vm, "tpmstate0", "", "Windows 11 needs a TPM 2.0")
	}
	if config["bios"] != "ovmf" || config["efidisk0"] == "" {
		problems.add(vm, "bios", config["bios"], "Windows 11 needs UEFI: bios ovmf and an EFI disk")
	}
	if !strings.Contains(config["machine"], "q35") {
		problems.add(vm, "machine", config["machine"], "Windows 11 wants q35 for Secure Boot and PCIe")
	}
	if size, known := memoryOf(config); known && size < windows11Memory {
		problems.add(vm, "memory", config["memory"], "Windows 11 needs "+windows11Memory.Human())
	}
	for _, disk := range vm.Disks {
		if disk.Purpose == storage.Boot && disk.Size > 0 && disk.Size < windows11Disk {
			problems.add(vm, disk.Slot, disk.Size.String(), "Windows 11 needs "+windows11Disk.Human())
		}
	}
}
