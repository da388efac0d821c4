package qmconf

import "slices"

// OwnKeys holds the keys that only PVE itself writes (qemu-server
// PVE/QemuServer.pm: json_config_properties leaves them out of the keys that a
// request may set).
var OwnKeys = []string{
	"digest", "lock", "meta", "parent", "running-nets-host-mtu", "runningcpu", "runningmachine", "snapstate", "snaptime", "template", "vmstate",
}

// NoSettings holds the keys that are not settings of a VM: OwnKeys, and
// parameters that control PVE's work (from the API description of POST qemu and
// PUT config).
var NoSettings = append([]string{
	"archive", "background_delay", "bwlimit", "cdrom", "delete", "force", "ha-managed", "import-working-storage", "live-restore", "node", "pool",
	"revert", "skiplock", "start", "storage", "unique", "vmid",
}, OwnKeys...)

// Describes reports whether a key of a configuration describes the VM itself,
// so that the key can be stored in a description. It returns false for the VM's
// name, drives, passwords and keys that only PVE writes.
func Describes(key string) bool {
	return !IsSlot(key) && Family(key) != "unused" && !slices.Contains([]string{"name", "cipassword", "vmgenid"}, key) && !slices.Contains(NoSettings, key)
}

// PasswordKey is the key whose value PVE shows as "**********" (qemu-server
// PVE/API2/Qemu.pm).
const PasswordKey = "cipassword"
