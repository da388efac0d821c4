package workstation

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/proxstation/proxstation/internal/pve"
)

// The limits of what goes through PVE to a guest agent (qemu-server
// PVE/API2/Qemu/Agent.pm).
const (
	// MaxGuestWrite is the most that [Agent.WriteFile] writes: PVE takes 60
	// KiB of base64.
	MaxGuestWrite = 45 << 10
	// MaxGuestRead is the most that [Agent.ReadFile] reads.
	MaxGuestRead = 16 << 20
	// maxInput is the most that a command may be given on its input.
	maxInput = 64 << 10
)

// ErrTooLarge means that something does not fit through the guest agent.
var ErrTooLarge = errors.New("too large for the guest agent")

// An Agent speaks to the QEMU guest agent in a VM. Its errors match
// [ErrAgent] where none is configured or none answers; PVE itself notices that
// after three seconds. macOS's own agent answers a ping and little more.
//
// On /vms/VMID, PVE 9 wants VM.GuestAgent.Audit for Wait, OS and Addresses,
// VM.GuestAgent.FileRead and FileWrite for files, and for Run
// VM.GuestAgent.Unrestricted, which is enough for all of them; PVE 8 wants
// VM.Monitor.
type Agent struct {
	node *Node
	vmid int
}

// Agent returns the guest agent of a VM. It makes no request.
func (n *Node) Agent(vmid int) Agent { return Agent{n, vmid} }

// Wait waits until the agent answers, at most for a while, and reports
// progress. What the agent said last is part of the error.
func (a Agent) Wait(ctx context.Context, atMost time.Duration, progress func(Event)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, atMost, errDeadline)
	defer cancel()
	report := reporter{report: progress}
	report.enter(PhaseUp, a.vmid, "waiting for the guest agent")
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
		report.say(a.vmid, "waiting for the guest agent")
	}
}

// A Command is a program to run in a guest.
type Command struct {
	// Argv is the program and its arguments; no shell comes between.
	Argv []string
	// Input is given on standard input, at most 64 KiB. It is never shown.
	Input string
	// Timeout bounds the wait; 0 is five minutes. The program is not ended:
	// the agent cannot.
	Timeout time.Duration
}

// An Output is what a command left.
type Output struct {
	Code int
	// Signal is the number of the signal that ended the command, or of the
	// exception on Windows; 0 where it ended by itself.
	Signal         int
	Stdout, Stderr string
	// Truncated says that the agent kept only the first 16 MiB.
	Truncated bool
}

// Run runs a command in the guest and waits until it has ended. A command
// that ends with another code than 0, or by a signal, is no error: that is in
// the Output.
// If the answer to the start is lost the error matches [ErrNoAnswer], and the
// command may be running; it is not started again. Without a program it matches
// [ErrInvalid], with too much input [ErrTooLarge].
func (a Agent) Run(ctx context.Context, c Command) (Output, error) {
	if len(c.Argv) == 0 {
		return Output{}, &InvalidError{VMID: a.vmid, Field: "command", Why: "it names no program"}
	}
	if len(c.Input) > maxInput {
		return Output{}, fmt.Errorf("workstation: VM %d: %d bytes of input, %d are the most: %w", a.vmid, len(c.Input), maxInput, ErrTooLarge)
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = 5 * time.Minute
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errDeadline)
	defer cancel()
	pid, err := a.node.pve.AgentExec(ctx, a.vmid, c.Argv, c.Input)
	if err != nil {
		return Output{}, err
	}
	for pause := 100 * time.Millisecond; ; pause = min(pause*2, 2*time.Second) {
		s, err := a.node.pve.AgentExecStatus(ctx, a.vmid, pid)
		switch {
		case err == nil && s.Exited:
			return Output{Code: s.Code, Signal: s.Signal, Stdout: s.Stdout, Stderr: s.Stderr, Truncated: s.Truncated}, nil
		case err != nil && ctx.Err() == nil:
			return Output{}, err
		}
		if err := pve.Sleep(ctx, pause); err != nil {
			return Output{}, fmt.Errorf("workstation: VM %d: %s has not ended: %w", a.vmid, c.Argv[0], err)
		}
	}
}

// WriteFile writes a file in the guest, in place of what is there. More than
// [MaxGuestWrite] bytes is an error that matches [ErrTooLarge], and nothing is
// written; a path that cannot be written is a [RequestError] with the agent's
// words.
func (a Agent) WriteFile(ctx context.Context, path string, data []byte) error {
	if len(data) > MaxGuestWrite {
		return fmt.Errorf("workstation: VM %d: %s: %d bytes: %w", a.vmid, path, len(data), ErrTooLarge)
	}
	return a.node.pve.AgentFileWrite(ctx, a.vmid, path, data)
}

// ReadFile reads a file in the guest. One that is larger than [MaxGuestRead]
// is an error that matches [ErrTooLarge], never half a file; one that is not
// there is a [RequestError] with the agent's words.
func (a Agent) ReadFile(ctx context.Context, path string) ([]byte, error) {
	content, truncated, err := a.node.pve.AgentFileRead(ctx, a.vmid, path)
	if err == nil && truncated {
		err = fmt.Errorf("workstation: VM %d: %s: %w", a.vmid, path, ErrTooLarge)
	}
	if err != nil {
		return nil, err
	}
	return []byte(content), nil
}

// OS returns what the agent says of the guest's system, by the names of
// guest-get-osinfo (QEMU guest agent protocol): "id", "pretty-name" and others.
// A command that the guest's agent does not have is a [RequestError].
func (a Agent) OS(ctx context.Context) (map[string]string, error) {
	return a.node.pve.AgentOS(ctx, a.vmid)
}

// Addresses returns the guest's IP addresses, without loopback. A command that
// the guest's agent does not have is a [RequestError].
func (a Agent) Addresses(ctx context.Context) ([]netip.Addr, error) {
	return a.node.pve.AgentAddresses(ctx, a.vmid)
}
