package pvetest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// The variable "fast" lists the keys that take effect immediately in a running
// VM. These are the keys of qemu-server PVE/QemuServer.pm, $fast_plug_option,
// and the keys of cloud-init.
var fast = []string{"description", "hookscript", "lock", "migrate_downtime", "migrate_speed", "name", "onboot", "protection",
	"shares", "startup", "tags", "vmstatestorage", "cicustom", "cipassword", "citype", "ciuser", "ciupgrade", "nameserver",
	"searchdomain", "sshkeys", "ipconfig"}

// The method "hotplugs" reports whether devices of a kind can be changed while
// the VM runs (parse_hotplug_features).
func (v *vm) hotplugs(kind string) bool {
	value := v.config["hotplug"]
	if value == "" || value == "1" {
		value = "network,disk,usb"
	}
	return slices.Contains(pveschema.SplitList(value), kind)
}

// hotplugsUSB reports whether USB devices can be changed while the VM runs.
// This needs Linux, or a Windows newer than 7.
func (v *vm) hotplugsUSB() bool {
	ostype := v.config["ostype"]
	return v.hotplugs("usb") && (ostype == "l26" || ostype == "win8" || ostype == "win10" || ostype == "win11")
}

var cpuOrMemory = regexp.MustCompile(`cpu|memory`)

// The method "hotplug" applies the modified keys that a running VM accepts. It
// also applies all pending keys that take effect immediately
// (vmconfig_hotplug_pending).
func (n *Node) hotplug(who identity, v *vm, modified map[string]bool, problems map[string]string) {
	for _, key := range sorted(v.pending) {
		if isFast(key) {
			n.putIn(v, key)
		}
	}
	for _, key := range sorted(v.drop) {
		if !modified[key] || !v.gives(key) {
			continue
		}
		if err := n.takeOut(who, v, key); err != nil {
			problems[key] = "hotplug problem - " + err.Error() + "\n"
		}
	}
	for _, key := range sorted(v.pending) {
		if !modified[key] {
			continue
		}
		takes, err := n.takes(v, key, v.pending[key])
		switch {
		case err != nil:
			problems[key] = "hotplug problem - " + err.Error() + "\n"
		case takes:
			n.putIn(v, key)
		}
	}
}

func isFast(key string) bool {
	return slices.Contains(fast, key) || slices.Contains(fast, strings.TrimRight(key, "0123456789"))
}

// The method "gives" reports whether a key can be removed from a running VM
// without a restart.
func (v *vm) gives(key string) bool {
	switch stem := strings.TrimRight(key, "0123456789"); {
	case isFast(key), key == "cpuunits", key == "cpulimit":
		return true
	case isDrive(key):
		return v.hotplugs("disk") && (stem == "scsi" || stem == "virtio")
	case stem == "net":
		return v.hotplugs("network")
	case stem == "usb":
		return v.hotplugsUSB()
	case key == "tablet":
		return v.hotplugs("usb")
	case key == "hotplug":
		return !cpuOrMemory.MatchString(v.config[key])
	case key == "vcpus":
		return v.hotplugs("cpu")
	case key == "memory":
		return v.hotplugs("memory")
	case key == "balloon":
		return v.config[key] != "0"
	}
	return false
}

// The method "takes" reports whether a new value of a key takes effect in a
// running VM without a restart. It returns an error if a running device refuses
// the new value.
func (n *Node) takes(v *vm, key, value string) (bool, error) {
	switch stem := strings.TrimRight(key, "0123456789"); {
	case key == "cpuunits", key == "cpulimit":
		return true, nil
	case key == "hotplug":
		return !cpuOrMemory.MatchString(v.config[key] + value), nil
	case key == "tablet":
		return v.hotplugs("usb"), nil
	case key == "vcpus":
		return v.hotplugs("cpu"), nil
	case key == "memory":
		return v.hotplugs("memory"), nil
	case stem == "net":
		return n.takesNetwork(v, v.config[key], value)
	case stem == "usb":
		return v.hotplugsUSB(), nil
	case key == "balloon":
		return (v.config[key] == "0") == (value == "0"), nil
	case key == "agent":
		return v.config[key] != "" && sameAgent(v.config[key], value), nil
	case isDrive(key):
		return v.takesDrive(key, value)
	}
	return false, nil
}

// takesNetwork reports whether a change of a network card takes effect without
// a restart. Without hot-plug, only the card's bridge, VLAN and limits can
// change (vmconfig_update_net).
func (n *Node) takesNetwork(v *vm, have, want string) (bool, error) {
	old, _ := pveschema.ParseProperties("@net[n]", have)
	change, _ := pveschema.ParseProperties("@net[n]", want)
	same := have != "" && old["bridge"] != "" && change["bridge"] != ""
	for _, key := range []string{"model", "macaddr", "queues", "mtu"} {
		same = same && old[key] == change[key]
	}
	if !same && !v.hotplugs("network") {
		return false, nil
	}
	return true, n.bridgeExists(change["bridge"])
}

