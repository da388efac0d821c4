package pvetest

import (
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// The variable "rights" maps each key of a configuration to the privilege that
// it requires, from the lists in qemu-server PVE/API2/Qemu.pm.
var rights = map[string]string{
	"cores": "CPU", "cpu": "CPU", "cpulimit": "CPU", "cpuunits": "CPU", "numa": "CPU", "sockets": "CPU", "vcpus": "CPU", "smp": "CPU",
	"memory": "Memory", "balloon": "Memory", "shares": "Memory", "allow-ksm": "Memory",
	"acpi": "HWType", "hotplug": "HWType", "kvm": "HWType", "machine": "HWType", "scsihw": "HWType", "smbios1": "HWType",
	"tablet": "HWType", "vga": "HWType", "watchdog": "HWType", "audio0": "HWType", "rng0": "HWType", "runningmachine": "HWType", "runningcpu": "CPU",
	"agent": "Options", "autostart": "Options", "bios": "Options", "description": "Options", "keyboard": "Options",
	"localtime": "Options", "migrate_downtime": "Options", "migrate_speed": "Options", "name": "Options", "onboot": "Options",
	"ostype": "Options", "protection": "Options", "reboot": "Options", "startdate": "Options", "startup": "Options",
	"tdf": "Options", "template": "Options",
	"boot": "Disk", "bootdisk": "Disk", "vmstatestorage": "Disk",
}

// cloudinit lists the keys of cloud-init. For these keys, the caller needs only
// one of two privileges.
var cloudinit = []string{"cicustom", "cipassword", "citype", "ciuser", "ciupgrade", "nameserver", "searchdomain", "sshkeys"}

// mayTouch checks the privileges for keys. It does not consider their values
// ($check_vm_modify_config_perm).
func mayTouch(who identity, id int, keys []string) error {
	if who.root() {
		return nil
	}
	for _, key := range keys {
		if err := mayTouchKey(who, id, key); err != nil {
			return err
		}
	}
	return nil
}

func mayTouchKey(who identity, id int, key string) error {
	stem := strings.TrimRight(key, "0123456789")
	switch {
	case isDrive(key), key == "tags", slices.Contains([]string{"unused", "serial", "usb", "hostpci", "virtiofs"}, stem) && stem != key:
		return nil // the required privilege depends on the value
	case slices.Contains(cloudinit, key), stem == "ipconfig":
		return who.needsAny(vmPath(id), "VM.Config.Cloudinit", "VM.Config.Network")
	case stem == "net" && stem != key:
		return who.needs(vmPath(id), "VM.Config.Network")
	case stem == "numa" && stem != key:
		return who.needs(vmPath(id), "VM.Config.CPU")
	case key == "freeze":
		return who.needs(vmPath(id), "VM.PowerMgmt")
	}
	right, known := rights[key]
	if !known {
		return refuse("only root can set '%s' config", key)
	}
	if err := who.needs(vmPath(id), "VM.Config."+right); err != nil || key != "startup" {
		return err
	}
	return who.needs("/", "Sys.Modify")
}

// mayUseStorages checks that the storages in the values of drives exist, and
// that the identity has privileges on these storages ($check_storage_access).
func (n *Node) mayUseStorages(who identity, id int, settings map[string]string) error {
	for _, key := range sorted(settings) {
		switch {
		case isDrive(key):
			if err := n.mayUseDrive(who, id, key, parseDrive(settings[key])); err != nil {
				return err
			}
		case strings.HasPrefix(key, "unused"):
			if err := n.mayUseVolume(who, id, parseDrive(settings[key]).volume, "images"); err != nil {
				return err
			}
		}
	}
	if pool, set := settings["vmstatestorage"]; set {
		return who.needs("/storage/"+pool, "Datastore.AllocateSpace")
	}
	return nil
}

func (n *Node) mayUseDrive(who identity, id int, key string, d drive) error {
	pool, name, _ := strings.Cut(d.volume, ":")
	switch {
	case d.volume == "none", name == "cloudinit":
	case d.volume == "cdrom" && d.media() == "cdrom":
		return who.needs("/", "Sys.Console")
	case isNew(d.volume) && d.media() != "cdrom":
		if err := who.needs("/storage/"+pool, "Datastore.AllocateSpace"); err != nil {
			return err
		}
		s, err := n.find(pool)
		if err != nil {
			return err
		}
		if !s.holds("images") {
			return wrong("storage", "storage '%s' does not support vm images", pool)
		}
	default:
		if err := n.mayUseVolume(who, id, d.volume, ""); err != nil {
			return err
		}
		if kind, _ := n.kindOf(d.volume); kind != "" && kind != "images" && kind != "iso" {
			return wrong(key, "content type needs to be 'images' or 'iso'")
		}
	}
	source, imports := d.options["import-from"]
	if !imports {
		return nil
	}
	kind, owner := n.kindOf(source)
	switch {
	case kind != "" && kind != "images" && kind != "import":
		return wrong(key, "%s has wrong type '%s' - needs to be 'images' or 'import'", source, kind)
	case owner != 0:
		return who.needs(vmPath(owner), "VM.Clone")
	}
	return n.mayUseVolume(who, id, source, "")
}

// mayUseBridges checks the privileges for the bridges of network cards
// (check_bridge_access).
func mayUseBridges(who identity, settings map[string]string) error {
	for _, key := range sorted(settings) {
		if bridge := property(settings[key], "bridge"); bridge != "" && strings.HasPrefix(key, "net") && !who.root() {
			if err := who.needs("/sdn/zones/localnetwork/"+bridge, "SDN.Use"); err != nil {
				return err
			}
		}
	}
	return nil
}

// mayMake checks the privileges for the devices of a new VM. For disks, it
// requires only VM.Allocate.
func mayMake(who identity, id int, settings map[string]string) error {
	for _, stem := range []string{"serial", "usb", "hostpci", "rng", "virtiofs"} {
		for _, key := range sorted(settings) {
			if strings.TrimRight(key, "0123456789") != stem || key == stem {
				continue
			}
			if err := mayHaveDevice(who, id, key, settings[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// maySetValue checks the privileges that depend on a key's value: drives,
// networks, and devices of the host. Like PVE, it also checks the old value.
func (n *Node) maySetValue(who identity, v *vm, key, old, value string) error {
	switch stem := strings.TrimRight(key, "0123456789"); {
	case who.root():
		return nil
	case isDrive(key):
		if old != "" {
			if err := mayHaveDrive(who, v.id, old); err != nil {
				return err
			}
		}
		return mayHaveDrive(who, v.id, value)
	case stem == "serial" && stem != key:
		if (old == "" || old == "socket") && value == "socket" {
			return who.needs(vmPath(v.id), "VM.Config.HWType")
		}
		return refuse("only root can modify '%s' config for real devices", key)
	case key == "tags":
		return who.needs(vmPath(v.id), "VM.Config.Options")
	case stem == "net" && old != "":
		return mayUseBridges(who, map[string]string{key: old})
	}
	if old != "" {
		if err := mayHaveDevice(who, v.id, key, old); err != nil {
			return err
		}
	}
	return mayHaveDevice(who, v.id, key, value)
}

// mayRemoveValue checks the privileges to remove a device.
func (n *Node) mayRemoveValue(who identity, id int, key, value string) error {
	if strings.HasPrefix(key, "serial") && value != "socket" && !who.root() {
		return refuse("only root can delete '%s' config for real devices", key)
	}
	return mayHaveDevice(who, id, key, value)
}

// mayHaveDrive checks the privileges for a drive, which depend on the kind of
// the drive.
func mayHaveDrive(who identity, id int, value string) error {
	switch d := parseDrive(value); {
	case d.cloudinit():
		if err := who.needs(vmPath(id), "VM.Config.Cloudinit"); err != nil {
			return err
		}
		return who.needs(vmPath(id), "VM.Config.CDROM")
	case d.media() == "cdrom":
		return who.needs(vmPath(id), "VM.Config.CDROM")
	}
	return who.needs(vmPath(id), "VM.Config.Disk")
}

// mayHaveDevice checks the privileges for a device of the host. It accepts all
// other keys.
func mayHaveDevice(who identity, id int, key, value string) error {
	if who.root() {
		return nil
	}
	switch strings.TrimRight(key, "0123456789") {
	case "serial":
		if value == "socket" {
			return who.needs(vmPath(id), "VM.Config.HWType")
		}
		return refuse("only root can set '%s' config for real devices", key)
	case "usb":
		return maySetUSB(who, id, key, value)
	case "hostpci":
		return maySetHostPCI(who, id, key, value)
	case "rng":
		if err := who.needs(vmPath(id), "VM.Config.HWType"); err != nil {
			return err
		}
		if source, _, _ := strings.Cut(value, ","); strings.TrimPrefix(source, "source=") == "/dev/hwrng" {
			return who.needs("/mapping/hwrng", "Mapping.Use")
		}
	case "virtiofs":
		if err := who.needs(vmPath(id), "VM.Config.Disk"); err != nil {
			return err
		}
		keys, _ := pveschema.ParseProperties("@virtiofs[n]", value)
		return who.needs("/mapping/dir/"+keys["dirid"], "Mapping.Use")
	}
	return nil
}

func maySetUSB(who identity, id int, key, value string) error {
	if err := who.needs(vmPath(id), "VM.Config.HWType"); err != nil {
		return err
	}
	host, mapping := device(value)
	switch {
	case strings.EqualFold(host, "spice"):
		return nil
	case host != "":
		return refuse("only root can set '%s' config for real devices", key)
	case mapping != "":
		return who.needs("/mapping/usb/"+mapping, "Mapping.Use")
	}
	return refuse("either 'host' or 'mapping' must be set.")
}
