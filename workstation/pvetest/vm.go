package pvetest

import (
	"crypto/sha1"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A vm is a virtual machine as the node keeps it.
type vm struct {
	id      int
	config  map[string]string // in force
	pending map[string]string // will be in force at the next start
	drop    map[string]bool   // keys that will be gone at the next start

	running  bool
	pid      int
	started  time.Time
	answers  time.Time // when the agent answers, if it ever does
	closing  bool      // the guest is shutting down
	commands map[int]*command
	snaps    []snapshot
}

type snapshot struct {
	name, description string
	taken             time.Time
	config            map[string]string
}

// next returns the configuration with which the VM would start.
func (v *vm) next() map[string]string {
	config := maps.Clone(v.config)
	for key := range v.drop {
		delete(config, key)
	}
	maps.Copy(config, v.pending)
	return config
}

// digest is the SHA-1 of the configuration file, pending part included.
func (v *vm) digest() string {
	var file strings.Builder
	for _, section := range []map[string]string{v.config, v.pending} {
		for _, key := range slices.Sorted(maps.Keys(section)) {
			fmt.Fprintf(&file, "%s: %s\n", key, section[key])
		}
		file.WriteString("[PENDING]\n")
	}
	fmt.Fprintf(&file, "delete: %s\n", strings.Join(slices.Sorted(maps.Keys(v.drop)), ","))
	return fmt.Sprintf("%x", sha1.Sum([]byte(file.String())))
}

func (v *vm) name() string {
	if name := v.config["name"]; name != "" {
		return name
	}
	return fmt.Sprintf("VM %d", v.id)
}

// vmOf returns the VM a call is about.
func (n *Node) vmOf(c *call) (*vm, answer) {
	if v, exists := n.vms[c.number("vmid")]; exists {
		return v, answer{}
	}
	return nil, fail(http.StatusInternalServerError, "Configuration file 'nodes/%s/qemu-server/%s.conf' does not exist", n.host.Name, c.get("vmid"))
}

func locked(v *vm) string {
	if lock := v.config["lock"]; lock != "" {
		return fmt.Sprintf("VM is locked (%s)", lock)
	}
	return ""
}

// holders are the tasks that hold a VM's configuration lock while they run.
var holders = []string{"qmcreate", "qmdestroy", "qmstart", "qmstop", "qmshutdown", "qmreboot", "qmconfig", "qmmove", "resize", "qmsnapshot"}

// held returns PVE's complaint if a task other than ours holds the VM's lock.
func (n *Node) held(v *vm, ours *task) string {
	for _, t := range n.tasks {
		if t != ours && t.running() && t.id == fmt.Sprint(v.id) && slices.Contains(holders, t.kind) && (ours == nil || t.pid < ours.pid) {
			return fmt.Sprintf("can't lock file '/var/lock/qemu-server/lock-%d.conf' - got timeout", v.id)
		}
	}
	return ""
}

func (n *Node) listVMs(c *call) answer {
	list := []map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(n.vms)) {
		if c.who.may(fmt.Sprintf("/vms/%d", id), "VM.Audit") {
			list = append(list, n.vmStatus(n.vms[id]))
		}
	}
	return ok(list)
}

// vmStatus is what the list and status/current have in common.
func (n *Node) vmStatus(v *vm) map[string]any {
	status := map[string]any{
		"vmid": v.id, "name": v.name(), "status": "stopped", "cpus": atoi(v.config["cores"], 1) * atoi(v.config["sockets"], 1),
		"maxmem": int64(atoi(v.config["memory"], 512)) << 20, "mem": 0, "cpu": 0, "uptime": 0, "disk": 0,
		"maxdisk": parseSize(parseDrive(v.config[n.bootDisk(v)]).options["size"]), "diskread": 0, "diskwrite": 0, "netin": 0, "netout": 0,
	}
	if v.running {
		status["status"], status["pid"] = "running", v.pid
		status["uptime"] = int64(n.now.Sub(v.started).Seconds())
		status["mem"] = int64(atoi(v.config["memory"], 512)) << 19
	}
	for _, key := range []string{"lock", "tags"} {
		if v.config[key] != "" {
			status[key] = v.config[key]
		}
	}
	if v.config["template"] == "1" {
		status["template"] = 1
	}
	return status
}

func (n *Node) bootDisk(v *vm) string {
	order := strings.TrimPrefix(v.config["boot"], "order=")
	first, _, _ := strings.Cut(order, ";")
	return first
}

func (n *Node) currentStatus(c *call) answer {
	v, refused := n.vmOf(c)
	if v == nil {
		return refused
	}
	status := n.vmStatus(v)
	status["qmpstatus"] = status["status"]
	status["ha"] = map[string]any{"managed": 0}
	if slices.Contains(n.host.HA, v.id) {
		status["ha"] = map[string]any{"managed": 1, "state": "started", "group": ""}
	}
	if enabled(v.config["agent"]) {
		status["agent"] = 1
	}
	if v.running {
		status["running-machine"], status["running-qemu"] = "pc-q35-10.1+pve0", "10.1.2"
	}
	return ok(status)
}

func (n *Node) nextID(c *call) answer {
	if c.has("vmid") {
		if _, taken := n.vms[c.number("vmid")]; taken {
			return invalid(map[string]string{"vmid": fmt.Sprintf("VM %s already exists", c.get("vmid"))})
		}
		return ok(c.get("vmid"))
	}
	for id := 100; ; id++ {
		if _, taken := n.vms[id]; !taken {
			return ok(fmt.Sprint(id))
		}
	}
}
