package pvetest

import (
	"maps"
	"slices"
	"strings"
)

// fast are keys that take effect at once in a running VM (qemu-server
// PVE/QemuServer.pm, $fast_plug_option, with those of cloud-init).
var fast = []string{"description", "hookscript", "lock", "migrate_downtime", "migrate_speed", "name", "onboot", "protection",
	"shares", "startup", "tags", "vmstatestorage", "cicustom", "cipassword", "citype", "ciuser", "ciupgrade", "nameserver",
	"searchdomain", "sshkeys", "ipconfig", "cpuunits", "cpulimit"}

// hotplugs reports whether a running VM takes changes of a kind of device.
func (v *vm) hotplugs(kind string) bool {
	switch value := v.config["hotplug"]; value {
	case "", "1":
		return kind == "disk" || kind == "network" || kind == "usb"
	default:
		return slices.Contains(strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" ,;", r) }), kind)
	}
}

// takes reports whether a new value of a key takes effect at once in a running
// VM (vmconfig_hotplug_pending).
func (v *vm) takes(key, value string) bool {
	switch stem := strings.TrimRight(key, "0123456789"); {
	case slices.Contains(fast, key), slices.Contains(fast, stem):
		return true
	case stem == "net":
		return v.hotplugs("network")
	case stem == "usb":
		return v.hotplugs("usb") && (v.config["ostype"] == "l26" || strings.HasPrefix(v.config["ostype"], "win"))
	case key == "balloon":
		return (v.config[key] == "0") == (value == "0")
	case isDrive(key):
		return v.takesDrive(key, value)
	}
	return false
}

// coldOptions are options of a drive that a running VM does not take over
// (vmconfig_update_disk).
var coldOptions = []string{"aio", "discard", "iothread", "queues", "product", "cache", "ssd", "vendor", "ro"}

func (v *vm) takesDrive(key, value string) bool {
	have, want := parseDrive(v.config[key]), parseDrive(value)
	switch {
	case key == "efidisk0", key == "tpmstate0", want.cloudinit():
		return false
	case v.config[key] == "":
		return v.hotplugs("disk") && !strings.HasPrefix(key, "ide") && !strings.HasPrefix(key, "sata")
	case want.media() == "cdrom":
		return have.media() == "cdrom"
	case have.volume != want.volume:
		return v.hotplugs("disk") && !strings.HasPrefix(key, "ide") && !strings.HasPrefix(key, "sata")
	}
	return !slices.ContainsFunc(coldOptions, func(option string) bool { return have.options[option] != want.options[option] })
}

// gives reports whether a running VM gives a key up at once.
func (v *vm) gives(key string) bool {
	switch stem := strings.TrimRight(key, "0123456789"); {
	case isDrive(key):
		return v.hotplugs("disk") && (stem == "scsi" || stem == "virtio")
	case key == "balloon":
		return v.config[key] != "0"
	default:
		return v.takes(key, "")
	}
}

// hotplug applies what a running VM takes.
func (n *Node) hotplug(v *vm) {
	for _, key := range sorted(v.drop) {
		if v.gives(key) {
			n.takeOut(v, key)
		}
	}
	for _, key := range sorted(v.pending) {
		if v.takes(key, v.pending[key]) {
			n.putIn(v, key)
		}
	}
}

// applyPending applies everything to a VM that does not run.
func (n *Node) applyPending(v *vm) {
	for _, key := range sorted(v.drop) {
		n.takeOut(v, key)
	}
	for _, key := range sorted(v.pending) {
		n.putIn(v, key)
	}
}

// takeOut takes a key out. A disk is kept as unused, or destroyed if that was
// asked for.
func (n *Node) takeOut(v *vm, key string) {
	d, force := parseDrive(v.config[key]), v.drop[key]
	delete(v.config, key)
	delete(v.drop, key)
	switch {
	case !isDrive(key):
	case force && d.media() != "cdrom":
		n.free(d.volume)
	default:
		n.setAside(v, d)
	}
}

func (n *Node) putIn(v *vm, key string) {
	old, value := v.config[key], v.pending[key]
	v.config[key] = value
	delete(v.pending, key)
	if isDrive(key) && old != "" && parseDrive(old).volume != parseDrive(value).volume {
		n.setAside(v, parseDrive(old))
	}
	v.dropUsed()
}

// dropUsed takes out the unused disks that a drive names, now or at the next
// start. PVE does so whenever it writes a configuration (write_vm_config).
func (v *vm) dropUsed() {
	used := map[string]bool{}
	for _, section := range []map[string]string{v.config, v.pending} {
		for key, value := range section {
			used[parseDrive(value).volume] = used[parseDrive(value).volume] || isDrive(key)
		}
	}
	maps.DeleteFunc(v.config, func(key, value string) bool { return strings.HasPrefix(key, "unused") && used[value] })
}

// setAside keeps a disk that is no longer attached as unusedN. What cloud-init
// made is destroyed; what is not the VM's own is left alone.
func (n *Node) setAside(v *vm, d drive) {
	s, name, there := n.volume(d.volume)
	switch {
	case !there || s.volumes[name].VMID != v.id:
		return
	case d.cloudinit():
		delete(s.volumes, name)
		return
	}
	for i := range 256 {
		key := "unused" + text(i)
		if _, taken := v.config[key]; !taken {
			v.config[key] = d.volume
			return
		}
	}
}