// sameAgent reports whether two values of the key agent are the same for QEMU
// (vmconfig_update_agent).
func sameAgent(have, want string) bool {
	old, _ := pveschema.ParseProperties("@agent", have)
	change, _ := pveschema.ParseProperties("@agent", want)
	delete(old, "fstrim_cloned_disks")
	delete(change, "fstrim_cloned_disks")
	return maps.Equal(old, change)
}

// coldOptions lists the options of a drive that cannot change in a running VM
// (vmconfig_update_disk).
var coldOptions = []string{"aio", "discard", "iothread", "queues", "product", "cache", "ssd", "vendor", "ro"}

func (v *vm) takesDrive(key, value string) (bool, error) {
	have, want := parseDrive(v.config[key]), parseDrive(value)
	_, attached := v.config[key]
	plugs := v.hotplugs("disk") && !strings.HasPrefix(key, "ide") && !strings.HasPrefix(key, "sata")
	switch {
	case key == "efidisk0", key == "tpmstate0", want.cloudinit():
		return false, nil
	case !attached:
		return plugs, nil
	case (want.media() == "cdrom") != (have.media() == "cdrom"):
		return false, refuse("unable to change media type")
	case have.media() == "cdrom":
		return true, nil
	case have.volume != want.volume:
		return plugs, nil
	}
	return !slices.ContainsFunc(coldOptions, func(option string) bool { return have.options[option] != want.options[option] }), nil
}

// applyPending applies all pending changes to a VM that is off
// (vmconfig_apply_pending).
func (n *Node) applyPending(who identity, v *vm, problems map[string]string) {
	for _, key := range sorted(v.drop) {
		if err := n.takeOut(who, v, key); err != nil {
			problems[key] = fmt.Sprintf("unable to apply pending change %s : %v\n", key, err)
		}
	}
	v.cleanPending()
	for _, key := range sorted(v.pending) {
		n.putIn(v, key)
	}
}

// takeOut removes a key. A disk is kept as unused, or destroyed on request
// (vmconfig_delete_or_detach_drive).
func (n *Node) takeOut(who identity, v *vm, key string) error {
	d := parseDrive(v.config[key])
	if isDrive(key) && v.drop[key] {
		if err := who.needs(vmPath(v.id), "VM.Config.Disk"); err != nil {
			return err
		}
		if err := n.deallocate(who, v, key, d); err != nil {
			return err
		}
	}
	keep := isDrive(key) && !v.drop[key]
	delete(v.config, key)
	delete(v.drop, key)
	if keep {
		n.setAside(v, d)
	}
	return nil
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

// dropUsed removes a key unusedN if a drive uses the same volume, now or at the
// next start. PVE does this whenever it writes a configuration
// (write_vm_config).
func (v *vm) dropUsed() {
	used := map[string]bool{}
	for _, section := range []map[string]string{v.config, v.pending} {
		for key, value := range section {
			used[parseDrive(value).volume] = used[parseDrive(value).volume] || isDrive(key)
		}
	}
	maps.DeleteFunc(v.config, func(key, value string) bool { return strings.HasPrefix(key, "unused") && used[value] })
}

// setAside keeps a detached disk as unusedN. It destroys the volume of a
// cloud-init drive. It ignores volumes that do not belong to the VM.
func (n *Node) setAside(v *vm, d drive) {
	s, name, there := n.volume(d.volume)
	switch {
	case s == nil || s.owner(name) != v.id:
		return
	case d.cloudinit():
		s.drop(name)
		return
	case d.media() == "cdrom", !there:
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

// deallocate destroys the volume of a drive if the volume belongs to the VM
// (try_deallocate_drive).
func (n *Node) deallocate(who identity, v *vm, key string, d drive) error {
	s, name, there := n.volume(d.volume)
	if d.media() == "cdrom" && !d.cloudinit() || s == nil || s.owner(name) != v.id {
		return nil
	}
	if err := who.needs("/storage/"+s.Name, "Datastore.AllocateSpace"); err != nil {
		return err
	}
	if v.uses(d.volume, key) {
		return refuse("unable to delete '%s' - volume is still in use (snapshot?)", d.volume)
	}
	if there {
		s.drop(name)
	}
	return nil
}

// The method "uses" reports whether a drive of the VM or of a snapshot uses a
// volume. It ignores the drive whose key is the parameter "but"
// (is_volume_in_use of PVE/QemuServer/Drive.pm).
func (v *vm) uses(volume, but string) bool {
	for key, value := range v.config {
		if d := parseDrive(value); key != but && isDrive(key) && d.media() != "cdrom" && d.volume == volume {
			return true
		}
	}
	return v.holds(volume) != ""
}
