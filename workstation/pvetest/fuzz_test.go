package pvetest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// The node answers every request in PVE's form, whatever a client sends. The
// node's state stays consistent.
func FuzzRequest(f *testing.F) {
	f.Add("PUT", "/nodes/pve/qemu/140/config", "cores=2&delete=scsi0&scsi1=local-lvm:4")
	f.Add("POST", "/nodes/pve/qemu", "vmid=150&scsi0=local-lvm:8,discard=on&hostpci0=mapping=card&net0=virtio,bridge=vmbr0&start=1")
	f.Add("POST", "/nodes/pve/qemu/140/status/start", "")
	f.Add("POST", "/nodes/pve/qemu/141/status/shutdown", "timeout=1&forceStop=1")
	f.Add("PUT", "/nodes/pve/qemu/140/resize", "disk=scsi0&size=%2B4G")
	f.Add("POST", "/nodes/pve/qemu/140/move_disk", "disk=scsi0&storage=media-pool&delete=1")
	f.Add("POST", "/cluster/mapping/pci", "id=x&map=node=pve,path=0000:01:00,id=10de:2c05")
	f.Add("GET", "/nodes/pve/tasks/UPID:/log", "start=-1&limit=0")
	f.Add("POST", "/nodes/pve/qemu/141/agent/exec", "command=cat&command=/etc/passwd")
	f.Add("DELETE", "/nodes/pve/qemu/140?purge=1", "")
	f.Add("POST", "/nodes/pve/qemu/140/clone", "newid=150&full=1")
	f.Add("POST", "/nodes/pve/qemu/140/template", "disk=scsi0")
	f.Add("POST", "/nodes/pve/qemu/140/snapshot/s1/rollback", "start=1")
	f.Add("POST", "/nodes/pve/vzdump", "all=1&mode=stop")
	f.Add("PUT", "/access/acl", "path=/vms&roles=PVEAdmin&users=root@pam&propagate=0")
	f.Add("POST", "/access/users", "userid=a@pve;groups=b=c&%zz=1")
	f.Add("PUT", "/pools", "poolid=a/b&vms=140,141&storage=local")
	f.Add("POST", "/storage", "storage=s1&type=nfs&server=a&export=/b")
	f.Add("GET", "//nodes//pve/", "")
	f.Fuzz(func(t *testing.T, method, path, form string) {
		request, err := http.NewRequestWithContext(t.Context(), method, "https://pve/api2/json"+path, strings.NewReader(form))
		if err != nil {
			t.Skip("no request")
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		withToken(rootToken)(request)
		host := machines(vm(140, "scsi0:=local-lvm:vm-140-disk-0,size=8G hostpci0:=mapping=card"), running(141, "hostpci0:=0000:01:00 agent:=1"))
		node := pvetest.New(host, &pvetest.Options{Speed: 1e6})
		response, err := node.Transport().RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		before := response.StatusCode == 401 || response.StatusCode == 501 || response.StatusCode == 506 // the HTTP server refused the request before it reached the API
		if err != nil || !before && !strings.HasPrefix(string(body), `{"data":`) && !strings.Contains(string(body), `"data":`) {
			t.Errorf("%d %s: %s %v", response.StatusCode, response.Status, body, err)
		}
		if strings.ContainsAny(response.Status, "\r\n") {
			t.Errorf("a status line of several lines: %q", response.Status)
		}
		if err := node.Check(); err != nil && !strings.Contains(path, "content") {
			t.Error(err)
		}
	})
}
