package devices

import (
	"maps"
	"slices"

	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/internal/rules"
)

// keys assigns keys to the devices of one family in the Spec, such as its USB
// devices. A device gets the key in which an existing VM has it, or a free key.
// Devices of the VM that the Spec does not mention stay. The parameter "names"
// lists the properties that identify a device.
func (w *Wish) keys(family string, names ...string) {
	device := func(config map[string]string, key string) string {
		for _, name := range names {
			if value, there := qmconf.Parse(key, config[key]).Get(name); there && config[key] != "" && !slices.Contains(w.Absent, key) {
				return name + "=" + qmconf.USBDevice(value)
			}
		}
		return ""
	}
	keysOf := func(config map[string]string) []string {
		return slices.DeleteFunc(slices.Sorted(maps.Keys(config)), func(key string) bool { return qmconf.Family(key) != family })
	}
	wanted := keysOf(w.Config)
	holder := map[string]string{} // maps a key of the VM to the key in the Spec that has the same device
	for _, key := range wanted {
		if device(w.Have, key) == device(w.Config, key) {
			holder[key] = key
		}
	}
	for _, key := range wanted {
		for _, other := range keysOf(w.Have) {
			if holder[key] != key && holder[other] == "" && device(w.Config, key) != "" && device(w.Have, other) == device(w.Config, key) {
				holder[other] = key
				break
			}
		}
	}
	moved := map[string]string{}
	for slot, key := range holder {
		moved[slot] = w.Config[key]
	}
	for _, key := range wanted {
		value := w.Config[key]
		if delete(w.Config, key); slices.Contains(slices.Collect(maps.Values(holder)), key) {
			continue
		}
		slot := key
		if w.Have[key] != "" || moved[key] != "" {
			slot = qmconf.FreeSlot(key, nil, w.Have, moved)
		}
		if slot == "" {
			w.Faults = append(w.Faults, rules.Fault{Field: key, Value: value, Why: "the VM has no " + family + " key left for it: name a key to remove in VM.Absent"})
			continue
		}
		moved[slot] = value
	}
	maps.Copy(w.Config, moved)
}
