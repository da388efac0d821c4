package pvetest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

func (n *Node) listVMs(c *call) (any, error) {
	list := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(n.vms)) {
		if c.who.may(fmt.Sprintf("/vms/%d", id), "VM.Audit") {
			status := n.vmStatus(n.vms[id])
			if c.get("full") == "1" {
				status["qmpstatus"] = n.vms[id].qmpStatus()
			}
			list = append(list, status)
		}
	}
	return list, nil
}

// vmStatus is what the list and status/current have in common.
func (n *Node) vmStatus(v *vm) map[string]any {
	memory := int64(atoi(v.config["memory"], 512)) << 20
	status := map[string]any{
		"vmid": v.id, "name": v.name(), "status": "stopped", "cpus": atoi(v.config["cores"], 1) * atoi(v.config["sockets"], 1),
		"maxmem": memory, "mem": 0, "memhost": 0, "cpu": 0, "uptime": 0, "disk": 0, "netin": 0, "netout": 0,
		"maxdisk": parseSize(parseDrive(v.config[v.bootDisk()]).options["size"]), "diskread": 0, "diskwrite": 0,
	}
	if v.running {
		status["status"], status["pid"] = "running", v.pid
		status["uptime"] = int64(n.now.Sub(v.started).Seconds())
		status["mem"], status["memhost"], status["cpu"] = memory/2, memory/2, 0.0123456789
	}
	for _, key := range []string{"lock", "tags"} {
		if v.config[key] != "" {
			status[key] = v.config[key]
		}
	}
	if v.config["template"] == "1" {
		status["template"] = 1
	}
	if v.config["serial0"] != "" {
		status["serial"] = 1
	}
	return status
}

func (n *Node) currentStatus(_ *call, v *vm) (any, error) {
	status := n.vmStatus(v)
	status["qmpstatus"] = v.qmpStatus()
	status["ha"] = map[string]any{"managed": 0}
	if slices.Contains(n.host.HA, v.id) {
		state := "stopped"
		if v.running {
			state = "started"
		}
		status["ha"] = map[string]any{"managed": 1, "state": state, "group": nil}
	}
	if enabled(v.config["agent"]) {
		status["agent"] = 1
	}
	if vga, _, _ := strings.Cut(v.config["vga"], ","); strings.HasPrefix(vga, "qxl") || strings.HasPrefix(vga, "virtio") {
		status["spice"] = 1
	}
	if v.running {
		status["running-machine"], status["running-qemu"] = n.machine(v)+"+pve0", n.qemu()
	}
	return status, nil
}

// machine returns the machine type that a VM runs as.
func (n *Node) machine(v *vm) string {
	kind, _, _ := strings.Cut(strings.TrimPrefix(v.config["machine"], "type="), ",")
	version := n.qemu()[:strings.LastIndex(n.qemu(), ".")]
	switch kind {
	case "", "pc":
		return "pc-i440fx-" + version
	case "q35":
		return "pc-q35-" + version
	}
	return kind
}
