package pvetest_test

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// haState returns three fields that PVE reports about a VM's service: "state",
// "crm_state" and "node".
func (r *rack) haState(node string, vmid int) string {
	r.Helper()
	e := entry(r.ok(node, "GET", "/cluster/ha/status/current", nil), "id", fmt.Sprintf("service:vm:%d", vmid))
	return fmt.Sprint(e["state"], " ", e["crm_state"], " ", e["node"])
}

// The method "until" waits for a VM's service to reach the state "want". It
// returns the time that this took.
func (r *rack) until(node string, vmid int, want string) time.Duration {
	r.Helper()
	began, got := time.Now(), ""
	for time.Since(began) < time.Hour {
		if got = r.haState(node, vmid); got == want {
			return time.Since(began)
		}
		time.Sleep(time.Second)
	}
	r.Errorf("the service is %q after an hour, want %q", got, want)
	return 0
}

// withHA adds VMs under high availability to the first host. The disks of these
// VMs are on a shared storage.
func withHA(ids ...int) func([]pvetest.Host) {
	return func(hosts []pvetest.Host) {
		for i := range hosts {
			hosts[i].Storages = append(slices.Clone(hosts[i].Storages), pvetest.Storage{Name: "nas", Type: "nfs", Content: "images,iso", Total: 1 << 40, Shared: true,
				Config: map[string]string{"server": "192.168.1.5", "export": "/tank", "path": "/mnt/pve/nas"}})
		}
		for _, id := range ids {
			machine := running(id, fmt.Sprintf("name:=vm%[1]d memory:=2048 scsi0:=nas:%[1]d/vm-%[1]d-disk-0.raw,size=8G", id))
			hosts[0].VMs, hosts[0].HA = append(hosts[0].VMs, machine), append(hosts[0].HA, id)
		}
	}
}

// The HA manager starts and stops a VM under HA in its rounds. If the VM's
// guest shuts down by itself, the HA manager starts the VM again.
func TestHARounds(t *testing.T) {
	t.Parallel()
	host := machines(running(140, "memory:=2048"))
	host.HA = []int{140}
	inBubble(t, host, func(l *lab) {
		state := func() string {
			current := l.object("/cluster/ha/resources/140")
			return fmt.Sprint(current["state"], " ", l.object("/nodes/pve/qemu/140/status/current")["ha"], " ", l.Running())
		}
		const vm = "/nodes/pve/qemu/140/status/"
		if got := state(); got != "started map[managed:1 state:started] [140]" {
			t.Errorf("at first: %s", got)
		}
		if err := l.PowerOff(140); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := state(); got != "started map[managed:1 state:started] [140]" {
			t.Errorf("after the guest went down: %s", got)
		}
		if exit := l.task("POST", vm+"shutdown", "timeout", "30"); exit != "OK" {
			t.Errorf("shutdown: %s", exit)
		}
		if got := state(); !strings.HasPrefix(got, "started map[managed:1 state:started] [140]") {
			t.Errorf("at the end of the task: %s", got)
		}
		time.Sleep(time.Minute)
		if got := state(); got != "stopped map[managed:1 state:stopped] []" {
			t.Errorf("after the shutdown: %s", got)
		}
		if err := l.PowerOn(140); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if got := state(); got != "stopped map[managed:1 state:stopped] []" {
			t.Errorf("after somebody started it: %s", got)
		}
		for _, task := range l.Tasks() {
			if task.Type != "hastop" && task.User != "root@pam" {
				t.Errorf("%s by %s", task, task.User)
			}
		}
		if r := l.do("POST", vm+"stop", "overrule-shutdown", "1"); r.errors["overrule-shutdown"] != "Not applicable for HA resources." {
			t.Errorf("stop: %v", r)
		}
	})
}

