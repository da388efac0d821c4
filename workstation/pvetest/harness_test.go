package pvetest_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

const (
	rootToken = "root@pam!lab=11111111-2222-3333-4444-555555555555"
	cardMap   = "node=pve,path=0000:01:00,id=10de:2c05,iommugroup=12,subsystem-id=1462:5315"
)

// A lab is a node in a synctest bubble, with the login of a client.
type lab struct {
	*pvetest.Node
	t     *testing.T
	login func(*http.Request)
}

func withToken(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "PVEAPIToken="+token) }
}

// inBubble runs a test in its own synctest bubble, with its own node. At the
// end it calls [pvetest.Node.Check].
func inBubble(t *testing.T, host pvetest.Host, test func(l *lab)) {
	t.Helper()
	synctestNode(t, host, func(l *lab) {
		test(l)
		if err := l.Check(); err != nil {
			t.Error(err)
		}
	})
}

// synctestNode is like inBubble but does not call Check, for tests that damage
// the node on purpose.
func synctestNode(t *testing.T, host pvetest.Host, test func(l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(&lab{Node: pvetest.New(host, nil), t: t, login: withToken(rootToken)})
	})
}

// The function "machines" returns the reference host with the given VMs and a
// mapping "card" for its graphics card.
func machines(vms ...pvetest.VM) pvetest.Host {
	host := pvetest.Reference()
	host.VMs = vms
	host.Mappings = []pvetest.Mapping{{ID: "card", Map: []string{cardMap}}}
	return host
}

// config parses a configuration in the form "a:=b c:=d".
func config(text string) map[string]string {
	values := map[string]string{}
	for field := range strings.SplitSeq(text, " ") {
		if key, value, found := strings.Cut(field, ":="); found {
			values[key] = value
		}
	}
	return values
}

func vm(id int, text string) pvetest.VM {
	return pvetest.VM{ID: id, Config: config(text)}
}

func running(id int, text string) pvetest.VM {
	return pvetest.VM{ID: id, Config: config(text), Running: true}
}

// A result is the node's answer to a request.
type result struct {
	status  int
	reason  string
	data    any
	errors  map[string]any
	message any
}

func (l *lab) do(method, path string, params ...string) result {
	l.t.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(params); i += 2 {
		form.Add(params[i], params[i+1])
	}
	target, body := l.URL()+path, io.Reader(nil)
	if method == http.MethodGet || method == http.MethodDelete {
		target += "?" + form.Encode()
	} else {
		body = strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(l.t.Context(), method, target, body)
	if err != nil {
		l.t.Fatal(err)
	}
	l.login(request)
	return l.send(request)
}

func (l *lab) send(request *http.Request) result {
	l.t.Helper()
	client := *l.HTTPClient()
	client.Timeout = time.Minute
	response, err := client.Do(request)
	if err != nil {
		return result{reason: err.Error()}
	}
	defer response.Body.Close()
	var object struct {
		Data    any
		Errors  map[string]any
		Message any
	}
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &object); err != nil {
			l.t.Fatalf("%s: %v", raw, err)
		}
	}
	reason := strings.TrimPrefix(response.Status, fmt.Sprintf("%d ", response.StatusCode))
	return result{response.StatusCode, reason, object.Data, object.Errors, object.Message}
}

// The method "want" sends a request and returns its data. The test fails if the
// status is not 200.
func (l *lab) want(method, path string, params ...string) any {
	l.t.Helper()
	r := l.do(method, path, params...)
	if r.status != http.StatusOK {
		l.t.Errorf("%s %s: %d %s %v", method, path, r.status, r.reason, r.errors)
	}
	return r.data
}

func (l *lab) object(path string, params ...string) map[string]any {
	l.t.Helper()
	object, _ := l.want(http.MethodGet, path, params...).(map[string]any)
	return object
}

func (l *lab) list(path string, params ...string) []any {
	l.t.Helper()
	list, isList := l.want(http.MethodGet, path, params...).([]any)
	if !isList {
		l.t.Errorf("%s is no list", path)
	}
	return list
}

// The method "task" sends a request that begins a task, waits for the task's
// end and returns its exit status. If the request itself is refused, it returns
// the status and the message.
func (l *lab) task(method, path string, params ...string) string {
	l.t.Helper()
	r := l.do(method, path, params...)
	upid, isTask := r.data.(string)
	if r.status != http.StatusOK || !isTask {
		return strings.TrimSpace(fmt.Sprintf("%d %s %s", r.status, r.reason, flat(r.errors)))
	}
	return l.wait(upid)
}

func flat(errors map[string]any) string {
	text := ""
	for name, problem := range errors {
		text += fmt.Sprintf("%s: %v", name, problem)
	}
	return text
}

func (l *lab) wait(upid string) string {
	l.t.Helper()
	for range 3000 {
		status := l.object("/nodes/pve/tasks/" + upid + "/status")
		if status["status"] != "running" {
			return fmt.Sprint(status["exitstatus"])
		}
		time.Sleep(200 * time.Millisecond)
	}
	return "still running"
}

func (l *lab) log(upid string) string {
	l.t.Helper()
	text := ""
	for _, line := range l.list("/nodes/pve/tasks/"+upid+"/log", "limit", "0") {
		entry, _ := line.(map[string]any)
		text += fmt.Sprintln(entry["t"])
	}
	return text
}

// asRoot logs in as root@pam with the password.
func (l *lab) asRoot() { l.asUser("root@pam", "secret") }

func (l *lab) asUser(user, password string) {
	l.t.Helper()
	l.login = func(*http.Request) {}
	ticket, isTicket := l.want("POST", "/access/ticket", "username", user, "password", password).(map[string]any)
	if !isTicket {
		return
	}
	l.login = func(r *http.Request) {
		r.AddCookie(&http.Cookie{Name: "PVEAuthCookie", Value: fmt.Sprint(ticket["ticket"])})
		r.Header.Set("CSRFPreventionToken", fmt.Sprint(ticket["CSRFPreventionToken"]))
	}
}
