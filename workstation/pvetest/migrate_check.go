package pvetest

import (
	"maps"
	"slices"
	"strings"
)

// migrationCheck serves GET migrate (qemu-server PVE/API2/Qemu.pm,
// migrate_vm_precondition). It lists the nodes to which the VM could move. It
// also lists the disks and devices that tie the VM to its present node. As in
// PVE, local disks do not exclude any node. For a mapped device, the check is
// only whether the mapping has an entry for the node. The node's hardware is
// not checked.
func (n *Node) migrationCheck(_ *call, v *vm) (any, error) {
	if err := locked(v); err != nil {
		return nil, err
	}
	local, mapped := n.localResources(v)
	answer := map[string]any{"running": bit(v.running), "local_disks": n.localDisks(v), "local_resources": local,
		"mapped-resources": append([]string{}, sorted(mapped)...), "mapped-resource-info": mapped, "has-dbus-vmstate": 1}
	blocking := map[string][]map[string]any{}
	if n.ha.managed(v.id) && !n.olderThan(9, 0) {
		var together []string
		together, blocking = n.ha.motion(sidOf(v.id))
		answer["dependent-ha-resources"] = append([]string{}, together...)
	}
	if v.running && n.olderThan(9, 0) { // before version 9, PVE does not check nodes for running VMs
		return answer, nil
	}
	allowed, refused := []string{}, map[string]any{}
	for _, other := range n.peers {
		if other == n {
			continue
		}
		why := map[string]any{}
		if storages := other.unavailable(v.config); len(storages) > 0 {
			why["unavailable_storages"] = storages
		}
		if missing := other.unmapped(v.config); len(missing) > 0 {
			why["unavailable-resources"] = missing
		}
		if len(blocking[other.host.Name]) > 0 {
			why["blocking-ha-resources"] = blocking[other.host.Name]
		}
		if len(why) == 0 {
			allowed = append(allowed, other.host.Name)
		} else {
			refused[other.host.Name] = why
		}
	}
	answer["allowed_nodes"], answer["not_allowed_nodes"] = allowed, refused
	return answer, nil
}

// localDisks lists the volumes of a VM that are not on shared storages
// ($check_vm_disks_local).
func (n *Node) localDisks(v *vm) []map[string]any {
	disks := []map[string]any{}
	for _, key := range sorted(v.config) {
		d := parseDrive(v.config[key])
		s, name, there := n.volume(d.volume)
		unused := strings.HasPrefix(key, "unused")
		if !isDrive(key) && !unused || d.volume == "none" || s != nil && s.Shared || d.options["shared"] == "1" {
			continue
		}
		disk := map[string]any{"volid": d.volume, "shared": 0, "cdrom": bit(d.media() == "cdrom"), "is_attached": bit(!unused), "is_unused": bit(unused),
			"is_vmstate": 0, "is_cloudinit": bit(d.cloudinit()), "is_tpmstate": bit(key == "tpmstate0"), "replicate": bit(d.options["replicate"] != "0")}
		if there && !unused {
			disk["size"] = s.volumes[name].Size
		}
		if !unused {
			disk["drivename"] = key
		}
		disks = append(disks, disk)
	}
	return disks
}

// localResources returns the keys of the devices that tie a VM to its node, and
// the VM's mapped devices (PVE/QemuMigrate/Helpers.pm, check_local_resources).
// A mapped device ties a VM to its node only while the VM runs.
func (n *Node) localResources(v *vm) (local []string, mapped map[string]map[string]any) {
	local, mapped = []string{}, map[string]map[string]any{}
	for _, key := range sorted(v.config) {
		value, kind := v.config[key], strings.TrimRight(key, "0123456789")
		if !slices.Contains([]string{"usb", "hostpci", "serial", "parallel", "virtiofs", "ivshmem"}, kind) {
			continue
		}
		id := property(value, "mapping")
		if kind == "usb" && (property(value, "host") == "spice" || strings.HasPrefix(value, "spice")) || kind == "serial" && value == "socket" {
			continue
		}
		if id != "" {
			mapped[key] = map[string]any{"name": id}
		}
		if kind == "hostpci" && id != "" {
			if m := n.mappings[id]; m != nil && m.LiveMigration {
				mapped[key]["live-migration"] = 1
				continue
			}
			if !v.running {
				continue
			}
		}
		local = append(local, key)
	}
	return local, mapped
}

// The method "unmapped" returns the keys of mapped devices that the node cannot
// provide, because their mapping has no entry for the node.
func (n *Node) unmapped(config map[string]string) (keys []string) {
	for _, key := range sorted(config) {
		id := property(config[key], "mapping")
		if id == "" || !strings.HasPrefix(key, "hostpci") && !strings.HasPrefix(key, "usb") {
			continue
		}
		m := n.mappings[id]
		if m == nil || !slices.ContainsFunc(m.Map, func(entry string) bool { return property(entry, "node") == n.host.Name }) {
			keys = append(keys, key)
		}
	}
	return keys
}

// The method "unavailable" returns the names of storages that a VM's drives
// need and the node cannot use. Such a storage is disabled, or its entry allows
// only other nodes (PVE/QemuServer.pm, check_local_storage_availability).
func (n *Node) unavailable(config map[string]string) []string {
	names := map[string]bool{}
	for _, key := range sorted(config) {
		pool, _, isVolume := strings.Cut(parseDrive(config[key]).volume, ":")
		if s := n.storages[pool]; isDrive(key) && isVolume && s != nil && s.elsewhere() {
			names[pool] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// The method "available" returns an error if the node cannot use the storage of
// a drive. It also returns an error if the storage is not meant for this kind
// of content, such as disk images (check_storage_availability).
func (n *Node) available(config map[string]string) error {
	for _, key := range sorted(config) {
		volume := parseDrive(config[key]).volume
		pool, _, isVolume := strings.Cut(volume, ":")
		if !isDrive(key) || !isVolume {
			continue
		}
		if err := n.holdsVolume(pool, volume); err != nil {
			return err
		}
	}
	return nil
}

// holdsVolume returns an error if the node cannot use the storage. It also
// returns an error if the storage is not meant for the volume's kind of
// content.
func (n *Node) holdsVolume(pool, volume string) error {
	s := n.storages[pool]
	switch {
	case s == nil:
		return refuse("storage '%s' does not exist", pool)
	case s.Config["disable"] == "1":
		return refuse("storage '%s' is disabled", pool)
	case s.elsewhere():
		return refuse("storage '%s' is not available on node '%s'", pool, n.host.Name)
	}
	if kind, _ := n.kindOf(volume); kind != "" && !s.holds(kind) {
		return refuse("%s: content type '%s' is not available on storage '%s'", volume, kind, pool)
	}
	return nil
}
