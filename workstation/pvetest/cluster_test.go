package pvetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A rack is a cluster in a test, with a client for each node.
type rack struct {
	*testing.T
	*pvetest.Cluster
	client *http.Client
}

// newRack returns a cluster of the hosts a, b and c.
func newRack(t *testing.T, change func([]pvetest.Host), opts *pvetest.Options) *rack {
	t.Helper()
	hosts := []pvetest.Host{}
	for _, name := range []string{"a", "b", "c"} {
		h := pvetest.Reference()
		h.Name = name
		hosts = append(hosts, h)
	}
	if change != nil {
		change(hosts)
	}
	c := pvetest.NewCluster(hosts, opts)
	t.Cleanup(func() {
		if err := c.Check(); err != nil {
			t.Error(err)
		}
	})
	return &rack{t, c, &http.Client{Transport: c.Transport()}}
}

// do sends a request to a node and returns the status line and the data.
func (r *rack) do(node, method, path string, form url.Values) (status string, data any) {
	r.Helper()
	status, data, err := r.try(node, method, path, form)
	if err != nil {
		r.Fatal(err)
	}
	return status, data
}

func (r *rack) try(node, method, path string, form url.Values) (status string, data any, err error) {
	r.Helper()
	req, err := http.NewRequestWithContext(context.Background(), method, "https://"+node+":8006/api2/json"+path, strings.NewReader(form.Encode()))
	if err != nil {
		r.Fatal(err)
	}
	req.Header.Set("Authorization", "PVEAPIToken=root@pam!lab=11111111-2222-3333-4444-555555555555")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := r.client.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	var object struct{ Data any }
	_ = json.Unmarshal(body, &object) // some answers have no body
	return answer.Status, object.Data, nil
}

// ok sends a request that must succeed.
func (r *rack) ok(node, method, path string, form url.Values) any {
	r.Helper()
	status, data := r.do(node, method, path, form)
	if status != "200 OK" {
		r.Fatalf("%s: %s %s: %s", node, method, path, status)
	}
	return data
}

// plainVM is the configuration of a small VM.
func plainVM(id int) pvetest.VM {
	return vm(id, fmt.Sprintf("name:=vm%[1]d memory:=2048 scsi0:=local-lvm:vm-%[1]d-disk-0,size=8G", id))
}

// entry returns the element of a list whose key has a value.
func entry(list any, key string, value any) map[string]any {
	all, _ := list.([]any)
	for _, each := range all {
		if object, _ := each.(map[string]any); object[key] == value {
			return object
		}
	}
	return nil
}

// Any node answers for all others, and what one node writes the others see.
func TestClusterIsOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, func(hosts []pvetest.Host) { hosts[1].VMs = []pvetest.VM{plainVM(100)} }, nil)
		if where := r.Where(100); where != "b" {
			t.Errorf("VM 100 is on %q", where)
		}
		if id := r.ok("a", "GET", "/cluster/nextid", nil); id != "101" {
			t.Errorf("next ID is %v", id)
		}
		config := r.ok("a", "GET", "/nodes/b/qemu/100/config", nil)
		if name := config.(map[string]any)["name"]; name != "vm100" {
			t.Errorf("name is %v", name)
		}
		r.ok("c", "PUT", "/nodes/b/qemu/100/config", url.Values{"name": {"renamed"}})
		if state, _ := r.Node("b").VM(100); state.Config["name"] != "renamed" {
			t.Errorf("name is %s", state.Config["name"])
		}
		if status, _ := r.do("a", "POST", "/nodes/a/qemu", url.Values{"vmid": {"100"}}); status != "500 unable to create VM 100 - VM 100 already exists on node 'b'" {
			t.Error(status)
		}
		upid := r.ok("a", "POST", "/nodes/b/qemu/100/status/start", nil).(string)
		time.Sleep(10 * time.Second)
		if status := r.ok("c", "GET", "/nodes/b/tasks/"+upid+"/status", nil).(map[string]any); status["exitstatus"] != "OK" || status["node"] != "b" {
			t.Error(status)
		}
		if listed := entry(r.ok("c", "GET", "/cluster/tasks", nil), "upid", upid); listed["status"] != "OK" {
			t.Error(listed)
		}
		if listed := entry(r.ok("c", "GET", "/cluster/resources", nil), "id", "qemu/100"); listed["status"] != "running" || listed["node"] != "b" {
			t.Error(listed)
		}
		if nodes := r.ok("c", "GET", "/nodes", nil).([]any); len(nodes) != 3 {
			t.Error(nodes)
		}
		if quorate := entry(r.ok("c", "GET", "/cluster/status", nil), "id", "cluster")["quorate"]; quorate != 1.0 {
			t.Errorf("quorate is %v", quorate)
		}
		if status, _ := r.do("a", "GET", "/nodes/d/version", nil); !strings.HasPrefix(status, "500 hostname lookup 'd' failed") {
			t.Error(status)
		}
	})
}

// A node that is down answers nobody, and the others say so.
func TestClusterNodeDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, func(hosts []pvetest.Host) {
			machine := plainVM(100)
			machine.Running = true
			hosts[1].VMs = []pvetest.VM{machine}
		}, nil)
		r.Down("b")
		began := time.Now()
		if status, _ := r.do("a", "GET", "/nodes/b/qemu/100/config", nil); status != "595 No route to host" || time.Since(began) != 3*time.Second {
			t.Errorf("%s after %v", status, time.Since(began))
		}
		var dial *net.OpError
		if _, _, err := r.try("b", "GET", "/version", nil); !errors.As(err, &dial) || dial.Op != "dial" {
			t.Error(err)
		}
		if of := entry(r.ok("a", "GET", "/nodes", nil), "node", "b"); of["status"] != "offline" || of["uptime"] != nil || of["maxcpu"] == nil {
			t.Error(of)
		}
		if listed := entry(r.ok("a", "GET", "/cluster/resources", nil), "id", "qemu/100"); listed["status"] != "running" {
			t.Errorf("at once: %v", listed)
		}
		time.Sleep(6 * time.Minute)
		if listed := entry(r.ok("a", "GET", "/cluster/resources", nil), "id", "qemu/100"); listed["status"] != "unknown" || listed["name"] != nil {
			t.Errorf("after six minutes: %v", listed)
		}
		r.Up("b")
		if listed := entry(r.ok("a", "GET", "/cluster/resources", nil), "id", "qemu/100"); listed["status"] != "stopped" {
			t.Errorf("after the boot: %v", listed)
		}
		if of := entry(r.ok("a", "GET", "/nodes", nil), "node", "b"); of["status"] != "online" || of["uptime"] != 0.0 {
			t.Error(of)
		}
	})
}
