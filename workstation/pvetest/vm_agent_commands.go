package pvetest

import (
	"slices"
	"time"
)

// agentCommands holds the agent's commands without parameters, and the answers
// of a Linux guest (qemu-server PVE/API2/Qemu/Agent.pm, $guest_agent_commands).
var agentCommands = map[string]func(n *Node, c *call, v *vm) (any, error){
	"ping":                   (*Node).agentPing,
	"info":                   (*Node).agentInfo,
	"get-osinfo":             (*Node).agentOS,
	"get-host-name":          (*Node).agentHost,
	"network-get-interfaces": (*Node).agentNetwork,
	"get-fsinfo":             (*Node).agentFiles,
	"get-users":              always([]any{}),
	"get-vcpus":              (*Node).agentCPUs,
	"get-time":               (*Node).agentTime,
	"get-timezone":           always(map[string]any{"zone": "UTC", "offset": 0}),
	"get-memory-blocks":      always([]any{map[string]any{"phys-index": 0, "online": true, "can-offline": false}}),
	"get-memory-block-info":  always(map[string]any{"size": 128 << 20}),
	"fsfreeze-status":        (*Node).agentFrozen,
	"fsfreeze-freeze":        (*Node).agentFreeze,
	"fsfreeze-thaw":          (*Node).agentThaw,
	"fstrim":                 always(map[string]any{"paths": []any{map[string]any{"path": "/", "trimmed": 0, "minimum": 0}}}),
	"shutdown":               (*Node).agentShutdown,
}

// The function "always" returns a handler that always gives the same answer.
func always(answer any) func(*Node, *call, *vm) (any, error) {
	return func(*Node, *call, *vm) (any, error) { return result(answer) }
}

// agentByName serves POST agent, PVE's older method that has the command as a
// parameter.
func (n *Node) agentByName(c *call, v *vm) (any, error) {
	command, served := agentCommands[c.get("command")]
	if !served {
		return nil, unserved(c.endpoint.Method, c.path+" command="+c.get("command"))
	}
	return lacks("guest-"+c.get("command"), command)(n, c, v)
}

func agentHandlers() map[string]handler {
	const agent = "/nodes/{node}/qemu/{vmid}/agent"
	all := map[string]handler{
		"POST " + agent:                        agentCall((*Node).agentByName),
		"POST " + agent + "/set-user-password": agentCall(lacks("guest-set-user-password", (*Node).agentPassword)),
	}
	writes := []string{"ping", "fsfreeze-status", "fsfreeze-freeze", "fsfreeze-thaw", "fstrim", "shutdown"}
	for name, command := range agentCommands {
		method := "GET "
		if slices.Contains(writes, name) {
			method = "POST "
		}
		all[method+agent+"/"+name] = agentCall(lacks("guest-"+name, command))
	}
	return all
}

func (n *Node) agentFiles(_ *call, v *vm) (any, error) {
	disk := parseSize(parseDrive(v.config[v.bootDisk()]).options["size"])
	return result([]map[string]any{{
		"name": "sda1", "mountpoint": "/", "type": "ext4", "total-bytes": disk, "used-bytes": disk / 4,
		"disk": []map[string]any{{"bus-type": "scsi", "bus": 0, "target": 0, "unit": 0, "dev": "/dev/sda1"}},
	}})
}

func (n *Node) agentCPUs(_ *call, v *vm) (any, error) {
	list := []map[string]any{}
	for i := range atoi(v.config["cores"], 1) * atoi(v.config["sockets"], 1) {
		list = append(list, map[string]any{"logical-id": i, "online": true, "can-offline": i > 0})
	}
	return result(list)
}

func (n *Node) agentTime(*call, *vm) (any, error) { return result(n.now.UnixNano()) }

// agentPassword always succeeds and does nothing, because nobody can log in to
// the guest.
func (n *Node) agentPassword(*call, *vm) (any, error) { return result(map[string]any{}) }

func (n *Node) agentFrozen(_ *call, v *vm) (any, error) {
	return result(map[bool]string{false: "thawed", true: "frozen"}[v.frozen])
}

func (n *Node) agentFreeze(_ *call, v *vm) (any, error) {
	v.frozen = true
	return result(1)
}

func (n *Node) agentThaw(_ *call, v *vm) (any, error) {
	thawed := bit(v.frozen)
	v.frozen = false
	return result(thawed)
}

// agentShutdown powers off the guest from inside.
func (n *Node) agentShutdown(_ *call, v *vm) (any, error) {
	guest, pid := n.guest(v.id), v.pid
	if !guest.Hang && !guest.Refuse {
		v.closing = true
		n.after(max(guest.Shutdown, time.Second), func() { n.quit(v, pid) })
	}
	return result(map[string]any{})
}
