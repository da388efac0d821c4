package workstation

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// keyPrivileges holds the privilege on /vms/{vmid} that a change of each key
// wants (qemu-server, PVE/API2/Qemu.pm, check_vm_modify_config_perm). A key in
// no list may be set by root@pam only.
var keyPrivileges = func() map[string]string {
	byKey := map[string]string{}
	for privilege, keys := range map[string]string{
		"VM.Config.CPU":       "cores cpu cpulimit cpuunits numa sockets vcpus",
		"VM.Config.Memory":    "memory balloon shares allow-ksm",
		"VM.Config.HWType":    "acpi hotplug kvm machine scsihw smbios1 tablet vga watchdog audio rng hostpci usb serial",
		"VM.Config.Options":   "agent autostart bios description keyboard localtime migrate_downtime migrate_speed name onboot ostype protection reboot startdate startup tags tdf template",
		"VM.Config.Disk":      "boot bootdisk vmstatestorage ide sata scsi virtio efidisk tpmstate unused virtiofs",
		"VM.Config.Network":   "net",
		"VM.Config.Cloudinit": "cicustom cipassword citype ciuser ciupgrade nameserver searchdomain sshkeys ipconfig",
		"VM.PowerMgmt":        "freeze",
	} {
		for key := range strings.FieldsSeq(keys) {
			byKey[key] = privilege
		}
	}
	return byKey
}()

// keyPrivilege returns the privilege for a key; ok is false if only root@pam
// may set it.
func keyPrivilege(key, value string) (privilege string, ok bool) {
	privilege, ok = keyPrivileges[key]
	if !ok {
		privilege, ok = keyPrivileges[family(key)]
	}
	if media, _ := parseProperties(key, value).get("media"); media == "cdrom" {
		return "VM.Config.CDROM", true
	}
	return privilege, ok
}

// privileges returns what PVE asks of somebody who sets and deletes these keys.
func privileges(vmid int, set map[string]string, deleted []string) []Privilege {
	need := map[Privilege]bool{}
	for key, value := range set {
		if privilege, ok := keyPrivilege(key, value); ok {
			need[Privilege{vmPath(vmid), privilege}] = true
		}
		for _, p := range elsewhere(key, value) {
			need[p] = true
		}
	}
	for _, key := range deleted {
		if privilege, ok := keyPrivilege(key, ""); ok {
			need[Privilege{vmPath(vmid), privilege}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(need), func(a, b Privilege) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Name, b.Name))
	})
}

// elsewhere returns what a value asks for outside the VM: on the storage, the
// bridge or the mapping that it names.
func elsewhere(key, value string) []Privilege {
	props := parseProperties(key, value)
	if pool, _, found := strings.Cut(value, ":"); found && slotFormat.MatchString(key) {
		right := "Datastore.AllocateSpace"
		if media, _ := props.get("media"); media == "cdrom" {
			right = "Datastore.Audit"
		}
		return []Privilege{{"/storage/" + pool, right}}
	}
	switch fam := family(key); fam {
	case "net":
		if bridge, ok := props.get("bridge"); ok {
			return []Privilege{{"/sdn/zones/localnetwork/" + bridge, "SDN.Use"}}
		}
	case "hostpci", "usb":
		if mapping, ok := props.get("mapping"); ok {
			return []Privilege{{"/mapping/" + strings.TrimPrefix(fam, "host") + "/" + mapping, "Mapping.Use"}}
		}
	case "startup":
		return []Privilege{{"/", "Sys.Modify"}}
	}
	return nil
}

// rootOnly returns the keys, with the reason, that only root@pam may set, and
// only when logged in with a password: no API token can.
func rootOnly(set map[string]string) []string {
	var keys []string
	for _, key := range sortedKeys(set) {
		props := parseProperties(key, set[key])
		host, raw := props.get("host")
		_, rom := props.get("romfile")
		switch fam := family(key); {
		case fam == "hostpci" && raw:
			keys = append(keys, key+" (an address; a mapping needs only Mapping.Use)")
		case fam == "hostpci" && rom:
			keys = append(keys, key+" (romfile)")
		case fam == "usb" && raw && host != "spice":
			keys = append(keys, key+" (a port or device of the host)")
		case fam == "serial" && set[key] != "socket":
			keys = append(keys, key+" (a device of the host)")
		default:
			if _, known := keyPrivilege(key, set[key]); !known {
				keys = append(keys, key)
			}
		}
	}
	return keys
}
