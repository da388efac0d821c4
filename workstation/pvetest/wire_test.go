package pvetest_test

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A wire is the text of an HTTP request, with the beginning of the expected
// answer.
type wire struct {
	name, method, path, kind, body string
	headers                        []string // "Name: value"
	want                           string   // beginning of the expected status line and body
}

func (w wire) send(l *lab) string {
	l.t.Helper()
	request, err := http.NewRequestWithContext(l.t.Context(), w.method, strings.TrimSuffix(l.URL(), "/api2/json")+w.path, strings.NewReader(w.body))
	if err != nil {
		l.t.Fatal(err)
	}
	if w.kind != "" {
		request.Header.Set("Content-Type", w.kind)
	}
	for _, header := range w.headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
	}
	response, err := l.HTTPClient().Do(request)
	if err != nil {
		l.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return strings.TrimSpace(response.Status + " " + string(body))
}

// The node accepts credentials in exactly the forms that PVE accepts.
func TestCredentials(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(vm(140, "")), func(l *lab) {
		l.login = func(*http.Request) {}
		login, _ := l.want("POST", "/access/ticket", "username", "root@pam", "password", "secret").(map[string]any)
		ticket, csrf := fmt.Sprint(login["ticket"]), fmt.Sprint(login["CSRFPreventionToken"])
		const ok, write = "200 OK", "/api2/json" + configPath
		for _, w := range []wire{
			{name: "cookie", headers: []string{"Cookie: PVEAuthCookie=" + ticket}, want: ok},
			{name: "cookie among others", headers: []string{"Cookie: a=b; PVEAuthCookie=" + ticket + "; c=d"}, want: ok},
			{name: "escaped cookie", headers: []string{"Cookie: PVEAuthCookie=" + url.QueryEscape(ticket)}, want: ok},
			{name: "ticket in Authorization", headers: []string{"Authorization: PVEAuthCookie=" + ticket}, want: ok},
			{name: "escaped ticket in Authorization", headers: []string{"Authorization: PVEAuthCookie=" + url.QueryEscape(ticket)}, want: ok},
			{name: "token", headers: []string{"Authorization: PVEAPIToken=" + rootToken}, want: ok},
			{name: "token behind a blank", headers: []string{"Authorization: PVEAPIToken " + rootToken}, want: ok},
			{name: "a bearer", headers: []string{"Authorization: Bearer " + rootToken}, want: "401 No ticket"},
			{name: "nobody", want: "401 No ticket"},
			{name: "wrong secret", headers: []string{"Authorization: PVEAPIToken=root@pam!lab=0"}, want: "401 Authentication failed!"},
			{name: "token that is not one", headers: []string{"Authorization: PVEAPIToken=lab"}, want: "401 Authentication failed!"},
			{name: "void ticket", headers: []string{"Cookie: PVEAuthCookie=PVE:root@pam:0::0"}, want: "401 Authentication failed!"},
			{name: "write, no CSRF token", method: "PUT", path: write, body: "cores=2", headers: []string{"Cookie: PVEAuthCookie=" + ticket}, want: "401 Permission denied - invalid csrf token"},
			{name: "write by Authorization, no CSRF token", method: "PUT", path: write, body: "cores=2", headers: []string{"Authorization: PVEAuthCookie=" + ticket}, want: "401 Permission denied - invalid csrf token"},
			{name: "write", method: "PUT", path: write, body: "cores=2", headers: []string{"Authorization: PVEAuthCookie=" + ticket, "CSRFPreventionToken: " + csrf}, want: ok},
		} {
			if w.method == "" {
				w.method, w.path = "GET", "/api2/json/version"
			}
			if got := w.send(l); !strings.HasPrefix(got, w.want) {
				t.Errorf("%s: %s, want %s", w.name, got, w.want)
			}
		}
	})
}

