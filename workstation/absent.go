package workstation

import (
	"slices"

	"github.com/proxstation/proxstation/internal/qmconf"
)

// drop plans that what must not be there goes from a configuration.
func (s *ChangeVM) drop(absent []string, config map[string]string) {
	for _, name := range absent {
		key, property := qmconf.CutAbsent(name)
		value, changes := s.Set[key]
		if !changes {
			value = config[key]
		}
		switch {
		case !qmconf.Holds(map[string]string{key: value}, name) || value == "":
		case property == "":
			s.Delete, s.Have[key] = append(s.Delete, key), value
		default:
			s.Set[key], s.Have[key] = qmconf.Parse(key, value).Drop(property).Text(key), config[key]
			s.Dropped = append(s.Dropped, name)
		}
	}
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
