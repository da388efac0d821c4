package workstation

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// checkRules reports settings with which the guest would not run, and settings
// that PVE would refuse when the VM starts. config is the whole configuration,
// drives included.
func (vm VM) checkRules(config map[string]string) problems {
	var problems problems
	values := vm.readHostPCI(config, &problems)
	if err := gpu.CheckRules(values, config["machine"], config["vga"]); err != nil {
		problems.add(vm, "hostpci", "", err.Error())
	}
	switch {
	case vm.Guest == gpu.Windows11:
		vm.checkWindows(config, &problems)
	case vm.Guest.IsMacOS():
		vm.checkMacOS(config, &problems)
	}
	vm.checkSMC(config, &problems)
	vm.checkCloudInit(config, &problems)
	vm.checkTuning(config, &problems)
	return problems
}

// readHostPCI returns the hostpci values of a configuration and reports the
// parts that PVE would not understand.
func (vm VM) readHostPCI(config map[string]string, problems *problems) []gpu.HostPCI {
	var values []gpu.HostPCI
	for _, key := range slices.Sorted(maps.Keys(config)) {
		if qmconf.Family(key) != "hostpci" {
			continue
		}
		h, err := gpu.ParseHostPCI(config[key])
		if err != nil {
			continue // checkForm reports this value
		}
		if err := h.Validate(); err != nil {
			problems.add(vm, key, config[key], err.Error())
		}
		values = append(values, h)
	}
	return values
}

// unitMeant is appended to errors about a size that most likely lacks its unit.
const unitMeant = "; in Go a size has its unit, such as 16*storage.GiB"

// checkNumbers reports numbers of processors and sizes of memory that PVE would
// not accept (qm.conf manual page: cores, sockets; memory in MiB).
func (vm VM) checkNumbers(problems *problems) {
	if n, err := strconv.Atoi(vm.Config["cpuunits"]); err == nil && n > 10000 {
		problems.add(vm, "cpuunits", vm.Config["cpuunits"], "PVE keeps at most 10000 (pve-common PVE/CGroup.pm, for cgroup v2)")
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
			why := fmt.Sprintf("want a whole number, at least %d", number.least)
			if number.key == "memory" {
				why = "want a whole number of MiB, at least 16" + unitMeant
			}
			problems.add(vm, number.key, vm.Config[number.key], why)
		}
	}
}

// checkHostPCI reports values that PVE cannot read.
func (vm VM) checkHostPCI(problems *problems) {
	for _, key := range slices.Sorted(maps.Keys(vm.Config)) {
		if qmconf.Family(key) != "hostpci" || vm.Config[key] == "" && vm.Guest.IsMacOS() {
			continue // MacOS leaves an empty value in a stage without its card
		}
		if _, err := gpu.ParseHostPCI(vm.Config[key]); err != nil {
			problems.add(vm, key, vm.Config[key], err.Error())
		}
	}
	if value, there := vm.Config["hostpci0"]; there && value == "" && vm.Guest.IsMacOS() {
		problems.add(vm, "hostpci0", "", "the second stage needs the Card, one of Facts.Cards")
	}
}

// checkAbsent reports keys that are both wanted and absent, and drives among
// the absent keys.
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
