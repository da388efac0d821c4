package pvetest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/proxstation/proxstation/internal/printable"
)

// ErrNoAgent reports that no agent answered in time, because the guest is still
// booting or has no agent. The node then sends PVE's error: the guest agent is
// not running.
var ErrNoAgent = errors.New("pvetest: no guest agent answers")

// An AgentError is an agent's refusal of a command (QEMU's
// docs/interop/qmp-spec.rst, Error).
type AgentError struct {
	Class string // "CommandNotFound", "GenericError"
	Desc  string // the agent's message
}

// Error returns the agent's message. Characters that a terminal cannot print
// are quoted.
func (e *AgentError) Error() string { return printable.Line(e.Desc) }

// A SocketAgent is the [Agent] of a real guest. It uses a Unix socket, which is
// QEMU's end of the channel "org.qemu.guest_agent.0":
//
//	-chardev socket,path=/run/qga,server=on,wait=off,id=qga0
//	-device virtserialport,chardev=qga0,name=org.qemu.guest_agent.0
//
// The socket serves one client at a time, so commands wait for each other.
type SocketAgent struct {
	// Path is the path of the socket.
	Path string
	// Patience is the time in which the agent must first show that it answers.
	// 0 means three seconds, as in PVE. A guest on an emulated processor needs
	// more time.
	Patience time.Duration

	mu sync.Mutex
}

// maxAnswer is the time that an agent may take for one command, after it has
// shown that it answers.
const maxAnswer = time.Minute

// Execute implements [Agent]. If there is no socket or nothing answers, the
// error matches [ErrNoAgent]. If the agent refuses the command, the error is an
// [*AgentError].
func (a *SocketAgent) Execute(ctx context.Context, command string, arguments json.RawMessage) (json.RawMessage, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	connection, err := new(net.Dialer).DialContext(ctx, "unix", a.Path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAgent, err)
	}
	defer func() { _ = connection.Close() }() // an error does no harm, because all data has been written
	defer context.AfterFunc(ctx, func() { _ = connection.Close() })()
	reader := bufio.NewReader(connection)
	patience := a.Patience
	if patience == 0 {
		patience = 3 * time.Second
	}
	if err := synchronize(connection, reader, time.Now().Add(patience)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoAgent, err)
	}
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	answer, err := exchange(connection, reader, "", request, time.Now().Add(maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrNoAgent, command, err)
	}
	if answer.Error != nil {
		return nil, &AgentError{answer.Error.Class, answer.Error.Desc}
	}
	return answer.Return, nil
}

// An agentAnswer is a message from an agent.
type agentAnswer struct {
	Return json.RawMessage
	Error  *struct{ Class, Desc string }
}

// The constant "flush" is a byte that does not occur in JSON. A client sends it
// to the agent to end an incomplete command of an earlier client. The agent
// sends it before the answer to guest-sync-delimited (QEMU's
// qga/qapi-schema.json).
const flush = "\xff"

// synchronize waits until the agent answers this client. It drops answers to
// earlier clients.
func synchronize(connection net.Conn, reader *bufio.Reader, until time.Time) error {
	id := rand.Int64N(1 << 50)
	request := map[string]any{"execute": "guest-sync-delimited", "arguments": map[string]any{"id": id}}
	for {
		answer, err := exchange(connection, reader, flush, request, until)
		if err != nil {
			return err
		}
		var got int64
		if json.Unmarshal(answer.Return, &got) == nil && got == id {
			return nil
		}
		request = nil
	}
}

// The function "exchange" sends a text and then a request, and returns the next
// answer. If the request is nil, it sends nothing. If the text is not empty, it
// skips everything up to the next flush before it reads the answer.
func exchange(connection net.Conn, reader *bufio.Reader, text string, request map[string]any, until time.Time) (answer agentAnswer, err error) {
	if err := connection.SetDeadline(until); err != nil {
		return answer, err
	}
	if request != nil {
		message, err := json.Marshal(request)
		if err != nil {
			return answer, err
		}
		if _, err := connection.Write([]byte(text + string(message) + "\n")); err != nil {
			return answer, err
		}
	}
	if text != "" {
		if _, err := reader.ReadBytes(flush[0]); err != nil {
			return answer, err
		}
	}
	line, err := reader.ReadBytes('\n')
	if err != nil {
		return answer, err
	}
	return answer, json.Unmarshal(line, &answer)
}
