package workstation

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

// macOSMemory is the least memory with which the installers of the releases
// since Big Sur run (Apple's system requirements).
const macOSMemory = 4 * storage.GiB

// oskFormat matches keys that QEMU accepts and that need no quotes in args
// (hw/misc/applesmc.c: a key of another length is replaced by zeros).
var oskFormat = regexp.MustCompile(`^[!#-&(-+.-\[\]-~-]{64}$`)

// checkMacOS reports settings with which macOS would not run.
func (vm VM) checkMacOS(config map[string]string, problems *problems) {
	if size, known := memoryOf(config); known && size < macOSMemory {
		problems.add(vm, "memory", config["memory"], "macOS needs "+macOSMemory.Human())
	}
	if config["bios"] != "ovmf" || config["efidisk0"] == "" {
		problems.add(vm, "bios", config["bios"], "macOS needs UEFI: bios ovmf and an EFI disk")
	}
	if model, _ := qmconf.Parse("net0", config["net0"]).Get("model"); model == "virtio" && vm.Guest < gpu.MacOSBigSur {
		problems.add(vm, "net0", config["net0"], vm.Guest.String()+" has no driver for it: use vmxnet3")
	}
}

// checkSMC reports an Apple SMC in a VM whose guest is not macOS.
func (vm VM) checkSMC(config map[string]string, problems *problems) {
	if !vm.Guest.IsMacOS() && vm.Guest != gpu.AnyGuest && strings.Contains(config["args"], "isa-applesmc") {
		problems.add(vm, "guest", vm.Guest.String(), "an Apple SMC is for macOS: choose one of its releases")
	}
}

// checkSecrets reports secrets that are not valid, and secrets in places where
// people would see them.
func (vm VM) checkSecrets(problems *problems) {
	if !vm.OSK.IsZero() && !oskFormat.MatchString(vm.OSK.Reveal()) {
		problems.add(vm, "osk", "", "the key has 64 characters, none of them a blank, a comma, a quote or a backslash")
	}
	if _, there := vm.Config[passwordKey]; there {
		problems.add(vm, passwordKey, "", "a password belongs in VM.Password, so that no plan shows it")
	}
	if !vm.Password.IsZero() && slices.Contains(vm.Absent, passwordKey) {
		problems.add(vm, passwordKey, "", "both wanted and absent")
	}
	for i, key := range qmconf.SSHKeys(vm.Config["sshkeys"]) {
		if why := qmconf.PublicKeyProblem(key); why != "" {
			problems.add(vm, fmt.Sprintf("sshkeys, key %d", i+1), "", why)
		}
	}
}