// A service that cannot start gets the state "error". Only the requested state
// "disabled" ends this state.
func TestHAError(t *testing.T) {
	t.Parallel()
	host := machines(vm(140, "memory:=2048 hostpci0:=mapping=gone"))
	host.HA = []int{140}
	inBubble(t, host, func(l *lab) {
		const resource = "/cluster/ha/resources/vm:140"
		l.answers([2]string{"PUT " + resource + " state=started", "200 OK"})
		time.Sleep(3 * time.Minute)
		starts := 0
		for _, task := range l.Tasks() {
			starts += strings.Count(task.Type, "qmstart")
		}
		if ha := l.object("/nodes/pve/qemu/140/status/current")["ha"]; fmt.Sprint(ha) != "map[managed:1 state:error]" || starts != 4 {
			t.Errorf("%v after %d starts; max_restart and max_relocate are 1", ha, starts)
		}
		l.answers([][2]string{
			{"PUT " + resource + " state=started", "500 service 'vm:140' in error state, must be disabled and fixed first"},
			{"PUT " + resource + " state=disabled", "200 OK"},
		}...)
		if exit := l.task("POST", "/nodes/pve/qemu/140/status/start"); !strings.Contains(exit, "command 'ha-manager set vm:140 --state started' failed: exit code 255") {
			t.Errorf("start: %s", exit)
		}
		time.Sleep(time.Minute)
		if ha := l.object("/nodes/pve/qemu/140/status/current")["ha"]; fmt.Sprint(ha) != "map[managed:1 state:stopped]" {
			t.Errorf("after disabling: %v", ha)
		}
	})
}

// Resources and rules can be made and changed. Refusals have PVE's words.
func TestHAConfiguration(t *testing.T) {
	t.Parallel()
	host := machines(vm(140, ""), vm(141, ""), vm(142, ""))
	inBubble(t, host, func(l *lab) {
		const failed = "400 Parameter verification failed. "
		l.answers([][2]string{
			{"POST /cluster/ha/resources sid=vm:140 state=stopped max_restart=3 comment=desk", "200 OK"},
			{"POST /cluster/ha/resources sid=141 state=stopped", "200 OK"},
			{"POST /cluster/ha/resources sid=142 group=gg", "500 invalid parameter 'group': ha groups have been migrated to rules"},
			{"POST /cluster/ha/resources sid=999", "500 unable to detect SID from VMID - VM/CT 999 does not exist"},
			{"POST /cluster/ha/resources sid=x", failed + "sid: invalid format - value does not look like a valid ha resource id"},
			{"PUT /cluster/ha/resources/vm:140 delete=comment,max_restart", "200 OK"},
			{"PUT /cluster/ha/resources/vm:140 delete=sid", "500 update resources config failed: no such option 'sid'"},
			{"PUT /cluster/ha/resources/vm:140 digest=00", "500 update resources config failed: detected modified configuration - file changed by other user? Try again."},
			{"POST /cluster/ha/rules rule=desk type=node-affinity resources=vm:140 nodes=pve:2 strict=1", "200 OK"},
			{"POST /cluster/ha/rules rule=desk type=node-affinity resources=vm:140 nodes=pve", "500 create ha rule failed: HA rule 'desk' already defined"},
			{"POST /cluster/ha/rules rule=far type=node-affinity resources=vm:141 nodes=pve2", "500 create ha rule failed: cannot use non-existent node(s) pve2."},
			{"POST /cluster/ha/rules rule=more type=node-affinity resources=vm:142 nodes=pve", "500 create ha rule failed: cannot use unmanaged resource(s) vm:142."},
			{"POST /cluster/ha/rules rule=less type=node-affinity resources=vm:140", "500 missing value for required option 'nodes'"},
			{"POST /cluster/ha/rules rule=apart type=resource-affinity affinity=negative resources=vm:140,vm:141", "500 create ha rule failed: 400 Rule 'apart' is invalid."},
			{"POST /cluster/ha/rules rule=near type=resource-affinity affinity=positive resources=vm:140,vm:141", "200 OK"},
			{"POST /cluster/ha/rules rule=odd type=resource-affinity affinity=positive resources=vm:140,vm:141 nodes=pve", "500 unexpected property 'nodes'"},
			{"PUT /cluster/ha/rules/near type=resource-affinity disable=1 comment=off", "200 OK"},
			{"PUT /cluster/ha/rules/near type=resource-affinity delete=affinity", "500 update HA rules failed: unable to delete required option 'affinity'"},
			{"PUT /cluster/ha/rules/none type=resource-affinity disable=1", "500 update HA rules failed: HA rule 'none' does not exist"},
			{"GET /cluster/ha/rules/none", "500 no such ha rule 'none'"},
			{"GET /cluster/ha/groups", "500 cannot index groups: ha groups have been migrated to rules"},
			{"POST /cluster/ha/groups group=gg nodes=pve", "500 cannot create group: ha groups have been migrated to rules"},
			{"POST /cluster/ha/resources/vm:142/migrate node=pve", "500 resource 'vm:142' is not HA managed"},
			{"POST /cluster/ha/resources/vm:140/relocate node=pve", "200 OK map[requested-node:pve sid:vm:140]"},
		}...)
		rule := l.object("/cluster/ha/rules/desk")
		delete(rule, "digest")
		if got := fmt.Sprint(rule); got != "map[nodes:pve:2 order:1 resources:vm:140 rule:desk strict:1 type:node-affinity]" {
			t.Error(got)
		}
		rules := l.list("/cluster/ha/rules", "type", "resource-affinity")
		if len(rules) != 1 || rules[0].(map[string]any)["disable"] != 1.0 || rules[0].(map[string]any)["comment"] != "off" {
			t.Error(rules)
		}
		l.answers([][2]string{
			{"DELETE /cluster/ha/resources/vm:140", "200 OK"},
			{"GET /cluster/ha/rules/desk", "500 no such ha rule 'desk'"},
			{"DELETE /cluster/ha/rules/near", "200 OK"},
			{"GET /cluster/ha/rules", "200 OK []"},
		}...)
	})
}

