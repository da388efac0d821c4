package pvetest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// The conformance suite tests the behaviour of PVE. The same tests run against
// the embedded node, or against a real node:
//
//	PROXSTATION_CONFORMANCE=yes PROXMOX_VE_ENDPOINT=https://pve:8006 PROXMOX_VE_API_TOKEN=root@pam!id=secret \
//	PROXSTATION_CA=pve-root-ca.pem PROXSTATION_NODE=pve PROXSTATION_STORAGE=local-lvm \
//	go test -run TestConformance ./workstation/pvetest
//
// The suite uses only VMs 990000 to 990099, and stops if one of them exists. It
// makes disks of one GiB, starts VMs with 64 MiB and no system, and removes
// everything again. If PROXSTATION_MAPPING names a PCI resource mapping, the
// suite also starts two VMs with its device, which must be free.
type conformance struct {
	http                   *http.Client
	base                   string // ".../api2/json"
	login                  func(*http.Request)
	node, storage, mapping string
	next                   *atomic.Int64 // counts the VMIDs used so far
}

const firstVMID, lastVMID = 990000, 990099

var realVMIDs atomic.Int64

// underTest returns the node against which the suite runs.
func underTest(t *testing.T) *conformance {
	t.Helper()
	if os.Getenv("PROXSTATION_CONFORMANCE") != "yes" {
		return embedded(t)
	}
	roots := x509.NewCertPool()
	pem, err := os.ReadFile(os.Getenv("PROXSTATION_CA"))
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("PROXSTATION_CA must name the CA of the node: %v", err)
	}
	token := os.Getenv("PROXMOX_VE_API_TOKEN")
	return &conformance{
		http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}},
		base: strings.TrimSuffix(os.Getenv("PROXMOX_VE_ENDPOINT"), "/") + "/api2/json", node: os.Getenv("PROXSTATION_NODE"),
		storage: os.Getenv("PROXSTATION_STORAGE"), mapping: os.Getenv("PROXSTATION_MAPPING"), next: &realVMIDs,
		login: func(r *http.Request) { r.Header.Set("Authorization", "PVEAPIToken="+token) },
	}
}

func embedded(t *testing.T) *conformance {
	t.Helper()
	host := pvetest.Reference()
	host.Mappings = []pvetest.Mapping{{ID: "card", Map: []string{"node=pve,path=0000:01:00,id=10de:2c05,iommugroup=12,subsystem-id=1462:5315"}}}
	sim := pvetest.New(host, &pvetest.Options{Speed: 20}).Start()
	t.Cleanup(sim.Close)
	token := "root@pam!lab=" + host.RootTokens[0].Secret
	return &conformance{http: sim.HTTPClient(), base: sim.URL(), node: "pve", storage: "local-lvm", mapping: "card", next: &atomic.Int64{},
		login: func(r *http.Request) { r.Header.Set("Authorization", "PVEAPIToken="+token) }}
}

// A reply is the node's answer to a request.
type reply struct {
	status int
	reason string
	data   json.RawMessage
	errors map[string]string
}

// The method "do" sends a request. The end of the test's context does not
// cancel the request, because the suite must clean up after a test.
func (c *conformance) do(t *testing.T, method, path string, form url.Values) reply {
	t.Helper()
	target, body := c.base+path, io.Reader(nil)
	if method == http.MethodGet || method == http.MethodDelete {
		target += "?" + form.Encode()
	} else {
		body = strings.NewReader(form.Encode())
	}
	request, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, target, body)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	c.login(request)
	response, err := c.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Data   json.RawMessage
		Errors map[string]string
	}
	if len(bytes.TrimSpace(text)) > 0 {
		if err := json.Unmarshal(text, &answer); err != nil {
			t.Fatalf("%s %s: %v in %q", method, path, err, text)
		}
	}
	return reply{response.StatusCode, response.Status, answer.Data, answer.Errors}
}

func (c *conformance) here(format string, args ...any) string {
	return "/nodes/" + c.node + fmt.Sprintf(format, args...)
}

