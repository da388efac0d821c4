package pvetest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

const opsToken = "ops@pve!bot=22222222-2222-3333-4444-555555555555"

// The function "everything" returns the privileges that an owner of VMs may
// need, by path.
func everything() map[string][]string {
	return map[string][]string{
		"/vms":                         strings.Fields("VM.Allocate VM.Audit VM.PowerMgmt VM.Snapshot VM.Config.CDROM VM.Config.CPU VM.Config.Cloudinit VM.Config.Disk VM.Config.HWType VM.Config.Memory VM.Config.Network VM.Config.Options VM.GuestAgent.Audit VM.GuestAgent.Unrestricted"),
		"/storage":                     {"Datastore.AllocateSpace", "Datastore.Audit"},
		"/mapping/pci/card":            {"Mapping.Use"},
		"/sdn/zones/localnetwork":      {"SDN.Use"},
		"/nodes/pve":                   {"Sys.Audit"},
		"/storage/media-pool":          {},
		"/sdn/zones/localnetwork/dmz0": {},
	}
}

// Every request needs its privileges. Each row takes one privilege away from a
// user who has all privileges. PVE then refuses the request with the message in
// the row.
func TestEveryPrivilegeIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ method, path, params, without, on, reason string }{
		{"POST", "/qemu", "vmid=150", "VM.Allocate", "/vms", "Permission check failed"},
		{"POST", "/qemu", "vmid=150 cores=2", "VM.Config.CPU", "/vms", "Permission check failed (/vms/150, VM.Config.CPU)"},
		{"POST", "/qemu", "vmid=150 memory=512", "VM.Config.Memory", "/vms", "Permission check failed (/vms/150, VM.Config.Memory)"},
		{"POST", "/qemu", "vmid=150 name=x", "VM.Config.Options", "/vms", "Permission check failed (/vms/150, VM.Config.Options)"},
		{"POST", "/qemu", "vmid=150 vga=none", "VM.Config.HWType", "/vms", "Permission check failed (/vms/150, VM.Config.HWType)"},
		{"POST", "/qemu", "vmid=150 hostpci0=mapping=card", "VM.Config.HWType", "/vms", "Permission check failed (/vms/150, VM.Config.HWType)"},
		{"POST", "/qemu", "vmid=150 hostpci0=mapping=card", "Mapping.Use", "/mapping/pci/card", "Permission check failed (/mapping/pci/card, Mapping.Use)"},
		{"POST", "/qemu", "vmid=150 net0=virtio,bridge=vmbr0", "SDN.Use", "/sdn/zones/localnetwork", "Permission check failed (/sdn/zones/localnetwork/vmbr0, SDN.Use)"},
		{"POST", "/qemu", "vmid=150 scsi0=local-lvm:8", "Datastore.AllocateSpace", "/storage", "Permission check failed (/storage/local-lvm, Datastore.AllocateSpace)"},
		{"POST", "/qemu", "vmid=150 start=1", "VM.PowerMgmt", "/vms", "Permission check failed (/vms/150, VM.PowerMgmt)"},
		{"PUT", "/qemu/140/config", "net0=virtio", "VM.Config.Network", "/vms", "Permission check failed (/vms/140, VM.Config.Network)"},
		{"PUT", "/qemu/140/config", "scsi0=local-lvm:8", "VM.Config.Disk", "/vms", "Permission check failed (/vms/140, VM.Config.Disk)"},
		{"PUT", "/qemu/140/config", "ide2=none,media=cdrom", "VM.Config.CDROM", "/vms", "Permission check failed (/vms/140, VM.Config.CDROM)"},
		{"PUT", "/qemu/140/config", "ide2=local-lvm:cloudinit", "VM.Config.Cloudinit", "/vms", "Permission check failed (/vms/140, VM.Config.Cloudinit)"},
		{"POST", "/qemu/140/status/start", "", "VM.PowerMgmt", "/vms", "Permission check failed (/vms/140, VM.PowerMgmt)"},
		{"GET", "/qemu/140/config", "", "VM.Audit", "/vms", "Permission check failed (/vms/140, VM.Audit)"},
		{"POST", "/qemu/140/snapshot", "snapname=before", "VM.Snapshot", "/vms", "Permission check failed (/vms/140, VM.Snapshot)"},
		{"DELETE", "/qemu/140", "", "VM.Allocate", "/vms", "Permission check failed (/vms/140, VM.Allocate)"},
		{"GET", "/status", "", "Sys.Audit", "/nodes/pve", "Permission check failed (/nodes/pve, Sys.Audit)"},
	} {
		t.Run(tt.method+tt.path+tt.params+" without "+tt.without, func(t *testing.T) {
			t.Parallel()
			for _, has := range []bool{true, false} {
				host := machines(vm(140, ""))
				host.Version = "9.2.11" // this version of PVE requires the most privileges
				privileges := everything()
				if !has {
					privileges[tt.on] = without(privileges[tt.on], tt.without)
				}
				host.Users = []pvetest.User{{ID: "ops@pve", Privileges: privileges, Tokens: []pvetest.Token{{ID: "bot", Secret: opsToken[12:]}}}}
				inBubble(t, host, func(l *lab) {
					l.login = withToken(opsToken)
					var params []string
					for field := range strings.FieldsSeq(tt.params) {
						key, value, _ := strings.Cut(field, "=")
						params = append(params, key, value)
					}
					r := l.do(tt.method, "/nodes/pve"+tt.path, params...)
					if has && r.status != 200 || !has && (r.status != 403 || r.reason != tt.reason) {
						t.Errorf("with it %v: %d %s %v, want %s", has, r.status, r.reason, r.errors, tt.reason)
					}
					time.Sleep(time.Minute)
				})
			}
		})
	}
}