// The node parses paths and bodies as PVE does, even where PVE's rules are odd.
func TestPathsAndBodies(t *testing.T) {
	t.Parallel()
	const form, json = "application/x-www-form-urlencoded", "application/json"
	const config = "/api2/json" + configPath
	inBubble(t, machines(vm(140, "")), func(l *lab) {
		for _, w := range []wire{
			{name: "double slash", method: "GET", path: "/api2/json//version", want: `200 OK {"data":{"release"`},
			{name: "slash at the end", method: "GET", path: "/api2/json/version/", want: `200 OK {"data":{"release"`},
			{name: "slash before the query", method: "DELETE", path: "/api2/json/nodes/pve/qemu/699/?purge=1", want: "500 Configuration file"},
			{name: "the root", method: "GET", path: "/api2/json", want: `200 OK {"data":[{"subdir":"access"}`},
			{name: "extjs", method: "GET", path: "/api2/extjs/version", want: `200 OK {"data":{"release":"9.1","repoid":"6b8b6f8a","version":"9.1.4"},"success":1}`},
			{name: "extjs error", method: "GET", path: "/api2/extjs/nodes/pve/qemu/7/config", want: `200 OK {"data":null,"errors":{"vmid":"invalid format - value does not look like a valid VM ID\n"},"message":"Parameter verification failed.\n","status":"400","success":0}`},
			{name: "another form of answer", method: "GET", path: "/api2/xml/version", want: "501 no formatter for uri /version, xml"},
			{name: "HEAD", method: "HEAD", path: "/api2/json/version", want: "501 method 'HEAD' not available"},
			{name: "PATCH", method: "PATCH", path: "/api2/json/version", want: "501 method 'PATCH' not available"},
			{name: "a method that PVE has not", method: "DELETE", path: "/api2/json/version", want: "501 Method 'DELETE /version' not implemented"},
			{name: "body of a GET", method: "GET", path: "/api2/json/version", kind: form, body: "a=b", want: "501 Unexpected content for method 'GET'"},
			{name: "body of a DELETE", method: "DELETE", path: "/api2/json/nodes/pve/qemu/140", kind: json, body: "{}", want: "501 Unexpected content for method 'DELETE'"},
			{name: "text", method: "PUT", path: config, kind: "text/plain", body: "cores=2", want: "506 upload 'Content-Type 'text/plain' not implemented"},
			{name: "too large", method: "PUT", path: config, kind: form, body: "description=" + strings.Repeat("x", 600<<10), want: "501 for data too large"},
			{name: "broken JSON", method: "PUT", path: config, kind: json, body: `{"cores": `, want: "500 malformed JSON string"},
			{name: "a second = and the rest are lost", method: "PUT", path: config, kind: form, body: "description=a=b", want: "200 OK"},
			{name: "semicolon separates", method: "PUT", path: config, kind: form, body: "cores=3;sockets=2", want: "200 OK"},
			{name: "plus is a blank", method: "PUT", path: config, kind: form, body: "tags=a+b", want: "200 OK"},
			{name: "percent without digits", method: "PUT", path: config, kind: form, body: "name=a%zz", want: "400 Parameter verification failed."},
			{name: "twice", method: "PUT", path: config, kind: form, body: "cores=1&cores=2", want: "400 Parameter verification failed. {\"data\":null,\"errors\":{\"cores\":\"type check ('integer') failed - got ARRAY"},
			{name: "query counts more", method: "PUT", path: config + "?memory=4096", kind: json, body: `{"memory": 16}`, want: "200 OK"},
			{name: "no content type", method: "PUT", path: config, body: "onboot=1&_dc=7", want: "200 OK"},
		} {
			w.headers = []string{"Authorization: PVEAPIToken=" + rootToken}
			if got := w.send(l); !strings.HasPrefix(got, w.want) {
				t.Errorf("%s: %s, want %s", w.name, got, w.want)
			}
		}
		got := l.object(configPath)
		for key, want := range map[string]any{"description": "a", "cores": 3.0, "sockets": 2.0, "tags": "a;b", "memory": "4096", "onboot": 1.0} {
			if got[key] != want {
				t.Errorf("%s = %#v, want %#v", key, got[key], want)
			}
		}
	})
}