// The method "want" fails the test unless the answer has this status and
// matches the pattern.
func (r reply) want(t *testing.T, status int, pattern string) reply {
	t.Helper()
	text := r.reason + " " + string(r.data) + fmt.Sprint(r.errors)
	if r.status != status || !regexp.MustCompile(pattern).MatchString(text) {
		t.Fatalf("answer %q, errors %v, data %s; want %d and %q", r.reason, r.errors, r.data, status, pattern)
	}
	return r
}

func (r reply) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(r.want(t, 200, "").data, v); err != nil {
		t.Fatalf("%v in %s", err, r.data)
	}
}

func (r reply) object(t *testing.T) map[string]any {
	t.Helper()
	var object map[string]any
	r.into(t, &object)
	return object
}

var upidForm = regexp.MustCompile(`^UPID:[^:]+:[0-9A-F]{8}:[0-9A-F]{8,9}:[0-9A-F]{8}:[^:]+:[^:]*:[^:]+:$`)

// The method "finish" waits for the task whose UPID an answer contains, and
// returns the task's exit status.
func (c *conformance) finish(t *testing.T, r reply) string {
	t.Helper()
	var upid string
	r.into(t, &upid)
	if !upidForm.MatchString(upid) {
		t.Errorf("%q is not of the form of a UPID", upid)
	}
	for began := time.Now(); time.Since(began) < 2*time.Minute; time.Sleep(100 * time.Millisecond) {
		status := c.do(t, "GET", c.here("/tasks/%s/status", upid), nil).object(t)
		if status["status"] == "stopped" {
			return fmt.Sprint(status["exitstatus"])
		}
		if _, early := status["exitstatus"]; early {
			t.Errorf("a running task has the exit status %v", status["exitstatus"])
		}
	}
	t.Fatal("the task does not end")
	return ""
}

func (c *conformance) wantOK(t *testing.T, what string, r reply) {
	t.Helper()
	if exit := c.finish(t, r); exit != "OK" && !strings.HasPrefix(exit, "WARNINGS") {
		t.Fatalf("%s: %s", what, exit)
	}
}

// The method "vm" makes a VM for one test, and removes it after the test.
func (c *conformance) vm(t *testing.T, config url.Values) int {
	t.Helper()
	id := firstVMID + int(c.next.Add(1)) - 1
	if id > lastVMID {
		t.Fatal("the suite's VMIDs are used up")
	}
	if list := c.do(t, "GET", c.here("/qemu"), nil).want(t, 200, ""); strings.Contains(string(list.data), strconv.Itoa(id)) {
		t.Fatalf("VM %d exists: the suite does not touch it", id)
	}
	form := url.Values{"vmid": {strconv.Itoa(id)}, "name": {"conformance"}, "memory": {"64"}}
	for key, value := range config {
		form[key] = value
	}
	t.Cleanup(func() {
		if c.do(t, "GET", c.here("/qemu/%d/config", id), nil).status != 200 {
			return
		}
		c.finish(t, c.do(t, "POST", c.here("/qemu/%d/status/stop", id), nil))
		c.wantOK(t, "removing the VM", c.do(t, "DELETE", c.here("/qemu/%d", id), nil))
	})
	c.wantOK(t, "creating the VM", c.do(t, "POST", c.here("/qemu"), form))
	return id
}

func (c *conformance) config(t *testing.T, id int) map[string]any {
	t.Helper()
	return c.do(t, "GET", c.here("/qemu/%d/config", id), nil).object(t)
}

// A request without a valid login gets status 401 (pve-http-server
// PVE/APIServer/AnyEvent.pm).
func TestConformanceLogin(t *testing.T) {
	t.Parallel()
	c := underTest(t)
	c.do(t, "GET", "/version", nil).want(t, 200, `"release"`)
	for _, login := range []func(*http.Request){
		func(*http.Request) {},
		func(r *http.Request) { r.Header.Set("Authorization", "PVEAPIToken=root@pam!none=x") },
		func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "PVEAuthCookie", Value: "PVE:root@pam:0::x"}) },
	} {
		stranger := *c
		stranger.login = login
		stranger.do(t, "GET", "/version", nil).want(t, 401, "")
	}
}

