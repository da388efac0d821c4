package opencore

import (
	"fmt"
	"slices"
	"strings"
)

// within reports whether a path below the folder Kexts is a bundle's path, or a
// path inside the bundle. FAT does not distinguish upper and lower case.
func within(name, bundle string) bool {
	return strings.EqualFold(name, bundle) || len(name) > len(bundle) && name[len(bundle)] == '/' && strings.EqualFold(name[:len(bundle)], bundle)
}

// replaced returns the image's extensions in the folders that the bundles
// replace.
func replaced(image Image, bundles []Bundle) (list []Kext) {
	for _, k := range image.Kexts {
		if slices.ContainsFunc(bundles, func(b Bundle) bool { return within(k.Path, b.Path) }) {
			list = append(list, k)
		}
	}
	return list
}

// withKext returns a list of extensions that begins with a bundle and its
// plug-ins. They replace the extensions in the folder of the same path.
func withKext(list []Kext, b Bundle) []Kext {
	list = slices.DeleteFunc(list, func(other Kext) bool { return within(other.Path, b.Path) })
	return append(append([]Kext{b.Kext}, b.Inside...), list...)
}

// namesakes returns changes that switch off the image's extensions of the same
// identifier at another path. OpenCore would load both.
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

// entries returns changes of Kernel -> Add that make OpenCore load the caller's
// bundles. It adds missing entries, corrects entries that do not suit the
// bundle, and switches off the entries that the bundles replace.
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

// forBundle returns a change that a given bundle needs.
func forBundle(key Key, have, want Value, why string) PlannedChange {
	return PlannedChange{Change{key, have, want}, "opencore.given", why, ""}
}

// suits returns changes of an entry with which OpenCore loads an extension. The
// entry may be for the extension that was at this path before, whose program
// may have had another name.
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

// gone returns changes that switch off the entries of plug-ins that the image's
// bundle had inside, and that the given bundle does not have.
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
