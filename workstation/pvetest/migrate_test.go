package pvetest_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// The method "move" migrates VM 140. It returns the task's exit status and how
// long the task took, or the refusal.
func (r *rack) move(from, to string, params ...string) (exit string, took time.Duration) {
	r.Helper()
	form := url.Values{"target": {to}}
	for i := 0; i+1 < len(params); i += 2 {
		form.Set(params[i], params[i+1])
	}
	status, data := r.do(from, "POST", "/nodes/"+from+"/qemu/140/migrate", form)
	if status != "200 OK" {
		return status, 0
	}
	return r.end(from, fmt.Sprint(data))
}

// The method "end" waits for the end of a task, and returns its exit status and
// how long it took.
func (r *rack) end(node, upid string) (exit string, took time.Duration) {
	r.Helper()
	began := time.Now()
	for time.Since(began) < 24*time.Hour {
		if task, _ := r.ok(node, "GET", "/nodes/"+strings.Split(upid, ":")[1]+"/tasks/"+upid+"/status", nil).(map[string]any); task["status"] != "running" {
			return fmt.Sprint(task["exitstatus"]), time.Since(began)
		}
		time.Sleep(time.Second)
	}
	return "still running", 0
}

// The method "said" returns the log of the newest migration that the node ran.
func (r *rack) said(node string) string {
	r.Helper()
	tasks := r.Node(node).Tasks()
	slices.Reverse(tasks)
	for _, task := range tasks {
		if task.Type == "qmigrate" {
			return strings.Join(task.Log, "\n")
		}
	}
	return ""
}

// zfs gives hosts a local ZFS storage.
func zfs(hosts []pvetest.Host) {
	for i := range hosts {
		hosts[i].Storages = append(slices.Clone(hosts[i].Storages), pvetest.Storage{Name: "tank", Type: "zfspool", Content: "images,rootdir", Total: 1 << 40,
			Config: map[string]string{"pool": "tank", "sparse": "1"}})
	}
}

