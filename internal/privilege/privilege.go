// Package privilege knows the privileges that PVE asks for when a login changes
// the configuration of a VM, and the settings that only root@pam may change.
package privilege

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/qmconf"
)

// A Privilege is a right on a path of PVE's access tree (PVE manual, User
// Management). A Name such as "A|B" means that either right is enough.
type Privilege struct{ Path, Name string }

// keyPrivileges holds, for each key, the privilege on /vms/{vmid} that a change
// needs (qemu-server, PVE/API2/Qemu.pm, check_vm_modify_config_perm). If a key
// is not listed, only root@pam may set it.
var keyPrivileges = func() map[string]string {
	byKey := map[string]string{}
	for privilege, keys := range map[string]string{
		"VM.Config.CPU":     "cores cpu cpulimit cpuunits numa sockets vcpus",
		"VM.Config.Memory":  "memory balloon shares allow-ksm",
		"VM.Config.HWType":  "acpi hotplug kvm machine scsihw smbios1 tablet vga watchdog audio rng hostpci usb serial",
		"VM.Config.Options": "agent autostart bios description keyboard localtime migrate_downtime migrate_speed name onboot ostype protection reboot startdate startup tags tdf template",
		"VM.Config.Disk":    "boot bootdisk vmstatestorage ide sata scsi virtio efidisk tpmstate unused virtiofs",
		"VM.Config.Network": "net",
		// Either of the two privileges is enough.
		"VM.Config.Cloudinit|VM.Config.Network": "cicustom cipassword citype ciuser ciupgrade nameserver searchdomain sshkeys ipconfig",
		"VM.PowerMgmt":                          "freeze",
	} {
		for key := range strings.FieldsSeq(keys) {
			byKey[key] = privilege
		}
	}
	return byKey
}()

// IsCloudInit reports whether a key is a setting of cloud-init.
func IsCloudInit(key string) bool {
	return strings.Contains(keyPrivileges[qmconf.Family(key)], "Cloudinit")
}

// keyPrivilege returns the privileges for a key with a value. ok is false if
// only root@pam may set the key. "A|B" means that either privilege is enough.
func keyPrivilege(key, value string) (names []string, ok bool) {
	if qmconf.IsSlot(key) && qmconf.IsCloudInit(value) {
		return []string{"VM.Config.Cloudinit", "VM.Config.CDROM"}, true
	}
	if media, _ := qmconf.Parse(key, value).Get("media"); media == "cdrom" {
		return []string{"VM.Config.CDROM"}, true
	}
	name, ok := keyPrivileges[key]
	if !ok {
		name, ok = keyPrivileges[qmconf.Family(key)]
	}
	return []string{name}, ok
}

// Of returns the privileges that PVE asks for when a login sets,
// changes or deletes values. PVE looks at both the old and the new values. For
// a new VM's drives PVE asks only for the privileges on their storages.
func Of(vmid int, set, old map[string]string, makes bool) []Privilege {
	need := map[Privilege]bool{}
	for _, values := range []map[string]string{set, old} {
		for key, value := range values {
			names, ok := keyPrivilege(key, value)
			for _, name := range names {
				if !makes || !qmconf.IsSlot(key) {
					need[Privilege{fmt.Sprintf("/vms/%d", vmid), name}] = ok
				}
			}
			if _, isSet := set[key]; isSet && value == set[key] || !qmconf.IsSlot(key) {
				for _, p := range elsewhere(vmid, key, value) {
					need[p] = true
				}
			}
		}
	}
	maps.DeleteFunc(need, func(_ Privilege, needed bool) bool { return !needed })
	return slices.SortedFunc(maps.Keys(need), func(a, b Privilege) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Name, b.Name))
	})
}

// volumeOwner returns the VMID of the VM that owns a volume, including a linked
// clone ("base-9000-disk-0/vm-141-disk-0").
var volumeOwner = regexp.MustCompile(`(?:^|/)vm-(\d+)-[^/]*$`)

// volumePrivileges returns the privileges that a login needs to use a volume in
// a VM. The VM's own volumes need no privilege (pve-storage PVE/Storage.pm,
// check_volume_access).
func volumePrivileges(vmid int, pool, volume string) (needs []Privilege, owned bool) {
	owner := volumeOwner.FindStringSubmatch(volume)
	if owner == nil || owner[1] == fmt.Sprint(vmid) {
		return nil, owner != nil
	}
	return []Privilege{{"/storage/" + pool, "Datastore.Audit"}, {"/vms/" + owner[1], "VM.Config.Disk"}}, true
}

