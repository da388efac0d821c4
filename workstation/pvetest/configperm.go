package pvetest

import (
	"net/http"
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
func (n *Node) mayChange(c *call, ch change) (answer, bool) {
	if c.who.root() {
		return answer{}, true
	}
	id := c.number("vmid")
	for _, key := range append(slices.Clone(ch.remove), sorted(ch.set)...) {
		if a, allowed := mayTouch(c.who, id, key); !allowed {
			return a, false
		}
	}
	for _, key := range sorted(ch.set) {
		if a, allowed := n.mayUseStorage(c.who, id, key, ch.set[key]); !allowed {
			return a, false
		}
		if bridge := property(ch.set[key], "bridge"); bridge != "" && strings.HasPrefix(key, "net") {
			if a, allowed := c.who.needs("/sdn/zones/localnetwork/"+bridge, "SDN.Use"); !allowed {
				return a, false
			}
		}
	}
	return answer{}, true
}

// mayTouch checks a key whatever its value.
func mayTouch(who identity, id int, key string) (answer, bool) {
	stem := strings.TrimRight(key, "0123456789")
	switch {
	case isDrive(key), slices.Contains([]string{"unused", "serial", "usb", "hostpci", "virtiofs"}, stem):
		return answer{}, true // as their values say
	case slices.Contains(cloudinit, key), slices.Contains(cloudinit, stem):
		if who.may(vmPath(id), "VM.Config.Cloudinit") {
			return answer{}, true
		}
		if _, allowed := who.needs(vmPath(id), "VM.Config.Network"); !allowed {
			return fail(http.StatusForbidden, "Permission check failed (%s, VM.Config.Cloudinit|VM.Config.Network)", vmPath(id)), false
		}
		return answer{}, true
	case stem == "net":
		return who.needs(vmPath(id), "VM.Config.Network")
	case stem == "numa":
		return who.needs(vmPath(id), "VM.Config.CPU")
	}
	right, known := rights[key]
	if !known {
		return fail(http.StatusInternalServerError, "only root can set '%s' config", key), false
	}
	if a, allowed := who.needs(vmPath(id), "VM.Config."+right); !allowed || key != "startup" {
		return a, allowed
	}
	return who.needs("/", "Sys.Modify")
}

// mayUseStorage checks what a drive asks of the storage that it names.
func (n *Node) mayUseStorage(who identity, id int, key, value string) (answer, bool) {
	d := parseDrive(value)
	pool, name, _ := strings.Cut(d.volume, ":")
	switch {
	case key == "vmstatestorage":
		return who.needs("/storage/"+value, "Datastore.AllocateSpace")
	case !isDrive(key) && !strings.HasPrefix(key, "unused"), d.volume == "none", name == "cloudinit":
		return answer{}, true
	case d.volume == "cdrom":
		return who.needs("/", "Sys.Console")
	case isNew(d.volume):
		if a, allowed := who.needs("/storage/"+pool, "Datastore.AllocateSpace"); !allowed || d.options["import-from"] == "" {
			return a, allowed
		}
		return n.mayUseVolume(who, id, d.options["import-from"])
	}
	return n.mayUseVolume(who, id, d.volume)
}

// mayUseVolume checks access to a volume (pve-storage PVE/Storage.pm,
// check_volume_access).
func (n *Node) mayUseVolume(who identity, id int, volume string) (answer, bool) {
	pool, _, found := strings.Cut(volume, ":")
	if !found {
		return fail(http.StatusInternalServerError, "Only root can pass arbitrary filesystem paths."), false
	}
	s, name, there := n.volume(volume)
	switch {
	case who.may("/storage/"+pool, "Datastore.Allocate"), !there:
		return answer{}, true
	case s.volumes[name].VMID == id:
		return answer{}, true // its owner
	case s.volumes[name].VMID != 0:
		if a, allowed := who.needs("/storage/"+pool, "Datastore.Audit"); !allowed {
			return a, false
		}
		return who.needs(vmPath(s.volumes[name].VMID), "VM.Config.Disk")
	case !who.maySee(pool):
		return fail(http.StatusForbidden, "Permission check failed (/storage/%s, Datastore.AllocateSpace|Datastore.Audit)", pool), false
	}
	return answer{}, true
}

// maySetValues checks every value of a new VM.
func (n *Node) maySetValues(who identity, id int, settings map[string]string) (answer, bool) {
	for _, key := range sorted(settings) {
		if isDrive(key) {
			continue // VM.Allocate covers the disks of a new VM
		}
		if a, allowed := n.maySetValue(who, id, key, settings[key]); !allowed {
			return a, false
		}
	}
	return answer{}, true
}

// maySetValue checks what depends on the value: drives, and devices of the
// host. PVE does so for the old value too.
func (n *Node) maySetValue(who identity, id int, key, value string) (answer, bool) {
	if who.root() {
		return answer{}, true
	}
	d := parseDrive(value)
	switch stem := strings.TrimRight(key, "0123456789"); {
	case isDrive(key) && d.cloudinit():
		if a, allowed := who.needs(vmPath(id), "VM.Config.Cloudinit"); !allowed {
			return a, false
		}
		return who.needs(vmPath(id), "VM.Config.CDROM")
	case isDrive(key) && d.media() == "cdrom":
		return who.needs(vmPath(id), "VM.Config.CDROM")
	case isDrive(key), stem == "unused", stem == "virtiofs":
		return who.needs(vmPath(id), "VM.Config.Disk")
	case stem == "serial" && value == "socket":
		return who.needs(vmPath(id), "VM.Config.HWType")
	case stem == "serial":
		return fail(http.StatusInternalServerError, "only root can modify '%s' config for real devices", key), false
	case stem == "usb":
		return maySetUSB(who, id, key, value)
	case stem == "hostpci":
		return maySetHostPCI(who, id, key, value)
	case key == "rng0" && property(value, "source") == "/dev/hwrng":
		return who.needs("/mapping/hwrng", "Mapping.Use")
	}
	return answer{}, true
}

func maySetUSB(who identity, id int, key, value string) (answer, bool) {
	if a, allowed := who.needs(vmPath(id), "VM.Config.HWType"); !allowed {
		return a, false
	}
	host, mapping := device(value)
	switch {
	case strings.EqualFold(host, "spice"):
		return answer{}, true
	case host != "":
		return fail(http.StatusInternalServerError, "only root can set '%s' config for real devices", key), false
	case mapping != "":
		return who.needs("/mapping/usb/"+mapping, "Mapping.Use")
	}
	return fail(http.StatusInternalServerError, "either 'host' or 'mapping' must be set."), false
}

// maySetHostPCI checks a PCI device: by mapping it needs two privileges, by
// address it is for root@pam alone.
func maySetHostPCI(who identity, id int, key, value string) (answer, bool) {
	host, mapping := device(value)
	switch {
	case host != "":
		return fail(http.StatusInternalServerError, "only root can set '%s' config for non-mapped devices", key), false
	case mapping == "":
		return fail(http.StatusInternalServerError, "either 'host' or 'mapping' must be set."), false
	}
	if a, allowed := who.needs("/mapping/pci/"+mapping, "Mapping.Use"); !allowed {
		return a, false
	}
	if a, allowed := who.needs(vmPath(id), "VM.Config.HWType"); !allowed {
		return a, false
	}
	if property(value, "romfile") != "" {
		return invalid(map[string]string{key: "only root@pam can set 'romfile' option"}), false
	}
	return answer{}, true
}

// device returns which device of the host a value names, and by which mapping.
func device(value string) (host, mapping string) {
	host, mapping = property(value, "host"), property(value, "mapping")
	if first, _, _ := strings.Cut(value, ","); !strings.Contains(first, "=") {
		host = first
	}
	return host, mapping
}

// property returns the value of a key in a property string, or "".
func property(value, key string) string {
	for field := range strings.SplitSeq(value, ",") {
		if text, found := strings.CutPrefix(field, key+"="); found {
			return text
		}
	}
	return ""
}