// PVE 8 has groups and no rules.
func TestHAGroups(t *testing.T) {
	t.Parallel()
	host := pvetest.AMD()
	host.VMs = []pvetest.VM{vm(140, "")}
	inBubble(t, host, func(l *lab) {
		l.answers([][2]string{
			{"GET /cluster/ha/rules", "501 Method 'GET /cluster/ha/rules' not implemented"},
			{"GET /cluster/ha/groups", "200 OK []"},
			{"POST /cluster/ha/groups group=fast nodes=pve:2 nofailback=1", "200 OK"},
			{"POST /cluster/ha/groups group=fast nodes=pve", "500 create ha group failed: ha group ID 'fast' already defined"},
			{"POST /cluster/ha/resources sid=140 group=fast failback=0", "400 Parameter verification failed. failback: property is not defined in schema and the schema does not allow additional properties"},
			{"POST /cluster/ha/resources sid=140 group=fast state=stopped", "200 OK"},
			{"PUT /cluster/ha/groups/fast restricted=1 delete=nofailback", "200 OK"},
			{"PUT /cluster/ha/groups/fast delete=nodes", "500 update ha group failed: unable to delete required option 'nodes'"},
			{"DELETE /cluster/ha/groups/fast", "500 delete ha group failed: ha group is used by service 'vm:140'"},
			{"PUT /cluster/ha/resources/vm:140 group=none", "500 HA group 'none' does not exist"},
			{"PUT /cluster/ha/resources/vm:140 delete=group", "200 OK"},
			{"DELETE /cluster/ha/groups/fast", "200 OK"},
		}...)
	})
}

