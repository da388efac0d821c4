package workstation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/qmconf"
)

// checkCloudInit reports what cloud-init could make nothing of.
func (vm VM) checkCloudInit(problems *problems) {
	drives := 0
	for _, disk := range vm.Disks {
		if disk.cloudInit() {
			drives++
		}
	}
	if drives > 1 {
		problems.add(vm, "disk", "", "a VM has one drive of cloud-init")
	}
	if _, there := vm.Config[passwordKey]; there {
		problems.add(vm, passwordKey, "", "a password belongs in VM.Password, so that no plan shows it")
	}
	for _, key := range slices.Sorted(maps.Keys(vm.Config)) {
		privilege := keyPrivileges[qmconf.Family(key)]
		if drives == 0 && strings.Contains(privilege, "Cloudinit") {
			problems.add(vm, key, "", "without a drive of cloud-init it reaches nobody: it goes with a cloud image, not with an installer")
		}
		if qmconf.Family(key) == "ipconfig" {
			if why := qmconf.IPConfigProblem(vm.Config[key]); why != "" {
				problems.add(vm, key, vm.Config[key], why)
			}
		}
	}
	switch {
	case vm.Password.IsZero():
	case drives == 0:
		problems.add(vm, passwordKey, "", "without a drive of cloud-init it reaches nobody")
	case slices.Contains(vm.Absent, passwordKey):
		problems.add(vm, passwordKey, "", "both wanted and absent")
	}
	for i, key := range qmconf.SSHKeys(vm.Config["sshkeys"]) {
		if why := qmconf.PublicKeyProblem(key); why != "" {
			problems.add(vm, fmt.Sprintf("sshkeys, key %d", i+1), "", why)
		}
	}
}
