package workstation

import (
	"maps"
	"slices"

	"github.com/proxstation/proxstation/internal/privilege"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// checkCloudInit reports values that cloud-init could not use.
func (vm VM) checkCloudInit(config map[string]string, problems *problems) {
	drives := 0
	for _, slot := range qmconf.Slots(config) {
		if qmconf.IsCloudInit(config[slot]) {
			drives++
		}
	}
	if drives > 1 {
		problems.add(vm, "disk", "", "a VM has one drive of cloud-init")
	}
	for _, key := range slices.Sorted(maps.Keys(config)) {
		if drives == 0 && privilege.IsCloudInit(key) {
			problems.add(vm, key, "", "it has no effect without a cloud-init drive: use it with a cloud image, not with an installer")
		}
		if qmconf.Family(key) == "ipconfig" {
			if why := qmconf.IPConfigProblem(config[key]); why != "" {
				problems.add(vm, key, config[key], why)
			}
		}
	}
	if drives == 0 && !vm.Password.IsZero() {
		problems.add(vm, passwordKey, "", "it has no effect without a cloud-init drive")
	}
}
