package pvetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A guestAgent answers like QEMU's guest agent in a guest with one file.
type guestAgent struct {
	node    func() *pvetest.Node
	content []byte
}

func (a *guestAgent) Execute(_ context.Context, command string, arguments json.RawMessage) (json.RawMessage, error) {
	a.node().VMs() // this call would hang if the node held its lock while it waits for the agent
	var args struct {
		Path, Mode string
		Arg        []string
		Data       []byte `json:"buf-b64"`
		Input      []byte `json:"input-data"`
		Password   []byte
	}
	if arguments != nil {
		if err := json.Unmarshal(arguments, &args); err != nil {
			return nil, err
		}
	}
	answers := map[string]any{
		"guest-ping": map[string]any{}, "guest-get-host-name": map[string]any{"host-name": "real"},
		"guest-exec":        map[string]any{"pid": 7},
		"guest-exec-status": map[string]any{"exited": true, "exitcode": 3, "out-data": []byte(fmt.Sprint("ö", args.Input))},
		"guest-file-open":   1000, "guest-file-close": map[string]any{}, "guest-set-user-password": map[string]any{},
		"guest-file-read": map[string]any{"count": len(a.content), "buf-b64": a.content, "eof": true},
	}
	switch {
	case command == "guest-file-open" && args.Path != "/etc/motd":
		return nil, errors.New("failed to open file '" + args.Path + "' (mode: '" + args.Mode + "'): No such file or directory")
	case command == "guest-file-write":
		a.content = args.Data
		return json.Marshal(map[string]any{"count": len(args.Data), "eof": false})
	case command == "guest-set-user-password" && string(args.Password) != "abcdefgh":
		return nil, errors.New("wrong password")
	}
	answer, known := answers[command]
	if !known {
		return nil, errors.New("The command " + command + " has not been found")
	}
	return json.Marshal(answer)
}

// A test can supply the agent of a VM. The node then returns this agent's
// answers in PVE's form.
func TestRealAgent(t *testing.T) {
	t.Parallel()
	agent := &guestAgent{content: []byte("hello")}
	node := pvetest.New(machines(running(140, "agent:=1"), vm(141, "agent:=1")), &pvetest.Options{Agents: map[int]pvetest.Agent{140: agent, 141: agent}})
	agent.node = func() *pvetest.Node { return node }
	l := &lab{Node: node, t: t, login: withToken(rootToken)}
	const path = "/nodes/pve/qemu/140/agent"
	l.answers([][2]string{
		{"POST " + path + "/ping", "200 OK map[result:map[]]"},
		{"POST " + path + " command=get-host-name", "200 OK map[result:map[host-name:real]]"},
		{"GET " + path + "/get-host-name", "200 OK map[result:map[host-name:real]]"},
		{"POST " + path + "/exec command=cat input-data=x", "200 OK map[pid:7]"},
		{"GET " + path + "/exec-status pid=7", "200 OK map[exitcode:3 exited:1 out-data:Ã¶[]]"},
		{"GET " + path + "/file-read file=/etc/motd", "200 OK map[bytes-read:5 content:hello]"},
		{"GET " + path + "/file-read file=/etc/none", "500 Agent error: failed to open file '/etc/none' (mode: 'r'): No such file or directory"},
		{"POST " + path + "/file-write file=/etc/motd content=other", "200 OK"},
		{"GET " + path + "/file-read file=/etc/motd decode=0", "200 OK map[bytes-read:5 content:b3RoZXI=]"},
		{"POST " + path + "/set-user-password username=a password=abcdefgh", "200 OK map[result:map[]]"},
		{"GET " + path + "/get-time", "200 OK map[result:map[error:map[class:GenericError desc:The command guest-get-time has not been found]]]"},
		{"POST /nodes/pve/qemu/141/agent/ping", "500 VM 141 is not running"},
	}...)
}

// hostName is an agent that knows one command, guest-get-host-name.
type hostName string

func (name hostName) Execute(_ context.Context, command string, _ json.RawMessage) (json.RawMessage, error) {
	if command != "guest-get-host-name" {
		return nil, errors.New("The command " + command + " has not been found")
	}
	return json.Marshal(map[string]string{"host-name": string(name)})
}

func ExampleAgent() {
	host := pvetest.Reference()
	host.VMs = []pvetest.VM{{ID: 100, Config: map[string]string{"agent": "1"}, Running: true}}
	node := pvetest.New(host, &pvetest.Options{Agents: map[int]pvetest.Agent{100: hostName("workstation")}})
	request, err := http.NewRequest(http.MethodGet, node.URL()+"/nodes/pve/qemu/100/agent/get-host-name", http.NoBody)
	if err != nil {
		panic(err)
	}
	request.Header.Set("Authorization", "PVEAPIToken=root@pam!lab="+host.RootTokens[0].Secret)
	response, err := node.HTTPClient().Do(request)
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	var answer struct {
		Data struct{ Result map[string]string }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		panic(err)
	}
	fmt.Println(answer.Data.Result["host-name"])
	// Output: workstation
}
