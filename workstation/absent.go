package workstation

import (
	"slices"
	"strings"
)

// cutAbsent splits a name of [VM].Absent into a key and a property of its
// value; without a property it is the key that must not be there.
func cutAbsent(name string) (key, property string) {
	key, property, _ = strings.Cut(name, ".")
	return key, property
}

// holds reports whether a configuration has what a name of [VM].Absent names.
func holds(config map[string]string, name string) bool {
	key, property := cutAbsent(name)
	value, there := config[key]
	if property == "" || !there {
		return there
	}
	_, there = parseProperties(key, value).get(property)
	return there
}

// drop plans that what must not be there goes from a configuration.
func (s *ChangeVM) drop(absent []string, config map[string]string) {
	for _, name := range absent {
		key, property := cutAbsent(name)
		value, changes := s.Set[key]
		if !changes {
			value = config[key]
		}
		switch {
		case !holds(map[string]string{key: value}, name) || value == "":
		case property == "":
			s.Delete, s.Have[key] = append(s.Delete, key), value
		default:
			s.Set[key], s.Have[key] = parseProperties(key, value).drop(property).text(key), config[key]
			s.Dropped = append(s.Dropped, name)
		}
	}
}

// checkAbsent reports what is both wanted and absent, and drives.
func (vm VM) checkAbsent(problems *problems) {
	for _, name := range vm.Absent {
		key, _ := cutAbsent(name)
		switch {
		case slotFormat.MatchString(key):
			problems.add(vm, name, "", "drives belong in Disks, so that none is dropped by accident")
		case key == "name" || slices.Contains(noSettings, key):
			problems.add(vm, name, "", "it is no setting that could go")
		case holds(vm.Config, name):
			problems.add(vm, name, "", "both wanted and absent")
		}
	}
}

// absentUnless returns names of properties for [VM].Absent: those of a key
// that its value does not have.
func absentUnless(key, value string, names ...string) []string {
	has := parseProperties(key, value)
	names = slices.DeleteFunc(names, func(name string) bool {
		_, there := has.get(name)
		return there
	})
	for i, name := range names {
		names[i] = key + "." + name
	}
	return names
}
