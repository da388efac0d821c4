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
	"slices"
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

// The method "do" sends a request to a node and returns the status line and the
// data.
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

// login logs in with a password and returns the data of the node's answer.
func (r *rack) login(node, user, password string) map[string]any {
	r.Helper()
	answer, err := r.client.PostForm("https://"+node+":8006/api2/json/access/ticket", url.Values{"username": {user}, "password": {password}})
	if err != nil {
		r.Fatal(err)
	}
	defer answer.Body.Close()
	var object struct{ Data map[string]any }
	if err := json.NewDecoder(answer.Body).Decode(&object); err != nil || object.Data == nil {
		r.Fatalf("login of %s: %s, %v", user, answer.Status, err)
	}
	return object.Data
}

// The method "ok" sends a request that must succeed.
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

// The function "entry" returns the first element of a list in which the key has
// the given value.
func entry(list any, key string, value any) map[string]any {
	all, _ := list.([]any)
	for _, each := range all {
		if object, _ := each.(map[string]any); object[key] == value {
			return object
		}
	}
	return nil
}

// Any node answers requests about all nodes. If one node changes something, the
// other nodes see the change.
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

// A node that is down answers nobody. The other nodes report that it is down.
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

// Without quorum, /etc/pve can only be read. PVE refuses starts and changes,
// but stops VMs.
func TestClusterWithoutQuorum(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, func(hosts []pvetest.Host) {
			on := plainVM(101)
			on.Running = true
			hosts[0].VMs = []pvetest.VM{plainVM(100), on}
			hosts[1].VMs = []pvetest.VM{plainVM(102)}
			hosts[0].Storages = append(slices.Clone(hosts[0].Storages), pvetest.Storage{Name: "nas", Type: "nfs", Content: "images", Total: 1 << 40, Shared: true})
		}, nil)
		r.Partition("a")
		denied := "500 unable to open file '/etc/pve/nodes/a/qemu-server/100.conf.tmp."
		for _, tt := range []struct {
			method, path string
			form         url.Values
			want         string
			after        time.Duration
		}{
			{"POST", "/nodes/a/qemu/100/status/start", nil, "500 cluster not ready - no quorum?", 0},
			{"POST", "/nodes/a/qemu", url.Values{"vmid": {"300"}}, "500 cluster not ready - no quorum?", 0},
			{"POST", "/nodes/a/qemu/100/clone", url.Values{"newid": {"300"}}, "500 cluster not ready - no quorum?", 0},
			{"PUT", "/nodes/a/qemu/100/config", url.Values{"name": {"x"}}, denied, 0},
			{"PUT", "/cluster/options", url.Values{"keyboard": {"de"}}, "500 cfs-lock 'file-datacenter_cfg' error: no quorum!", 10 * time.Second},
			{"POST", "/cluster/mapping/pci", url.Values{"id": {"gpu"}, "map": {"node=a,path=0000:01:00,id=10de:2c05"}},
				"500 create hardware mapping failed: cfs-lock 'file-mapping_pci_cfg' error: no quorum!", 10 * time.Second},
			{"POST", "/access/users", url.Values{"userid": {"x@pve"}}, "500 create user failed: cfs-lock 'file-user_cfg' error: no quorum!", 10 * time.Second},
			{"GET", "/nodes/b/qemu/102/config", nil, "595 No route to host", 3 * time.Second},
			{"POST", "/nodes/a/storage/nas/content", url.Values{"vmid": {"100"}, "filename": {"vm-100-disk-9.raw"}, "size": {"1G"}}, "500 cfs-lock 'storage-nas' error: no quorum!", 0},
			{"POST", "/nodes/b/storage/local/upload", url.Values{"content": {"iso"}, "filename": {"x.iso"}},
				"500 can't activate storage 'local' on node 'b': command '/usr/bin/ssh ", 0},
			{"GET", "/nodes/a/qemu/100/config", nil, "200 OK", 0},
			{"POST", "/nodes/a/qemu/101/status/stop", nil, "200 OK", 0},
		} {
			began := time.Now()
			status, _ := r.do("a", tt.method, tt.path, tt.form)
			if !strings.HasPrefix(status, tt.want) || strings.HasPrefix(status, denied) && !strings.HasSuffix(status, " - Permission denied") {
				t.Errorf("%s %s: %s, want %s", tt.method, tt.path, status, tt.want)
			}
			if took := time.Since(began); took != tt.after {
				t.Errorf("%s %s took %v, want %v", tt.method, tt.path, took, tt.after)
			}
		}
		time.Sleep(5 * time.Second)
		if state, _ := r.Node("a").VM(101); state.Running {
			t.Error("VM 101 runs after its stop")
		}
		for node, quorate := range map[string]float64{"a": 0, "b": 1} {
			status := r.ok(node, "GET", "/cluster/status", nil)
			if have := entry(status, "id", "cluster")["quorate"]; have != quorate {
				t.Errorf("%s: quorate is %v", node, have)
			}
			if online := entry(status, "id", "node/c")["online"]; online != quorate {
				t.Errorf("%s: c online is %v", node, online)
			}
		}
		r.ok("b", "PUT", "/nodes/b/qemu/102/config", url.Values{"name": {"written"}})
		r.Partition()
		r.ok("a", "PUT", "/nodes/a/qemu/100/config", url.Values{"name": {"healed"}})
	})
}