// A stopped VM moves with its disks. If the migration fails, the VM stays where
// it was.
func TestMigration(t *testing.T) {
	t.Parallel()
	mapping := func(nodes ...string) []pvetest.Mapping {
		m := pvetest.Mapping{ID: "card"}
		for _, node := range nodes {
			m.Map = append(m.Map, strings.Replace(cardMap, "node=pve", "node="+node, 1))
		}
		return []pvetest.Mapping{m}
	}
	for name, c := range map[string]struct {
		config string
		change func(hosts []pvetest.Host)
		params []string
		exit   string
		said   string // text in the task's log
		takes  time.Duration
		where  string
	}{
		"a shared disk":                   {"scsi0:=nas:140/vm-140-disk-0.raw,size=64G", nil, nil, "OK", "", 5 * time.Second, "b"},
		"a local disk":                    {"scsi0:=local-lvm:vm-140-disk-0,size=64G", nil, nil, "OK", "found local disk 'local-lvm:vm-140-disk-0'", 10 * time.Minute, "b"},
		"with a limit":                    {"scsi0:=local-lvm:vm-140-disk-0,size=1G", nil, []string{"bwlimit", "1024"}, "OK", "", 18 * time.Minute, "b"},
		"to another storage":              {"scsi0:=local-lvm:vm-140-disk-0,size=1G", zfs, []string{"targetstorage", "tank"}, "OK", "", 12 * time.Second, "b"},
		"a storage that b lacks":          {"scsi0:=local-lvm:vm-140-disk-0,size=1G", func(h []pvetest.Host) { h[0].Storages[1].Config["nodes"] = "a,c" }, nil, "500 storage 'local-lvm' is not available on node 'b'", "", 0, "a"},
		"to the same node":                {"", nil, []string{"target", "a"}, "400 Parameter verification failed.", "", 0, "a"},
		"to nowhere":                      {"", nil, []string{"target", "pve9"}, "500 no such cluster node 'pve9'", "", 0, "a"},
		"locked":                          {"lock:=backup", nil, nil, "500 VM is locked (backup)", "", 0, "a"},
		"a card by its address":           {"hostpci0:=0000:01:00", nil, nil, "migration aborted", "can't migrate VM which uses local devices: hostpci0", 5 * time.Second, "a"},
		"forced by a token":               {"hostpci0:=0000:01:00", nil, []string{"force", "1"}, "400 Parameter verification failed.", "", 0, "a"},
		"a mapped card":                   {"hostpci0:=mapping=card", func(h []pvetest.Host) { h[0].Mappings = mapping("a", "b") }, nil, "OK", "migrating VM which uses mapped local devices", 5 * time.Second, "b"},
		"a mapped card that b lacks":      {"hostpci0:=mapping=card", func(h []pvetest.Host) { h[0].Mappings = mapping("a", "c") }, nil, "migration aborted", "can't migrate to 'b': missing mapped devices hostpci0", 5 * time.Second, "a"},
		"an image in the drive":           {"ide2:=local:iso/virtio-win-0.1.285.iso,media=cdrom", nil, nil, "migration aborted", "can't migrate local disk 'local:iso/virtio-win-0.1.285.iso': local cdrom image", 5 * time.Second, "a"},
		"an empty drive":                  {"ide2:=none,media=cdrom", nil, nil, "OK", "", 5 * time.Second, "b"},
		"a disk that does not fit":        {"scsi0:=tank:vm-140-disk-0,size=64G", func(h []pvetest.Host) { zfs(h); thick(h) }, nil, "migration aborted", "out of space", 5 * time.Second, "a"},
		"the storages of b take no disks": {"scsi0:=local-lvm:vm-140-disk-0,size=1G", nil, []string{"targetstorage", "local"}, "migration aborted", "content type 'images' is not available on storage 'local'", 5 * time.Second, "a"},
		"a node that is down":             {"", nil, []string{"target", "c"}, "migration aborted", "Can't connect to destination address using public key", 5 * time.Second, "a"},
		"a disk on ZFS":                   {"scsi0:=tank:vm-140-disk-0,size=1G", zfs, nil, "OK", "", 12 * time.Second, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRack(t, func(hosts []pvetest.Host) {
					withHA()(hosts)
					if c.change != nil {
						c.change(hosts)
					}
					hosts[0].VMs = []pvetest.VM{vm(140, "memory:=2048 "+c.config)}
				}, nil)
				r.Down("c")
				exit, took := r.move("a", "b", c.params...)
				if exit != c.exit || r.Where(140) != c.where || took > c.takes || took < c.takes/4-time.Second {
					t.Errorf("%q after %v, on %s", exit, took, r.Where(140))
				}
				if said := r.said("a"); !strings.Contains(said, c.said) {
					t.Errorf("%q lacks %q", said, c.said)
				}
				if state, _ := r.Node(c.where).VM(140); state.Config["lock"] != config(c.config)["lock"] {
					t.Errorf("lock %q", state.Config["lock"])
				}
			})
		})
	}
}

// The function "thick" makes the ZFS storage of the second host too small for
// the VM's disk.
func thick(hosts []pvetest.Host) {
	last := len(hosts[1].Storages) - 1
	for i := range hosts {
		hosts[i].Storages[last].Config = map[string]string{"pool": "tank"}
	}
	hosts[1].Storages[last].Total = 1 << 30
}

// GET migrate reports for each node which storages and mappings the node lacks.
// It ignores the node's hardware.
func TestMigrationCheck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, func(hosts []pvetest.Host) {
			withHA()(hosts)
			hosts[0].Mappings = []pvetest.Mapping{{ID: "card", Map: []string{strings.Replace(cardMap, "node=pve", "node=a", 1), "node=c,path=0000:99:00,id=10de:2c05"}}}
			hosts[0].Storages[1].Config["nodes"] = "a,c"
			hosts[0].VMs = []pvetest.VM{vm(140, "hostpci0:=mapping=card usb0:=host=1-2 scsi0:=local-lvm:vm-140-disk-0,size=8G virtio1:=nas:140/vm-140-disk-0.raw,size=1G")}
		}, nil)
		got, _ := json.Marshal(r.ok("b", "GET", "/nodes/a/qemu/140/migrate", nil))
		want := `{"allowed_nodes":["c"],"has-dbus-vmstate":1,"local_disks":[{"cdrom":0,"drivename":"scsi0","is_attached":1,"is_cloudinit":0,"is_tpmstate":0,"is_unused":0,"is_vmstate":0,"replicate":1,"shared":0,"size":8589934592,"volid":"local-lvm:vm-140-disk-0"}],` +
			`"local_resources":["usb0"],"mapped-resource-info":{"hostpci0":{"name":"card"}},"mapped-resources":["hostpci0"],"not_allowed_nodes":{"b":{"unavailable-resources":["hostpci0"],"unavailable_storages":["local-lvm"]}},"running":0}`
		if string(got) != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

