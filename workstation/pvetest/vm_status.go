package pvetest

import (
	"fmt"
	"strings"
)

func (n *Node) listVMs(c *call) (any, error) {
	list := []map[string]any{}
	for _, id := range sortedIDs(n.vms) {
		if !c.who.may(vmPath(id), "VM.Audit") {
			continue
		}
		status := n.vmStatus(n.vms[id])
		if c.get("full") == "1" {
			n.askQEMU(n.vms[id], status)
		}
		list = append(list, status)
	}
	return n.anyOrder(list), nil
}

// vmStatus returns the values about a VM that the host knows (qemu-server
// PVE/QemuServer.pm, vmstatus).
func (n *Node) vmStatus(v *vm) map[string]any {
	memory := int64(atoi(v.config["memory"], 512)) << 20
	cpus := min(atoi(v.config["cores"], 1)*atoi(v.config["sockets"], 1), max(n.host.Cores, 1))
	status := map[string]any{
		"vmid": v.id, "name": v.name(), "status": "stopped", "cpus": atoi(v.config["vcpus"], cpus),
		"maxmem": memory, "mem": 0, "cpu": 0, "uptime": 0, "netin": 0, "netout": 0,
		"disk": 0, "maxdisk": parseSize(property(v.config[v.bootDisk()], "size")),
	}
	modern := !n.olderThan(9, 0) // since 9.0, PVE reports pressures and the memory that the host sees
	if modern {
		status["memhost"] = 0
	}
	if balloon := atoi(v.config["balloon"], 0); balloon > 0 {
		status["balloon_min"], status["shares"] = int64(balloon)<<20, atoi(v.config["shares"], 1000)
	}
	if v.running {
		status["status"], status["pid"] = "running", v.pid
		status["uptime"] = int64(n.now.Sub(v.started).Seconds())
		status["mem"], status["cpu"] = memory/2, 0.0123456789
	}
	if v.running && modern {
		status["memhost"] = memory / 2
		for _, what := range []string{"cpu", "io", "memory"} {
			status["pressure"+what+"some"], status["pressure"+what+"full"] = 0, 0
		}
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

// askQEMU adds the values that only a running QEMU knows.
func (n *Node) askQEMU(v *vm, status map[string]any) {
	status["qmpstatus"] = v.qmpStatus()
	if !v.running {
		return
	}
	status["diskread"], status["diskwrite"] = 0, 0
	status["running-machine"], status["running-qemu"] = n.machine(v)+"+pve0", n.qemu()
	status["proxmox-support"] = map[string]any{"pbs-dirty-bitmap": true}
	if v.config["balloon"] != "0" {
		memory := status["maxmem"]
		status["balloon"], status["ballooninfo"] = memory, map[string]any{"actual": memory, "max_mem": memory}
	}
	nics := map[string]any{}
	for i := range 32 {
		if v.config["net"+text(i)] != "" {
			nics[fmt.Sprintf("tap%di%d", v.id, i)] = map[string]any{"netin": 0, "netout": 0}
		}
	}
	if len(nics) > 0 {
		status["nics"] = nics
	}
}

func (n *Node) currentStatus(_ *call, v *vm) (any, error) {
	status := n.vmStatus(v)
	n.askQEMU(v, status)
	status["ha"] = n.ha.haOf(v.id)
	if enabled(v.config["agent"]) {
		status["agent"] = 1
	}
	if vga, _, _ := strings.Cut(v.config["vga"], ","); strings.HasPrefix(vga, "qxl") || strings.HasPrefix(vga, "virtio") {
		status["spice"] = 1
	}
	return status, nil
}

// The method "machine" returns the machine type with which a VM runs.
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
