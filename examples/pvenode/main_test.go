package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A served is the running program, with a client that trusts the program's
// certificate authority.
type served struct {
	t      *testing.T
	api    string
	output string
	client *http.Client
	stop   func() error
}

func start(t *testing.T, args ...string) *served {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, append([]string{"-listen", "127.0.0.1:0", "-ca", ca}, args...), writer)
		ended <- err
		writer.CloseWithError(fmt.Errorf("run ended: %w", err))
	}()
	s := &served{t: t, stop: func() error { cancel(); return <-ended }}
	t.Cleanup(cancel)
	lines := bufio.NewScanner(reader)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "login ") {
		s.output += lines.Text() + "\n"
		if address, found := strings.CutPrefix(lines.Text(), "URL          "); found { // the address of the last node
			s.api = address
		}
	}
	if lines.Err() != nil {
		t.Fatal(lines.Err())
	}
	s.output += lines.Text() + "\n"
	go io.Copy(io.Discard, reader) // discards all further lines, which hold the other logins
	pool := x509.NewCertPool()
	data, err := os.ReadFile(ca)
	if err != nil || !pool.AppendCertsFromPEM(data) {
		t.Fatalf("%s: %v", data, err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	s.client = &http.Client{Transport: transport}
	return s
}

// curl makes a request with the token of root@pam. It returns the status and
// the data.
func (s *served) curl(method, path, body string) (status string, data any) {
	s.t.Helper()
	target := s.api + path
	if strings.HasPrefix(path, "/control") {
		target = strings.TrimSuffix(s.api, "/api2/json") + path
	}
	request, err := http.NewRequestWithContext(s.t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Authorization", "PVEAPIToken=root@pam!lab=11111111-2222-3333-4444-555555555555")
	if body != "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := s.client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	var object struct{ Data any }
	_ = json.NewDecoder(response.Body).Decode(&object) // some answers are not JSON
	return response.Status, object.Data
}

// wait makes a request, waits for its task, and returns the task's exit status.
func (s *served) wait(method, path, body string) any {
	s.t.Helper()
	status, upid := s.curl(method, path, body)
	for status == "200 OK" {
		var object any
		status, object = s.curl("GET", "/nodes/pve/tasks/"+url.PathEscape(fmt.Sprint(upid))+"/status", "")
		if task, _ := object.(map[string]any); task["status"] == "stopped" {
			return task["exitstatus"]
		}
	}
	return status
}

// running waits until the VM runs.
func (s *served) running(vmid string) {
	s.t.Helper()
	for s.t.Context().Err() == nil {
		if _, data := s.curl("GET", "/nodes/pve/qemu/"+vmid+"/status/current", ""); data.(map[string]any)["status"] == "running" {
			return
		}
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	s := start(t, "-speed", "1000")
	for _, want := range []string{"node         pve, PVE 9.1.4, at 1000 times the speed", "fingerprint  ", "control      https://127.0.0.1:",
		"login        root@pam: password secret, token root@pam!lab=11111111-2222-3333-4444-555555555555"} {
		if !strings.Contains(s.output, want) {
			t.Errorf("no %q in\n%s", want, s.output)
		}
	}
	if exit := s.wait("POST", "/nodes/pve/qemu", "vmid=100&name=first&memory=2048&scsi0=local-lvm:8&net0=virtio,bridge%3Dvmbr0"); exit != "OK" {
		t.Errorf("create: %v", exit)
	}
	if status, _ := s.curl("POST", "/control/faults", `{"method": "POST", "path": ".*/100/status/start", "kind": "596"}`); status != "204 No Content" {
		t.Errorf("fault: %s", status)
	}
	if exit := s.wait("POST", "/nodes/pve/qemu/100/status/start", ""); exit != "596 Broken pipe" {
		t.Errorf("start with a fault: %v", exit)
	}
	s.running("100") // after the answer 596, the task continues
	if status, _ := s.curl("GET", "/control/check", ""); status != "204 No Content" {
		t.Errorf("check: %s", status)
	}
	if status, _ := s.curl("POST", "/control/vms/100/off", ""); status != "204 No Content" {
		t.Errorf("off: %s", status)
	}
	if _, data := s.curl("GET", "/nodes/pve/qemu/100/status/current", ""); data.(map[string]any)["status"] != "stopped" {
		t.Errorf("behind the client's back: %v", data)
	}
	for path, body := range map[string]string{"/control/faults": `{"kind": "none"}`, "/control/vms/x/on": "", "/control/vms/100/bake": "", "/control/vms/999/on": ""} {
		if status, _ := s.curl("POST", path, body); status != "400 Bad Request" {
			t.Errorf("%s: %s", path, status)
		}
	}
	if err := s.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// -host reads a host from a file in the format that -print writes. -cert and
// -key read a certificate.
func TestOwnHostAndCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var printed strings.Builder
	if err := run(t.Context(), []string{"-host", "amd", "-print"}, &printed); err != nil {
		t.Fatal(err)
	}
	own := strings.Replace(printed.String(), `"name": "pve"`, `"name": "mine"`, 1)
	certificate := pvetest.New(pvetest.Reference(), nil).Certificate()
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	chain := ""
	for _, der := range certificate.Certificate {
		chain += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	for name, text := range map[string]string{
		"host.json": own, "cert.pem": chain, "key.pem": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		"wrong.json": `{"name": "x", "version": "9", "noSuchField": 1}`, "empty.json": `{}`,
		"lost.json": `{"name": "x", "version": "9.1.1", "vms": [{"id": 100, "config": {"scsi0": "gone:vm-100-disk-0,size=1G"}}]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, "-host", filepath.Join(dir, "host.json"), "-cert", filepath.Join(dir, "cert.pem"), "-key", filepath.Join(dir, "key.pem"))
	if _, data := s.curl("GET", "/nodes", ""); data.([]any)[0].(map[string]any)["node"] != "mine" {
		t.Errorf("%v", data)
	}
	for _, name := range []string{"wrong.json", "empty.json", "lost.json", "absent.json"} {
		if err := run(t.Context(), []string{"-listen", "127.0.0.1:0", "-host", filepath.Join(dir, name)}, io.Discard); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// Several nodes are a cluster. Each node has a port, and answers for all nodes.
func TestServeCluster(t *testing.T) {
	t.Parallel()
	s := start(t, "-nodes", "3", "-host", "reference,amd", "-speed", "1000")
	for _, want := range []string{"node         pve1, PVE 9.1.4", "node         pve2, PVE 8.4.14", "node         pve3, PVE 9.1.4"} {
		if !strings.Contains(s.output, want) {
			t.Errorf("no %q in\n%s", want, s.output)
		}
	}
	version := func() string {
		status, data := s.curl("GET", "/nodes/pve1/version", "")
		return fmt.Sprint(status, " ", data)
	}
	if have := version(); !strings.HasPrefix(have, "200 OK map[") {
		t.Errorf("pve1, asked by pve3: %s", have)
	}
	for _, tt := range []struct{ path, want string }{{"/control/nodes/pve1/down", "595 No route to host <nil>"}, {"/control/nodes/pve1/up", "200 OK map"},
		{"/control/partition?nodes=pve1", "595 No route to host <nil>"}, {"/control/partition", "200 OK map"}} {
		if status, _ := s.curl("POST", tt.path, ""); status != "204 No Content" {
			t.Errorf("%s: %s", tt.path, status)
		}
		if have := version(); !strings.HasPrefix(have, tt.want) {
			t.Errorf("after %s: %s", tt.path, have)
		}
	}
	for _, path := range []string{"/control/nodes/pve9/down", "/control/nodes/pve1/burn", "/control/nodes/pve1/delay?time=x", "/control/partition?nodes=pve1,pve9"} {
		if status, _ := s.curl("POST", path, ""); status != "400 Bad Request" {
			t.Errorf("%s: %s", path, status)
		}
	}
	if err := s.stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
}
