package workstation

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// checkNumbers reports processors and memory that PVE would not take
// (qm.conf manual page: cores, sockets; memory in MiB).
func (vm VM) checkNumbers(problems *problems) {
	if n, err := strconv.Atoi(vm.Config["cpuunits"]); err == nil && n > 10000 {
		problems.add(vm, "cpuunits", vm.Config["cpuunits"], "PVE keeps 10000 at the most (pve-common PVE/CGroup.pm, for cgroup v2)")
	}
	for _, number := range []struct {
		key   string
		least int
	}{{"cores", 1}, {"memory", 16}, {"sockets", 1}} {
		text, there := vm.Config[number.key]
		if there && number.key == "memory" {
			text, _ = qmconf.Parse("memory", text).Get("current")
		}
		if n, err := strconv.Atoi(text); there && (err != nil || n < number.least || text[0] == '+') {
			problems.add(vm, number.key, vm.Config[number.key], fmt.Sprintf("want a whole number, %d at the least", number.least))
		}
	}
}

// checkGuest reports what the guest's system would not run with, and
// combinations that PVE refuses when the VM starts.
func (vm VM) checkGuest(problems *problems) {
	var values []gpu.HostPCI
	for _, key := range slices.Sorted(maps.Keys(vm.Config)) {
		if qmconf.Family(key) != "hostpci" || vm.Config[key] == "" && vm.Guest.IsMacOS() {
			continue // checkMacOS says of an empty one what is missing
		}
		h, err := gpu.ParseHostPCI(vm.Config[key])
		if err == nil {
			err = h.Validate()
		}
		if err != nil {
			problems.add(vm, key, vm.Config[key], err.Error())
		}
		values = append(values, h)
	}
	if err := gpu.CheckRules(values, vm.Config["machine"], vm.Config["vga"]); err != nil {
		problems.add(vm, "hostpci", "", err.Error())
	}
	if vm.Guest == gpu.Windows11 {
		vm.checkWindows(problems)
	}
}

// has reports whether the VM is to have a drive.
func (vm VM) has(slot string) bool {
	for _, disk := range vm.Disks {
		if disk.Slot == slot {
			return true
		}
	}
	return false
}

// checkAbsent reports what is both wanted and absent, and drives.
func (vm VM) checkAbsent(problems *problems) {
	for _, name := range vm.Absent {
		key, _ := qmconf.CutAbsent(name)
		switch {
		case qmconf.IsSlot(key):
			problems.add(vm, name, "", "drives belong in Disks, so that none is dropped by accident")
		case key == "name" || slices.Contains(noSettings, key):
			problems.add(vm, name, "", "it is no setting that could go")
		case qmconf.Holds(vm.Config, name):
			problems.add(vm, name, "", "both wanted and absent")
		}
	}
}
