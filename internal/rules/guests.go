package rules

import (
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/privilege"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

// The requirements of Windows 11 (Microsoft, Windows 11 specifications).
const (
	windows11Memory = 4 * storage.GiB
	// Windows11Disk is the smallest system disk.
	Windows11Disk = 64 * storage.GiB
)

// checkWindows reports settings with which Windows 11 would not run.
func checkWindows(config map[string]string, faults *faults) {
	if config["tpmstate0"] == "" {
		faults.add("tpmstate0", "", "Windows 11 needs a TPM 2.0")
	}
	if config["bios"] != "ovmf" || config["efidisk0"] == "" {
		faults.add("bios", config["bios"], "Windows 11 needs UEFI: bios ovmf and an EFI disk")
	}
	if !strings.Contains(config["machine"], "q35") {
		faults.add("machine", config["machine"], "Windows 11 wants q35 for Secure Boot and PCIe")
	}
	if size, known := Memory(config); known && size < windows11Memory {
		faults.add("memory", config["memory"], "Windows 11 needs "+windows11Memory.Human())
	}
}

// macOSMemory is the least memory with which the installers of the releases
// since Big Sur run (Apple's system requirements).
const macOSMemory = 4 * storage.GiB

// checkMacOS reports settings with which macOS would not run.
func checkMacOS(guest gpu.Guest, config map[string]string, faults *faults) {
	if size, known := Memory(config); known && size < macOSMemory {
		faults.add("memory", config["memory"], "macOS needs "+macOSMemory.Human())
	}
	if config["bios"] != "ovmf" || config["efidisk0"] == "" {
		faults.add("bios", config["bios"], "macOS needs UEFI: bios ovmf and an EFI disk")
	}
	if model, _ := qmconf.Parse("net0", config["net0"]).Get("model"); model == "virtio" && guest < gpu.MacOSBigSur {
		faults.add("net0", config["net0"], guest.String()+" has no driver for it: use vmxnet3")
	}
}

// checkSMC reports an Apple SMC in a VM whose guest is not macOS.
func checkSMC(guest gpu.Guest, config map[string]string, faults *faults) {
	if !guest.IsMacOS() && guest != gpu.AnyGuest && strings.Contains(config["args"], "isa-applesmc") {
		faults.add("guest", guest.String(), "an Apple SMC is for macOS: choose one of its releases")
	}
}

// checkCloudInit reports values that cloud-init could not use.
func checkCloudInit(config map[string]string, faults *faults) {
	drives := 0
	for _, slot := range qmconf.Slots(config) {
		if qmconf.IsCloudInit(config[slot]) {
			drives++
		}
	}
	if drives > 1 {
		faults.add("disk", "", "a VM has one drive of cloud-init")
	}
	for _, key := range slices.Sorted(maps.Keys(config)) {
		if drives == 0 && privilege.IsCloudInit(key) {
			faults.add(key, "", "it has no effect without a cloud-init drive: use it with a cloud image, not with an installer")
		}
		if qmconf.Family(key) == "ipconfig" {
			if why := qmconf.IPConfigProblem(config[key]); why != "" {
				faults.add(key, config[key], why)
			}
		}
	}
}
