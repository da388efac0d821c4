package workstation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// These secrets may come back when a node echoes a request. Each secret
// contains the text MARK, and quotes and special characters that escaping
// changes.
const (
	markedPassword = `MARK-password"<&>'\é`
	markedOSK      = `MARK-osk(c)xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`
	markedInput    = "export KEY='MARK-input'\nsh -c true\n"
	markedFile     = "MARK-file \x00\xff data"
)

// A parrot is a transport to a failing node. The node echoes the body and the
// headers of a request. The field mode says in which answer it does so.
type parrot struct {
	base http.RoundTripper
	mode string
	skip func(*http.Request) bool
	mu   sync.Mutex
	sent []string
}

// say returns the content of a request in a form in which a node might print
// it.
func (e *parrot) say(r *http.Request, body []byte) string {
	text := string(body)
	var values map[string]any
	if json.Unmarshal(body, &values) == nil {
		text = fmt.Sprint(values)
	}
	text += fmt.Sprint(" ", r.Header.Get("Cookie"), r.Header.Get("CSRFPreventionToken"), r.Header.Get("Authorization"))
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, header := range []string{"Cookie", "CSRFPreventionToken", "Authorization"} {
		if value := r.Header.Get(header); len(value) > 24 {
			e.sent = append(e.sent, value[len(value)-24:])
		}
	}
	return text
}

