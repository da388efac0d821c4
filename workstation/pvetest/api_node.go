package pvetest

import (
	"strings"
)

func (n *Node) version(*call) (any, error) {
	return map[string]any{"version": n.host.Version, "release": n.host.Release, "repoid": "6b8b6f8a"}, nil
}

func (n *Node) nodes(*call) (any, error) {
	return []map[string]any{{
		"node": n.host.Name, "id": "node/" + n.host.Name, "type": "node", "status": "online", "maxcpu": n.host.Cores,
		"maxmem": n.host.Memory, "mem": n.host.Memory - n.freeMemory(), "uptime": int64(n.now.Sub(n.began).Seconds()) + 86400,
		"level": "", "ssl_fingerprint": "00:11",
	}}, nil
}

func (n *Node) status(*call) (any, error) {
	return map[string]any{
		"pveversion": "pve-manager/" + n.host.Version, "kversion": "Linux " + n.host.Kernel + " #1 SMP PREEMPT_DYNAMIC PMX",
		"current-kernel": map[string]any{"sysname": "Linux", "release": n.host.Kernel, "machine": "x86_64", "version": "#1 SMP"},
		"boot-info":      map[string]any{"mode": "efi", "secureboot": 0},
		"cpuinfo":        map[string]any{"model": n.host.CPU, "cpus": n.host.Cores, "cores": n.host.Cores / 2, "sockets": 1, "mhz": "3600.000", "hvm": "1", "user_hz": 100},
		"memory":         n.memory(),
		"loadavg":        []string{"0.12", "0.20", "0.18"}, "uptime": int64(n.now.Sub(n.began).Seconds()) + 86400,
	}, nil
}

// memory returns what a node says of its memory. Most of what is available is
// the host's page cache, as on every host that has been up for a while, and
// not "free".
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

func (n *Node) listBridges(*call) (any, error) {
	list := []map[string]any{}
	for _, bridge := range n.host.Bridges {
		list = append(list, map[string]any{"iface": bridge, "type": "bridge", "active": 1, "autostart": 1, "method": "static"})
	}
	return list, nil
}

func (n *Node) listUSB(*call) (any, error) { return []any{}, nil }

func (n *Node) listCPUs(*call) (any, error) {
	list := []map[string]any{}
	for _, name := range []string{"host", "max", "kvm64", "qemu64", "x86-64-v2-AES", "x86-64-v3", "Skylake-Client-v4", "Cascadelake-Server"} {
		list = append(list, map[string]any{"name": name, "vendor": "default", "custom": 0})
	}
	return list, nil
}

func (n *Node) listMachines(*call) (any, error) {
	list := []map[string]any{}
	for _, version := range []string{n.qemu()[:strings.LastIndex(n.qemu(), ".")], "9.0", "8.1"} {
		for _, kind := range []string{"i440fx", "q35"} {
			list = append(list, map[string]any{"id": "pc-" + kind + "-" + version, "type": kind, "version": version})
		}
	}
	return list, nil
}