// If a VM is destroyed without quorum, PVE removes the VM's disks, but it
// cannot remove the VM's configuration.
func TestClusterDestroyWithoutQuorum(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := pvetest.Reference(), pvetest.Reference()
		a.Name, b.Name, a.VMs = "a", "b", []pvetest.VM{plainVM(100)}
		c := pvetest.NewCluster([]pvetest.Host{a, b}, nil)
		r := &rack{t, c, &http.Client{Transport: c.Transport()}}
		c.Down("b")
		r.ok("a", "DELETE", "/nodes/a/qemu/100", nil)
		time.Sleep(10 * time.Second)
		exit := c.Node("a").Tasks()[0].Exit
		if !strings.HasSuffix(exit, " - Permission denied") || c.Where(100) != "a" || len(c.Node("a").Volumes()) != 0 {
			t.Errorf("exit %q, VM 100 on %q with %v", exit, c.Where(100), c.Node("a").Volumes())
		}
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), "VM 100 has lost scsi0") {
			t.Error(err)
		}
	})
}

// The list of mappings shows the problems of each mapping on one node. The
// parameter check-node names this node.
func TestClusterCheckNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, func(hosts []pvetest.Host) {
			hosts[1].Mappings = []pvetest.Mapping{{ID: "gpu", Map: []string{"node=b,path=0000:01:00,id=10de:2c05,subsystem-id=1462:5315,iommugroup=12"}}}
		}, nil)
		for node, want := range map[string]string{"a": "[map[message:No mapping for node a. severity:warning]]", "b": "[]"} {
			list := r.ok("c", "GET", "/cluster/mapping/pci?check-node="+node, nil)
			if have := fmt.Sprint(entry(list, "id", "gpu")["checks"]); have != want {
				t.Errorf("%s: %s", node, have)
			}
		}
	})
}

// If the quorum returns while a method waits for the lock of a file, the method
// succeeds.
func TestClusterQuorumReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, nil, nil)
		r.Down("b")
		r.Down("c")
		time.AfterFunc(4*time.Second, func() { r.Up("b") })
		r.ok("a", "PUT", "/cluster/options", url.Values{"keyboard": {"de"}})
	})
}

// If a node loses its power, the events planned on it never happen, and its
// tasks end without a result.
func TestClusterPowerCut(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fault  pvetest.Fault
		status string // answer of node a to the request to start VM 100 on node b
		exit   string // exit status of the start task when b is up again; "" if there is no task
	}{
		{pvetest.Fault{Path: ".*/start", Kind: pvetest.PowerBefore}, "596 Connection timed out", ""},
		{pvetest.Fault{Path: ".*/start", Kind: pvetest.PowerAfter}, "596 Connection timed out", "unexpected status"},
		{pvetest.Fault{Task: "qmstart", Kind: pvetest.PowerBefore}, "200 OK", "unexpected status"},
		{pvetest.Fault{Task: "qmstart", Kind: pvetest.PowerAfter}, "200 OK", "unexpected status"},
	} {
		t.Run(fmt.Sprintf("%s%s %s", tt.fault.Task, tt.fault.Path, tt.fault.Kind), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRack(t, func(hosts []pvetest.Host) { hosts[1].VMs = []pvetest.VM{plainVM(100)} }, nil)
				r.Node("b").Inject(tt.fault)
				if status, _ := r.do("a", "POST", "/nodes/b/qemu/100/status/start", nil); status != tt.status {
					t.Errorf("the answer is %s", status)
				}
				time.Sleep(time.Minute)
				if status, _ := r.do("a", "GET", "/nodes/b/version", nil); status != "595 No route to host" {
					t.Errorf("b answers %s", status)
				}
				r.Up("b")
				exit := ""
				for _, task := range r.Node("b").Tasks() {
					exit = task.Exit
				}
				if exit != tt.exit || len(r.Node("b").Running()) != 0 {
					t.Errorf("exit %q, running %v", exit, r.Node("b").Running())
				}
			})
		})
	}
}

