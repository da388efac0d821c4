package pvetest

import (
	"fmt"
	"net/http"
	"strings"
)

// rights holds the privilege that each key of a configuration wants, in the
// lists of qemu-server PVE/API2/Qemu.pm.
var rights = map[string]string{
	"cores": "CPU", "cpu": "CPU", "cpulimit": "CPU", "cpuunits": "CPU", "numa": "CPU", "sockets": "CPU", "vcpus": "CPU", "smp": "CPU",
	"memory": "Memory", "balloon": "Memory", "shares": "Memory", "allow-ksm": "Memory",
	"acpi": "HWType", "hotplug": "HWType", "kvm": "HWType", "machine": "HWType", "scsihw": "HWType", "smbios1": "HWType",
	"tablet": "HWType", "vga": "HWType", "watchdog": "HWType", "audio0": "HWType", "rng0": "HWType",
	"agent": "Options", "autostart": "Options", "bios": "Options", "description": "Options", "keyboard": "Options",
	"localtime": "Options", "migrate_downtime": "Options", "migrate_speed": "Options", "name": "Options", "onboot": "Options",
	"ostype": "Options", "protection": "Options", "reboot": "Options", "startdate": "Options", "startup": "Options",
	"tdf": "Options", "template": "Options", "tags": "Options",
	"boot": "Disk", "bootdisk": "Disk", "vmstatestorage": "Disk",
	"cicustom": "Cloudinit", "cipassword": "Cloudinit", "citype": "Cloudinit", "ciuser": "Cloudinit", "ciupgrade": "Cloudinit",
	"nameserver": "Cloudinit", "searchdomain": "Cloudinit", "sshkeys": "Cloudinit",
}

// mayChange checks every key of a change as PVE does, for callers that are
// not root@pam by ticket.
func (n *Node) mayChange(c *call, vmid int, ch change) (answer, bool) {
	if c.who.root() {
		return answer{}, true
	}
	path := fmt.Sprintf("/vms/%d", vmid)
	for _, key := range sorted(ch.set) {
		if a, allowed := n.maySet(c.who, path, key, ch.set[key]); !allowed {
			return a, false
		}
	}
	for _, key := range ch.remove {
		value := ""
		if v := n.vms[vmid]; v != nil {
			value = v.next()[key]
		}
		if a, allowed := n.maySet(c.who, path, key, value); !allowed {
			return a, false
		}
	}
	return answer{}, true
}

func (n *Node) maySet(who identity, path, key, value string) (answer, bool) {
	stem := strings.TrimRight(key, "0123456789")
	switch {
	case isDrive(key), stem == "unused":
		return n.maySetDrive(who, path, value)
	case stem == "net":
		if a, allowed := who.needs(path, "VM.Config.Network"); !allowed {
			return a, false
		}
		if bridge := property(value, "bridge"); bridge != "" {
			return who.needs("/sdn/zones/localnetwork/"+bridge, "SDN.Use")
		}
		return answer{}, true
	case stem == "hostpci", stem == "usb":
		return maySetDevice(who, path, key, value)
	case stem == "serial" && (value == "socket" || value == ""):
		return who.needs(path, "VM.Config.HWType")
	case stem == "ipconfig":
		return who.needs(path, "VM.Config.Cloudinit")
	case key == "startup":
		if a, allowed := who.needs("/", "Sys.Modify"); !allowed {
			return a, false
		}
	}
	right, known := rights[key]
	if !known {
		return fail(http.StatusInternalServerError, "only root can set '%s' config", key), false
	}
	return who.needs(path, "VM.Config."+right)
}

func (n *Node) maySetDrive(who identity, path, value string) (answer, bool) {
	d := parseDrive(value)
	pool, _, _ := strings.Cut(d.volume, ":")
	if d.media() == "cdrom" {
		if a, allowed := who.needs(path, "VM.Config.CDROM"); !allowed || d.volume == "none" {
			return a, allowed
		}
		if who.may("/storage/"+pool, "Datastore.AllocateSpace") {
			return answer{}, true
		}
		return who.needs("/storage/"+pool, "Datastore.Audit")
	}
	if a, allowed := who.needs(path, "VM.Config.Disk"); !allowed || value == "" {
		return a, allowed
	}
	if isNew(d.volume) {
		return who.needs("/storage/"+pool, "Datastore.AllocateSpace")
	}
	return answer{}, true
}

// maySetDevice checks a device of the host: by mapping it needs two
// privileges, by address it is for root@pam alone.
func maySetDevice(who identity, path, key, value string) (answer, bool) {
	kind := strings.TrimPrefix(strings.TrimRight(key, "0123456789"), "host")
	mapping, host := property(value, "mapping"), property(value, "host")
	if first, _, _ := strings.Cut(value, ","); !strings.Contains(first, "=") {
		host = first
	}
	switch {
	case value == "", kind == "usb" && strings.EqualFold(host, "spice"):
	case host != "" && kind == "usb":
		return fail(http.StatusInternalServerError, "only root can set '%s' config for real devices", key), false
	case host != "":
		return fail(http.StatusInternalServerError, "only root can set '%s' config for non-mapped devices", key), false
	case mapping == "":
		return fail(http.StatusInternalServerError, "either 'host' or 'mapping' must be set."), false
	default:
		if a, allowed := who.needs("/mapping/"+kind+"/"+mapping, "Mapping.Use"); !allowed {
			return a, false
		}
	}
	if a, allowed := who.needs(path, "VM.Config.HWType"); !allowed {
		return a, false
	}
	if kind == "pci" && property(value, "romfile") != "" {
		return invalid(map[string]string{key: "only root@pam can set 'romfile' option"}), false
	}
	return answer{}, true
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
