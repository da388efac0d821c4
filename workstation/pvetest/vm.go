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

// modified is PVE's refusal of a digest that no longer matches, where a
// configuration is not a VM's (pve-common PVE/Tools.pm, assert_if_modified).
const modified = "detected modified configuration - file changed by other user? Try again."

// A vm is a virtual machine as the node keeps it.
type vm struct {
	id      int
	config  map[string]string // in force
	pending map[string]string // will be in force at the next start
	drop    map[string]bool   // keys that will be gone then; true destroys the disk
	snaps   []snapshot

	running  bool
	paused   bool
	waiting  bool // paused since QEMU started, for a backup: prelaunch
	closing  bool // the guest is shutting down
	reboot   bool // it is to start again when it is off
	pid      int
	started  time.Time
	answers  time.Time // when the agent answers, if it ever does
	devices  []PCI     // that its process has
	commands map[int]*command
}

func newVM(id int) *vm {
	return &vm{id: id, config: map[string]string{}, pending: map[string]string{}, drop: map[string]bool{}}
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
	return nil, fail(http.StatusInternalServerError, "%s", n.noConfig(c.number("vmid")))
}

func (n *Node) noConfig(vmid int) string {
	return fmt.Sprintf("Configuration file 'nodes/%s/qemu-server/%d.conf' does not exist", n.host.Name, vmid)
}

func (n *Node) listVMs(c *call) answer {
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
	return ok(list)
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

// qmpStatus is what QEMU says of the guest, where there is a QEMU.
func (v *vm) qmpStatus() string {
	switch {
	case !v.running:
		return "stopped"
	case v.waiting:
		return "prelaunch"
	case v.paused:
		return "paused"
	}
	return "running"
}

func (v *vm) bootDisk() string {
	for device := range strings.SplitSeq(strings.TrimPrefix(v.config["boot"], "order="), ";") {
		if d := parseDrive(v.config[device]); isDrive(device) && d.media() != "cdrom" {
			return device
		}
	}
	return ""
}

func (n *Node) currentStatus(c *call) answer {
	v, refused := n.vmOf(c)
	if v == nil {
		return refused
	}
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
	return ok(status)
}

// qemu returns the version of QEMU that the node's PVE has.
func (n *Node) qemu() string {
	if n.host.major() < 9 {
		return "9.2.0"
	}
	return "10.1.2"
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

func (n *Node) nextID(c *call) answer {
	if c.has("vmid") {
		if n.guestKind(c.number("vmid")) != "" {
			return invalid(map[string]string{"vmid": fmt.Sprintf("VM %s already exists", c.get("vmid"))})
		}
		return ok(c.get("vmid"))
	}
	for id := 100; ; id++ {
		if n.guestKind(id) == "" {
			return ok(text(id))
		}
	}
}

// guestKind returns what has a VMID, in PVE's words: a "VM" or a "CT"; "" for
// nothing.
func (n *Node) guestKind(id int) string {
	if _, container := n.host.Containers[id]; container {
		return "CT"
	}
	if _, vm := n.vms[id]; vm {
		return "VM"
	}
	return ""
}
