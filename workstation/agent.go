package workstation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/pve"
)

// The limits of the data that PVE passes to a guest agent (qemu-server
// PVE/API2/Qemu/Agent.pm).
const (
	// maxWrite is the largest file that can be written, in bytes. PVE accepts
	// 60 KiB of base64.
	maxWrite = 45 << 10
	// maxInput is the largest input of a command, in bytes.
	maxInput = 64 << 10
)

// An Agent speaks to the QEMU guest agent in a VM. Its errors match [ErrAgent]
// if the VM has no agent configured, or if the agent does not answer; PVE waits
// three seconds for an answer. macOS's own agent answers a ping and little
// more.
//
// With PVE 9, Wait, OS and Addresses need VM.GuestAgent.Audit on /vms/VMID.
// ReadFile needs VM.GuestAgent.FileRead, and WriteFile needs
// VM.GuestAgent.FileWrite. Run needs VM.GuestAgent.Unrestricted, which is also
// enough for all other methods. PVE 8 needs VM.Monitor.
type Agent struct {
	node *Node
	vmid int
}

// Agent returns the guest agent of a VM. It makes no request.
func (n *Node) Agent(vmid int) Agent { return Agent{n, vmid} }

// Wait waits until the agent answers, but no longer than atMost. The error
// matches [ErrAgent] if the agent did not answer in that time.
func (a Agent) Wait(ctx context.Context, atMost time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, atMost, ErrTimeout)
	defer cancel()
	for {
		err := a.node.pve.AgentPing(ctx, a.vmid)
		if err == nil {
			return nil
		}
		if !errors.Is(err, ErrAgent) && !uncertain(err) && ctx.Err() == nil {
			return err
		}
		if sleepErr := pve.Sleep(ctx, time.Second); sleepErr != nil {
			return fmt.Errorf("workstation: VM %d: %w: %w", a.vmid, ErrAgent, sleepErr)
		}
	}
}

// Run runs a command in the guest and waits until the command has ended. An
// exit code other than 0, or a signal, is not an error: it is in the returned
// output. The agent keeps the first 16 MiB that the command prints. The
// command's input is at most 64 KiB. A command that takes longer than its
// timeout goes on in the guest, because the agent cannot end it.
//
// If the answer to the start is lost, the error matches [ErrNoAnswer]. The
// command may then be running, and Run does not start it again. The error also
// matches [ErrNoAnswer] if the answer that says how the command ended is lost,
// because the agent gives that answer only once. If no program is named, the
// error matches [ErrInvalid]. If the input is too large, it matches
// [ErrTooLarge]. If the command takes longer than its timeout, it matches
// [ErrTimeout].
func (a Agent) Run(ctx context.Context, c proxstation.GuestCommand) (proxstation.GuestOutput, error) {
	if len(c.Argv) == 0 {
		return proxstation.GuestOutput{}, &InvalidError{VMID: a.vmid, Field: "command", Why: "it names no program"}
	}
	if len(c.Input) > maxInput {
		return proxstation.GuestOutput{}, fmt.Errorf("workstation: VM %d: %d bytes of input, %d are the most: %w", a.vmid, len(c.Input), maxInput, ErrTooLarge)
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 5 * time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, ErrTimeout)
	defer cancel()
	pid, err := a.node.pve.AgentExec(ctx, a.vmid, c.Argv, c.Input)
	if err != nil {
		return proxstation.GuestOutput{}, err
	}
	s, err := a.ended(ctx, pid)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("workstation: VM %d: %s has not ended: %w", a.vmid, c.Argv[0], context.Cause(ctx))
	}
	return proxstation.GuestOutput{Code: s.Code, Signal: s.Signal, Stdout: s.Stdout, Stderr: s.Stderr, Truncated: s.Truncated}, err
}

// maxLost is the number of polls in a row that may get no answer.
const maxLost = 20

// This waits until a command has ended.
func (a Agent) ended(ctx context.Context, pid int) (pve.ExecStatus, error) {
	var lost error // the error of the polls since the last answer
	for pause, polls := 100*time.Millisecond, 0; ; pause = min(pause*2, 2*time.Second) {
		s, err := a.node.pve.AgentExecStatus(ctx, a.vmid, pid)
		switch {
		case err == nil && s.Exited:
			return s, nil
		case err == nil:
			lost, polls = nil, 0
		case uncertain(err) && polls < maxLost:
			lost = err
			polls++
		default:
			return pve.ExecStatus{}, cmp.Or(lost, err) // after a lost answer, the agent may have forgotten the command
		}
		if err := pve.Sleep(ctx, pause); err != nil {
			return pve.ExecStatus{}, err
		}
	}
}

// WriteFile writes a file in the guest and replaces an existing file. PVE
// passes on at most 45 KiB. If data is larger, the error matches [ErrTooLarge]
// and nothing is written. If the path cannot be written, the error is a
// [RequestError] with the agent's words.
func (a Agent) WriteFile(ctx context.Context, path string, data []byte) error {
	if len(data) > maxWrite {
		return fmt.Errorf("workstation: VM %d: %s: %d bytes: %w", a.vmid, path, len(data), ErrTooLarge)
	}
	return a.node.pve.AgentFileWrite(ctx, a.vmid, path, data)
}

// ReadFile reads a file in the guest. PVE passes on at most 16 MiB. If the file
// is larger, the error matches [ErrTooLarge], and no part of the file is
// returned.
//
// If the file does not exist, the error is a [RequestError] with the agent's
// words. It matches [fs.ErrNotExist] if those words are English, as on Linux
// and macOS. Windows answers in the guest's language (qga/commands-win32.c). A
// missing file there cannot be distinguished from another failure.
func (a Agent) ReadFile(ctx context.Context, path string) ([]byte, error) {
	content, truncated, err := a.node.pve.AgentFileRead(ctx, a.vmid, path)
	if err == nil && truncated {
		err = fmt.Errorf("workstation: VM %d: %s: %w", a.vmid, path, ErrTooLarge)
	}
	if err != nil {
		return nil, notExist(err)
	}
	return []byte(content), nil
}

// notExist makes the agent's refusal to open a missing file match
// [fs.ErrNotExist].
func notExist(err error) error {
	var refused *RequestError
	if errors.As(err, &refused) && !errors.Is(err, ErrAgent) && strings.Contains(strings.ToLower(refused.Message), "no such file") {
		return fmt.Errorf("%w: %w", err, fs.ErrNotExist)
	}
	return err
}

// OS returns the agent's report about the guest's system. The keys are the
// names of guest-get-osinfo (QEMU guest agent protocol): "id", "pretty-name"
// and others. If the agent does not have this command, the error is a
// [RequestError].
func (a Agent) OS(ctx context.Context) (map[string]string, error) {
	return a.node.pve.AgentOS(ctx, a.vmid)
}

// Addresses returns the guest's IP addresses, without loopback. If the agent
// does not have the command for this, the error is a [RequestError].
func (a Agent) Addresses(ctx context.Context) ([]netip.Addr, error) {
	return a.node.pve.AgentAddresses(ctx, a.vmid)
}