// With HTTP/2 and in a recorder, the status line cannot hold the message.
// Errors then still have their JSON body.
func TestErrorsWithoutStatusLine(t *testing.T) {
	t.Parallel()
	node := pvetest.New(machines(), nil)
	server := httptest.NewUnstartedServer(node)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	request := func(base string) *http.Request {
		r, err := http.NewRequestWithContext(t.Context(), "GET", base+"/api2/json/nodes/pve/qemu/7/config", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		withToken(rootToken)(r)
		return r
	}
	recorder := httptest.NewRecorder()
	node.ServeHTTP(recorder, request(""))
	overHTTP2, err := server.Client().Do(request(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	defer overHTTP2.Body.Close()
	if overHTTP2.ProtoMajor != 2 {
		t.Fatalf("%s", overHTTP2.Proto)
	}
	for _, response := range []*http.Response{recorder.Result(), overHTTP2} {
		var object struct{ Errors map[string]string }
		if err := json.NewDecoder(response.Body).Decode(&object); err != nil || response.StatusCode != 400 || object.Errors["vmid"] == "" {
			t.Errorf("%s: %d %v %v", response.Proto, response.StatusCode, object, err)
		}
	}
}

// A node with TraceLimit keeps only its newest requests.
func TestTraceLimit(t *testing.T) {
	t.Parallel()
	node := pvetest.New(machines(), &pvetest.Options{TraceLimit: 3})
	l := &lab{Node: node, t: t, login: withToken(rootToken)}
	for i := range 20 {
		l.do("GET", fmt.Sprintf("/nodes/pve/qemu/%d/config", 100+i))
	}
	requests := node.Trace()
	if len(requests) != 3 || requests[2].Path != "/nodes/pve/qemu/119/config" || requests[2].Status != 500 {
		t.Errorf("%v", requests)
	}
}

// Each node that is not in a cluster has its own certificate authority. A
// client that trusts one node need not trust the others.
func TestCertificates(t *testing.T) {
	t.Parallel()
	one, other := pvetest.New(machines(), nil), pvetest.New(machines(), nil)
	for _, node := range []*pvetest.Node{one, other} {
		certificate := node.Certificate()
		leaf, err := x509.ParseCertificate(certificate.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"127.0.0.1", "localhost", "pve", "192.168.1.10"} {
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: node.CertPool(), DNSName: name}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	certificate := one.Certificate()
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: other.CertPool()}); err == nil || one.Fingerprint() == other.Fingerprint() {
		t.Error("two nodes share an authority")
	}
	given := pvetest.New(machines(), &pvetest.Options{Certificate: &certificate})
	if given.Fingerprint() != one.Fingerprint() || string(given.CA()) != string(one.CA()) {
		t.Error("the certificate that was given is not shown")
	}
}

// Twenty clients work at the same time. Each client makes VMs, lists all VMs,
// and destroys its own VMs.
func TestManyClients(t *testing.T) {
	t.Parallel()
	node := pvetest.New(machines(), &pvetest.Options{Speed: 1e4}).Start()
	t.Cleanup(node.Close)
	var clients sync.WaitGroup
	for i := range 20 {
		clients.Go(func() {
			l := &lab{Node: node, t: t, login: withToken(rootToken)}
			id := fmt.Sprint(200 + i)
			for _, step := range []func() string{
				func() string {
					return l.task("POST", "/nodes/pve/qemu", "vmid", id, "memory", "64", "scsi0", "local-lvm:1")
				},
				func() string { return l.task("POST", "/nodes/pve/qemu/"+id+"/clone", "newid", fmt.Sprint(300+i)) },
				func() string { return l.task("DELETE", "/nodes/pve/qemu/"+id) },
			} {
				l.want("GET", "/cluster/resources")
				if exit := step(); exit != "OK" {
					t.Errorf("client %d: %s", i, exit)
				}
			}
		})
	}
	clients.Wait()
	if err := node.Check(); err != nil || len(node.VMs()) != 20 {
		t.Errorf("%v %v", node.VMs(), err)
	}
}