// driveElsewhere returns the privileges that a drive needs on storages and on
// other VMs.
func driveElsewhere(vmid int, value string) []Privilege {
	props := qmconf.Parse("scsi0", value)
	pool, volume, found := qmconf.CutVolume(value)
	media, _ := props.Get("media")
	switch {
	case pool == "cdrom": // the volume is the host's own CD drive
		return []Privilege{{"/", "Sys.Console"}}
	case !found, qmconf.IsCloudInit(value): // PVE requires no privilege here
		return nil
	case media == "cdrom":
		return []Privilege{{"/storage/" + pool, "Datastore.Audit|Datastore.AllocateSpace"}}
	}
	if needs, owned := volumePrivileges(vmid, pool, volume); owned {
		return needs
	}
	needs := []Privilege{{"/storage/" + pool, "Datastore.AllocateSpace"}}
	if source, imports := props.Get("import-from"); imports && !strings.HasPrefix(source, "/") {
		from, name, _ := qmconf.CutVolume(source)
		if owner := volumeOwner.FindStringSubmatch(name); owner != nil {
			return append(needs, Privilege{"/vms/" + owner[1], "VM.Clone"})
		}
		needs = append(needs, Privilege{"/storage/" + from, "Datastore.Audit|Datastore.AllocateSpace"})
	}
	return needs
}

// The function "elsewhere" returns the privileges that a value needs outside
// the VM: on the storage, the bridge or the mapping that it names.
func elsewhere(vmid int, key, value string) []Privilege {
	props := qmconf.Parse(key, value)
	if qmconf.IsSlot(key) {
		return driveElsewhere(vmid, value)
	}
	switch fam := qmconf.Family(key); fam {
	case "net":
		if bridge, ok := props.Get("bridge"); ok {
			path := "/sdn/zones/localnetwork/" + bridge
			if tag, tagged := props.Get("tag"); tagged {
				path += "/" + tag
			}
			return []Privilege{{path, "SDN.Use"}}
		}
	case "hostpci", "usb":
		if mapping, ok := props.Get("mapping"); ok {
			return []Privilege{{"/mapping/" + strings.TrimPrefix(fam, "host") + "/" + mapping, "Mapping.Use"}}
		}
	case "startup":
		return []Privilege{{"/", "Sys.Modify"}}
	case "virtiofs":
		name, _, _ := strings.Cut(strings.TrimPrefix(value, "dirid="), ",")
		return []Privilege{{"/mapping/dir/" + name, "Mapping.Use"}}
	case "rng":
		if source, _ := props.Get("source"); source == "/dev/hwrng" {
			return []Privilege{{"/mapping/hwrng", "Mapping.Use"}}
		}
	case "cpu":
		if model, _ := props.Get("cputype"); strings.HasPrefix(model, "custom-") {
			return []Privilege{{"/mapping/cpu/" + strings.TrimPrefix(model, "custom-"), "Mapping.Use"}}
		}
	case "vmstatestorage":
		return []Privilege{{"/storage/" + value, "Datastore.AllocateSpace"}}
	}
	return nil
}

// RootOnly returns the keys that only root@pam may set or delete, each with the
// reason. root@pam must log in with a password for this, because an API token
// is not enough.
func RootOnly(set, old map[string]string) []string {
	why := map[string]string{}
	for _, values := range []map[string]string{set, old} {
		for key, value := range values {
			if reason, only := rootValue(key, value); only {
				why[key] = reason
			}
		}
	}
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(why)) {
		keys = append(keys, key+why[key])
	}
	return keys
}

func rootValue(key, value string) (reason string, only bool) {
	props := qmconf.Parse(key, value)
	host, raw := props.Get("host")
	_, rom := props.Get("romfile")
	source, _ := props.Get("import-from")
	switch fam := qmconf.Family(key); {
	case fam == "hostpci" && raw:
		return " (an address; a mapping needs only Mapping.Use)", true
	case fam == "hostpci" && rom:
		return " (romfile)", true
	case fam == "usb" && raw && !strings.EqualFold(host, "spice"):
		return " (a port or device of the host; a mapping needs only Mapping.Use)", true
	case fam == "serial" && value != "socket":
		return " (a device of the host)", true
	case qmconf.IsSlot(key) && strings.HasPrefix(source, "/"):
		return " (a file of the host; a volume of content type import needs only Datastore.Audit)", true
	case qmconf.IsSlot(key) && strings.HasPrefix(value, "/"):
		return " (a path of the host)", true
	}
	_, known := keyPrivilege(key, value)
	return "", !known
}
