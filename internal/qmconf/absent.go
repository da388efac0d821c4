package qmconf

import (
	"slices"
	"strings"
)

// CutAbsent splits a name in VM.Absent into a key and a property of the key's
// value. A name without a property stands for the whole key.
func CutAbsent(name string) (key, property string) {
	key, property, _ = strings.Cut(name, ".")
	return key, property
}

// Holds reports whether a configuration has the key or the property that a name
// in VM.Absent describes.
func Holds(config map[string]string, name string) bool {
	key, property := CutAbsent(name)
	value, there := config[key]
	if property == "" || !there {
		return there
	}
	_, there = Parse(key, value).Get(property)
	return there
}

// AbsentUnless returns the given names of properties in the form of VM.Absent.
// It leaves out the properties that the value of the key has.
func AbsentUnless(key, value string, names ...string) []string {
	has := Parse(key, value)
	names = slices.DeleteFunc(names, func(name string) bool {
		_, there := has.Get(name)
		return there
	})
	for i, name := range names {
		names[i] = key + "." + name
	}
	return names
}
