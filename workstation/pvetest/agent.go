package pvetest

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The limits of files and commands through the API (qemu-server
// PVE/API2/Qemu/Agent.pm).
const (
	maxRead = 16 << 20 // bytes of one file-read
)

// A command is one that runs in a guest, or ran.
type command struct {
	result Result
	done   time.Time
}

// agentProblem returns PVE's complaint if no agent answers in a VM.
func (n *Node) agentProblem(v *vm) string {
	guest := n.guest(v.id)
	switch {
	case v.config["agent"] == "":
		return "No QEMU guest agent configured"
	case !v.running:
		return fmt.Sprintf("VM %d is not running", v.id)
	case !enabled(v.config["agent"]), guest.NoAgent, v.closing && guest.Hang, n.now.Before(v.answers):
		return "QEMU guest agent is not running"
	}
	return ""
}

// agentCall returns a handler that asks the agent.
func agentCall(work func(n *Node, v *vm, c *call) answer) handler {
	return func(n *Node, c *call) answer {
		v, refused := n.vmOf(c)
		if v == nil {
			return refused
		}
		if problem := n.agentProblem(v); problem != "" {
			a := fail(http.StatusInternalServerError, "%s", problem)
			if strings.HasPrefix(problem, "QEMU guest agent") {
				a.delay = time.Duration(float64(3*time.Second) / n.speed) // PVE waits so long for a ping
			}
			return a
		}
		return work(n, v, c)
	}
}

func result(data any) answer { return ok(map[string]any{"result": data}) }

func (n *Node) agentPing(*vm, *call) answer { return result(map[string]any{}) }

func (n *Node) agentInfo(*vm, *call) answer {
	return result(map[string]any{"version": "7.2.19", "supported_commands": []map[string]any{
		{"name": "guest-ping", "enabled": true, "success-response": true},
		{"name": "guest-exec", "enabled": true, "success-response": true},
	}})
}

func (n *Node) agentOS(v *vm, _ *call) answer {
	os := n.guest(v.id).OS
	if os == nil {
		os = map[string]string{"id": "ubuntu", "name": "Ubuntu", "pretty-name": "Ubuntu 24.04.3 LTS", "version-id": "24.04",
			"kernel-release": "6.8.0-90-generic", "machine": "x86_64"}
	}
	return result(os)
}

func (n *Node) agentHost(v *vm, _ *call) answer {
	return result(map[string]any{"host-name": v.name()})
}

func (n *Node) agentNetwork(v *vm, _ *call) answer {
	addresses := []map[string]any{}
	for _, address := range n.guest(v.id).Addresses {
		ip, prefix, _ := strings.Cut(address, "/")
		kind := "ipv4"
		if strings.Contains(ip, ":") {
			kind = "ipv6"
		}
		addresses = append(addresses, map[string]any{"ip-address": ip, "ip-address-type": kind, "prefix": atoi(prefix, 24)})
	}
	mac, _, _ := strings.Cut(v.config["net0"], ",")
	_, mac, _ = strings.Cut(mac, "=")
	return result([]map[string]any{
		{"name": "lo", "hardware-address": "00:00:00:00:00:00", "ip-addresses": []map[string]any{{"ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8}}},
		{"name": "ens18", "hardware-address": strings.ToLower(mac), "ip-addresses": addresses},
	})
}

func (n *Node) agentExec(v *vm, c *call) answer {
	argv := c.values["command"]
	if len(argv) == 0 && !c.has("input-data") {
		return fail(http.StatusInternalServerError, "command or input-data (or both) required")
	}
	done := Result{Code: 0}
	switch run := n.guest(v.id).Exec; {
	case run != nil:
		done = run(slices.Clone(argv), []byte(c.get("input-data")))
	case len(argv) > 0 && argv[0] == "false":
		done.Code = 1
	case len(argv) == 0 || argv[0] != "true":
		return fail(http.StatusInternalServerError, "Agent error: Guest agent command failed, error was 'Failed to execute child process “%s” (No such file or directory)'", strings.Join(argv, " "))
	}
	if v.commands == nil {
		v.commands = map[int]*command{}
	}
	pid := n.pid()
	v.commands[pid] = &command{done, n.now.Add(done.After)}
	return ok(map[string]any{"pid": pid})
}

func (n *Node) agentExecStatus(v *vm, c *call) answer {
	cmd := v.commands[c.number("pid")]
	if cmd == nil {
		return fail(http.StatusInternalServerError, "Agent error: Invalid parameter 'pid'")
	}
	if n.now.Before(cmd.done) {
		return ok(map[string]any{"exited": 0})
	}
	delete(v.commands, c.number("pid")) // the agent forgets a result that was read
	status := map[string]any{"exited": 1, "exitcode": cmd.result.Code}
	for key, data := range map[string][]byte{"out": cmd.result.Stdout, "err": cmd.result.Stderr} {
		if len(data) > 0 {
			status[key+"-data"] = string(data[:min(len(data), maxRead)])
		}
		if len(data) > maxRead {
			status[key+"-truncated"] = 1
		}
	}
	return ok(status)
}

func (n *Node) agentRead(v *vm, c *call) answer {
	data, there := n.guest(v.id).Files[c.get("file")]
	if !there {
		return fail(http.StatusInternalServerError, "can't open '%s': No such file or directory", c.get("file"))
	}
	limit := maxRead
	if c.has("count") {
		limit = c.number("count")
	}
	object := map[string]any{"content": string(data[:min(len(data), limit)]), "bytes-read": min(len(data), limit)}
	if len(data) > limit {
		object["truncated"] = 1
	}
	return ok(object)
}

func (n *Node) agentWrite(v *vm, c *call) answer {
	content := []byte(c.get("content"))
	if c.get("encode") == "0" {
		decoded, err := base64.StdEncoding.DecodeString(c.get("content"))
		if err != nil {
			return fail(http.StatusInternalServerError, "Agent error: Invalid base64 data")
		}
		content = decoded
	}
	guest := n.host.Guests[v.id]
	guest.Files = maps.Clone(guest.Files)
	if guest.Files == nil {
		guest.Files = map[string][]byte{}
	}
	guest.Files[c.get("file")] = bytes.Clone(content)
	if n.host.Guests == nil {
		n.host.Guests = map[int]Guest{}
	}
	n.host.Guests[v.id] = guest
	return ok(nil)
}
