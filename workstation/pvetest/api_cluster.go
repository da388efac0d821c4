package pvetest

import (
	"fmt"
	"maps"
	"slices"
)

// resources is GET /cluster/resources: what the caller may see of VMs, the
// node and the storages.
func (n *Node) resources(c *call) (any, error) {
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
		switch running := n.vms[id].running; {
		case slices.Contains(n.host.HAIgnored, id):
			entry["hastate"] = "ignored"
		case slices.Contains(n.host.HA, id):
			entry["hastate"] = map[bool]string{true: "started", false: "stopped"}[running]
		}
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
	return n.anyOrder(list), nil
}

func (n *Node) clusterStatus(*call) (any, error) {
	return []map[string]any{{"id": "node/" + n.host.Name, "name": n.host.Name, "type": "node", "online": 1, "local": 1, "nodeid": 0, "level": ""}}, nil
}

func (n *Node) haResources(*call) (any, error) {
	list := []map[string]any{}
	for _, id := range slices.Concat(n.host.HA, n.host.HAIgnored) {
		state := "started"
		if slices.Contains(n.host.HAIgnored, id) {
			state = "ignored"
		}
		list = append(list, map[string]any{"sid": fmt.Sprintf("vm:%d", id), "type": "vm", "state": state})
	}
	return list, nil
}

func (n *Node) backups(*call) (any, error) {
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
	return list, nil
}

func (n *Node) nextID(c *call) (any, error) {
	if c.has("vmid") {
		if n.guestKind(c.number("vmid")) != "" {
			return nil, wrong("vmid", "VM %s already exists", c.get("vmid"))
		}
		return c.get("vmid"), nil
	}
	for id := 100; ; id++ {
		if n.guestKind(id) == "" {
			return text(id), nil
		}
	}
}