func without(list []string, item string) []string {
	var left []string
	for _, each := range list {
		if each != item {
			left = append(left, each)
		}
	}
	return left
}

// An entry on a deeper path replaces the entries above it, as in
// pve-access-control. A token with its own privileges may do only the things
// that its user may also do.
func TestPrivilegesByPath(t *testing.T) {
	t.Parallel()
	host := machines(vm(140, ""), vm(141, ""))
	host.Users = []pvetest.User{{ID: "ops@pve", Password: "pw", Privileges: map[string][]string{"/vms": {"VM.Audit", "VM.PowerMgmt"}, "/vms/141": {"VM.PowerMgmt"}},
		Tokens: []pvetest.Token{{ID: "all", Secret: "s"}, {ID: "less", Secret: "s", Privileges: map[string][]string{"/": {"VM.Audit", "Sys.Audit"}}}}}}
	inBubble(t, host, func(l *lab) {
		for login, want := range map[string]string{
			"password": "map[/vms:map[VM.Audit:1 VM.PowerMgmt:1] /vms/141:map[VM.PowerMgmt:1]]",
			"all":      "map[/vms:map[VM.Audit:1 VM.PowerMgmt:1] /vms/141:map[VM.PowerMgmt:1]]",
			"less":     "map[/vms:map[VM.Audit:1]]",
		} {
			if l.login = withToken("ops@pve!" + login + "=s"); login == "password" {
				l.asUser("ops@pve", "pw")
			}
			if got := fmt.Sprint(l.want("GET", "/access/permissions")); got != want {
				t.Errorf("%s: %s, want %s", login, got, want)
			}
			if got := len(l.list("/nodes/pve/qemu")); got != 1 {
				t.Errorf("%s sees %d VMs, want 140 alone", login, got)
			}
		}
		l.login = withToken(rootToken)
		if root := l.object("/access/permissions"); len(root) != 9 || root["/vms/141"] == nil || len(root["/"].(map[string]any)) < 40 {
			t.Errorf("root's: %v", root)
		}
	})
}

func TestTickets(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(vm(140, "")), func(l *lab) {
		l.asRoot()
		l.want("PUT", configPath, "args", "-no-reboot")
		ticket := l.login
		for name, tt := range map[string]struct {
			login  func(*http.Request)
			wait   time.Duration
			reason string
		}{
			"nobody":       {login: func(*http.Request) {}, reason: "No ticket"},
			"no CSRF":      {login: func(r *http.Request) { ticket(r); r.Header.Del("CSRFPreventionToken") }, reason: "Permission denied - invalid csrf token"},
			"wrong ticket": {login: func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "PVEAuthCookie", Value: "PVE:root@pam:0"}) }, reason: "Authentication failed!"},
			"wrong token":  {login: withToken("root@pam!lab=wrong"), reason: "Authentication failed!"},
			"no token":     {login: withToken("root@pam!none=x"), reason: "Authentication failed!"},
		} {
			l.login = tt.login
			began := time.Now()
			if r := l.do("PUT", configPath, "cores", "2"); r.status != 401 || r.reason != tt.reason {
				t.Errorf("%s: %d %s, want 401 %s", name, r.status, r.reason, tt.reason)
			}
			if took := time.Since(began); took < 3*time.Second {
				t.Errorf("%s: refused after %v, PVE takes three seconds", name, took)
			}
		}
		l.login = ticket
		l.want("GET", "/version")
		time.Sleep(2 * time.Hour)
		if r := l.do("GET", "/version"); r.status != 401 {
			t.Errorf("a ticket after two hours: %d", r.status)
		}
		l.asRoot()
		l.Logout()
		if r := l.do("GET", "/version"); r.status != 401 {
			t.Errorf("a void ticket: %d", r.status)
		}
		if r := l.do("POST", "/access/ticket", "username", "root", "password", "secret"); r.status != 401 {
			t.Errorf("a user without a realm: %d", r.status)
		}
		first, _ := l.want("POST", "/access/ticket", "username", "root", "realm", "pam", "password", "secret").(map[string]any)
		l.want("POST", "/access/ticket", "username", "root@pam", "password", fmt.Sprint(first["ticket"]))
		if r := l.do("POST", "/access/ticket", "username", "root@pam", "password", "guess"); r.status != 401 || r.reason != "authentication failure" {
			t.Errorf("a wrong password: %d %s", r.status, r.reason)
		}
		l.login = withToken(rootToken)
		if r := l.do("POST", "/access/ticket", "username", "root@pam", "password", "secret"); r.status != 403 {
			t.Errorf("a login with a token: %d", r.status)
		}
	})
}

// PVE 8 has the privilege VM.Monitor instead of PVE 9's privileges for the
// agent. If PVE 8 refuses a token, it also gives the reason.
func TestPVE8(t *testing.T) {
	t.Parallel()
	host := pvetest.AMD()
	host.VMs = []pvetest.VM{running(140, "agent:=1")}
	host.Users = []pvetest.User{{ID: "ops@pve", Privileges: map[string][]string{"/vms": {"VM.Monitor"}}, Tokens: []pvetest.Token{{ID: "bot", Secret: "s"}}}}
	inBubble(t, host, func(l *lab) {
		time.Sleep(time.Minute)
		l.login = withToken("ops@pve!bot=s")
		l.want("POST", "/nodes/pve/qemu/140/agent/ping")
		l.login = withToken("ops@pve!bot=x")
		if r := l.do("GET", "/version"); r.reason != "invalid token value!" {
			t.Errorf("a wrong token: %s", r.reason)
		}
	})
}
