package pvetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

type handler func(n *Node, c *call) answer

// handlers serve the endpoints. Everything that PVE checks for all of them
// has been checked when one is called.
func handlers() map[string]handler {
	all := nodeHandlers()
	maps.Copy(all, vmHandlers())
	maps.Copy(all, clusterHandlers())
	return all
}

func clusterHandlers() map[string]handler {
	return map[string]handler{
		"GET /version":                          (*Node).version,
		"POST /access/ticket":                   (*Node).login,
		"GET /access/permissions":               (*Node).permissions,
		"GET /nodes":                            (*Node).nodes,
		"GET /nodes/{node}/tasks":               (*Node).listTasks,
		"GET /nodes/{node}/tasks/{upid}/status": (*Node).taskStatus,
		"GET /nodes/{node}/tasks/{upid}/log":    (*Node).taskLog,
		"DELETE /nodes/{node}/tasks/{upid}":     (*Node).stopTask,
		"GET /cluster/mapping/pci":              (*Node).listMappings,
		"POST /cluster/mapping/pci":             (*Node).createMapping,
		"GET /cluster/mapping/pci/{id}":         (*Node).getMapping,
		"PUT /cluster/mapping/pci/{id}":         (*Node).updateMapping,
		"DELETE /cluster/mapping/pci/{id}":      (*Node).deleteMapping,
		"GET /cluster/nextid":                   (*Node).nextID,
		"GET /cluster/resources":                (*Node).resources,
		"GET /cluster/status":                   (*Node).clusterStatus,
		"GET /cluster/tasks":                    (*Node).clusterTasks,
		"GET /cluster/ha/resources":             (*Node).haResources,
		"GET /cluster/backup":                   (*Node).backups,
	}
}

func nodeHandlers() map[string]handler {
	return map[string]handler{
		"GET /nodes/{node}/status":                                (*Node).status,
		"GET /nodes/{node}/version":                               (*Node).version,
		"GET /nodes/{node}/time":                                  (*Node).time,
		"GET /nodes/{node}/network":                               (*Node).listBridges,
		"GET /nodes/{node}/lxc":                                   func(*Node, *call) answer { return ok([]any{}) },
		"GET /nodes/{node}/hardware/pci":                          (*Node).listPCI,
		"GET /nodes/{node}/hardware/pci/{pci-id-or-mapping}":      (*Node).onePCI,
		"GET /nodes/{node}/hardware/pci/{pci-id-or-mapping}/mdev": (*Node).mdevTypes,
		"GET /nodes/{node}/hardware/usb":                          (*Node).listUSB,
		"GET /nodes/{node}/capabilities/qemu/cpu":                 (*Node).listCPUs,
		"GET /nodes/{node}/capabilities/qemu/machines":            (*Node).listMachines,
		"GET /storage":                                            (*Node).storageConfigs,
		"GET /storage/{storage}":                                  (*Node).storageConfig,
		"POST /nodes/{node}/storage/{storage}/content":            (*Node).allocateVolume,
		"GET /nodes/{node}/storage/{storage}/content/{volume}":    (*Node).oneVolume,
		"DELETE /nodes/{node}/storage/{storage}/content/{volume}": (*Node).deleteVolume,
		"POST /nodes/{node}/storage/{storage}/upload":             (*Node).upload,
		"POST /nodes/{node}/storage/{storage}/download-url":       (*Node).download,
		"GET /nodes/{node}/disks/smart":                           (*Node).smart,
		"GET /nodes/{node}/storage":                               (*Node).listStorages,
		"GET /nodes/{node}/storage/{storage}/status":              (*Node).storageStatus,
		"GET /nodes/{node}/storage/{storage}/content":             (*Node).content,
		"GET /nodes/{node}/disks/list":                            (*Node).listDisks,
		"GET /nodes/{node}/disks/lvm":                             (*Node).listVGs,
		"GET /nodes/{node}/disks/lvmthin":                         (*Node).listThin,
		"GET /nodes/{node}/disks/zfs":                             (*Node).listZFS,
		"GET /nodes/{node}/disks/zfs/{name}":                      (*Node).oneZFS,
		"GET /nodes/{node}/disks/directory":                       (*Node).listDirectories,
	}
}