// Wrong parameters get status 400, with a reason for each parameter (pve-common
// PVE/JSONSchema.pm, validate). A method that does not exist gets status 501
// (PVE/RESTHandler.pm).
func TestConformanceParameters(t *testing.T) {
	t.Parallel()
	c := underTest(t)
	r := c.do(t, "POST", c.here("/qemu"), url.Values{"vmid": {"7"}, "bios": {"efi"}, "nonsense": {"1"}, "cores": {"many"}}).
		want(t, 400, "Parameter verification failed")
	for name, part := range map[string]string{"vmid": "", "bios": "enumeration 'seabios, ovmf'", "nonsense": "not defined in schema",
		"cores": "type check ('integer') failed"} {
		if text, there := r.errors[name]; !there || !strings.Contains(text, part) {
			t.Errorf("errors[%q] = %q, want %q in it", name, text, part)
		}
	}
	c.do(t, "GET", "/no/such/thing", nil).want(t, 501, "not implemented")
	c.do(t, "GET", c.here("/qemu/%d/config", lastVMID+1), nil).want(t, 500, "does not exist")
}

// A VM can be made, read and destroyed (qemu-server PVE/API2/Qemu.pm:
// create_vm, vm_config, destroy_vm).
func TestConformanceLifeOfAVM(t *testing.T) {
	t.Parallel()
	c := underTest(t)
	id := c.vm(t, url.Values{"scsi0": {c.storage + ":1"}, "cores": {"2"}, "onboot": {"0"}, "net0": {"virtio"}, "description": {"a b"}})
	config := c.config(t, id)
	for key, want := range map[string]any{"cores": 2.0, "onboot": 0.0, "memory": "64", "name": "conformance", "description": "a b"} {
		if config[key] != want {
			t.Errorf("config[%q] = %#v, want %#v", key, config[key], want)
		}
	}
	for key, pattern := range map[string]string{"digest": `^[0-9a-f]{40}$`, "scsi0": `^` + c.storage + `:.*vm-\d+-disk-0.*size=1G`,
		"net0": `^virtio=([0-9A-F]{2}:){5}[0-9A-F]{2}$`, "vmgenid": `^[0-9a-f-]{36}$`, "smbios1": `uuid=`} {
		if text := fmt.Sprint(config[key]); !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("config[%q] = %q, want %q", key, text, pattern)
		}
	}
	if _, there := config["sata0"]; there {
		t.Error("a key that is not set is there")
	}
	c.do(t, "POST", c.here("/qemu"), url.Values{"vmid": {strconv.Itoa(id)}}).want(t, 500, "already exists")
	c.wantOK(t, "destroying", c.do(t, "DELETE", c.here("/qemu/%d", id), nil))
	c.do(t, "GET", c.here("/qemu/%d/config", id), nil).want(t, 500, "does not exist")
}

// A request with an old digest changes nothing (qemu-server PVE/API2/Qemu.pm,
// update_vm_api).
func TestConformanceDigest(t *testing.T) {
	t.Parallel()
	c := underTest(t)
	id := c.vm(t, nil)
	old, path := fmt.Sprint(c.config(t, id)["digest"]), c.here("/qemu/%d/config", id)
	c.do(t, "PUT", path, url.Values{"description": {"one"}, "digest": {old}}).want(t, 200, "")
	c.do(t, "PUT", path, url.Values{"description": {"two"}, "digest": {old}}).want(t, 500, "(file change by other user?)")
	if got := c.config(t, id); got["description"] != "one" || got["digest"] == old {
		t.Errorf("after a stale write: %v", got)
	}
	c.do(t, "PUT", path, url.Values{"delete": {"description"}}).want(t, 200, "")
	if _, there := c.config(t, id)["description"]; there {
		t.Error("a deleted key is still there")
	}
	c.do(t, "PUT", path, url.Values{"scsi0": {"no-such-storage:1"}}).want(t, 500, "does not exist")
}

