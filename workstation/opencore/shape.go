package opencore

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
)

// A shape says which containers belong at a key of config.plist and below it.
type shape struct {
	kind Kind
	keys map[string]shape // the shapes of the members that are containers; other members are not in the map
	each *shape           // if set, the shape of every member
	text bool             // a string is allowed too
}

var (
	dict      = shape{kind: Dict}
	array     = shape{kind: Array}
	dicts     = shape{kind: Array, each: &dict}
	dictsByID = shape{kind: Dict, each: &dict}
	listsByID = shape{kind: Dict, each: &array}
)

func section(keys map[string]shape) shape { return shape{kind: Dict, keys: keys} }

// configShape says which keys of config.plist hold containers (OpenCore
// Configuration, sections ACPI to UEFI). Before OpenCore 0.7.3, a driver was a
// string.
var configShape = section(map[string]shape{
	"ACPI":             section(map[string]shape{"Add": dicts, "Delete": dicts, "Patch": dicts, "Quirks": dict}),
	"Booter":           section(map[string]shape{"MmioWhitelist": dicts, "Patch": dicts, "Quirks": dict}),
	"DeviceProperties": section(map[string]shape{"Add": dictsByID, "Delete": listsByID}),
	"Kernel":           section(map[string]shape{"Add": dicts, "Block": dicts, "Emulate": dict, "Force": dicts, "Patch": dicts, "Quirks": dict, "Scheme": dict}),
	"Misc":             section(map[string]shape{"BlessOverride": array, "Boot": dict, "Debug": dict, "Entries": dicts, "Security": dict, "Serial": dict, "Tools": dicts}),
	"NVRAM":            section(map[string]shape{"Add": dictsByID, "Delete": listsByID, "LegacySchema": listsByID}),
	"PlatformInfo":     section(map[string]shape{"DataHub": dict, "Generic": dict, "Memory": dict, "PlatformNVRAM": dict, "SMBIOS": dict}),
	"UEFI": section(map[string]shape{"APFS": dict, "AppleInput": dict, "Audio": dict, "Drivers": {kind: Array, each: &shape{kind: Dict, text: true}}, "Input": dict, "Output": dict,
		"ProtocolOverrides": dict, "Quirks": dict, "ReservedMemory": dicts, "Unload": array}),
})

// A misfit is a value of the wrong kind: a certain container belongs at its
// key, and the value is something else.
type misfit struct {
	key  Key
	now  Value
	want Kind
}

// The method "fitting" returns a value without its misfits. OpenCore leaves out
// misfits too, with a warning in its log (OpenCorePkg Library/OcSerializeLib).
// In an array a misfit becomes an absent value, so that the indexes of the
// other members stay.
func (s shape) fitting(v Value, at Key) (Value, []misfit) {
	var found []misfit
	v.Items = slices.Clone(v.Items)
	for i, item := range v.Items {
		key := append(slices.Clone(at), item.Key)
		if v.Kind == Array {
			key[len(at)] = fmt.Sprint(i)
		}
		want, known := s.keys[item.Key]
		if s.each != nil {
			want, known = *s.each, true
		}
		switch {
		case !known || v.Kind == Dict && strings.HasPrefix(item.Key, "#"): // the key is a comment (OpenCore Configuration, Terminology)
		case item.Value.Kind == want.kind:
			var inside []misfit
			v.Items[i].Value, inside = want.fitting(item.Value, key)
			found = append(found, inside...)
		case item.Value.Kind != Text || !want.text:
			found = append(found, misfit{key, item.Value, want.kind})
			v.Items[i].Value = Value{}
		}
	}
	return v, found
}

// Returns the kind of container that belongs at a key. If the shape does not
// know the key, the kind is Dict.
func (s shape) at(key Key) Kind {
	for _, part := range key {
		next, known := s.keys[part]
		switch {
		case s.each != nil:
			s = *s.each
		case known:
			s = next
		default:
			return Dict
		}
	}
	return s.kind
}

// Reports whether nothing is lost if the misfit is replaced. Such a misfit is a
// scalar, or a container without members.
func (m misfit) empty() bool { return len(m.now.Items) == 0 }

func (m misfit) inArray(config Value) bool { return config.Get(m.key[:len(m.key)-1]...).Kind == Array }

// Returns a change that puts an empty container in the misfit's place. The
// result ok is false if the misfit has members, or is itself a member of an
// array.
func (m misfit) repair(config Value) (c Change, ok bool) {
	return Change{m.key, m.now, Value{Kind: m.want}}, m.empty() && !m.inArray(config)
}

// String describes the misfit without its value, because the value may be part
// of an identity.
func (m misfit) String() string {
	text := fmt.Sprintf("%s is of type %s", m.key, m.now.Kind)
	if n := len(m.now.Items); n > 0 {
		text += fmt.Sprintf(" (members: %d)", n)
	}
	return text + ", want type " + m.want.String()
}

func (j *judge) judgeShape() {
	for i, m := range j.misfits {
		if i == mostAlike {
			j.say("opencore.type", proxstation.Warning, fmt.Sprintf("%s: %d other values are not of the type that OpenCore wants", configFile, len(j.misfits)-i), "OpenCore leaves them out", "take config.plist anew from where the image came", manual)
			return
		}
		change, harmless := m.repair(j.image.Config)
		fix := fmt.Sprintf("in %s, write %s with type %s, as Sample.plist in OpenCore's release has it", configFile, m.key, m.want)
		if harmless {
			fix = fmt.Sprintf("in %s, replace the value by an empty %s", configFile, m.want)
		}
		f := j.say("opencore.type", proxstation.Warning, configFile+": "+m.String(), "OpenCore leaves out a value of another type, and takes its safest setting instead", fix, manual+"; OpenCorePkg OcSerializeLib")
		f.Key, f.Now, f.Want = m.key, m.now, Value{Kind: m.want}
		if (Change{Key: m.key}).hides() {
			f.Now = Value{Kind: m.now.Kind}
		}
		if harmless {
			f.Changes = []Change{change}
		}
	}
}

// The function "writable" returns an error if a change is below a misfit.
func writable(config Value, c Change) error {
	_, wrong := configShape.fitting(config, nil)
	for _, m := range wrong {
		below := len(c.Key) >= len(m.key) && slices.Equal(c.Key[:len(m.key)], m.key)
		before := len(c.Key) == len(m.key) && c.Have.Kind == Absent && m.inArray(config) // the change adds a new member before the misfit
		if below && !before && !c.Have.Equal(m.now) {
			return &ConfigError{Why: fmt.Sprintf("%s: nothing can be written to %s before somebody corrects it", m, c.Key)}
		}
	}
	return nil
}
