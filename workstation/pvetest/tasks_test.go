package pvetest_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

func TestTaskOverItsLife(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(vm(140, "")), func(l *lab) {
		upid, _ := l.want("POST", startPath).(string)
		if !regexp.MustCompile(`^UPID:pve:[0-9A-F]{8}:[0-9A-F]{8}:[0-9A-F]{8}:qmstart:140:root@pam!lab:$`).MatchString(upid) {
			t.Errorf("UPID %q", upid)
		}
		path := "/nodes/pve/tasks/" + upid
		status := l.object(path + "/status")
		for key, want := range map[string]any{"status": "running", "type": "qmstart", "id": "140", "user": "root@pam", "tokenid": "lab", "node": "pve", "upid": upid, "exitstatus": nil} {
			if status[key] != want {
				t.Errorf("%s = %v, want %v", key, status[key], want)
			}
		}
		if n, active := len(l.list("/nodes/pve/tasks")), len(l.list("/nodes/pve/tasks", "source", "active", "vmid", "140")); n != 0 || active != 1 {
			t.Errorf("while it runs: %d ended, %d active", n, active)
		}
		if l.Idle() {
			t.Error("idle while a task runs")
		}
		if log := l.log(upid); log != "no content\n" {
			t.Errorf("an empty log: %q", log)
		}
		time.Sleep(time.Minute)
		if status := l.object(path + "/status"); status["status"] != "stopped" || status["exitstatus"] != "OK" {
			t.Errorf("at the end: %v", status)
		}
		entry, _ := l.list("/nodes/pve/tasks")[0].(map[string]any)
		if entry["status"] != "OK" || entry["endtime"] == nil || !l.Idle() {
			t.Errorf("in the list: %v", entry)
		}
		if errors := l.list("/nodes/pve/tasks", "errors", "1"); len(errors) != 0 {
			t.Errorf("errors: %v", errors)
		}
		if all, _ := l.list("/cluster/tasks")[0].(map[string]any); all["upid"] != upid {
			t.Errorf("of the cluster: %v", all)
		}
		for bad, want := range map[string]string{"nonsense": "unable to parse worker upid", strings.Replace(upid, "140", "141", 1): "no such task"} {
			if r := l.do("GET", "/nodes/pve/tasks/"+bad+"/status"); r.status != 400 || r.errors["upid"] != want {
				t.Errorf("%s: %v", bad, r)
			}
		}
	})
}

func TestTaskLogInParts(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(), func(l *lab) {
		upid, _ := l.want("POST", "/nodes/pve/qemu", "vmid", "150", "scsi0", "local-lvm:1", "scsi1", "local-lvm:1").(string)
		l.wait(upid)
		part := l.list("/nodes/pve/tasks/"+upid+"/log", "start", "1", "limit", "1")
		if got := fmt.Sprint(part); got != "[map[n:2 t:scsi1: successfully created disk 'local-lvm:vm-150-disk-1,size=1G']]" {
			t.Errorf("its second line: %s", got)
		}
	})
}

// A task that is stopped undoes its work.
func TestTaskIsStopped(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(vm(140, "hostpci0:=0000:01:00")), func(l *lab) {
		start, _ := l.want("POST", startPath).(string)
		time.Sleep(time.Second)
		if len(l.Reservations()) != 2 {
			t.Errorf("while it starts: %v", l.Reservations())
		}
		l.want("DELETE", "/nodes/pve/tasks/"+start)
		if exit := l.wait(start); exit != "received interrupt" || len(l.Reservations()) != 0 || len(l.Running()) != 0 {
			t.Errorf("a start that is stopped: %s, %v, %v", exit, l.Reservations(), l.Running())
		}
		create, _ := l.want("POST", "/nodes/pve/qemu", "vmid", "150", "scsi0", "local-lvm:1").(string)
		l.want("DELETE", "/nodes/pve/tasks/"+create)
		if exit := l.wait(create); exit != "received interrupt" || len(l.VMs()) != 1 {
			t.Errorf("a creation that is stopped: %s, %v", exit, l.VMs())
		}
		l.want("DELETE", "/nodes/pve/tasks/"+create) // this has no effect, because the task has ended
	})
}

// The table shows, for each kind of fault, the answer that the client sees, and
// whether the node did the request.
func TestFaultsOfRequests(t *testing.T) {
	t.Parallel()
	for kind, tt := range map[pvetest.FaultKind]struct {
		status int
		reason string
		done   bool
	}{
		pvetest.Refuse:       {500, "cluster not ready - no quorum?", false},
		pvetest.Forbid:       {403, "cluster not ready - no quorum?", false},
		pvetest.DropBefore:   {0, "EOF", false},
		pvetest.DropAfter:    {0, "EOF", true},
		pvetest.ErrorAfter:   {500, "cluster not ready - no quorum?", true},
		pvetest.ProxyDown:    {595, "cluster not ready - no quorum?", false},
		pvetest.ProxyTimeout: {596, "cluster not ready - no quorum?", true},
		pvetest.ExpireTicket: {401, "cluster not ready - no quorum?", false},
		pvetest.Slow:         {200, "OK", true},
		pvetest.HangAfter:    {0, "deadline exceeded", true},
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			inBubble(t, machines(vm(140, "")), func(l *lab) {
				l.Inject(pvetest.Fault{Method: "PUT", Path: "/nodes/pve/qemu/.*", Skip: 1, Kind: kind, Message: "cluster not ready - no quorum?", Delay: 20 * time.Second})
				l.want("PUT", configPath, "cores", "3")
				l.want("GET", "/version")
				began := time.Now()
				r := l.do("PUT", configPath, "cores", "4")
				if r.status != tt.status || !strings.Contains(r.reason, tt.reason) {
					t.Errorf("the client sees %d %s, want %d %s", r.status, r.reason, tt.status, tt.reason)
				}
				if kind == pvetest.Slow && time.Since(began) < 20*time.Second {
					t.Errorf("after %v", time.Since(began))
				}
				if state, _ := l.VM(140); (state.Config["cores"] == "4") != tt.done {
					t.Errorf("cores = %s, done should be %v", state.Config["cores"], tt.done)
				}
				l.want("PUT", configPath, "cores", "5") // the fault happens only once
				if trace := l.Trace(); len(trace) != 4 || len(l.Writes()) != 3 || trace[2].Status != tt.status && tt.status != 0 {
					t.Errorf("trace: %v", trace)
				}
			})
		})
	}
}