// A change that is not possible in a running VM stays pending until the next
// start (qemu-server PVE/QemuServer.pm).
func TestConformanceRunning(t *testing.T) {
	t.Parallel()
	c := underTest(t)
	id := c.vm(t, url.Values{"cores": {"1"}})
	c.wantOK(t, "starting", c.do(t, "POST", c.here("/qemu/%d/status/start", id), nil))
	status := c.do(t, "GET", c.here("/qemu/%d/status/current", id), nil).object(t)
	if status["status"] != "running" || status["vmid"] != float64(id) || status["agent"] != nil {
		t.Errorf("status %v", status)
	}
	if exit := c.finish(t, c.do(t, "POST", c.here("/qemu/%d/status/start", id), nil)); !strings.Contains(exit, "already running") {
		t.Errorf("a second start: %s", exit)
	}
	c.do(t, "PUT", c.here("/qemu/%d/config", id), url.Values{"cores": {"2"}, "description": {"now"}}).want(t, 200, "")
	if now := c.do(t, "GET", c.here("/qemu/%d/config", id), url.Values{"current": {"1"}}).object(t); now["cores"] != 1.0 || now["description"] != "now" {
		t.Errorf("in force: %v", now)
	}
	if next := c.config(t, id); next["cores"] != 2.0 {
		t.Errorf("at the next start: %v", next)
	}
	c.do(t, "DELETE", c.here("/qemu/%d", id), nil).want(t, 500, "is running")
	c.do(t, "POST", c.here("/qemu/%d/agent/ping", id), nil).want(t, 500, "No QEMU guest agent configured")
}

// A VM without a system does not react to the power button, so the shutdown
// task fails and the VM keeps running. With forceStop, the task ends the VM
// (qemu-server PVE/QemuServer.pm, _do_vm_stop).
func TestConformanceShutdownThatTimesOut(t *testing.T) {
	t.Parallel()
	c := underTest(t)
	id := c.vm(t, url.Values{"acpi": {"0"}})
	c.wantOK(t, "starting", c.do(t, "POST", c.here("/qemu/%d/status/start", id), nil))
	shutdown := func(form url.Values) string {
		return c.finish(t, c.do(t, "POST", c.here("/qemu/%d/status/shutdown", id), form))
	}
	if exit := shutdown(url.Values{"timeout": {"3"}}); !strings.Contains(exit, "got timeout") {
		t.Errorf("shutdown: %s", exit)
	}
	if status := c.do(t, "GET", c.here("/qemu/%d/status/current", id), nil).object(t); status["status"] != "running" {
		t.Errorf("after it: %v", status["status"])
	}
	if exit := shutdown(url.Values{"timeout": {"3"}, "forceStop": {"1"}}); exit != "OK" {
		t.Errorf("forced shutdown: %s", exit)
	}
}

// An API token does not count as root@pam, even if it is a token of root@pam
// (qemu-server PVE/API2/Qemu.pm).
func TestConformanceWhatATokenMayNot(t *testing.T) {
	t.Parallel()
	c := underTest(t)
	id := c.vm(t, nil)
	for key, value := range map[string]string{"args": "-no-reboot", "hostpci0": "0000:00:02.0", "hugepages": "2"} {
		r := c.do(t, "PUT", c.here("/qemu/%d/config", id), url.Values{key: {value}})
		if r.status != 500 || !strings.Contains(r.reason, "only root can set") {
			t.Errorf("%s: %s, want a refusal", key, r.reason)
		}
	}
}