func vmHandlers() map[string]handler {
	const qemu = "/nodes/{node}/qemu/{vmid}"
	return map[string]handler{
		"GET /nodes/{node}/qemu":                        (*Node).listVMs,
		"POST /nodes/{node}/qemu":                       (*Node).create,
		"DELETE " + qemu:                                (*Node).destroy,
		"GET " + qemu + "/config":                       (*Node).getConfig,
		"PUT " + qemu + "/config":                       (*Node).putConfig,
		"POST " + qemu + "/config":                      (*Node).putConfig,
		"GET " + qemu + "/pending":                      (*Node).getPending,
		"PUT " + qemu + "/resize":                       (*Node).resize,
		"PUT " + qemu + "/unlink":                       (*Node).unlink,
		"GET " + qemu + "/status/current":               (*Node).currentStatus,
		"POST " + qemu + "/status/start":                (*Node).start,
		"POST " + qemu + "/status/stop":                 (*Node).stop,
		"POST " + qemu + "/status/shutdown":             (*Node).shutdown,
		"POST " + qemu + "/status/reboot":               (*Node).reboot,
		"POST " + qemu + "/status/reset":                (*Node).reset,
		"POST " + qemu + "/status/suspend":              (*Node).suspend,
		"POST " + qemu + "/status/resume":               (*Node).resume,
		"POST " + qemu + "/move_disk":                   (*Node).moveDisk,
		"GET " + qemu + "/snapshot":                     (*Node).listSnapshots,
		"POST " + qemu + "/snapshot":                    (*Node).takeSnapshot,
		"DELETE " + qemu + "/snapshot/{snapname}":       (*Node).deleteSnapshot,
		"POST " + qemu + "/agent/ping":                  agentCall((*Node).agentPing),
		"GET " + qemu + "/agent/info":                   agentCall((*Node).agentInfo),
		"GET " + qemu + "/agent/get-osinfo":             agentCall(lacks("guest-get-osinfo", (*Node).agentOS)),
		"GET " + qemu + "/agent/get-host-name":          agentCall(lacks("guest-get-host-name", (*Node).agentHost)),
		"GET " + qemu + "/agent/network-get-interfaces": agentCall(lacks("guest-network-get-interfaces", (*Node).agentNetwork)),
		"POST " + qemu + "/agent/exec":                  agentCall((*Node).agentExec),
		"GET " + qemu + "/agent/exec-status":            agentCall((*Node).agentExecStatus),
		"GET " + qemu + "/agent/file-read":              agentCall((*Node).agentRead),
		"POST " + qemu + "/agent/file-write":            agentCall((*Node).agentWrite),
	}
}

func (n *Node) version(*call) answer {
	return ok(map[string]any{"version": n.host.Version, "release": n.host.Release, "repoid": "6b8b6f8a"})
}

func (n *Node) nodes(*call) answer {
	return ok([]map[string]any{{
		"node": n.host.Name, "id": "node/" + n.host.Name, "type": "node", "status": "online", "maxcpu": n.host.Cores,
		"maxmem": n.host.Memory, "mem": n.host.Memory - n.freeMemory(), "uptime": int64(n.now.Sub(n.began).Seconds()) + 86400,
		"level": "", "ssl_fingerprint": "00:11",
	}})
}

