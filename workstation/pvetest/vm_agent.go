package pvetest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxRead is the limit of one file-read (qemu-server PVE/API2/Qemu/Agent.pm).
// maxOutput is the limit of a command's output (qemu qga/commands.c,
// GUEST_EXEC_MAX_OUTPUT).
const (
	maxRead   = 16 << 20 // bytes
	maxOutput = 16 << 20 // bytes
)

// agentProblem returns PVE's error if the VM has no agent that can answer.
func (n *Node) agentProblem(v *vm) error {
	guest := n.guest(v.id)
	switch {
	case v.config["agent"] == "":
		return refuse("No QEMU guest agent configured")
	case !v.running:
		return refuse("VM %d is not running", v.id)
	case n.agents[v.id] != nil && enabled(v.config["agent"]) && !v.paused:
		return nil // only the real agent knows whether it answers
	case !enabled(v.config["agent"]), guest.NoAgent, v.paused, v.closing && guest.Hang, n.now.Before(v.answers):
		return errNoAgent
	}
	return nil
}

// agentCall returns a handler for a method that needs the agent. If the agent
// does not answer, PVE waits three seconds.
func agentCall(work func(n *Node, c *call, v *vm) (any, error)) handler {
	return onVM(func(n *Node, c *call, v *vm) (any, error) {
		err := n.agentProblem(v)
		if errors.Is(err, errNoAgent) && n.pause(c.context, 3*time.Second) {
			err = n.agentProblem(v) // the agent may have started in these seconds
		}
		if err != nil {
			return nil, err
		}
		if agent := n.agents[v.id]; agent != nil {
			return n.askAgent(c, agent)
		}
		return work(n, c, v)
	})
}

var errNoAgent = refuse("QEMU guest agent is not running")

func result(data any) (any, error) { return map[string]any{"result": data}, nil }

func (n *Node) agentPing(*call, *vm) (any, error) { return result(map[string]any{}) }

func (n *Node) agentInfo(*call, *vm) (any, error) {
	return result(map[string]any{"version": "7.2.19", "supported_commands": []map[string]any{
		{"name": "guest-ping", "enabled": true, "success-response": true},
		{"name": "guest-exec", "enabled": true, "success-response": true},
	}})
}

// The function "lacks" returns a handler for an agent command. If the agent
// does not know the command, the API call still succeeds, and its result
// contains the error.
func lacks(request string, work func(n *Node, c *call, v *vm) (any, error)) func(n *Node, c *call, v *vm) (any, error) {
	return func(n *Node, c *call, v *vm) (any, error) {
		if slices.Contains(n.guest(v.id).Lacks, request) {
			return result(map[string]any{"error": map[string]any{"class": "CommandNotFound", "desc": "The command " + request + " has not been found"}})
		}
		return work(n, c, v)
	}
}

func (n *Node) agentOS(_ *call, v *vm) (any, error) {
	os := n.guest(v.id).OS
	if os == nil {
		os = map[string]string{"id": "ubuntu", "name": "Ubuntu", "pretty-name": "Ubuntu 24.04.3 LTS", "version-id": "24.04",
			"kernel-release": "6.8.0-90-generic", "machine": "x86_64"}
	}
	return result(os)
}

func (n *Node) agentHost(_ *call, v *vm) (any, error) {
	return result(map[string]any{"host-name": v.name()})
}

// addressesOf returns the IP addresses of a VM's guest, with prefix length.
func (n *Node) addressesOf(v *vm) []string {
	guest := n.guest(v.id)
	static := property(v.config["ipconfig0"], "ip")
	switch {
	case guest.NoAddress:
		return nil
	case len(guest.Addresses) > 0:
		return guest.Addresses
	case v.config["net0"] == "":
		return nil
	case strings.Contains(static, "/"):
		return []string{static}
	}
	return []string{fmt.Sprintf("192.168.1.%d/24", 20+v.id%230)}
}

func (n *Node) agentNetwork(_ *call, v *vm) (any, error) {
	addresses := []map[string]any{}
	for _, address := range n.addressesOf(v) {
		ip, prefix, _ := strings.Cut(address, "/")
		kind := "ipv4"
		if strings.Contains(ip, ":") {
			kind = "ipv6"
		}
		addresses = append(addresses, map[string]any{"ip-address": ip, "ip-address-type": kind, "prefix": atoi(prefix, 24)})
	}
	lo := map[string]any{"name": "lo", "hardware-address": "00:00:00:00:00:00",
		"ip-addresses": []map[string]any{{"ip-address": "127.0.0.1", "ip-address-type": "ipv4", "prefix": 8}}}
	mac := networkMAC.FindString(v.config["net0"])
	if mac == "" && len(addresses) == 0 {
		return result([]map[string]any{lo})
	}
	card := map[string]any{"name": "ens18", "hardware-address": strings.ToLower(mac)}
	if len(addresses) > 0 { // PVE leaves the key out if there are no addresses
		card["ip-addresses"] = addresses
	}
	return result([]map[string]any{lo, card})
}