func (e *parrot) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	if e.skip(r) {
		return e.base.RoundTrip(r)
	}
	plain := e.say(r, body)
	quoted, _ := json.Marshal(plain)
	twice, _ := json.Marshal(string(quoted))
	answer := func(code int, reason, body string) (*http.Response, error) {
		return &http.Response{StatusCode: code, Status: fmt.Sprintf("%d %s", code, reason), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{"Location": {"https://elsewhere/" + url.PathEscape(plain)}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
	switch e.mode {
	case "400":
		return answer(400, "Parameter verification failed.", fmt.Sprintf(`{"data":null,"errors":{"args":%s}}`, quoted))
	case "400 escaped":
		return answer(400, "Parameter verification failed.", fmt.Sprintf(`{"data":null,"errors":{"args":%s}}`, twice))
	case "400 deep":
		return answer(400, "no", fmt.Sprintf(`{"errors":{"args":{"value":%s}}}`, quoted))
	case "500":
		return answer(500, "no", fmt.Sprintf(`{"message":%s}`, quoted))
	case "500 escaped":
		return answer(500, "no", fmt.Sprintf(`{"message":%s}`, twice))
	case "500 URL":
		return answer(500, "no", fmt.Sprintf(`{"message":"%s %s"}`, url.QueryEscape(plain), url.PathEscape(plain)))
	case "500 reason":
		return answer(500, "failed: "+strings.ReplaceAll(plain, "\n", " "), "")
	case "500 raw":
		return answer(500, string(body), string(body))
	case "403":
		return answer(403, "no", fmt.Sprintf(`{"message":%s}`, quoted))
	case "596":
		return answer(596, plain, "")
	case "garbage":
		return answer(200, "OK", string(body)+plain)
	case "wrong type":
		return answer(200, "OK", fmt.Sprintf(`{"data":{"x":%s}}`, quoted))
	case "task":
		return answer(200, "OK", fmt.Sprintf(`{"data":%s}`, quoted))
	case "redirect":
		return answer(307, "elsewhere", "")
	case "network":
		return nil, fmt.Errorf("write tcp: %s", plain)
	}
	return e.base.RoundTrip(r)
}

var echoes = []string{"400", "400 escaped", "400 deep", "500", "500 escaped", "500 URL", "500 reason", "500 raw", "403", "596", "garbage", "wrong type", "task", "redirect", "network"}

// This returns the text of an error, and of all errors that it wraps, in every
// way in which they can be printed.
func everything(err error) string {
	var b strings.Builder
	var walk func(error)
	walk = func(err error) {
		if err == nil {
			return
		}
		fmt.Fprintf(&b, "%v\n%+v\n%#v\n%q\n", err, err, err, err)
		switch u := err.(type) { //nolint:errorlint // it walks the whole tree of errors itself
		case interface{ Unwrap() error }:
			walk(u.Unwrap())
		case interface{ Unwrap() []error }:
			for _, inner := range u.Unwrap() {
				walk(inner)
			}
		}
	}
	walk(err)
	if inner := new(url.Error); errors.As(err, &inner) {
		fmt.Fprintf(&b, "%v\n", inner)
	}
	return b.String()
}

// This returns all calls that send a secret or a login.
func failing() map[string]func(context.Context, *workstation.Node, func(workstation.Event)) error {
	step := func(s workstation.Step) func(context.Context, *workstation.Node, func(workstation.Event)) error {
		return func(ctx context.Context, node *workstation.Node, tell func(workstation.Event)) error {
			return node.Apply(ctx, workstation.Plan{Node: "pve", Steps: []workstation.Step{s}}, &workstation.ApplyOptions{Progress: tell})
		}
	}
	args := map[string]string{"name": "new", "args": `-device isa-applesmc,osk="[secret]"`}
	type call = func(context.Context, *workstation.Node, func(workstation.Event)) error
	return map[string]call{
		"create": step(workstation.CreateVM{VMID: 200, Name: "new", Config: args, Password: proxstation.NewSecret(markedPassword), OSK: proxstation.NewSecret(markedOSK)}),
		"change": step(workstation.ChangeVM{VMID: 141, Digest: "", Set: args, Have: map[string]string{}, Password: proxstation.NewSecret(markedPassword), OSK: proxstation.NewSecret(markedOSK)}),
		"run": func(ctx context.Context, node *workstation.Node, _ func(workstation.Event)) error {
			_, err := node.Agent(140).Run(ctx, proxstation.GuestCommand{Argv: []string{"sh", "-s", "MARK-argument"}, Input: markedInput, Timeout: time.Second})
			return err
		},
		"write a file": func(ctx context.Context, node *workstation.Node, _ func(workstation.Event)) error {
			return node.Agent(140).WriteFile(ctx, "/x", []byte(markedFile))
		},
		"start": func(ctx context.Context, node *workstation.Node, _ func(workstation.Event)) error {
			return node.Start(ctx, 141)
		},
		"observe": func(ctx context.Context, node *workstation.Node, _ func(workstation.Event)) error {
			_, err := node.Observe(ctx)
			return err
		},
		"switch": func(ctx context.Context, node *workstation.Node, tell func(workstation.Event)) error {
			return node.Switch(ctx, both, 141, tell)
		},
		"upload": func(ctx context.Context, node *workstation.Node, tell func(workstation.Event)) error {
			return node.Upload(ctx, "local:import/x.raw", strings.NewReader("a disk"), tell)
		},
	}
}

// If a node echoes a request, no secret from it appears in our error. The test
// goes through many kinds of failures.
func TestNoSecretComesBack(t *testing.T) {
	t.Parallel()
	for name, call := range failing() {
		for _, mode := range echoes {
			for _, login := range []string{"password", "token", "a caller's client"} {
				t.Run(fmt.Sprintf("%s, %s, %s", name, mode, login), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						sim := pvetest.New(pair(), nil)
						time.Sleep(time.Minute)
						e := &parrot{base: sim.Transport(), mode: mode}
						e.skip = func(r *http.Request) bool {
							return r.Method == "GET" && name != "observe" && name != "start" || strings.HasSuffix(r.URL.Path, "/access/ticket") || r.URL.Path == "/api2/json/version" || r.URL.Path == "/api2/json/nodes"
						}
						endpoint := workstation.Endpoint{URL: "https://pve.test:8006", Token: tokenID + "=" + tokenSecret, Transport: e}
						if login == "password" {
							endpoint.Token, endpoint.Username, endpoint.Password = "", "root@pam", "secret"
						}
						secrets := []string{"MARK-"}
						node, err := workstation.Connect(t.Context(), endpoint, "pve", nil)
						if login == "a caller's client" { // we do not know the token of such a client
							node = workstation.Open(proxmox.NewClient(sim.URL(), proxmox.WithHTTPClient(&http.Client{Transport: e}), proxmox.WithAPIToken(tokenID, tokenSecret)), "pve", nil)
						} else {
							secrets = append(secrets, tokenSecret)
						}
						if err != nil {
							t.Fatal(err)
						}
						ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
						defer cancel()
						var events strings.Builder
						err = call(ctx, node, func(event workstation.Event) { fmt.Fprintf(&events, "%+v\n", event) })
						if err == nil && name != "write a file" { // the call ignores the content of the answer
							t.Fatal("the call does not fail")
						}
						shown := everything(err) + events.String()
						if login != "a caller's client" {
							secrets = append(secrets, e.sent...)
						}
						for _, secret := range secrets {
							if i := strings.Index(shown, secret); i >= 0 {
								t.Errorf("it shows %q", shown[max(0, i-200):min(len(shown), i+60)])
							}
						}
					})
				})
			}
		}
	}
}

// A task fails and writes its parameters into its log. Neither the error nor an
// event shows a secret.
func TestNoSecretComesFromALog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(pair(), nil)
		time.Sleep(time.Minute)
		quoted, _ := json.Marshal(markedPassword)
		sim.Inject(pvetest.Fault{Task: "qmcreate", Kind: pvetest.TaskFailsLate,
			Message: fmt.Sprintf("unable to create VM 200 - cipassword %s %s args -device isa-applesmc,osk=\\\"%s\\\"", markedPassword, quoted, markedOSK)})
		node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: "https://pve.test:8006", Username: "root@pam", Password: "secret", Transport: sim.Transport()}, "pve", nil)
		if err != nil {
			t.Fatal(err)
		}
		var events strings.Builder
		err = failing()["create"](t.Context(), node, func(e workstation.Event) { fmt.Fprintf(&events, "%+v\n", e) })
		var failed *workstation.TaskError
		if !errors.As(err, &failed) || !strings.Contains(failed.Exit, "[secret]") || len(failed.Log) == 0 {
			t.Fatalf("error %v", err)
		}
		if shown := everything(err) + events.String(); strings.Contains(shown, "MARK-") {
			t.Error(shown)
		}
	})
}