func (n *Node) status(*call) answer {
	return ok(map[string]any{
		"pveversion": "pve-manager/" + n.host.Version, "kversion": "Linux " + n.host.Kernel + " #1 SMP PREEMPT_DYNAMIC PMX",
		"current-kernel": map[string]any{"sysname": "Linux", "release": n.host.Kernel, "machine": "x86_64", "version": "#1 SMP"},
		"boot-info":      map[string]any{"mode": "efi", "secureboot": 0},
		"cpuinfo":        map[string]any{"model": n.host.CPU, "cpus": n.host.Cores, "cores": n.host.Cores / 2, "sockets": 1, "mhz": "3600.000", "hvm": "1", "user_hz": 100},
		"memory":         n.memory(),
		"loadavg":        []string{"0.12", "0.20", "0.18"}, "uptime": int64(n.now.Sub(n.began).Seconds()) + 86400,
	})
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

func (n *Node) time(*call) answer {
	return ok(map[string]any{"time": n.now.Unix(), "localtime": n.now.Unix(), "timezone": "Etc/UTC"})
}

func (n *Node) listBridges(*call) answer {
	list := []map[string]any{}
	for _, bridge := range n.host.Bridges {
		list = append(list, map[string]any{"iface": bridge, "type": "bridge", "active": 1, "autostart": 1, "method": "static"})
	}
	return ok(list)
}

func (n *Node) listUSB(*call) answer { return ok([]any{}) }

func (n *Node) listCPUs(*call) answer {
	list := []map[string]any{}
	for _, name := range []string{"host", "max", "kvm64", "qemu64", "x86-64-v2-AES", "x86-64-v3", "Skylake-Client-v4", "Cascadelake-Server"} {
		list = append(list, map[string]any{"name": name, "vendor": "default", "custom": 0})
	}
	return ok(list)
}

func (n *Node) listMachines(*call) answer {
	list := []map[string]any{}
	for _, version := range []string{n.qemu()[:strings.LastIndex(n.qemu(), ".")], "9.0", "8.1"} {
		for _, kind := range []string{"i440fx", "q35"} {
			list = append(list, map[string]any{"id": "pc-" + kind + "-" + version, "type": kind, "version": version})
		}
	}
	return ok(list)
}

// resources is GET /cluster/resources: what the caller may see of VMs, the
// node and the storages.
func (n *Node) resources(c *call) answer {
	list := []map[string]any{}
	add := func(kind, path, privilege string, entry map[string]any) {
		if (!c.has("type") || c.get("type") == kind) && c.who.may(path, privilege) {
			if _, said := entry["type"]; !said {
				entry["type"] = kind
			}
			entry["node"] = n.host.Name
			list = append(list, entry)
		}
	}
	for _, id := range sortedIDs(n.vms) {
		entry := n.vmStatus(n.vms[id])
		delete(entry, "pid")
		entry["id"], entry["type"] = fmt.Sprintf("qemu/%d", id), "qemu" // which is not what it is asked for by
		for name, members := range n.host.Pools {
			if slices.Contains(members, id) && c.who.may("/pool/"+name, "Pool.Audit") {
				entry["pool"] = name
			}
		}
		add("vm", vmPath(id), "VM.Audit", entry)
	}
	for _, id := range slices.Sorted(maps.Keys(n.host.Containers)) {
		add("vm", vmPath(id), "VM.Audit", map[string]any{"vmid": id, "id": fmt.Sprintf("lxc/%d", id), "type": "lxc", "name": n.host.Containers[id], "status": "running", "template": 0})
	}
	add("node", "/nodes/"+n.host.Name, "Sys.Audit", map[string]any{
		"id": "node/" + n.host.Name, "status": "online", "maxcpu": n.host.Cores, "maxmem": n.host.Memory,
		"mem": n.host.Memory - n.freeMemory(), "level": "", "cgroup-mode": 2,
	})
	for _, name := range sorted(n.storages) {
		s := n.storages[name]
		status := map[bool]string{true: "unknown", false: "available"}[s.Inactive]
		add("storage", "/storage/"+name, "Datastore.Audit", map[string]any{
			"id": "storage/" + n.host.Name + "/" + name, "storage": name, "plugintype": s.Type, "content": s.Content,
			"status": status, "shared": bit(s.Shared), "maxdisk": s.Total, "disk": s.used(),
		})
	}
	return ok(list)
}

func (n *Node) clusterStatus(*call) answer {
	return ok([]map[string]any{{"id": "node/" + n.host.Name, "name": n.host.Name, "type": "node", "online": 1, "local": 1, "nodeid": 0, "level": ""}})
}

func (n *Node) haResources(*call) answer {
	list := []map[string]any{}
	for _, id := range slices.Concat(n.host.HA, n.host.HAIgnored) {
		state := "started"
		if slices.Contains(n.host.HAIgnored, id) {
			state = "ignored"
		}
		list = append(list, map[string]any{"sid": fmt.Sprintf("vm:%d", id), "type": "vm", "state": state})
	}
	return ok(list)
}

func (n *Node) backups(*call) answer {
	list := []map[string]any{}
	for _, job := range n.host.Backups {
		entry := map[string]any{"id": job.ID, "type": "vzdump", "schedule": job.Schedule, "mode": job.Mode, "storage": job.Storage, "enabled": bit(job.Enabled)}
		if job.All {
			entry["all"] = 1
		}
		for key, value := range map[string]string{"vmid": job.VMIDs, "exclude": job.Exclude, "pool": job.Pool, "node": job.Node} {
			if value != "" {
				entry[key] = value
			}
		}
		list = append(list, entry)
	}
	return ok(list)
}