// A node that loses its power is fenced when its lock has expired. Then its
// services start on another node.
func TestHARecovery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, func(hosts []pvetest.Host) {
			withHA(140)(hosts)
			hosts[0].VMs, hosts[0].HA, hosts[1].VMs, hosts[1].HA = nil, nil, hosts[0].VMs, hosts[0].HA
			hosts[1].VMs[0].Config["lock"] = "backup"
		}, nil)
		time.Sleep(time.Minute)
		r.Down("b")
		if took := r.until("a", 140, "fence fence b"); took < 50*time.Second || took > 75*time.Second {
			t.Errorf("the CRM wants to fence after %v", took)
		}
		if r.Where(140) != "b" {
			t.Errorf("it is on %s before the node is fenced", r.Where(140))
		}
		if took := r.until("a", 140, "started started a"); took < 40*time.Second || took > 90*time.Second {
			t.Errorf("it runs again %v later", took)
		}
		if state, _ := r.Node("a").VM(140); !state.Running || state.Config["lock"] != "" {
			t.Errorf("%v", state)
		}
		r.Up("b")
		time.Sleep(10 * time.Minute)
		if got := r.haState("b", 140); got != "started started a" {
			t.Errorf("after the node is back: %s", got)
		}
		if lrm := entry(r.ok("c", "GET", "/cluster/ha/status/current", nil), "id", "lrm:b"); !strings.Contains(fmt.Sprint(lrm["status"]), "b (idle, ") {
			t.Errorf("%v", lrm)
		}
	})
}

// A service that rules bind to a lost node waits until the node is back.
func TestHARecoveryWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, withHA(140), nil)
		r.ok("a", "POST", "/cluster/ha/rules", url.Values{"rule": {"here"}, "type": {"node-affinity"}, "nodes": {"a"}, "strict": {"1"}, "resources": {"vm:140"}})
		time.Sleep(time.Minute)
		r.Down("a")
		r.until("b", 140, "recovery recovery a")
		time.Sleep(10 * time.Minute)
		if got := r.haState("b", 140); got != "recovery recovery a" {
			t.Error(got)
		}
		r.Up("a")
		r.until("b", 140, "started started a")
	})
}

// The HA manager moves a VM of a lost node even to a node that lacks the VM's
// card. The VM's service then gets the state "error".
func TestHARecoveryWithACard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, func(hosts []pvetest.Host) {
			withHA(140)(hosts)
			hosts[0].Mappings = []pvetest.Mapping{{ID: "card", Map: []string{strings.Replace(cardMap, "node=pve", "node=a", 1)}}}
			hosts[0].VMs[0].Config["hostpci0"] = "mapping=card"
		}, nil)
		time.Sleep(time.Minute)
		r.Down("a")
		began := time.Now()
		for !strings.HasPrefix(r.haState("b", 140), "error error ") && time.Since(began) < time.Hour {
			time.Sleep(time.Second)
		}
		if got := r.haState("b", 140); !strings.HasPrefix(got, "error error ") {
			t.Errorf("%s", got)
		}
		for _, task := range slices.Concat(r.Node("b").Tasks(), r.Node("c").Tasks()) {
			if task.Type == "qmstart" && !strings.Contains(task.Exit, "PCI device mapping not found for 'card'") {
				t.Errorf("%s", task)
			}
		}
	})
}

// In the part of a cluster that has no quorum, hosts with services are reset by
// their watchdogs. The other part recovers the services only after this reset,
// so a VM never runs twice.
func TestHAPartition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, withHA(140), nil)
		time.Sleep(time.Minute)
		r.Partition("a")
		began, ends := time.Now(), map[string]time.Duration{}
		for time.Since(began) < 10*time.Minute {
			for name, over := range map[string]bool{"stopped on a": !slices.Contains(r.Node("a").Running(), 140), "moved": r.Where(140) != "a", "back": r.haState("b", 140) == fmt.Sprint("started started ", r.Where(140)) && r.Where(140) != "a"} {
				if over && ends[name] == 0 {
					ends[name] = time.Since(began)
				}
			}
			runs := 0
			for _, n := range r.Nodes() {
				runs += len(n.Running())
			}
			if runs > 1 {
				t.Fatalf("VM 140 runs %d times after %v", runs, time.Since(began))
			}
			time.Sleep(time.Second)
		}
		if !(ends["stopped on a"] >= 50*time.Second && ends["stopped on a"] < ends["moved"] && ends["moved"] >= 110*time.Second && ends["moved"] < ends["back"]) {
			t.Errorf("%v", ends)
		}
	})
}