func TestFaultsOfTasks(t *testing.T) {
	t.Parallel()
	for kind, tt := range map[pvetest.FaultKind]struct {
		exit string
		runs bool
	}{
		pvetest.TaskFails:     {"no", false},
		pvetest.TaskFailsLate: {"no", true},
		pvetest.TaskHangs:     {"still running", false},
		pvetest.TaskWarns:     {"WARNINGS: 1", true},
	} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			inBubble(t, machines(vm(140, "hostpci0:=0000:01:00"), vm(141, "")), func(l *lab) {
				l.Inject(pvetest.Fault{Task: "qmstart", VMID: 140, Times: -1, Kind: kind, Message: "no"})
				if exit := l.task("POST", "/nodes/pve/qemu/141/status/start"); exit != "OK" {
					t.Errorf("the other VM: %s", exit)
				}
				if exit := l.task("POST", startPath); exit != tt.exit {
					t.Errorf("it ends with %q, want %q", exit, tt.exit)
				}
				if runs := len(l.Running()) == 2; runs != tt.runs {
					t.Errorf("runs: %v, want %v", runs, tt.runs)
				}
				l.EndTasks()
				l.ClearFaults()
				if exit := l.task("POST", startPath); !tt.runs && exit != "OK" {
					t.Errorf("without the fault: %s", exit)
				}
			})
		})
	}
}

// A creation that fails leaves neither a VM nor a disk.
func TestACreationThatFails(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(), func(l *lab) {
		l.Inject(pvetest.Fault{Task: "qmcreate", Kind: pvetest.TaskFails})
		for _, scsi1 := range []string{"local-lvm:1", "local-lvm:vm-9-disk-9"} {
			if exit := l.task("POST", "/nodes/pve/qemu", "vmid", "150", "scsi0", "local-lvm:1", "scsi1", scsi1); exit == "OK" {
				t.Errorf("created with %s", scsi1)
			}
			if len(l.VMs()) != 0 || len(l.Volumes()) != 0 {
				t.Errorf("left over: %v, %v", l.VMs(), l.Volumes())
			}
		}
	})
}

// OnRequest can change a VM between two requests of a client, so that the
// client's digest no longer matches.
func TestOnRequest(t *testing.T) {
	t.Parallel()
	var node *pvetest.Node
	host := machines(vm(140, ""))
	node = pvetest.New(host, &pvetest.Options{OnRequest: func(r pvetest.Request) {
		if r.Method == "PUT" {
			if err := node.Edit(140, "name", "changed"); err != nil {
				t.Error(err)
			}
		}
	}})
	l := &lab{Node: node, t: t, login: withToken(rootToken)}
	digest := fmt.Sprint(l.object(configPath)["digest"])
	if r := l.do("PUT", configPath, "cores", "2", "digest", digest); r.status != 500 {
		t.Errorf("a change after somebody's: %v", r)
	}
}

// The node follows the caller's clock. With Speed it runs faster than the
// clock.
func TestNow(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	node := pvetest.New(machines(running(140, "")), &pvetest.Options{Now: func() time.Time { return now }, Speed: 60})
	l := &lab{Node: node, t: t, login: withToken(rootToken)}
	uptime := func() any { return l.object("/nodes/pve/qemu/140/status/current")["uptime"] }
	if got := uptime(); got != 0.0 {
		t.Errorf("at first: %v", got)
	}
	now = now.Add(time.Minute)
	if got := uptime(); got != 3600.0 {
		t.Errorf("a minute later, sixty times as fast: %v", got)
	}
	now = now.Add(-time.Hour) // the clock is set back
	if got := uptime(); got != 3600.0 {
		t.Errorf("set back: %v", got)
	}
	upid, _ := l.want("POST", "/nodes/pve/qemu/140/status/stop").(string)
	now = now.Add(2 * time.Hour)
	if exit := l.wait(upid); exit != "OK" {
		t.Errorf("stop: %s", exit)
	}
}

// Nodes with the same seed make the same IDs.
func TestSeed(t *testing.T) {
	t.Parallel()
	uuid := func(seed uint64) (id any) {
		synctestNode(t, machines(), func(l *lab) {
			l.Node = pvetest.New(machines(), &pvetest.Options{Seed: seed})
			l.task("POST", "/nodes/pve/qemu", "vmid", "150")
			id = l.object("/nodes/pve/qemu/150/config")["vmgenid"]
		})
		return id
	}
	if uuid(1) != uuid(1) || uuid(0) != uuid(1) || uuid(1) == uuid(2) {
		t.Errorf("%v, %v, %v", uuid(0), uuid(1), uuid(2))
	}
}
