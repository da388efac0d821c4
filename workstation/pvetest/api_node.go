package pvetest

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/proxstation/proxstation/internal/pveschema"
)

func (n *Node) version(*call) (any, error) {
	return map[string]any{"version": n.host.Version, "release": n.host.Release, "repoid": "6b8b6f8a"}, nil
}

// nodes serves GET /nodes.
func (n *Node) nodes(c *call) (any, error) {
	list := []map[string]any{}
	for _, of := range n.peers {
		node := n.nodeStats(c, of)
		node["ssl_fingerprint"] = of.Fingerprint()
		list = append(list, node)
	}
	return n.anyOrder(list), nil
}

func (n *Node) status(*call) (any, error) {
	total, used := n.rootDisk()
	return map[string]any{
		"pveversion": "pve-manager/" + n.host.Version + "/6b8b6f8a", "kversion": "Linux " + n.host.Kernel + " #1 SMP PREEMPT_DYNAMIC PMX",
		"current-kernel": map[string]any{"sysname": "Linux", "release": n.host.Kernel, "machine": "x86_64", "version": "#1 SMP"},
		"boot-info":      map[string]any{"mode": "efi", "secureboot": 0},
		"cpuinfo": map[string]any{"model": n.host.CPU, "cpus": n.host.Cores, "cores": n.host.Cores / 2, "sockets": 1, "mhz": "3600.000",
			"hvm": "1", "user_hz": 100, "flags": "vmx svm"},
		"cpu": nodeLoad, "wait": 0.0001, "idle": 0,
		"memory": n.memory(), "ksm": map[string]any{"shared": 0},
		"swap":    map[string]any{"total": int64(8 * gib), "used": 0, "free": int64(8 * gib)},
		"rootfs":  map[string]any{"total": total, "used": used, "free": total - used, "avail": total - used},
		"loadavg": []string{"0.12", "0.20", "0.18"}, "uptime": n.uptime(),
	}, nil
}

// The method "memory" returns the node's figures of memory. Only a part of the
// available memory is "free", because page cache uses the rest. Every host that
// was started long ago is like this.
func (n *Node) memory() map[string]any {
	available := n.freeMemory()
	memory := map[string]any{"total": n.host.Memory, "free": available / 8, "used": n.host.Memory - available}
	if n.host.major() >= 9 {
		memory["available"] = available
	}
	return memory
}

func (n *Node) time(*call) (any, error) {
	return map[string]any{"time": n.now.Unix(), "localtime": n.now.Unix(), "timezone": "Etc/UTC"}, nil
}

// listNetwork serves GET nodes/{node}/network (pve-manager
// PVE/API2/Network.pm).
func (n *Node) listNetwork(c *call) (any, error) {
	return slices.DeleteFunc(n.interfaces(), func(entry map[string]any) bool {
		kind := c.get("type")
		switch kind {
		case "any_bridge", "any_local_bridge":
			kind = "bridge"
		case "include_sdn":
			kind = ""
		}
		return kind != "" && entry["type"] != kind
	}), nil
}

// The method "interfaces" returns the host's bridges and its network card. The
// first bridge has the node's address, and its port is the network card.
func (n *Node) interfaces() []map[string]any {
	list := []map[string]any{}
	for i, bridge := range n.host.Bridges {
		entry := map[string]any{
			"iface": bridge, "type": "bridge", "active": 1, "autostart": 1, "method": "manual", "method6": "manual", "families": []string{"inet"},
			"priority": 4 + i, "bridge_ports": "", "bridge_stp": "off", "bridge_fd": "0",
		}
		if i == 0 {
			prefix, _ := netip.ParsePrefix(n.host.cidr()) // an invalid address gives an invalid gateway
			maps.Copy(entry, map[string]any{"method": "static", "bridge_ports": hostCard, "address": n.host.address(),
				"netmask": text(prefix.Bits()), "cidr": n.host.cidr(), "gateway": n.gateway()})
		}
		list = append(list, entry)
	}
	if len(list) > 0 {
		list = append(list, map[string]any{"iface": hostCard, "type": "eth", "active": 1, "exists": 1, "method": "manual", "method6": "manual",
			"families": []string{"inet"}, "priority": 3})
	}
	return list
}

// gateway returns the first address of the node's network.
func (n *Node) gateway() string {
	prefix, _ := netip.ParsePrefix(n.host.cidr())
	return prefix.Masked().Addr().Next().String()
}

func (n *Node) oneInterface(c *call) (any, error) {
	for _, entry := range n.interfaces() {
		if entry["iface"] == c.get("iface") {
			for _, key := range []string{"iface", "active", "exists"} {
				delete(entry, key)
			}
			return entry, nil
		}
	}
	return nil, wrong("iface", "interface does not exist")
}

// hostCard is the name of the network card on every embedded host.
const hostCard = "eno1"

func (n *Node) listUSB(*call) (any, error) { return []any{}, nil }

// listCPUs serves GET capabilities/qemu/cpu.
func (n *Node) listCPUs(*call) (any, error) {
	list := []map[string]any{}
	models := pveschema.Models()
	for _, name := range sorted(models) {
		entry := map[string]any{"name": name, "vendor": models[name], "custom": 0}
		if pveschema.Abstract(name) {
			entry["abstract"] = 1
		}
		list = append(list, entry)
	}
	return n.anyOrder(list), nil
}

// machineVersions lists the machine versions of QEMU 11.0 to which a VM may be
// pinned. PVE has its own revisions of some versions, such as "11.0+pve1". For
// such a revision, the second column says what it changed
// (PVE/QemuServer/Machine.pm, PVE_MACHINE_VERSION).
var machineVersions = [][2]string{
	{"11.0"}, {"11.0+pve1", "no GSO over UDP tunnels"}, {"11.0+pve2", "enlightened VMCS for new Windows guests"}, {"10.2"}, {"10.1"}, {"10.0"}, {"10.0+pve1", "MTU of network cards for migrations"}, {"9.2"}, {"9.2+pve1", "no S3 and S4 by default"}, {"9.1"}, {"9.0"},
	{"8.2"}, {"8.1"}, {"8.0"}, {"7.2"}, {"7.1"}, {"7.0"}, {"6.2"}, {"6.1"}, {"6.0"}, {"5.2"}, {"5.1"}, {"5.0"}, {"4.2"}, {"4.1"},
}

// listMachines serves GET capabilities/qemu/machines.
func (n *Node) listMachines(*call) (any, error) {
	list := []map[string]any{}
	newest := pveschema.ParseVersion(n.qemu())
	for _, each := range machineVersions {
		if v := pveschema.ParseVersion(each[0]); v.Major > newest.Major || v.Major == newest.Major && v.Minor > newest.Minor {
			continue
		}
		for _, kind := range []string{"i440fx", "q35"} {
			entry := map[string]any{"id": "pc-" + kind + "-" + each[0], "type": kind, "version": each[0]}
			if each[1] != "" {
				entry["changes"] = each[1]
			}
			list = append(list, entry)
		}
	}
	return list, nil
}