// If the power is cut while a request waits for a lock, the request changes
// nothing.
func TestClusterPowerCutWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, func(hosts []pvetest.Host) {
			on := plainVM(100)
			on.Running = true
			hosts[1].VMs, hosts[1].Guests = []pvetest.VM{on}, map[int]pvetest.Guest{100: {Hang: true}}
		}, nil)
		r.ok("a", "POST", "/nodes/b/qemu/100/status/shutdown", nil)
		time.Sleep(time.Second)
		time.AfterFunc(2*time.Second, func() { r.Down("b"); r.Up("b") })
		if status, _ := r.do("a", "PUT", "/nodes/b/qemu/100/config", url.Values{"name": {"late"}}); !strings.HasPrefix(status, "596 ") {
			t.Error(status)
		}
		if state, _ := r.Node("b").VM(100); state.Config["name"] != "vm100" {
			t.Errorf("name is %s", state.Config["name"])
		}
	})
}

// Delay slows the requests to a node. Another node that passes a request on to
// this node waits for 30 seconds, and then answers 596.
func TestClusterDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, nil, nil)
		r.Delay("b", 2*time.Second)
		began := time.Now()
		r.ok("a", "GET", "/nodes/b/version", nil)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("took %v", took)
		}
		r.Delay("b", time.Hour)
		began = time.Now()
		if status, _ := r.do("a", "GET", "/nodes/b/version", nil); status != "596 Connection timed out" || time.Since(began) != 30*time.Second {
			t.Errorf("%s after %v", status, time.Since(began))
		}
	})
}

// Nodes of different versions have different schemas. A request is checked with
// the schema of the node that carries it out, whichever node receives it.
func TestClusterVersionSkew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, func(hosts []pvetest.Host) {
			hosts[1].Version, hosts[1].Release = "8.4.14", "8.4"
			hosts[0].VMs, hosts[1].VMs = []pvetest.VM{plainVM(100)}, []pvetest.VM{plainVM(101)}
		}, nil)
		for path, want := range map[string]string{"/nodes/a/qemu/100/config": "200 OK", "/nodes/b/qemu/101/config": "400 Parameter verification failed."} {
			for _, entry := range []string{"a", "b", "c"} {
				if status, _ := r.do(entry, "PUT", path, url.Values{"allow-ksm": {"0"}}); status != want {
					t.Errorf("%s, asked by %s: %s", path, entry, status)
				}
			}
		}
		if version := r.ok("a", "GET", "/nodes/b/version", nil).(map[string]any)["version"]; version != "8.4.14" {
			t.Errorf("b has version %v", version)
		}
	})
}

