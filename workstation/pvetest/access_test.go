package pvetest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// The method "answers" sends the request of each step and compares status,
// message, errors and data with the wanted answer. The first string of a step
// is the request, "METHOD path key=value ...". The second string is the wanted
// answer. If it ends with "...", only the beginning is compared.
func (l *lab) answers(steps ...[2]string) {
	l.t.Helper()
	for _, step := range steps {
		fields := strings.Fields(step[0])
		var params []string
		for _, field := range fields[2:] {
			key, value, _ := strings.Cut(field, "=")
			params = append(params, key, value)
		}
		r := l.do(fields[0], fields[1], params...)
		got := strings.TrimSpace(fmt.Sprintf("%d %s %s", r.status, r.reason, flat(r.errors)))
		if r.status == 200 && r.data != nil {
			got += fmt.Sprint(" ", r.data)
		}
		if want, part := strings.CutSuffix(step[1], "..."); got != want && !(part && strings.HasPrefix(got, want)) {
			l.t.Errorf("%s\n got %s\nwant %s", step[0], got, step[1])
		}
	}
}

// Users, groups and roles can be made, changed and deleted. Refusals have PVE's
// words.
func TestAccess(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(), func(l *lab) {
		const missing = "400 Parameter verification failed. "
		l.answers([][2]string{
			{"POST /access/groups groupid=staff comment=c", "200 OK"},
			{"POST /access/groups groupid=staff", "500 create group failed: group 'staff' already exists"},
			{"POST /access/users userid=eve@pve password=abcdefgh groups=staff", "200 OK"},
			{"POST /access/users userid=eve@pve", "500 create user failed: user 'eve@pve' already exists"},
			{"POST /access/users userid=eve", "500 value 'eve' does not look like a valid user name"},
			{"POST /access/users userid=bob@nope password=abcdefgh", "500 create user failed: domain 'nope' does not exist"},
			{"POST /access/users userid=bob@pve groups=nope", "500 create user failed: no such group 'nope'"},
			{"GET /access/users/eve@pve", "200 OK map[email: enable:1 expire:0 groups:[staff] tokens:<nil>]"},
			{"GET /access/groups", "200 OK [map[comment:c groupid:staff users:eve@pve]]"},
			{"PUT /access/users/eve@pve comment=d enable=0 groups=", "200 OK"},
			{"GET /access/users/eve@pve", "200 OK map[comment:d email: enable:0 expire:0 groups:[] tokens:<nil>]"},
			{"GET /access/groups/staff", "200 OK map[comment:c members:[]]"},
			{"PUT /access/groups/staff comment=e", "200 OK"},
			{"DELETE /access/groups/staff", "200 OK"},
			{"DELETE /access/groups/staff", "500 delete group failed: group 'staff' does not exist"},
			{"GET /access/groups/staff", "500 group 'staff' does not exist"},
			{"POST /access/roles roleid=Own privs=VM.Audit", "200 OK"},
			{"POST /access/roles roleid=Own", "500 create role failed: role 'Own' already exists"},
			{"POST /access/roles roleid=PVEOwn", missing + "roleid: cannot use role ID starting with the (case-insensitive) 'PVE' namespace"},
			{"POST /access/roles roleid=Odd privs=VM.Fly", missing + "privs: invalid format - invalid privilege 'VM.Fly'"},
			{"PUT /access/roles/Own privs=VM.Console append=1", "200 OK"},
			{"GET /access/roles/Own", "200 OK map[VM.Audit:1 VM.Console:1]"},
			{"PUT /access/roles/PVEAdmin privs=VM.Console", "500 auto-generated role 'PVEAdmin' cannot be modified"},
			{"DELETE /access/roles/Own", "200 OK"},
			{"DELETE /access/roles/Own", "500 delete role failed: role 'Own' does not exist"},
			{"GET /access/domains", "200 OK [map[comment:Linux PAM standard authentication realm:pam type:pam]..."},
			{"GET /access/domains/nope", "500 domain 'nope' does not exist"},
			{"DELETE /access/users/eve@pve", "200 OK"},
			{"GET /access/users/eve@pve", "500 no such user ('eve@pve')"},
		}...)
	})
}

