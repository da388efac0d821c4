package pve

import (
	"context"
	"net/url"
	"strconv"
)

// AgentPing returns nil if the guest agent of a VM answers, and an error that
// matches [ErrAgent] if it is not configured or does not. PVE itself waits
// three seconds for it.
func (c *Client) AgentPing(ctx context.Context, vmid int) error {
	return c.post(ctx, c.vm(vmid, "/agent/ping"), map[string]any{}, nil)
}

// AgentExec begins a command in the guest and returns its process ID. The
// input is at most 64 KiB.
func (c *Client) AgentExec(ctx context.Context, vmid int, argv []string, input string) (pid int, err error) {
	params := map[string]any{"command": argv}
	if input != "" {
		params["input-data"] = input
	}
	var answer struct{ PID number }
	err = c.post(ctx, c.vm(vmid, "/agent/exec"), params, &answer)
	return int(answer.PID.value), err
}

// An ExecStatus is how a command in a guest is doing.
type ExecStatus struct {
	Exited    bool
	Code      int
	Stdout    string
	Stderr    string
	Truncated bool // more was written than the agent keeps
}

// AgentExecStatus returns the state of a command. The agent forgets a command
// whose end it has told.
func (c *Client) AgentExecStatus(ctx context.Context, vmid, pid int) (ExecStatus, error) {
	var s struct {
		Exited, Truncated flag
		ExitCode          number
		Out               string `json:"out-data"`
		Err               string `json:"err-data"`
		OutTruncated      flag   `json:"out-truncated"`
		ErrTruncated      flag   `json:"err-truncated"`
	}
	err := c.get(ctx, c.vm(vmid, "/agent/exec-status"), url.Values{"pid": {strconv.Itoa(pid)}}, &s)
	return ExecStatus{Exited: bool(s.Exited), Code: int(s.ExitCode.value), Stdout: s.Out, Stderr: s.Err,
		Truncated: bool(s.OutTruncated || s.ErrTruncated)}, err
}
