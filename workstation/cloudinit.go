package workstation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// CloudInitDrive is the Volume of a [Disk] that is the drive of cloud-init: PVE
// makes it, 4 MiB on a storage for disks, and writes it anew from the
// configuration at every start (PVE manual, Cloud-Init Support).
const CloudInitDrive = "cloudinit"

// passwordKey is the key that PVE tells as "**********" (qemu-server
// PVE/API2/Qemu.pm).
const passwordKey = "cipassword"

// withPassword returns the values with the password among them, to send.
func withPassword(values map[string]string, password proxstation.Secret) map[string]string {
	if password.IsZero() {
		return values
	}
	sent := map[string]string{passwordKey: password.Reveal()}
	for key, value := range values {
		sent[key] = value
	}
	return sent
}

func passwordLines(password proxstation.Secret) []Line {
	if password.IsZero() {
		return nil
	}
	return []Line{{Sign: Add, Key: passwordKey, Want: password.String()}}
}

func (d Disk) cloudInit() bool { return d.Volume == CloudInitDrive }

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

// checkNewCloudInit refuses a drive of cloud-init in place of a disk, and a
// second one, which PVE refuses.
func (d *differ) checkNewCloudInit(vm VM, slot string, have map[string]string) {
	d.checkReplaced(vm, Disk{Slot: slot, Volume: CloudInitDrive}, have[slot])
	for _, key := range slices.Sorted(maps.Keys(have)) {
		if qmconf.IsSlot(key) && qmconf.IsCloudInit(have[key]) {
			d.problems.add(vm, slot, "", "the VM has its drive of cloud-init at "+key)
		}
	}
}
