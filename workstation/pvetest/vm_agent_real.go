package pvetest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"path"
)

// An Agent replaces the guest agent that [Guest] describes. It can be the agent
// of a real guest, reached through a socket.
type Agent interface {
	// Execute runs a command of QEMU's guest agent, such as "guest-exec", and
	// returns the agent's result as JSON. The arguments are a JSON object, or
	// nil. If nothing answers, the error matches [ErrNoAgent]. Any other error
	// contains the agent's message, and is an [*AgentError] if the class is
	// known. The node serves other requests while Execute runs.
	Execute(ctx context.Context, command string, arguments json.RawMessage) (json.RawMessage, error)
}

// A realCall is an API request that an [Agent] has to answer.
type realCall struct {
	*call
	node  *Node
	agent Agent
}

// The method "ask" lets the agent execute a command. It releases the node's
// lock meanwhile, because an agent can take a long time. If no agent answers,
// ask returns PVE's error. Other errors are the agent's errors.
func (r realCall) ask(command string, arguments any) (json.RawMessage, error) {
	var text json.RawMessage
	if arguments != nil {
		var err error
		if text, err = json.Marshal(arguments); err != nil {
			return nil, err
		}
	}
	r.node.mu.Unlock()
	answer, err := r.agent.Execute(r.context, command, text)
	r.node.mu.Lock()
	r.node.advance()
	if errors.Is(err, ErrNoAgent) {
		err = errNoAgent
	}
	return answer, err
}

// The method "execute" lets the agent execute a command, as the method "ask"
// does. It then decodes the result into the parameter "into". If "into" is nil,
// it drops the result.
func (r realCall) execute(command string, arguments, into any) error {
	answer, err := r.ask(command, arguments)
	if err == nil && into != nil {
		err = json.Unmarshal(answer, into)
	}
	if err != nil && !errors.Is(err, errNoAgent) {
		err = refuse("Agent error: %s", asAgentError(err).Desc)
	}
	return err
}

// asAgentError converts an error of an agent to an AgentError. If the class of
// the error is not known, the class is GenericError.
func asAgentError(err error) *AgentError {
	refused := &AgentError{Class: "GenericError", Desc: err.Error()}
	errors.As(err, &refused)
	return refused
}

// askAgent translates an API request into commands of the agent, as PVE does
// (qemu-server PVE/API2/Qemu/Agent.pm).
func (n *Node) askAgent(c *call, agent Agent) (any, error) {
	r := realCall{call: c, node: n, agent: agent}
	switch name := path.Base(c.endpoint.Path); name {
	case "exec":
		return r.run()
	case "exec-status":
		return r.runStatus()
	case "file-read":
		return r.read()
	case "file-write":
		return r.write()
	case "set-user-password":
		arguments := map[string]any{"username": c.get("username"), "crypted": c.get("crypted") == "1",
			"password": base64.StdEncoding.EncodeToString([]byte(c.get("password")))}
		return r.plain("guest-"+name, arguments)
	case "agent":
		return r.plain("guest-"+c.get("command"), nil)
	default:
		return r.plain("guest-"+name, nil)
	}
}

// The method "plain" returns the agent's result unchanged. If the agent refuses
// the command, the API call still succeeds, and its result contains the error
// (PVE/QMPClient.pm).
func (r realCall) plain(command string, arguments any) (any, error) {
	answer, err := r.ask(command, arguments)
	switch {
	case errors.Is(err, errNoAgent):
		return nil, err
	case err != nil:
		refused := asAgentError(err)
		return result(map[string]any{"error": map[string]any{"class": refused.Class, "desc": refused.Desc}})
	}
	var object any
	if err := json.Unmarshal(answer, &object); err != nil {
		return nil, refuse("Agent error: %v", err)
	}
	return result(object)
}

func (r realCall) run() (any, error) {
	argv := r.values["command"]
	if len(argv) == 0 {
		return nil, refuse("command or input-data (or both) required")
	}
	arguments := map[string]any{"path": argv[0], "arg": argv[1:], "capture-output": true}
	if input, err := toBytes(r.get("input-data"), "QemuServer/Agent.pm line 135"); err != nil {
		return nil, err
	} else if r.has("input-data") {
		arguments["input-data"] = base64.StdEncoding.EncodeToString(input)
	}
	var started struct {
		PID int `json:"pid"`
	}
	if err := r.execute("guest-exec", arguments, &started); err != nil {
		return nil, err
	}
	return map[string]any{"pid": started.PID}, nil
}

func (r realCall) runStatus() (any, error) {
	var status map[string]any
	if err := r.execute("guest-exec-status", map[string]any{"pid": r.number("pid")}, &status); err != nil {
		return nil, err
	}
	object := map[string]any{}
	for key, value := range status {
		switch v := value.(type) {
		case bool:
			object[key] = bit(v)
		case float64:
			object[key] = int(v)
		case string: // out-data and err-data are in base64
			data, err := base64.StdEncoding.DecodeString(v)
			if err != nil {
				return nil, refuse("Agent error: %v", err)
			}
			object[key] = latin1(data)
		}
	}
	return object, nil
}

// The method "within" opens a file in the guest, calls the function "work" with
// the file's handle, and closes the file.
func (r realCall) within(mode string, work func(handle int) error) error {
	var handle int
	if err := r.execute("guest-file-open", map[string]any{"path": r.get("file"), "mode": mode}, &handle); err != nil {
		return err
	}
	err := work(handle)
	if closing := r.execute("guest-file-close", map[string]any{"handle": handle}, nil); err == nil {
		err = closing
	}
	return err
}

func (r realCall) read() (any, error) {
	limit := maxRead
	if r.has("count") {
		limit = r.number("count")
	}
	var content []byte
	whole := false
	err := r.within("r", func(handle int) error {
		for len(content) < limit && !whole {
			var part struct {
				Count int    `json:"count"`
				Data  []byte `json:"buf-b64"`
				EOF   bool   `json:"eof"`
			}
			if err := r.execute("guest-file-read", map[string]any{"handle": handle, "count": min(limit-len(content), 1<<20)}, &part); err != nil {
				return err
			}
			content, whole = append(content, part.Data...), part.EOF || part.Count == 0
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	object := map[string]any{"content": latin1(content), "bytes-read": len(content)}
	if r.get("decode") == "0" {
		object["content"] = base64.StdEncoding.EncodeToString(content)
	}
	if !whole {
		object["truncated"] = 1
	}
	return object, nil
}

func (r realCall) write() (any, error) {
	content := r.get("content")
	if r.get("encode") != "0" {
		data, err := toBytes(content, "API2/Qemu/Agent.pm line 624")
		if err != nil {
			return nil, err
		}
		content = base64.StdEncoding.EncodeToString(data)
	}
	return nil, r.within("w", func(handle int) error {
		return r.execute("guest-file-write", map[string]any{"handle": handle, "buf-b64": content}, nil)
	})
}
