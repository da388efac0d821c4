package workstation

import (
	"maps"
	"slices"

	"github.com/proxstation/proxstation/internal/qmconf"
)

// inItsKeys assigns keys to the devices of one family in the Spec, such as its
// USB devices. A device gets the key in which an existing VM has it, or a free
// key. Devices of the VM that the Spec does not mention stay. The parameter
// names lists the properties that identify a device.
func (d *differ) inItsKeys(vm VM, have map[string]string, family string, names ...string) {
	device := func(config map[string]string, key string) string {
		for _, name := range names {
			if value, there := qmconf.Parse(key, config[key]).Get(name); there && config[key] != "" && !slices.Contains(vm.Absent, key) {
				return name + "=" + qmconf.USBDevice(value)
			}
		}
		return ""
	}
	keysOf := func(config map[string]string) []string {
		return slices.DeleteFunc(slices.Sorted(maps.Keys(config)), func(key string) bool { return qmconf.Family(key) != family })
	}
	wanted := keysOf(vm.Config)
	holder := map[string]string{} // by key of the VM: the key in the Spec
	for _, key := range wanted {
		if device(have, key) == device(vm.Config, key) {
			holder[key] = key
		}
	}
	for _, key := range wanted {
		for _, other := range keysOf(have) {
			if holder[key] != key && holder[other] == "" && device(vm.Config, key) != "" && device(have, other) == device(vm.Config, key) {
				holder[other] = key
				break
			}
		}
	}
	moved := map[string]string{}
	for slot, key := range holder {
		moved[slot] = vm.Config[key]
	}
	for _, key := range wanted {
		value := vm.Config[key]
		if delete(vm.Config, key); slices.Contains(slices.Collect(maps.Values(holder)), key) {
			continue
		}
		slot := key
		if have[key] != "" || moved[key] != "" {
			slot = qmconf.FreeSlot(key, nil, have, moved)
		}
		if slot == "" {
			d.problems.add(vm, key, value, "the VM has no "+family+" key left for it: name a key to remove in VM.Absent")
			continue
		}
		moved[slot] = value
	}
	maps.Copy(vm.Config, moved)
}
