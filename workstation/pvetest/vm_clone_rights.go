package pvetest

import (
	"cmp"
	"strings"
)

// cloneTarget returns the node on which the clone will be, or nil if there is
// no such node.
func (n *Node) cloneTarget(c *call) *Node {
	if target := c.get("target"); target != "" && target != "localhost" {
		return n.member(target)
	}
	return n
}

// mayCloneTo returns PVE's refusal of a clone that will be on another node. PVE
// makes the clone on the node of the source and then moves the configuration to
// the other node, so both nodes must reach all volumes (qemu-server
// PVE/API2/Qemu.pm, clone_vm and $check_storage_access_clone).
func (n *Node) mayCloneTo(c *call, config map[string]string) error {
	target := n.cloneTarget(c)
	if target == n {
		return nil
	}
	if c.has("storage") {
		switch s := target.storages[c.get("storage")]; {
		case s.elsewhere():
			return refuse("storage '%s' is not available on node '%s'", s.Name, target.host.Name)
		case !s.Shared:
			return refuse("can't clone to non-shared storage '%s'", s.Name)
		}
	}
	for key, value := range config {
		pool, _, named := strings.Cut(parseDrive(value).volume, ":")
		if s := n.storages[pool]; isDrive(key) && named && (s == nil || !s.Shared) {
			return refuse("can't clone VM to node '%s' (VM uses local storage)", target.host.Name)
		}
	}
	return nil
}

// mayClone checks the caller's privileges on all things that the clone will
// use: storages, mapped devices and bridges ($check_storage_access_clone,
// check_mapping_access, check_bridge_access).
func (n *Node) mayClone(c *call, config map[string]string) error {
	for _, key := range sorted(config) {
		if !isDrive(key) {
			continue
		}
		d := parseDrive(config[key])
		switch pool, _, _ := strings.Cut(d.volume, ":"); {
		case d.volume == "cdrom":
			if err := c.who.needs("/", "Sys.Console"); err != nil {
				return err
			}
		case d.media() != "cdrom" || d.cloudinit():
			if err := c.who.needs("/storage/"+cmp.Or(c.get("storage"), pool), "Datastore.AllocateSpace"); err != nil {
				return err
			}
		}
	}
	if c.who.root() {
		return nil
	}
	for _, key := range sorted(config) {
		if err := mayCopyDevice(c.who, key, config[key]); err != nil {
			return err
		}
	}
	return mayUseBridges(c.who, config)
}

// mayCopyDevice checks the right to copy a device of the host. Callers other
// than root@pam can copy only mapped devices.
func mayCopyDevice(who identity, key, value string) error {
	stem := strings.TrimRight(key, "0123456789")
	host, mapping := device(value)
	switch {
	case stem == "rng" && property(value, "source") == "/dev/hwrng":
		return who.needs("/mapping/hwrng", "Mapping.Use")
	case stem == "virtiofs":
		dir, _, _ := strings.Cut(value, ",")
		return who.needs("/mapping/dir/"+strings.TrimPrefix(dir, "dirid="), "Mapping.Use")
	case stem != "usb" && stem != "hostpci", stem == "usb" && strings.EqualFold(host, "spice"):
		return nil
	case host != "" && stem == "usb":
		return refuse("only root can set '%s' config for real devices", key)
	case host != "":
		return refuse("only root can set '%s' config for non-mapped devices", key)
	case mapping == "":
		return refuse("either 'host' or 'mapping' must be set.")
	}
	return who.needs("/mapping/"+strings.TrimPrefix(stem, "host")+"/"+mapping, "Mapping.Use")
}