// All nodes see the same content of a shared storage. Each node has its own
// content of a local storage.
func TestClusterStorages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, func(hosts []pvetest.Host) {
			for i := range hosts[:2] {
				hosts[i].Storages = append(slices.Clone(hosts[i].Storages), pvetest.Storage{Name: "nas", Type: "nfs", Content: "images,iso", Total: 1 << 40, Shared: true,
					Config: map[string]string{"server": "192.168.1.2", "export": "/nas", "path": "/mnt/pve/nas"}})
			}
			hosts[0].VMs = []pvetest.VM{vm(100, "scsi0:=nas:100/vm-100-disk-0.raw,size=8G")}
			hosts[1].VMs = []pvetest.VM{plainVM(101)}
		}, nil)
		for node, want := range map[string]int{"a": 1, "b": 1} {
			if list := r.ok("a", "GET", "/nodes/"+node+"/storage/nas/content", nil).([]any); len(list) != want {
				t.Errorf("nas on %s: %v", node, list)
			}
		}
		if list := r.ok("c", "GET", "/nodes/a/storage/local-lvm/content", nil).([]any); len(list) != 0 {
			t.Errorf("local-lvm on a: %v", list)
		}
		if nodes := r.ok("c", "GET", "/storage/nas", nil).(map[string]any)["nodes"]; nodes != "a,b" {
			t.Errorf("nas is on %v", nodes)
		}
		resources := r.ok("c", "GET", "/cluster/resources", nil)
		for id, want := range map[string]bool{"storage/a/nas": true, "storage/b/nas": true, "storage/c/nas": false, "storage/c/local-lvm": true} {
			if have := entry(resources, "id", id) != nil; have != want {
				t.Errorf("%s is listed: %v", id, have)
			}
		}
		r.ok("b", "POST", "/storage", url.Values{"storage": {"new"}, "type": {"nfs"}, "server": {"192.168.1.3"}, "export": {"/x"}, "shared": {"1"}})
		r.ok("b", "POST", "/nodes/c/storage/new/content", url.Values{"vmid": {"101"}, "filename": {"vm-101-disk-9.raw"}, "size": {"1G"}})
		if list := r.ok("a", "GET", "/nodes/a/storage/new/content", nil).([]any); len(list) != 1 {
			t.Errorf("new on a: %v", list)
		}
		r.ok("b", "DELETE", "/nodes/b/storage/new/content/new:101/vm-101-disk-9.raw", nil)
		time.Sleep(5 * time.Second)
		r.ok("a", "DELETE", "/storage/new", nil)
		if status, _ := r.do("c", "GET", "/storage/new", nil); status == "200 OK" {
			t.Error("c still knows the storage")
		}
	})
}

// A ticket of one node, and a user that was made on one node, are valid on all
// nodes.
func TestClusterLogin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, nil, nil)
		r.ok("b", "POST", "/access/users", url.Values{"userid": {"ops@pve"}, "password": {"good-password"}})
		r.Partition("a") // a login needs no quorum
		login, root := r.login("a", "ops@pve", "good-password"), r.login("a", "root@pam", "secret")
		request, err := http.NewRequest("GET", "https://c:8006/api2/json/version", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Cookie", "PVEAuthCookie="+login["ticket"].(string))
		answer, err := r.client.Do(request)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("%v, %v", answer, err)
		}
		answer.Body.Close()
		if login["clustername"] != nil || root["clustername"] != "homelab" {
			t.Errorf("clustername is %v for ops and %v for root", login["clustername"], root["clustername"])
		}
	})
}

// Some methods, such as termproxy, are never passed on. They work on the node
// in the path, but their task runs on the node that the client speaks to.
func TestClusterConsole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, func(hosts []pvetest.Host) {
			on := plainVM(100)
			on.Running = true
			hosts[1].VMs = []pvetest.VM{on}
		}, nil)
		console := r.ok("a", "POST", "/nodes/b/qemu/100/vncproxy", nil).(map[string]any)
		if upid := console["upid"].(string); !strings.HasPrefix(upid, "UPID:a:") || !strings.HasSuffix(upid, ":vncproxy:100:root@pam!lab:") {
			t.Error(upid)
		}
	})
}

// A clone can be made on another node if all volumes of the VM are on shared
// storages.
func TestClusterClone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, func(hosts []pvetest.Host) {
			for i := range hosts {
				hosts[i].Storages = append(slices.Clone(hosts[i].Storages), pvetest.Storage{Name: "nas", Type: "nfs", Content: "images", Total: 1 << 40, Shared: true})
			}
			hosts[0].VMs = []pvetest.VM{plainVM(100), vm(101, "scsi0:=nas:101/vm-101-disk-0.qcow2,size=8G")}
		}, nil)
		for target, want := range map[string]string{"d": "500 no such cluster node 'd'", "b": "500 can't clone VM to node 'b' (VM uses local storage)"} {
			if status, _ := r.do("c", "POST", "/nodes/a/qemu/100/clone", url.Values{"newid": {"200"}, "target": {target}}); status != want {
				t.Error(status)
			}
		}
		if status, _ := r.do("c", "POST", "/nodes/a/qemu/101/clone", url.Values{"newid": {"200"}, "target": {"b"}, "storage": {"local-lvm"}}); status != "500 can't clone to non-shared storage 'local-lvm'" {
			t.Error(status)
		}
		r.ok("c", "POST", "/nodes/a/qemu/101/clone", url.Values{"newid": {"200"}, "target": {"b"}})
		time.Sleep(time.Minute)
		if where := r.Where(200); where != "b" {
			t.Errorf("the clone is on %q: %v", where, r.Node("a").Tasks())
		}
	})
}

