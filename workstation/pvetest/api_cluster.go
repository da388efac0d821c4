package pvetest

import (
	"fmt"
	"strings"
)

// resources serves GET /cluster/resources. It lists the guests, nodes and
// storages of the cluster that the caller may see.
func (n *Node) resources(c *call) (any, error) {
	list := []map[string]any{}
	wanted := func(kind string) bool { return !c.has("type") || c.get("type") == kind }
	if wanted("vm") {
		list = n.guestResources(c)
	}
	for _, of := range n.peers {
		if wanted("node") {
			node := n.nodeStats(c, of)
			node["cgroup-mode"] = 2
			if state := n.ha.crm.nodes[of.host.Name]; state != "" {
				node["hastate"] = state
			}
			list = append(list, node)
		}
		for _, name := range sorted(of.storages) {
			if s := of.storages[name]; wanted("storage") && !s.elsewhere() && c.who.may("/storage/"+name, "Datastore.Audit") {
				list = append(list, n.storageStats(of, s))
			}
		}
	}
	return n.anyOrder(list), nil
}

func (n *Node) guestResources(c *call) []map[string]any {
	pools := map[int]string{}
	for name, members := range n.poolGuests {
		for _, id := range members {
			if c.who.may("/pool/"+name, "Pool.Audit") {
				pools[id] = name
			}
		}
	}
	list := []map[string]any{}
	for _, of := range n.peers {
		for _, id := range sortedIDs(of.guests()) {
			if !c.who.may(vmPath(id), "VM.Audit") {
				continue
			}
			resource := n.guestStats(of, id)
			v := of.vms[id]
			n.ha.markHA(resource, id)
			if v != nil {
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
	}
	return list
}

// The method "guests" returns the VMIDs of all VMs and containers of the node.
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
	resource := s.unknownResource()
	if !s.inactive {
		resource["status"], resource["maxdisk"], resource["disk"] = "available", s.Total, s.used()
	}
	return resource
}

// unknownResource returns the storage's entry in the cluster's list with the
// status "unknown". The list has this entry if the node does not report the
// storage's state.
func (s *storage) unknownResource() map[string]any {
	return map[string]any{
		"id": "storage/" + s.node + "/" + s.Name, "storage": s.Name, "node": s.node, "type": "storage",
		"plugintype": s.Type, "content": s.Content, "shared": bit(s.Shared), "status": "unknown",
	}
}

// clusterStatus serves GET /cluster/status. A node that is in no cluster lists
// only itself.
func (n *Node) clusterStatus(*call) (any, error) {
	list := []map[string]any{}
	if !n.alone() {
		list = append(list, map[string]any{"id": "cluster", "type": "cluster", "name": n.name, "nodes": len(n.peers), "version": len(n.peers), "quorate": bit(n.quorate())})
	}
	for i, of := range n.peers {
		id := i + 1
		if n.alone() {
			id = 0
		}
		list = append(list, map[string]any{"id": "node/" + of.host.Name, "name": of.host.Name, "type": "node", "ip": of.host.address(),
			"online": bit(n.sees(of)), "local": bit(of == n), "nodeid": id, "level": ""})
	}
	return list, nil
}

// corosyncNodes serves GET /cluster/config/nodes. It lists the nodes in
// corosync.conf (pve-cluster src/PVE/API2/ClusterConfig.pm).
func (n *Node) corosyncNodes(*call) (any, error) {
	list := []map[string]any{}
	for i, of := range n.peers {
		if !n.alone() {
			list = append(list, map[string]any{"name": of.host.Name, "node": of.host.Name, "nodeid": text(i + 1), "quorum_votes": "1", "ring0_addr": of.host.address()})
		}
	}
	return list, nil
}

func (n *Node) backups(*call) (any, error) {
	list := []map[string]any{}
	for _, job := range n.backupJobs {
		list = append(list, job.object())
	}
	return list, nil
}

// The method "object" returns a backup job in PVE's form.
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
		if n.exists(c.number("vmid")) {
			return nil, wrong("vmid", "VM %s already exists", c.get("vmid"))
		}
		return c.get("vmid"), nil
	}
	return text(n.freeID()), nil
}

// nodeLoad is the share of the processors' time that is in use.
const nodeLoad = 0.0163265306122449

// uptime returns the number of seconds since the host booted. A new node booted
// a day ago. A node that [Cluster.Up] switches on boots at that moment.
func (n *Node) uptime() int64 { return int64(n.now.Sub(n.booted).Seconds()) }

// rootDisk returns the size and the used bytes of the host's root file system.
// The storage of type "dir" is on this file system.
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