// The access control list decides what users, groups and tokens may do.
func TestAccessControlList(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(vm(140, ""), vm(141, "")), func(l *lab) {
		root := l.login
		config := func(id int) int { return l.do("GET", fmt.Sprintf("/nodes/pve/qemu/%d/config", id)).status }
		set := func(step, want string) {
			l.t.Helper()
			login := l.login
			l.login = root
			l.answers([2]string{step, want})
			l.login = login
		}
		set("POST /access/groups groupid=staff", "200 OK")
		set("POST /access/users userid=eve@pve password=abcdefgh groups=staff", "200 OK")
		made, _ := l.want("POST", "/access/users/eve@pve/token/tok").(map[string]any)
		l.asUser("eve@pve", "abcdefgh")
		if config(140) != 403 {
			t.Error("may read without a role")
		}
		set("PUT /access/acl path=/vms/140 roles=PVEAuditor users=eve@pve", "200 OK")
		if config(140) != 200 || config(141) != 403 {
			t.Errorf("a role on one VM: %d %d", config(140), config(141))
		}
		set("PUT /access/acl path=/vms roles=PVEAuditor groups=staff", "200 OK")
		if config(141) != 200 {
			t.Errorf("a role of a group: %d", config(141))
		}
		set("PUT /access/acl path=/vms roles=PVEAuditor groups=staff propagate=0", "200 OK")
		if config(141) != 403 {
			t.Errorf("a role that holds on the path alone: %d", config(141))
		}
		set("PUT /access/acl path=/vms/140 roles=NoAccess users=eve@pve", "200 OK")
		if config(140) != 403 {
			t.Errorf("NoAccess: %d", config(140))
		}
		set("PUT /access/acl path=/vms/140 roles=NoAccess users=eve@pve delete=1", "200 OK")
		l.login = withToken(fmt.Sprint(made["full-tokenid"], "=", made["value"]))
		if config(140) != 403 {
			t.Errorf("a token of its own, without a role: %d", config(140))
		}
		set("PUT /access/acl path=/vms/140 roles=PVEAuditor tokens=eve@pve!tok", "200 OK")
		if config(140) != 200 {
			t.Errorf("a token of its own, with a role: %d", config(140))
		}
		set("PUT /access/users/eve@pve enable=0", "200 OK")
		if status := l.do("GET", "/version").status; status != 401 {
			t.Errorf("a token of a user that is disabled: %d", status)
		}
		set("PUT /access/acl path=/nowhere roles=PVEAuditor users=eve@pve", "400 Parameter verification failed. path: invalid ACL path '/nowhere'")
		set("PUT /access/acl path=/vms roles=Nope users=eve@pve", "500 ACL update failed: role 'Nope' does not exist")
		set("PUT /access/acl path=/vms roles=PVEAuditor users=x@pve", "500 ACL update failed: user 'x@pve' does not exist")
		set("PUT /access/acl path=/vms roles=PVEAuditor tokens=eve@pve!no", "500 ACL update failed: no such token 'no' for user 'eve@pve'")
		set("GET /access/acl", "200 OK [map[path:/vms/140 propagate:1 roleid:PVEAuditor type:user ugid:eve@pve]...")
	})
}

// Tokens of a user can be made, changed and deleted.
func TestTokens(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(), func(l *lab) {
		root := l.login
		const path = "/access/users/root@pam/token/two"
		made, _ := l.want("POST", path, "privsep", "0").(map[string]any)
		l.login = withToken(fmt.Sprint(made["full-tokenid"], "=", made["value"]))
		l.want("GET", "/cluster/options")
		l.login = root
		l.answers([][2]string{
			{"POST " + path, "400 Parameter verification failed. tokenid: Token already exists."},
			{"GET " + path, "200 OK map[expire:0 privsep:0]"},
			{"PUT " + path + " comment=c", "200 OK map[comment:c expire:0 privsep:0]"},
			{"PUT " + path + " delete=comment", "200 OK map[expire:0 privsep:0]"},
			{"PUT " + path + " delete=expire", "400 Parameter verification failed. delete: unknown option 'expire'"},
			{"GET /access/users/root@pam/token", "200 OK [map[expire:0 privsep:0 tokenid:lab] map[expire:0 privsep:0 tokenid:two]]"},
		}...)
		l.answers([2]string{"DELETE " + path, "200 OK"}, [2]string{"GET " + path, "500 no such token 'two' for user 'root@pam'"})
	})
}