func (n *Node) agentExec(c *call, v *vm) (any, error) {
	argv := c.values["command"]
	if len(argv) == 0 && !c.has("input-data") {
		return nil, refuse("command or input-data (or both) required")
	}
	guest := n.guest(v.id)
	run := guest.Exec
	if run == nil {
		run = guest.simple
	}
	input, err := toBytes(c.get("input-data"), "QemuServer/Agent.pm line 135")
	if err != nil {
		return nil, err
	}
	done := run(slices.Clone(argv), input)
	if done.Code == notFound {
		return nil, refuse("Agent error: Guest agent command failed, error was 'Failed to execute child process “%s” (No such file or directory)'", strings.Join(argv, " "))
	}
	pid := n.pid()
	v.commands[pid] = &command{done, n.now.Add(done.After)}
	return map[string]any{"pid": pid}, nil
}

// notFound is the exit code for a command that does not exist.
const notFound = -1

// NotFound returns the result that [Guest.Exec] must return for a command that
// does not exist.
func NotFound() Result { return Result{Code: notFound} }

// The method "simple" runs a command in a guest without Exec. It knows three
// commands.
func (g Guest) simple(argv []string, _ []byte) Result {
	switch {
	case len(argv) == 1 && argv[0] == "true":
		return Result{}
	case len(argv) == 1 && argv[0] == "false":
		return Result{Code: 1}
	case len(argv) == 2 && argv[0] == "cat":
		data, there := g.Files[argv[1]]
		if !there {
			return Result{Code: 1, Stderr: []byte("cat: " + argv[1] + ": No such file or directory\n")}
		}
		return Result{Stdout: data}
	}
	return NotFound()
}

func (n *Node) agentExecStatus(c *call, v *vm) (any, error) {
	cmd := v.commands[c.number("pid")]
	if cmd == nil {
		return nil, refuse("Agent error: PID %s does not exist", c.get("pid"))
	}
	if n.now.Before(cmd.done) {
		return map[string]any{"exited": 0}, nil
	}
	delete(v.commands, c.number("pid")) // a result can be read only once
	status := map[string]any{"exited": 1}
	if cmd.result.Signal != 0 {
		status["signal"] = cmd.result.Signal
	} else {
		status["exitcode"] = cmd.result.Code
	}
	for key, data := range map[string][]byte{"out": cmd.result.Stdout, "err": cmd.result.Stderr} {
		if len(data) > 0 {
			status[key+"-data"] = latin1(data[:min(len(data), maxOutput)])
		}
		if len(data) > maxOutput {
			status[key+"-truncated"] = 1
		}
	}
	return status, nil
}

// latin1 converts bytes to the text that PVE sends. PVE decodes base64 but not
// UTF-8, so each byte becomes one character.
func latin1(data []byte) string {
	if !slices.ContainsFunc(data, func(b byte) bool { return b > 0x7f }) {
		return string(data)
	}
	characters := make([]rune, len(data))
	for i, b := range data {
		characters[i] = rune(b)
	}
	return string(characters)
}

// toBytes converts text to bytes as PVE does before it encodes them as base64:
// one byte for each character. This fails for most characters of Unicode.
// Clients that want UTF-8 must encode it themselves.
func toBytes(text, where string) (data []byte, err error) {
	for _, r := range text {
		if r > 0xff {
			return nil, refuse("Wide character in subroutine entry at /usr/share/perl5/PVE/%s.", where)
		}
		data = append(data, byte(r))
	}
	return data, nil
}

func (n *Node) agentRead(c *call, v *vm) (any, error) {
	data, there := n.guest(v.id).Files[c.get("file")]
	if !there {
		return nil, refuse("Agent error: failed to open file '%s' (mode: 'r'): No such file or directory", c.get("file"))
	}
	limit := maxRead
	if c.has("count") {
		limit = c.number("count")
	}
	data = data[min(c.number("offset"), len(data)):]
	part := data[:min(len(data), limit)]
	object := map[string]any{"content": latin1(part), "bytes-read": len(part)}
	if c.get("decode") == "0" {
		object["content"] = base64.StdEncoding.EncodeToString(part)
	}
	if len(data) >= limit { // the file may be longer
		object["truncated"] = 1
	}
	return object, nil
}

func (n *Node) agentWrite(c *call, v *vm) (any, error) {
	content, err := toBytes(c.get("content"), "API2/Qemu/Agent.pm line 624")
	if c.get("encode") == "0" {
		if content, err = base64.StdEncoding.DecodeString(c.get("content")); err != nil {
			return nil, refuse("Agent error: Guest agent command failed, error was 'Invalid base64 data'")
		}
	}
	if err != nil {
		return nil, err
	}
	guest := n.behaviours[v.id]
	guest.Files = maps.Clone(guest.Files)
	if guest.Files == nil {
		guest.Files = map[string][]byte{}
	}
	guest.Files[c.get("file")] = content
	n.keepGuest(v.id, guest)
	return null()
}
