package pve

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
)

// AgentPing returns nil if the guest agent of a VM answers. If the agent is not
// configured or does not answer, the error matches [ErrAgent]. PVE itself waits
// three seconds for the agent.
func (c *Client) AgentPing(ctx context.Context, vmid int) error {
	return c.post(ctx, c.vm(vmid, "/agent/ping"), map[string]any{}, nil)
}

// AgentExec begins a command in the guest and returns its process ID. The
// input is at most 64 KiB.
func (c *Client) AgentExec(ctx context.Context, vmid int, argv []string, input string) (pid int, err error) {
	params := map[string]any{"command": argv}
	if input != "" {
		params["input-data"] = characters(input)
	}
	var answer struct{ PID number }
	path := c.vm(vmid, "/agent/exec")
	if err = c.post(ctx, path, params, &answer); err == nil && !answer.PID.known {
		err = c.unusable(http.MethodPost, path, "it names no process")
	}
	return int(answer.PID.value), err
}

// An ExecStatus is the state of a command in a guest.
type ExecStatus struct {
	Exited    bool
	Code      int
	Signal    int // the signal or Windows exception that ended the command, or 0
	Stdout    string
	Stderr    string
	Truncated bool // the command wrote more than the agent keeps
}

// AgentExecStatus returns the state of a command. The agent reports the end of
// a command only once, so a lost answer cannot be requested again.
func (c *Client) AgentExecStatus(ctx context.Context, vmid, pid int) (ExecStatus, error) {
	var s struct {
		Exited, Truncated flag
		ExitCode, Signal  number
		Out               text `json:"out-data"`
		Err               text `json:"err-data"`
		OutTruncated      flag `json:"out-truncated"`
		ErrTruncated      flag `json:"err-truncated"`
	}
	path := c.vm(vmid, "/agent/exec-status")
	err := c.poll(ctx, path, url.Values{"pid": {strconv.Itoa(pid)}}, &s)
	if err == nil && bool(s.Exited) && !s.ExitCode.known && !s.Signal.known {
		err = c.unusable(http.MethodGet, path, "the command has ended, but the agent does not say how")
	}
	return ExecStatus{Exited: bool(s.Exited), Code: int(s.ExitCode.value), Signal: int(s.Signal.value), Stdout: octets(string(s.Out)), Stderr: octets(string(s.Err)),
		Truncated: bool(s.OutTruncated || s.ErrTruncated)}, err
}

// unusable returns an error about an answer that lacks a required value.
func (c *Client) unusable(method, path, why string) error {
	return c.explain(wrap(method, path, fmt.Errorf("%w: %s", ErrAnswer, why)))
}

// AgentFileWrite writes a file in the guest. PVE accepts at most 60 KiB of
// content. Because the content is in base64, data has at most 45 KiB.
func (c *Client) AgentFileWrite(ctx context.Context, vmid int, file string, data []byte) error {
	params := map[string]any{"file": file, "content": base64.StdEncoding.EncodeToString(data), "encode": 0}
	return c.post(ctx, c.vm(vmid, "/agent/file-write"), params, nil)
}

// AgentFileRead reads a file in the guest. It reads at most 16 MiB.
func (c *Client) AgentFileRead(ctx context.Context, vmid int, file string) (content string, truncated bool, err error) {
	var answer struct {
		Content   *text
		Truncated flag
	}
	path := c.vm(vmid, "/agent/file-read")
	if err := c.get(ctx, path, url.Values{"file": {file}}, &answer); err != nil {
		return "", false, err
	}
	if answer.Content == nil {
		return "", false, c.unusable(http.MethodGet, path, "it has no content")
	}
	return octets(string(*answer.Content)), bool(answer.Truncated), nil
}

// octets returns the bytes of a guest's text. PVE decodes the text from base64,
// but then takes each byte for one character (qemu-server
// PVE/API2/Qemu/Agent.pm, file-read; PVE/QemuServer/Agent.pm,
// qemu_exec_status). octets turns each of these characters back into a byte. A
// text with characters beyond 0xff does not come from PVE, and octets returns
// it unchanged.
func octets(text string) string {
	data := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return text
		}
		data = append(data, byte(r))
	}
	return string(data)
}

// characters is the inverse of octets. PVE turns each character of the input
// into a byte, and fails on characters beyond 0xff (encode_base64 in
// qemu_exec).
func characters(data string) string {
	runes := make([]rune, len(data))
	for i := range len(data) {
		runes[i] = rune(data[i])
	}
	return string(runes)
}

// askAgent makes a request without parameters to the agent. If the agent
// reports an error, PVE answers with a status of success, and the error is in
// the result (PVE/QMPClient.pm).
func (c *Client) askAgent(ctx context.Context, vmid int, command string, result any) error {
	var answer struct{ Result any }
	path := c.vm(vmid, "/agent/"+command)
	if err := c.get(ctx, path, nil, &answer); err != nil {
		return err
	}
	data, err := json.Marshal(answer.Result)
	if err != nil {
		return err
	}
	var refused struct{ Error struct{ Desc string } }
	if _, err := decode(ctx, path, data, &refused); err == nil && refused.Error.Desc != "" {
		return c.explain(&Error{Method: http.MethodGet, Path: path, Status: 500, Message: "Agent error: " + refused.Error.Desc})
	}
	return c.take(ctx, http.MethodGet, path, raw{data: data, there: true}, result)
}

// AgentOS returns the agent's report about the guest's system. The keys are the
// names of guest-get-osinfo: "id", "pretty-name", "version-id".
func (c *Client) AgentOS(ctx context.Context, vmid int) (map[string]string, error) {
	var result map[string]text
	if err := c.askAgent(ctx, vmid, "get-osinfo", &result); err != nil {
		return nil, err
	}
	info := map[string]string{}
	for key, value := range result {
		info[key] = string(value)
	}
	return info, nil
}

// AgentAddresses returns the guest's IP addresses, without loopback addresses.
func (c *Client) AgentAddresses(ctx context.Context, vmid int) ([]netip.Addr, error) {
	var interfaces []struct {
		Addresses []struct {
			IP string `json:"ip-address"`
		} `json:"ip-addresses"`
	}
	if err := c.askAgent(ctx, vmid, "network-get-interfaces", &interfaces); err != nil {
		return nil, err
	}
	var addresses []netip.Addr
	for _, i := range interfaces {
		for _, a := range i.Addresses {
			if addr, err := netip.ParseAddr(a.IP); err == nil && !addr.IsLoopback() {
				addresses = append(addresses, addr)
			}
		}
	}
	return addresses, nil
}
