package opencore

import (
	"fmt"
	"slices"
	"strings"
)

// Reports whether name is the path of a bundle, or a path inside the bundle.
// Both paths are below the folder Kexts. FAT does not distinguish upper and
// lower case.
func within(name, bundle string) bool {
	return strings.EqualFold(name, bundle) || len(name) > len(bundle) && name[len(bundle)] == '/' && strings.EqualFold(name[:len(bundle)], bundle)
}

// Returns the image's extensions that are in folders which the bundles replace.
func replaced(image Image, bundles []Bundle) (list []Kext) {
	for _, k := range image.Kexts {
		if slices.ContainsFunc(bundles, func(b Bundle) bool { return within(k.Path, b.Path) }) {
			list = append(list, k)
		}
	}
	return list
}

// withKext puts a bundle and its plug-ins at the beginning of a list of
// extensions. It removes the extensions that were in the bundle's folder.
func withKext(list []Kext, b Bundle) []Kext {
	list = slices.DeleteFunc(list, func(other Kext) bool { return within(other.Path, b.Path) })
	return append(append([]Kext{b.Kext}, b.Inside...), list...)
}

// The image may have extensions with the identifier of the given extension at
// another path, and OpenCore would load both. The function "namesakes" returns
// changes that switch off these extensions of the image.
func namesakes(j *judge, k Kext, bundles []Bundle) (list []PlannedChange) {
	for _, other := range j.image.Kexts {
		given := slices.ContainsFunc(bundles, func(b Bundle) bool { return within(other.Path, b.Path) })
		enabled := Key{"Kernel", "Add", fmt.Sprint(j.entry(other)), "Enabled"}
		if strings.EqualFold(other.ID, k.ID) && !given && j.get(enabled...).True() {
			list = append(list, forBundle(enabled, BoolValue(true), BoolValue(false), "The extension that was given takes its place."))
		}
	}
	return list
}

// Returns the changes of Kernel -> Add that make OpenCore load the caller's
// bundles. The changes add missing entries, correct entries that do not fit a
// bundle, and switch off entries of extensions that a bundle replaces.
func entries(image Image, bundles []Bundle) []PlannedChange {
	j := judgeOf(image)
	var list []PlannedChange
	for _, b := range bundles {
		list = append(list, gone(j, b)...)
		for _, k := range append([]Kext{b.Kext}, b.Inside...) {
			list = append(list, namesakes(j, k, bundles)...)
			i, at := j.entry(k), len(j.get("Kernel", "Add").Items)+len(list)
			if k.ID == lilu {
				at = 0
			}
			if i < 0 {
				list = append(list, forBundle(Key{"Kernel", "Add", fmt.Sprint(at)}, Value{}, entryFor(k), whyGiven))
				continue
			}
			list = append(list, suits(j, i, k)...)
		}
	}
	return list
}

const whyGiven = "The extension was given to be loaded."

func forBundle(key Key, have, want Value, why string) PlannedChange {
	return PlannedChange{Change{key, have, want}, "opencore.given", why, ""}
}

// Returns the changes that make an existing entry load the given extension. The
// entry may have been for another extension at the same path, whose program had
// another name.
func suits(j *judge, entry int, k Kext) (list []PlannedChange) {
	key := func(name string) Key { return Key{"Kernel", "Add", fmt.Sprint(entry), name} }
	if have := j.get(key("Enabled")...); !have.True() {
		list = append(list, forBundle(key("Enabled"), have, BoolValue(true), whyGiven))
	}
	for _, file := range []struct{ name, want string }{{"ExecutablePath", k.Executable}, {"PlistPath", infoFile}} {
		if have := j.get(key(file.name)...); !strings.EqualFold(have.Text, file.want) {
			list = append(list, forBundle(key(file.name), have, TextValue(file.want), "The file has this name in the extension that was given."))
		}
	}
	return list
}

// Returns the changes that switch off the entries of removed plug-ins. The
// image's bundle has these plug-ins, and the caller's bundle, which replaces
// it, does not.
func gone(j *judge, b Bundle) (list []PlannedChange) {
	for i, item := range j.get("Kernel", "Add").Items {
		name := item.Value.Get("BundlePath").Text
		has := slices.ContainsFunc(append([]Kext{b.Kext}, b.Inside...), func(k Kext) bool { return strings.EqualFold(k.Path, name) })
		if within(name, b.Path) && !has && item.Value.Get("Enabled").True() {
			list = append(list, forBundle(Key{"Kernel", "Add", fmt.Sprint(i), "Enabled"}, BoolValue(true), BoolValue(false), "The extension that was given does not have this plug-in."))
		}
	}
	return list
}
