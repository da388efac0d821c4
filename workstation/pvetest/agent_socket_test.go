package pvetest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// channel returns the path of a socket at which an agent answers like QEMU's
// agent (qga/main.c). For each line of JSON it sends one line of JSON, and it
// sends 0xff before the answer to guest-sync-delimited. The first connection
// begins with the text in the parameter "stale". This text stands for answers
// that an earlier client did not read.
func channel(stale string, answer func(command string, arguments json.RawMessage) string) (path string, closeAll func()) {
	dir, err := os.MkdirTemp("", "qga") // the path of t.TempDir is too long for a socket
	if err != nil {
		panic(err)
	}
	path = filepath.Join(dir, "qga")
	listener, err := new(net.ListenConfig).Listen(context.Background(), "unix", path)
	if err != nil {
		panic(err)
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = connection.Write([]byte(stale))
			stale = ""
			for lines := bufio.NewReader(connection); ; {
				line, err := lines.ReadBytes('\n')
				if err != nil {
					break
				}
				var request struct {
					Execute   string
					Arguments json.RawMessage
				}
				if json.Unmarshal(bytes.TrimPrefix(line, []byte("\xff")), &request) != nil {
					continue
				}
				var id struct{ ID json.RawMessage }
				if request.Execute == "guest-sync-delimited" && json.Unmarshal(request.Arguments, &id) == nil {
					fmt.Fprintf(connection, "\xff{\"return\": %s}\n", id.ID)
					continue
				}
				fmt.Fprintln(connection, answer(request.Execute, request.Arguments))
			}
		}
	}()
	return path, func() { _ = listener.Close(); _ = os.RemoveAll(dir) }
}

func TestSocketAgent(t *testing.T) {
	t.Parallel()
	path, closeAll := channel("{\"return\": 1}\n\xff{\"return\": 2}\n{\"retu", func(command string, arguments json.RawMessage) string {
		switch command {
		case "guest-exec":
			return `{"return": ` + string(arguments) + `}`
		case "guest-ping":
			return `{"return": {}}`
		}
		return `{"error": {"class": "CommandNotFound", "desc": "The command ` + command + ` has not been found"}}`
	})
	defer closeAll()
	agent := &pvetest.SocketAgent{Path: path, Patience: time.Minute}
	for range 2 { // only the first of the two connections begins with stale answers
		answer, err := agent.Execute(t.Context(), "guest-exec", json.RawMessage(`{"pid":3}`))
		if err != nil || string(answer) != `{"pid":3}` {
			t.Errorf("guest-exec: %s, %v", answer, err)
		}
	}
	if answer, err := agent.Execute(t.Context(), "guest-ping", nil); err != nil || string(answer) != "{}" {
		t.Errorf("guest-ping: %s, %v", answer, err)
	}
	_, err := agent.Execute(t.Context(), "guest-nap", nil)
	var refused *pvetest.AgentError
	if !errors.As(err, &refused) || refused.Class != "CommandNotFound" || err.Error() != "The command guest-nap has not been found" {
		t.Errorf("a command that is not there: %v", err)
	}
	if _, err := (&pvetest.SocketAgent{Path: path + "-not"}).Execute(t.Context(), "guest-ping", nil); !errors.Is(err, pvetest.ErrNoAgent) {
		t.Errorf("no socket: %v", err)
	}
}

// Before the guest's agent runs, QEMU accepts a connection, but nobody answers.
// The error then matches ErrNoAgent.
func TestSocketAgentThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "qga") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	listener, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(dir, "qga"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	silent := &pvetest.SocketAgent{Path: filepath.Join(dir, "qga"), Patience: time.Nanosecond}
	if _, err := silent.Execute(t.Context(), "guest-ping", nil); !errors.Is(err, pvetest.ErrNoAgent) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("its time is over: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	silent.Patience = time.Hour
	if _, err := silent.Execute(ctx, "guest-ping", nil); !errors.Is(err, pvetest.ErrNoAgent) {
		t.Errorf("the caller went away: %v", err)
	}
	node := pvetest.New(machines(running(140, "agent:=1")), &pvetest.Options{Agents: map[int]pvetest.Agent{140: &pvetest.SocketAgent{Path: dir + "/none"}}})
	l := &lab{Node: node, t: t, login: withToken(rootToken)}
	l.answers([][2]string{
		{"POST /nodes/pve/qemu/140/agent/ping", "500 QEMU guest agent is not running"},
		{"GET /nodes/pve/qemu/140/agent/file-read file=/etc/motd", "500 QEMU guest agent is not running"},
	}...)
}

func ExampleSocketAgent() {
	path, closeAll := channel("", func(string, json.RawMessage) string { return `{"return": {"host-name": "linux-ai"}}` })
	defer closeAll()
	agent := &pvetest.SocketAgent{Path: path} // a test puts this value into Options.Agents
	answer, err := agent.Execute(context.Background(), "guest-get-host-name", nil)
	fmt.Println(string(answer), err)
	// Output: {"host-name": "linux-ai"} <nil>
}

func ExampleAgentError() {
	path, closeAll := channel("", func(string, json.RawMessage) string {
		return `{"error": {"class": "CommandNotFound", "desc": "The command guest-exec has been disabled for this instance"}}`
	})
	defer closeAll()
	_, err := (&pvetest.SocketAgent{Path: path}).Execute(context.Background(), "guest-exec", nil)
	var refused *pvetest.AgentError
	fmt.Println(errors.As(err, &refused), err)
	// Output: true The command guest-exec has been disabled for this instance
}
