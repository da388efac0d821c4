// Package rules knows which configurations work: PVE starts the VM, and its
// guest runs. It judges one configuration and asks no node.
package rules

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

// A Fault is a setting that is impossible.
type Fault struct {
	Field string // mostly a configuration key
	Value string // empty if it does not matter
	Why   string // the reason, and what to do
}

type faults []Fault

func (f *faults) add(field, value, why string) { *f = append(*f, Fault{field, value, why}) }

// Check reports settings with which the guest would not run, and settings that
// PVE would refuse when the VM starts. config is the whole configuration, drives
// included.
func Check(guest gpu.Guest, config map[string]string) []Fault {
	var faults faults
	values := readHostPCI(config, &faults)
	if err := gpu.CheckRules(values, config["machine"], config["vga"]); err != nil {
		faults.add("hostpci", "", err.Error())
	}
	switch {
	case guest == gpu.Windows11:
		checkWindows(config, &faults)
	case guest.IsMacOS():
		checkMacOS(guest, config, &faults)
	}
	checkSMC(guest, config, &faults)
	checkCloudInit(config, &faults)
	checkTuning(config, &faults)
	return faults
}

// CheckValues reports numbers and hostpci values that PVE could not read. It
// judges each key alone.
func CheckValues(guest gpu.Guest, config map[string]string) []Fault {
	var faults faults
	checkNumbers(config, &faults)
	checkHostPCI(guest, config, &faults)
	return faults
}

// readHostPCI returns the hostpci values of a configuration and reports the
// parts that PVE would not understand.
func readHostPCI(config map[string]string, faults *faults) []gpu.HostPCI {
	var values []gpu.HostPCI
	for _, key := range slices.Sorted(maps.Keys(config)) {
		if qmconf.Family(key) != "hostpci" {
			continue
		}
		h, err := gpu.ParseHostPCI(config[key])
		if err != nil {
			continue // CheckValues reports this value
		}
		if err := h.Validate(); err != nil {
			faults.add(key, config[key], err.Error())
		}
		values = append(values, h)
	}
	return values
}

// UnitMeant is appended to errors about a size that most likely lacks its unit.
const UnitMeant = "; in Go a size has its unit, such as 16*storage.GiB"

// checkNumbers reports numbers of processors and sizes of memory that PVE would
// not accept (qm.conf manual page: cores, sockets; memory in MiB).
func checkNumbers(config map[string]string, faults *faults) {
	if n, err := strconv.Atoi(config["cpuunits"]); err == nil && n > 10000 {
		faults.add("cpuunits", config["cpuunits"], "PVE keeps at most 10000 (pve-common PVE/CGroup.pm, for cgroup v2)")
	}
	for _, number := range []struct {
		key   string
		least int
	}{{"cores", 1}, {"memory", 16}, {"sockets", 1}} {
		text, there := config[number.key]
		if there && number.key == "memory" {
			text, _ = qmconf.Parse("memory", text).Get("current")
		}
		if n, err := strconv.Atoi(text); there && (err != nil || n < number.least || text[0] == '+') {
			why := fmt.Sprintf("want a whole number, at least %d", number.least)
			if number.key == "memory" {
				why = "want a whole number of MiB, at least 16" + UnitMeant
			}
			faults.add(number.key, config[number.key], why)
		}
	}
}

// checkHostPCI reports values that PVE cannot read.
func checkHostPCI(guest gpu.Guest, config map[string]string, faults *faults) {
	for _, key := range slices.Sorted(maps.Keys(config)) {
		if qmconf.Family(key) != "hostpci" || config[key] == "" && guest.IsMacOS() {
			continue // the profile MacOS leaves the value empty if it has no card; see below
		}
		if _, err := gpu.ParseHostPCI(config[key]); err != nil {
			faults.add(key, config[key], err.Error())
		}
	}
	if value, there := config["hostpci0"]; there && value == "" && guest.IsMacOS() {
		faults.add("hostpci0", "", "the second stage needs the Card, one of Facts.Cards")
	}
}

// Memory returns the memory that a configuration gives a guest. PVE's default
// is 512 MiB. known is false if the value is not a number of MiB.
func Memory(config map[string]string) (size storage.Size, known bool) {
	text := "512"
	if value := config["memory"]; value != "" {
		text, _ = qmconf.Parse("memory", value).Get("current")
	}
	size, err := storage.ParseSize(text + "M")
	return size, err == nil
}