// A user in the host's description has the described rights. The access control
// list has an entry for each right.
func TestDescribedRights(t *testing.T) {
	t.Parallel()
	host := machines(vm(140, ""))
	host.Users = []pvetest.User{{ID: "ops@pve", Password: "opsecret", Privileges: map[string][]string{"/vms": {"VM.Audit", "VM.GuestAgent.Audit"}, "/": {"Sys.Audit", "VM.Audit"}}}}
	inBubble(t, host, func(l *lab) {
		l.answers([2]string{"GET /access/acl", "200 OK [map[path:/ propagate:1 roleid:as-described-ops-pve type:user ugid:ops@pve] " +
			"map[path:/vms propagate:1 roleid:as-described-ops-pve type:user ugid:ops@pve]]"})
		l.answers([2]string{"PUT /access/password userid=ops@pve password=otherone", "403 Permission check failed (URI '/access/password' not available with API token, need proper ticket."})
		l.asUser("ops@pve", "opsecret")
		l.answers([2]string{"PUT /access/password userid=root@pam password=otherone", "403 Permission check failed"},
			[2]string{"PUT /access/password userid=ops@pve password=otherone", "200 OK"})
		l.asUser("ops@pve", "otherone")
		l.answers([2]string{"POST /access/users userid=x@pve", "403 Permission check failed (/access/realm/pve, Realm.AllocateUser)"},
			[2]string{"GET /access/users", "200 OK [map[enable:1 expire:0 realm-type:pve userid:ops@pve] map[enable:1 expire:0 realm-type:pam userid:root@pam]]"},
			[2]string{"POST /pools poolid=mine", "403 Permission check failed (/pool/mine, Pool.Allocate)"})
	})
}

// Pools can be made. A pool can be deleted if it is empty. A VM is in at most
// one pool.
func TestPools(t *testing.T) {
	t.Parallel()
	host := machines(vm(140, ""), vm(141, ""))
	host.Pools = map[string][]int{"old": {140}}
	inBubble(t, host, func(l *lab) {
		l.answers([][2]string{
			{"GET /pools", "200 OK [map[poolid:old]]"},
			{"POST /pools poolid=lab comment=c", "200 OK"},
			{"POST /pools poolid=lab", "500 create pool failed: pool 'lab' already exists"},
			{"POST /pools poolid=1lab", "500 create pool failed: pool name must start with a letter"},
			{"POST /pools poolid=none/lab", "500 create pool failed: parent 'none' of pool 'none/lab' does not exist"},
			{"POST /pools poolid=lab/sub", "200 OK"},
			{"PUT /pools poolid=lab vms=140", "500 update pools failed: VM 140 belongs already to pool 'old' and 'allow-move' is not set"},
			{"PUT /pools poolid=lab vms=140 allow-move=1", "200 OK"},
			{"PUT /pools/lab vms=140", "500 update pools failed: VM 140 is already a pool member"},
			{"PUT /pools/lab vms=141 delete=1", "500 update pools failed: VM 141 is not a pool member"},
			{"PUT /pools/lab storage=local", "200 OK"},
			{"PUT /pools/lab storage=local", "500 update pools failed: Storage 'local' is already a pool member"},
			{"GET /pools/lab type=storage", "200 OK map[comment:c members:[map[content:backup,import,iso,snippets,vztmpl..."},
			{"DELETE /pools/lab", "500 delete pool failed: pool 'lab' is not empty (contains pool 'lab/sub')"},
			{"DELETE /pools poolid=lab/sub", "200 OK"},
			{"DELETE /pools/lab", "500 delete pool failed: pool 'lab' is not empty (contains VM 140)"},
			{"PUT /pools/lab vms=140 storage=local delete=1", "200 OK"},
			{"DELETE /pools/lab", "200 OK"},
			{"DELETE /pools/lab", "500 delete pool failed: pool 'lab' does not exist"},
			{"GET /pools/lab", "500 pool 'lab' does not exist"},
		}...)
		l.want("PUT", "/pools/old", "vms", "141")
		if exit := l.task("DELETE", "/nodes/pve/qemu/141"); exit != "OK" {
			t.Errorf("destroy: %s", exit)
		}
		l.answers([2]string{"GET /pools/old", "200 OK map[members:[] poolid:old]"})
	})
}