// If the node with the active CRM is lost, another CRM becomes active before
// the services are recovered.
func TestHAMasterLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, withHA(140), nil)
		time.Sleep(time.Minute)
		master := entry(r.ok("b", "GET", "/cluster/ha/status/current", nil), "id", "master")
		if master["node"] != "a" || !strings.Contains(fmt.Sprint(master["status"]), "a (active, ") {
			t.Errorf("master: %v", master)
		}
		r.Down("a")
		time.Sleep(90 * time.Second)
		if got := r.haState("b", 140); got != "started started a" {
			t.Errorf("without a CRM: %s", got)
		}
		if master := entry(r.ok("b", "GET", "/cluster/ha/status/current", nil), "id", "master"); !strings.Contains(fmt.Sprint(master["status"]), "old timestamp - dead?") {
			t.Errorf("master: %v", master)
		}
		if took := r.until("b", 140, "started started b"); took < time.Minute || took > 3*time.Minute {
			t.Errorf("it runs again %v later", took)
		}
		status := r.ok("b", "GET", "/cluster/ha/status/manager_status", nil).(map[string]any)["manager_status"].(map[string]any)
		if status["master_node"] != "b" || !maps.Equal(status["node_status"].(map[string]any), map[string]any{"a": "unknown", "b": "online", "c": "online"}) {
			t.Errorf("%v", status)
		}
	})
}

// After a restart of the host, the HA manager starts the VMs under HA and no
// others.
func TestHAAfterARestart(t *testing.T) {
	t.Parallel()
	host := machines(running(140, "memory:=2048 onboot:=1"), vm(141, "onboot:=1"), running(142, "onboot:=1"))
	host.HA = []int{140, 141}
	inBubble(t, host, func(l *lab) {
		l.Restart()
		time.Sleep(8 * time.Second)
		if got := l.Running(); !slices.Equal(got, []int{142}) {
			t.Errorf("at first: %v", got)
		}
		time.Sleep(3 * time.Minute) // first the lock of the node's services must expire
		if got := l.Running(); !slices.Equal(got, []int{140, 142}) {
			t.Errorf("later: %v", got)
		}
	})
}

// Without quorum, requests to the HA manager are refused.
func TestHAWithoutQuorum(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, withHA(140), nil)
		r.Partition("b")
		for _, c := range [][2]string{
			{"POST /cluster/ha/resources", "500 cluster not ready - no quorum?"},
			{"PUT /cluster/ha/resources/vm:140", "500 update resources config failed: cfs-lock 'domain-ha' error: no quorum!"},
			{"POST /cluster/ha/rules", "500 cluster not ready - no quorum?"},
		} {
			method, path, _ := strings.Cut(c[0], " ")
			form := url.Values{"state": {"stopped"}}
			if method == "POST" {
				form = url.Values{"sid": {"vm:140"}}
			}
			if strings.HasSuffix(path, "rules") {
				form = url.Values{"rule": {"here"}, "type": {"node-affinity"}, "nodes": {"a"}, "resources": {"vm:140"}}
			}
			if status, _ := r.do("b", method, path, form); status != c[1] {
				t.Errorf("%s: %s, want %s", c[0], status, c[1])
			}
		}
		if quorum := entry(r.ok("b", "GET", "/cluster/ha/status/current", nil), "id", "quorum"); quorum["quorate"] != 0.0 || quorum["status"] != "No quorum on node 'b'!" {
			t.Errorf("%v", quorum)
		}
		if got := r.haState("a", 140); got != "started started a" {
			t.Errorf("on the other side: %s", got)
		}
	})
}