// Each node of a started cluster has a port. A node that is down refuses
// connections. It has the same port when it is up again.
func TestClusterPorts(t *testing.T) {
	t.Parallel()
	r := newRack(t, nil, &pvetest.Options{Speed: 1000})
	r.Start()
	defer r.Close()
	client := r.Node("a").HTTPClient()
	get := func(node, path string) string {
		request, err := http.NewRequest("GET", r.Node(node).URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "PVEAPIToken="+rootToken)
		answer, err := client.Do(request)
		var dial *net.OpError
		switch {
		case errors.As(err, &dial):
			return dial.Op
		case err != nil:
			return err.Error()
		}
		answer.Body.Close()
		return answer.Status
	}
	for _, step := range []struct {
		act        func(string)
		itself, by string
	}{
		{func(string) {}, "200 OK", "200 OK"},
		{r.Down, "dial", "595 No route to host"},
		{r.Up, "200 OK", "200 OK"},
		{func(name string) { r.Node(name).Restart() }, "200 OK", "200 OK"},
	} {
		step.act("b")
		if have := get("b", "/version"); have != step.itself {
			t.Errorf("b: %s, want %s", have, step.itself)
		}
		if have := get("a", "/nodes/b/version"); have != step.by {
			t.Errorf("a of b: %s, want %s", have, step.by)
		}
	}
}

// A request that is passed on is in the traces of both nodes. OnRequest sees
// the client's request, and can cut the power before the request is passed on.
func TestClusterTrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var r *rack
		var seen []string
		r = newRack(t, nil, &pvetest.Options{OnRequest: func(request pvetest.Request) {
			if seen = append(seen, request.Node); len(seen) == 2 {
				r.Down("b")
			}
		}})
		for range 2 {
			_, _ = r.do("a", "GET", "/nodes/b/version", nil)
		}
		if fmt.Sprint(seen) != "[a a]" {
			t.Error(seen)
		}
		for node, want := range map[string]string{"a": "[{a GET /nodes/b/version map[] 200} {a GET /nodes/b/version map[] 595}]", "b": "[{b GET /nodes/b/version map[] 200}]"} {
			have := []string{}
			for _, q := range r.Node(node).Trace() {
				have = append(have, fmt.Sprintf("{%s %s %s %v %d}", q.Node, q.Method, q.Path, q.Params, q.Status))
			}
			if fmt.Sprint(have) != want {
				t.Errorf("%s: %v", node, have)
			}
		}
	})
}

// Cluster.Check reports that two nodes have the same VMID. A single node cannot
// see this.
func TestClusterCheck(t *testing.T) {
	t.Parallel()
	hosts := []pvetest.Host{}
	for i, name := range []string{"a", "b"} {
		h := pvetest.Reference()
		h.Name = name
		h.Storages = append(h.Storages, pvetest.Storage{Name: "nas", Type: "nfs", Content: "images", Total: 1 << 40, Shared: true})
		h.VMs = []pvetest.VM{vm(100+i, "scsi0:=nas:100/vm-100-disk-0.raw,size=8G")}
		hosts = append(hosts, h)
	}
	if err := pvetest.NewCluster(hosts, nil).Check(); err == nil || !strings.Contains(err.Error(), "nas:100/vm-100-disk-0.raw is named by scsi0 of VM 100 and by scsi0 of VM 101") {
		t.Error(err)
	}
}

// NewCluster panics if descriptions contradict each other.
func TestClusterContradictions(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*pvetest.Host){
		"name":    func(b *pvetest.Host) { b.Name = "a" },
		"VMID":    func(b *pvetest.Host) { b.VMs = []pvetest.VM{plainVM(100)} },
		"storage": func(b *pvetest.Host) { b.Storages = []pvetest.Storage{{Name: "local-lvm", Type: "dir"}} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := pvetest.Reference(), pvetest.Reference()
			a.Name, b.Name = "a", "b"
			a.VMs = []pvetest.VM{plainVM(100)}
			change(&b)
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			pvetest.NewCluster([]pvetest.Host{a, b}, nil)
		})
	}
}