// A running VM without a card moves, and keeps running.
func TestLiveMigration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, func(hosts []pvetest.Host) {
			withHA()(hosts)
			hosts[0].Mappings = []pvetest.Mapping{{ID: "card", Map: []string{strings.Replace(cardMap, "node=pve", "node=a", 1), strings.Replace(cardMap, "node=pve", "node=b", 1)}}}
			hosts[0].VMs = []pvetest.VM{running(140, "memory:=2048 scsi0:=local-lvm:vm-140-disk-0,size=1G"), running(141, "memory:=2048 hostpci0:=mapping=card")}
		}, nil)
		if exit, _ := r.move("a", "b"); exit != "500 can't migrate running VM without --online" {
			t.Error(exit)
		}
		if exit, _ := r.move("a", "b", "online", "1"); exit != "migration aborted" || !strings.Contains(r.said("a"), "without with-local-disks option") {
			t.Error(exit, r.said("a"))
		}
		if exit, _ := r.move("a", "b", "online", "1", "with-local-disks", "1"); exit != "OK" || !slices.Contains(r.Node("b").Running(), 140) {
			t.Error(exit, r.said("a"))
		}
		upid := r.ok("a", "POST", "/nodes/a/qemu/141/migrate", url.Values{"target": {"b"}, "online": {"1"}})
		if exit, _ := r.end("a", fmt.Sprint(upid)); exit != "migration aborted" || !strings.Contains(r.said("a"), "following mapped devices: hostpci0:card") {
			t.Error(exit, r.said("a"))
		}
	})
}

// If the source or the target loses its power during a migration, the VM stays
// on the source. If the source lost its power, the VM also stays locked.
func TestMigrationBreaksOff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ lost, where, lock string }{
		"the source": {"a", "a", "migrate"}, "the target": {"b", "a", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRack(t, func(hosts []pvetest.Host) {
					hosts[0].VMs = []pvetest.VM{vm(140, "scsi0:=local-lvm:vm-140-disk-0,size=64G")}
				}, nil)
				r.ok("c", "POST", "/nodes/a/qemu/140/migrate", url.Values{"target": {"b"}})
				time.Sleep(time.Minute)
				r.Down(c.lost)
				time.Sleep(time.Hour)
				r.Up(c.lost)
				if state, _ := r.Node(c.where).VM(140); r.Where(140) != c.where || state.Config["lock"] != c.lock {
					t.Errorf("on %s, lock %q", r.Where(140), state.Config["lock"])
				}
			})
		})
	}
}

