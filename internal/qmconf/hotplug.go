package qmconf

import (
	"cmp"
	"slices"
	"strings"
)

// HotPlugs reports whether a change of a key takes effect in a running VM
// (qemu-server PVE/QemuServer.pm, $fast_plug_option and hotplug; an unset
// hotplug means network, disk and usb). config is the VM's configuration before
// the change.
func HotPlugs(key string, config map[string]string, want string) bool {
	plugs := func(kind string) bool {
		setting := cmp.Or(config["hotplug"], "1")
		return setting == "1" || slices.Contains(strings.Split(setting, ","), kind)
	}
	if IsSlot(key) && IsCD(config[key]) && IsCD(want) {
		return true // only the medium in a CD drive changes
	}
	switch Family(key) {
	case "cpulimit", "cpuunits", "description", "hookscript", "name", "onboot", "protection", "startup", "tags", "shares":
		return true
	case "tablet":
		return plugs("usb")
	case "net":
		return plugs("network")
	case "usb":
		return plugs("usb") && ModernUSB(config["ostype"])
	case "scsi", "virtio":
		return plugs("disk") && config[key] == ""
	}
	return false
}

// ModernUSB reports whether guests of this type get a USB controller that has
// 14 ports and accepts devices while the guest runs.
func ModernUSB(ostype string) bool {
	return slices.Contains([]string{"l26", "win8", "win10", "win11"}, ostype)
}
