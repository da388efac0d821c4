package workstation

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/internal/rules"
	"github.com/proxstation/proxstation/storage"
)

// checkRules reports settings with which the guest would not run, and settings
// that PVE would refuse when the VM starts. The argument "config" is the whole
// configuration, with the drives. The argument "more" holds faults that the
// caller has found. They are reported too.
func (vm VM) checkRules(config map[string]string, more []rules.Fault) problems {
	var problems problems
	problems.addFaults(vm, rules.Check(vm.Guest, config))
	for _, disk := range vm.Disks {
		if vm.Guest == gpu.Windows11 && disk.Purpose == storage.Boot && disk.Size > 0 && disk.Size < rules.Windows11Disk {
			problems.add(vm, disk.Slot, disk.Size.String(), "Windows 11 needs "+rules.Windows11Disk.Human())
		}
	}
	isCloudInit := func(slot string) bool { return qmconf.IsCloudInit(config[slot]) }
	if !vm.Password.IsZero() && !slices.ContainsFunc(qmconf.Slots(config), isCloudInit) {
		problems.add(vm, passwordKey, "", "it has no effect without a cloud-init drive")
	}
	problems.addFaults(vm, more)
	return problems
}

// checkAbsent reports keys that the Spec sets although Absent names them, and
// drives that Absent names.
func (vm VM) checkAbsent(problems *problems) {
	for _, name := range vm.Absent {
		key, _ := qmconf.CutAbsent(name)
		switch {
		case qmconf.IsSlot(key):
			problems.add(vm, name, "", "drives belong in Disks, so that no drive is dropped by accident")
		case key == "name" || slices.Contains(qmconf.NoSettings, key):
			problems.add(vm, name, "", "it is not a setting that can be removed")
		case qmconf.Holds(vm.Config, name):
			problems.add(vm, name, "", "both wanted and absent")
		}
	}
}

// oskFormat matches keys that QEMU accepts and that need no quotes in args
// (hw/misc/applesmc.c: a key of another length is replaced by zeros).
var oskFormat = regexp.MustCompile(`^[!#-&(-+.-\[\]-~-]{64}$`)

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