// Disks can grow but not shrink (qemu-server PVE/API2/Qemu.pm, resize_vm). A
// detached disk is kept as unused.
func TestConformanceDisks(t *testing.T) {
	t.Parallel()
	c := underTest(t)
	id := c.vm(t, url.Values{"scsi0": {c.storage + ":1"}})
	resize := c.here("/qemu/%d/resize", id)
	c.wantOK(t, "growing", c.do(t, "PUT", resize, url.Values{"disk": {"scsi0"}, "size": {"2G"}}))
	if value := fmt.Sprint(c.config(t, id)["scsi0"]); !strings.Contains(value, "size=2G") {
		t.Errorf("after growing: %s", value)
	}
	if shrink := c.do(t, "PUT", resize, url.Values{"disk": {"scsi0"}, "size": {"1G"}}); shrink.status == 200 {
		if exit := c.finish(t, shrink); !strings.Contains(exit, "shrinking") {
			t.Errorf("shrinking: %s", exit)
		}
	} else {
		shrink.want(t, 500, "shrinking disks is not supported")
	}
	c.do(t, "PUT", c.here("/qemu/%d/config", id), url.Values{"delete": {"scsi0"}}).want(t, 200, "")
	if config := c.config(t, id); config["scsi0"] != nil || !strings.Contains(fmt.Sprint(config["unused0"]), "vm-") {
		t.Errorf("a detached disk is not kept as unused: %v", config)
	}
}

// Answers have the keys and types of PVE (pve-common PVE/SysFSTools.pm, lspci,
// and PVE/ProcFSTools.pm, read_meminfo; pve-storage
// PVE/API2/Storage/Status.pm).
func TestConformanceShapes(t *testing.T) {
	t.Parallel()
	c := underTest(t)
	var functions, storages []map[string]any
	c.do(t, "GET", c.here("/hardware/pci"), url.Values{"pci-class-blacklist": {""}}).into(t, &functions)
	for _, f := range functions {
		for key, pattern := range map[string]string{"id": `^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$`, "class": `^0x[0-9a-f]{6}$`,
			"vendor": `^0x[0-9a-f]{4}$`, "device": `^0x[0-9a-f]{4}$`} {
			if text := fmt.Sprint(f[key]); !regexp.MustCompile(pattern).MatchString(text) {
				t.Errorf("%s of a PCI function is %q, want %q", key, text, pattern)
			}
		}
		if _, isNumber := f["iommugroup"].(float64); !isNumber {
			t.Errorf("iommugroup of %v is %#v, want a number", f["id"], f["iommugroup"])
		}
	}
	if !slices.ContainsFunc(functions, func(f map[string]any) bool { return strings.HasPrefix(fmt.Sprint(f["class"]), "0x06") }) {
		t.Error("an empty blacklist does not show bridges")
	}
	c.do(t, "GET", c.here("/storage"), nil).into(t, &storages)
	for _, s := range storages {
		for _, key := range []string{"active", "enabled", "shared"} {
			if v := s[key]; v != 0.0 && v != 1.0 {
				t.Errorf("%s of storage %v is %#v, want 0 or 1", key, s["storage"], v)
			}
		}
	}
	var node struct {
		Memory struct{ Total, Used, Free, Available *int64 }
	}
	c.do(t, "GET", c.here("/status"), nil).into(t, &node)
	if m := node.Memory; m.Total == nil || m.Used == nil || m.Free == nil || m.Available != nil && *m.Total-*m.Used != *m.Available {
		t.Errorf("of memory, total less used is not what is available: %+v", m)
	}
	var next string
	c.do(t, "GET", "/cluster/nextid", nil).into(t, &next)
}

// If another VM has the card, the request to start a VM succeeds, but its task
// fails (qemu-server PVE/QemuServer/PCI.pm, reserve_pci_usage).
func TestConformanceTwoVMsOneCard(t *testing.T) {
	t.Parallel()
	c := underTest(t)
	if c.mapping == "" {
		t.Skip("PROXSTATION_MAPPING names no PCI resource mapping of a device that may be taken")
	}
	with := url.Values{"machine": {"q35"}, "hostpci0": {"mapping=" + c.mapping}}
	first, second := c.vm(t, with), c.vm(t, with)
	c.wantOK(t, "starting the first", c.do(t, "POST", c.here("/qemu/%d/status/start", first), nil))
	exit := c.finish(t, c.do(t, "POST", c.here("/qemu/%d/status/start", second), nil))
	if !regexp.MustCompile(fmt.Sprintf(`PCI device '.*' already in use by VMID '%d'|could not find a free device`, first)).MatchString(exit) {
		t.Errorf("starting the second: %s", exit)
	}
}