// If a rule of HA forbids that a VM stays on its node, the HA manager moves the
// VM. A person can ask to move a VM under HA. Then too, the HA manager makes
// the move.
func TestHAMoves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, withHA(140, 141), nil)
		upid := r.ok("c", "POST", "/nodes/a/qemu/140/migrate", url.Values{"target": {"c"}, "online": {"1"}})
		if exit, _ := r.end("a", fmt.Sprint(upid)); exit != "OK" || !strings.Contains(fmt.Sprint(upid), ":hamigrate:140:") {
			t.Errorf("%s: %s", upid, exit)
		}
		r.until("a", 140, "started started c")
		r.ok("b", "POST", "/cluster/ha/resources/vm:140/relocate", url.Values{"node": {"a"}})
		r.until("a", 140, "started started a")
		r.ok("b", "POST", "/cluster/ha/rules", url.Values{"rule": {"apart"}, "type": {"resource-affinity"}, "affinity": {"negative"}, "resources": {"vm:140,vm:141"}})
		time.Sleep(3 * time.Minute)
		if a, b := r.Where(140), r.Where(141); a == b {
			t.Errorf("both are on %s", a)
		}
		blocked := r.ok("b", "POST", "/cluster/ha/resources/vm:140/migrate", url.Values{"node": {r.Where(141)}}).(map[string]any)
		if got := fmt.Sprint(blocked["blocking-resources"]); got != "[map[cause:resource-affinity sid:vm:141]]" {
			t.Error(got)
		}
		if runs := len(r.Node("a").Running()) + len(r.Node("b").Running()) + len(r.Node("c").Running()); runs != 2 {
			t.Errorf("%d VMs run", runs)
		}
	})
}

// Replication copies disks on ZFS repeatedly. A migration to the target of a
// replication job takes only seconds. It swaps the job's source and target.
// When the HA manager recovers the VM on the target, source and target are
// swapped too.
func TestReplication(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRack(t, func(hosts []pvetest.Host) {
			zfs(hosts)
			hosts[0].VMs = []pvetest.VM{vm(140, "scsi0:=tank:vm-140-disk-0,size=64G"), plainVM(141)}
		}, nil)
		for _, c := range [][2]string{
			{"id=140-0 type=local target=a", "500 Source and target must not be identical"},
			{"id=140-0 type=local target=z", "500 Target 'z' does not exist."},
			{"id=141-0 type=local target=b", "500 missing replicate feature on volume 'local-lvm:vm-141-disk-0'"},
			{"id=142-0 type=local target=b", "500 Guest '142' does not exist."},
			{"id=140-0 type=local target=b schedule=*/5", "200 OK"},
			{"id=140-0 type=local target=c", "500 replication job '140-0' already exists"},
		} {
			form := url.Values{}
			for pair := range strings.FieldsSeq(c[0]) {
				key, value, _ := strings.Cut(pair, "=")
				form.Set(key, value)
			}
			if status, _ := r.do("a", "POST", "/cluster/replication", form); status != c[1] {
				t.Errorf("%s: %s, want %s", c[0], status, c[1])
			}
		}
		job := func(node string) map[string]any {
			return entry(r.ok("c", "GET", "/nodes/"+node+"/replication", nil), "id", "140-0")
		}
		if got := job("a"); got["last_sync"] != 0.0 || got["fail_count"] != 0.0 || got["target"] != "b" {
			t.Errorf("at first: %v", got)
		}
		time.Sleep(30 * time.Minute)
		if got := job("a"); got["last_sync"].(float64) < float64(time.Now().Add(-6*time.Minute).Unix()) || got["duration"] != 3.0 {
			t.Errorf("after some runs: %v", got)
		}
		if exit, took := r.move("a", "b"); exit != "OK" || took > 10*time.Second {
			t.Errorf("%s after %v", exit, took)
		}
		if got := job("b"); got["source"] != "b" || got["target"] != "a" || job("a") != nil {
			t.Errorf("after the move: %v", got)
		}
		r.Down("a")
		time.Sleep(20 * time.Minute)
		if got := job("b"); got["fail_count"].(float64) < 1 || !strings.Contains(fmt.Sprint(got["error"]), "failed: exit code 255") {
			t.Errorf("without the target: %v", got)
		}
		r.Up("a")
		r.ok("b", "POST", "/nodes/b/replication/140-0/schedule_now", nil)
		time.Sleep(3 * time.Minute)
		if got := job("b"); got["fail_count"] != 0.0 || got["error"] != nil {
			t.Errorf("with the target: %v", got)
		}
		r.ok("b", "DELETE", "/cluster/replication/140-0", nil)
		time.Sleep(3 * time.Minute)
		if list := r.ok("a", "GET", "/cluster/replication", nil).([]any); len(list) != 0 || len(r.Node("a").Volumes()) != 1 {
			t.Errorf("%v, %v", list, r.Node("a").Volumes())
		}
	})
}
