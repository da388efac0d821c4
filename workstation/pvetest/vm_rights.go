package pvetest

import (
	"slices"
	"strings"
)

// rights holds the privilege that each key of a configuration wants, in the
// lists of qemu-server PVE/API2/Qemu.pm.
var rights = map[string]string{
	"cores": "CPU", "cpu": "CPU", "cpulimit": "CPU", "cpuunits": "CPU", "numa": "CPU", "sockets": "CPU", "vcpus": "CPU", "smp": "CPU",
	"memory": "Memory", "balloon": "Memory", "shares": "Memory", "allow-ksm": "Memory",
	"acpi": "HWType", "hotplug": "HWType", "kvm": "HWType", "machine": "HWType", "scsihw": "HWType", "smbios1": "HWType",
	"tablet": "HWType", "vga": "HWType", "watchdog": "HWType", "audio0": "HWType", "rng0": "HWType", "runningmachine": "HWType", "runningcpu": "CPU",
	"agent": "Options", "autostart": "Options", "bios": "Options", "description": "Options", "keyboard": "Options",
	"localtime": "Options", "migrate_downtime": "Options", "migrate_speed": "Options", "name": "Options", "onboot": "Options",
	"ostype": "Options", "protection": "Options", "reboot": "Options", "startdate": "Options", "startup": "Options",
	"tdf": "Options", "template": "Options", "tags": "Options",
	"boot": "Disk", "bootdisk": "Disk", "vmstatestorage": "Disk",
}

// cloudinit are the keys of cloud-init, for which either of two privileges
// will do.
var cloudinit = []string{"cicustom", "cipassword", "citype", "ciuser", "ciupgrade", "nameserver", "searchdomain", "sshkeys", "ipconfig"}

// mayChange checks what PVE checks before it does anything: every key by its
// kind, the storages and the bridges ($check_vm_modify_config_perm,
// $check_storage_access, check_bridge_access).
func (n *Node) mayChange(c *call, ch change) error {
	if c.who.root() {
		return nil
	}
	id := c.number("vmid")
	for _, key := range append(slices.Clone(ch.remove), sorted(ch.set)...) {
		if err := mayTouch(c.who, id, key); err != nil {
			return err
		}
	}
	for _, key := range sorted(ch.set) {
		if err := n.mayUseStorage(c.who, id, key, ch.set[key]); err != nil {
			return err
		}
		if bridge := property(ch.set[key], "bridge"); bridge != "" && strings.HasPrefix(key, "net") {
			if err := c.who.needs("/sdn/zones/localnetwork/"+bridge, "SDN.Use"); err != nil {
				return err
			}
		}
	}
	return nil
}

// mayTouch checks a key whatever its value.
func mayTouch(who identity, id int, key string) error {
	stem := strings.TrimRight(key, "0123456789")
	switch {
	case isDrive(key), slices.Contains([]string{"unused", "serial", "usb", "hostpci", "virtiofs"}, stem):
		return nil // as their values say
	case slices.Contains(cloudinit, key), slices.Contains(cloudinit, stem):
		return who.needsAny(vmPath(id), "VM.Config.Cloudinit", "VM.Config.Network")
	case stem == "net":
		return who.needs(vmPath(id), "VM.Config.Network")
	case stem == "numa":
		return who.needs(vmPath(id), "VM.Config.CPU")
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

// mayUseStorage checks what a drive asks of the storage that it names.
func (n *Node) mayUseStorage(who identity, id int, key, value string) error {
	d := parseDrive(value)
	pool, name, _ := strings.Cut(d.volume, ":")
	switch {
	case key == "vmstatestorage":
		return who.needs("/storage/"+value, "Datastore.AllocateSpace")
	case !isDrive(key) && !strings.HasPrefix(key, "unused"), d.volume == "none", name == "cloudinit":
		return nil
	case d.volume == "cdrom":
		return who.needs("/", "Sys.Console")
	case isNew(d.volume):
		if err := who.needs("/storage/"+pool, "Datastore.AllocateSpace"); err != nil || d.options["import-from"] == "" {
			return err
		}
		return n.mayUseVolume(who, id, d.options["import-from"])
	}
	return n.mayUseVolume(who, id, d.volume)
}

// maySetValues checks every value of a new VM.
func (n *Node) maySetValues(who identity, id int, settings map[string]string) error {
	for _, key := range sorted(settings) {
		if isDrive(key) {
			continue // VM.Allocate covers the disks of a new VM
		}
		if err := n.maySetValue(who, id, key, settings[key]); err != nil {
			return err
		}
	}
	return nil
}

// maySetValue checks what depends on the value: drives, and devices of the
// host. PVE does so for the old value too.
func (n *Node) maySetValue(who identity, id int, key, value string) error {
	if who.root() {
		return nil
	}
	d := parseDrive(value)
	switch stem := strings.TrimRight(key, "0123456789"); {
	case isDrive(key) && d.cloudinit():
		if err := who.needs(vmPath(id), "VM.Config.Cloudinit"); err != nil {
			return err
		}
		return who.needs(vmPath(id), "VM.Config.CDROM")
	case isDrive(key) && d.media() == "cdrom":
		return who.needs(vmPath(id), "VM.Config.CDROM")
	case isDrive(key), stem == "unused", stem == "virtiofs":
		return who.needs(vmPath(id), "VM.Config.Disk")
	case stem == "serial" && value == "socket":
		return who.needs(vmPath(id), "VM.Config.HWType")
	case stem == "serial":
		return refuse("only root can modify '%s' config for real devices", key)
	case stem == "usb":
		return maySetUSB(who, id, key, value)
	case stem == "hostpci":
		return maySetHostPCI(who, id, key, value)
	case key == "rng0" && property(value, "source") == "/dev/hwrng":
		return who.needs("/mapping/hwrng", "Mapping.Use")
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
