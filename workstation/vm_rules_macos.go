package workstation

import (
	"regexp"
	"strings"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

// macOSMemory is the least that the installers of the releases since Big Sur
// run in (Apple's system requirements).
const macOSMemory = 4 * storage.GiB

// oskFormat is what QEMU takes for a key (hw/misc/applesmc.c: another length
// is replaced by a key of zeros) and what needs no quotes in args.
var oskFormat = regexp.MustCompile(`^[!#-&(-+.-\[\]-~-]{64}$`)

// checkMacOS reports what macOS would not run with.
func (vm VM) checkMacOS(problems *problems) {
	for _, disk := range vm.Disks {
		if strings.Contains(disk.Import, ":iso/") {
			problems.add(vm, disk.Slot, disk.Import, "PVE makes disks of volumes of content type import, not iso: bring the file there as .raw, or name its path on the node, as root@pam with a password")
		}
	}
	if !vm.OSK.IsZero() && !oskFormat.MatchString(vm.OSK.Reveal()) {
		problems.add(vm, "osk", "", "the key has 64 characters, none of them a blank, a comma, a quote or a backslash")
	}
	if !vm.Guest.IsMacOS() {
		if strings.Contains(vm.Config["args"], "isa-applesmc") {
			problems.add(vm, "guest", vm.Guest.String(), "an Apple SMC is for macOS: choose one of its releases")
		}
		return
	}
	if size, err := storage.ParseSize(vm.Config["memory"] + "M"); err != nil || size < macOSMemory {
		problems.add(vm, "memory", vm.Config["memory"], "macOS needs "+macOSMemory.Human())
	}
	if vm.Config["bios"] != "ovmf" || !vm.has("efidisk0") {
		problems.add(vm, "bios", vm.Config["bios"], "macOS needs UEFI: bios ovmf and an EFI disk")
	}
	if model, _ := qmconf.Parse("net0", vm.Config["net0"]).Get("model"); model == "virtio" && vm.Guest < gpu.MacOSBigSur {
		problems.add(vm, "net0", vm.Config["net0"], vm.Guest.String()+" has no driver for it: use vmxnet3")
	}
	if value, there := vm.Config["hostpci0"]; there && value == "" {
		problems.add(vm, "hostpci0", "", "the second stage needs the Card, one of Facts.Cards")
	}
}
