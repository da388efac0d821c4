package pvetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// resources serves GET /cluster/resources: the guests, the node and the
// storages that the caller may see.
func (n *Node) resources(c *call) (any, error) {
	list := []map[string]any{}
	wanted := func(kind string) bool { return !c.has("type") || c.get("type") == kind }
	if wanted("vm") {
		list = n.guestResources(c)
	}
	if wanted("node") && c.who.may("/nodes/"+n.host.Name, "Sys.Audit") {
		node := n.nodeResource()
		node["cgroup-mode"] = 2
		list = append(list, node)
	}
	for _, name := range sorted(n.storages) {
		if wanted("storage") && c.who.may("/storage/"+name, "Datastore.Audit") {
			list = append(list, n.storageResource(n.storages[name]))
		}
	}
	return n.anyOrder(list), nil
}

func (n *Node) guestResources(c *call) []map[string]any {
	pools := map[int]string{}
	for name, members := range n.host.Pools {
		for _, id := range members {
			if c.who.may("/pool/"+name, "Pool.Audit") {
				pools[id] = name
			}
		}
	}
	list := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(n.guests())) {
		if !c.who.may(vmPath(id), "VM.Audit") {
			continue
		}
		resource := n.guestResource(id)
		switch v := n.vms[id]; {
		case slices.Contains(n.host.HAIgnored, id):
			resource["hastate"] = "ignored"
		case slices.Contains(n.host.HA, id):
			resource["hastate"] = map[bool]string{true: "started", false: "stopped"}[v != nil && v.running]
		}
		if v := n.vms[id]; v != nil {
			for _, key := range []string{"lock", "tags"} {
				if v.config[key] != "" {
					resource[key] = v.config[key]
				}
			}
		}
		if pools[id] != "" {
			resource["pool"] = pools[id]
		}
		list = append(list, resource)
	}
	return list
}

// guests returns the VMIDs of all VMs and containers.
func (n *Node) guests() map[int]bool {
	all := map[int]bool{}
	for id := range n.vms {
		all[id] = true
	}
	for id := range n.host.Containers {
		all[id] = true
	}
	return all
}

// guestResource returns the entry of a guest in the cluster's list, or nil if
// there is no such guest (pve-manager PVE/API2Tools.pm, extract_vm_stats).
func (n *Node) guestResource(id int) map[string]any {
	if name, there := n.host.Containers[id]; there {
		return map[string]any{"id": fmt.Sprintf("lxc/%d", id), "vmid": id, "type": "lxc", "node": n.host.Name, "name": name, "status": "running", "template": 0}
	}
	v := n.vms[id]
	if v == nil {
		return nil
	}
	status := n.vmStatus(v)
	resource := map[string]any{
		"id": fmt.Sprintf("qemu/%d", id), "type": "qemu", "node": n.host.Name,
		"maxcpu": status["cpus"], "template": bit(v.config["template"] == "1"),
	}
	for _, key := range []string{"vmid", "name", "status", "uptime", "cpu", "maxmem", "mem", "memhost", "maxdisk", "disk", "netin", "netout", "diskread", "diskwrite"} {
		resource[key] = status[key]
	}
	if n.host.major() < 9 {
		delete(resource, "memhost")
	}
	return resource
}

// nodeResource returns the entry of the node in the cluster's list
// (extract_node_stats).
func (n *Node) nodeResource() map[string]any {
	total, used := n.rootDisk()
	return map[string]any{
		"id": "node/" + n.host.Name, "node": n.host.Name, "type": "node", "status": "online", "level": "",
		"uptime": n.uptime(), "cpu": nodeLoad, "maxcpu": n.host.Cores, "mem": n.host.Memory - n.freeMemory(), "maxmem": n.host.Memory,
		"disk": used, "maxdisk": total,
	}
}

// storageResource returns the entry of a storage in the cluster's list
// (extract_storage_stats).
func (n *Node) storageResource(s *storage) map[string]any {
	resource := map[string]any{
		"id": "storage/" + n.host.Name + "/" + s.Name, "storage": s.Name, "node": n.host.Name, "type": "storage",
		"plugintype": s.Type, "content": s.Content, "shared": bit(s.Shared), "status": "unknown",
	}
	if !s.Inactive {
		resource["status"], resource["maxdisk"], resource["disk"] = "available", s.Total, s.used()
	}
	return resource
}

// clusterStatus serves GET /cluster/status on a node without a cluster.
func (n *Node) clusterStatus(*call) (any, error) {
	return []map[string]any{{
		"id": "node/" + n.host.Name, "name": n.host.Name, "type": "node", "ip": n.host.address(),
		"online": 1, "local": 1, "nodeid": 0, "level": "",
	}}, nil
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
		list = append(list, job.object())
	}
	return list, nil
}

// object returns a backup job in PVE's form.
func (job BackupJob) object() map[string]any {
	object := map[string]any{"id": job.ID, "type": "vzdump", "schedule": job.Schedule, "mode": job.Mode, "storage": job.Storage, "enabled": bit(job.Enabled)}
	if job.All {
		object["all"] = 1
	}
	for key, value := range map[string]string{"vmid": job.VMIDs, "exclude": job.Exclude, "pool": job.Pool, "node": job.Node} {
		if value != "" {
			object[key] = value
		}
	}
	return object
}

func (n *Node) nextID(c *call) (any, error) {
	if c.has("vmid") {
		if n.guestKind(c.number("vmid")) != "" {
			return nil, wrong("vmid", "VM %s already exists", c.get("vmid"))
		}
		return c.get("vmid"), nil
	}
	return text(n.freeID()), nil
}

// nodeLoad is the share of the processors' time that is in use.
const nodeLoad = 0.0163265306122449

// uptime returns the seconds since the host booted. It booted a day before
// [New].
func (n *Node) uptime() int64 { return int64(n.now.Sub(n.began).Seconds()) + 86400 }

// rootDisk returns the bytes of the host's root file system, on which the
// storage of type "dir" lies.
func (n *Node) rootDisk() (total, used int64) {
	for _, s := range n.storages {
		if s.Type == "dir" {
			return s.Total, s.used()
		}
	}
	return 94 << 30, 20 << 30
}

// containerConfig serves GET /nodes/{node}/lxc/{vmid}/config. Raw LXC keys are
// listed as pairs (pve-container PVE/API2/LXC/Config.pm).
func (n *Node) containerConfig(c *call) (any, error) {
	id := c.number("vmid")
	name, there := n.host.Containers[id]
	if !there {
		return nil, refuse("Configuration file 'nodes/%s/lxc/%d.conf' does not exist", n.host.Name, id)
	}
	config := map[string]any{"hostname": name, "arch": "amd64", "digest": strings.Repeat("0", 40)}
	for key, value := range n.host.ContainerConfigs[id] {
		config[key] = value
	}
	if raw := n.host.ContainerConfigs[id]["lxc"]; raw != "" {
		pairs := [][]string{}
		for line := range strings.SplitSeq(raw, "\n") {
			key, value, _ := strings.Cut(line, ":")
			pairs = append(pairs, []string{key, strings.TrimSpace(value)})
		}
		config["lxc"] = pairs
	}
	return config, nil
}
