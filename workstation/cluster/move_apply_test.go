package cluster_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// withVM returns two nodes with a mapping for their cards. VM 140 is on node a.
func withVM(config map[string]string, changes ...func(a, b *pvetest.Host)) []pvetest.Host {
	hosts := twins()
	for i, name := range []string{"a", "b"} {
		hosts[i].Mappings = []pvetest.Mapping{{ID: "rtx", Map: []string{strings.Replace(entryA, "node=a", "node="+name, 1)}}}
	}
	whole := map[string]string{"name": "windows", "memory": "4096", "machine": "q35", "bios": "ovmf", "hostpci0": "mapping=rtx,pcie=1", "scsi0": "local-lvm:vm-140-disk-0,size=64G", "boot": "order=scsi0"}
	for key, value := range config {
		if whole[key] = value; value == "" {
			delete(whole, key)
		}
	}
	hosts[0].VMs = []pvetest.VM{{ID: 140, Config: whole}}
	for _, change := range changes {
		change(&hosts[0], &hosts[1])
	}
	return hosts
}

func moveTo(t *testing.T, c *cluster.Cluster, from, to string) cluster.Plan {
	t.Helper()
	m, err := c.ObserveMove(t.Context(), 140, from, to)
	if err != nil {
		t.Fatal(err)
	}
	return m.Plan(observed(t, c), nil)
}

// Apply moves a VM to the other node and back. A plan that was carried out has
// no changes left.
func TestAVMIsMoved(t *testing.T) {
	t.Parallel()
	inCluster(t, withVM(nil), func(t *testing.T, sim *pvetest.Cluster, c *cluster.Cluster) {
		for _, way := range []struct{ from, to string }{{"a", "b"}, {"b", "a"}} {
			plan := moveTo(t, c, way.from, way.to)
			if !strings.Contains(plan.String(), "64.0 GiB are copied") || len(plan.Findings) > 0 {
				t.Errorf("plan %s", plan)
			}
			var said []string
			if err := c.Apply(t.Context(), plan, &workstation.ApplyOptions{Progress: func(e workstation.Event) { said = append(said, e.Message) }}); err != nil {
				t.Fatal(err)
			}
			if at := sim.Where(140); at != way.to || len(said) < 2 {
				t.Errorf("VM 140 is on %q, want %q; said %q", at, way.to, said)
			}
			before := writes(sim.Node("a")) + writes(sim.Node("b"))
			if err := c.Apply(t.Context(), plan, nil); err != nil || writes(sim.Node("a"))+writes(sim.Node("b")) != before {
				t.Errorf("applied again: %v", err)
			}
		}
	})
}

// The plan reports every fault that makes PVE refuse the move. The embedded
// node refuses the move too.
func TestAMoveThatPVERefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		hosts []pvetest.Host
		id    string
	}{
		"it runs":    {withVM(nil, func(a, _ *pvetest.Host) { a.VMs[0].Running = true }), "cluster.move-running"},
		"an address": {withVM(map[string]string{"hostpci0": "0000:01:00,pcie=1"}), "cluster.move-devices"},
		"no entry":   {withVM(nil, func(_, b *pvetest.Host) { b.Mappings = nil }), "cluster.move-mapping"},
		"a CD":       {withVM(map[string]string{"ide2": "local:iso/virtio-win-0.1.285.iso,media=cdrom"}), "cluster.move-cd"},
		"no storage": {withVM(map[string]string{"scsi0": "local-lvm:vm-140-disk-0,size=64G"}, func(_, b *pvetest.Host) { b.Storages = b.Storages[:1] }), "cluster.move-storage"},
		"a lock":     {withVM(map[string]string{"lock": "backup"}), "cluster.move-locked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inCluster(t, test.hosts, func(t *testing.T, sim *pvetest.Cluster, c *cluster.Cluster) {
				m, err := c.ObserveMove(t.Context(), 140, "a", "b")
				if test.id == "cluster.move-locked" {
					if err == nil || !strings.Contains(err.Error(), "VM is locked (backup)") {
						t.Errorf("%v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				plan := m.Plan(observed(t, c), nil)
				finding(t, plan.Findings, test.id, proxstation.Blocker, "")
				if err := c.Apply(t.Context(), plan, nil); !errors.Is(err, workstation.ErrBlocked) {
					t.Errorf("apply: %v", err)
				}
				plan.Findings = nil
				if err := c.Apply(t.Context(), plan, nil); err == nil || sim.Where(140) != "a" {
					t.Errorf("PVE moves it all the same: %v", err)
				}
			})
		})
	}
}

// After a lost answer or a failed task, a second Apply of the same plan brings
// the VM to the target.
func TestAMoveGoesOn(t *testing.T) {
	t.Parallel()
	const path = "/nodes/a/qemu/140/migrate"
	for _, fault := range []pvetest.Fault{
		{Method: "POST", Path: path, Kind: pvetest.DropBefore}, {Method: "POST", Path: path, Kind: pvetest.DropAfter}, {Method: "POST", Path: path, Kind: pvetest.ProxyTimeout},
		{Method: "POST", Path: path, Kind: pvetest.Refuse}, {Task: "qmigrate", Kind: pvetest.TaskFails}, {Task: "qmigrate", Kind: pvetest.TaskWarns},
	} {
		t.Run(string(fault.Kind), func(t *testing.T) {
			t.Parallel()
			inCluster(t, withVM(nil), func(t *testing.T, sim *pvetest.Cluster, c *cluster.Cluster) {
				plan := moveTo(t, c, "a", "b")
				sim.Node("a").Inject(fault)
				err := c.Apply(t.Context(), plan, nil)
				if sim.Where(140) == "b" != (err == nil) {
					t.Errorf("VM 140 is on %q, and the error is %v", sim.Where(140), err)
				}
				if err != nil {
					if err := c.Apply(t.Context(), plan, nil); err != nil || sim.Where(140) != "b" {
						t.Errorf("VM 140 is on %q, and the error is %v", sim.Where(140), err)
					}
				}
			})
		})
	}
}

// If a VM was changed or moved elsewhere after the plan was made, Apply does
// not move it.
func TestAStaleMove(t *testing.T) {
	t.Parallel()
	inCluster(t, withVM(nil), func(t *testing.T, sim *pvetest.Cluster, c *cluster.Cluster) {
		plan := moveTo(t, c, "a", "b")
		if err := sim.Node("a").Edit(140, "memory", "8192"); err != nil {
			t.Fatal(err)
		}
		if err := c.Apply(t.Context(), plan, nil); !errors.Is(err, workstation.ErrStale) || sim.Where(140) != "a" {
			t.Errorf("apply: %v", err)
		}
		plan.Moves[0].From = "z"
		if err := c.Apply(t.Context(), plan, nil); !errors.Is(err, workstation.ErrStale) {
			t.Errorf("apply: %v", err)
		}
		if _, err := c.ObserveMove(t.Context(), 141, "a", "b"); err == nil {
			t.Error("a VM that does not exist can be moved")
		}
	})
}

// The HA manager moves a VM under high availability only some time after the
// task has ended. Apply waits for the move.
func TestTheHAManagerMoves(t *testing.T) {
	t.Parallel()
	inCluster(t, withVM(map[string]string{"hostpci0": ""}, func(a, _ *pvetest.Host) { a.HA = []int{140} }), func(t *testing.T, sim *pvetest.Cluster, c *cluster.Cluster) {
		call(t, sim, "PUT", "/cluster/ha/resources/vm:140", url.Values{"state": {"stopped"}})
		time.Sleep(time.Minute)
		plan := moveTo(t, c, "a", "b")
		finding(t, plan.Findings, "cluster.move-ha", proxstation.Info, "")
		if err := c.Apply(t.Context(), plan, nil); err != nil || sim.Where(140) != "b" {
			t.Errorf("VM 140 is on %q: %v", sim.Where(140), err)
		}
	})
}

// Replicated disks are not copied again, and the plan reports that.
func TestReplicationShortensAMove(t *testing.T) {
	t.Parallel()
	inCluster(t, withVM(map[string]string{"scsi0": "media-pool:vm-140-disk-0,size=64G"}), func(t *testing.T, sim *pvetest.Cluster, c *cluster.Cluster) {
		call(t, sim, "POST", "/cluster/replication", url.Values{"id": {"140-0"}, "type": {"local"}, "target": {"b"}})
		time.Sleep(2 * time.Hour)
		plan := moveTo(t, c, "a", "b")
		if !strings.Contains(plan.String(), "media-pool:vm-140-disk-0, 64.0 GiB   # replicated: only changes are copied") {
			t.Errorf("plan %s", plan)
		}
		began := time.Now()
		if err := c.Apply(t.Context(), plan, nil); err != nil || sim.Where(140) != "b" {
			t.Fatalf("VM 140 is on %q: %v", sim.Where(140), err)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("it took %s", took)
		}
	})
}

func call(t *testing.T, sim *pvetest.Cluster, method, path string, values url.Values) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "https://a:8006/api2/json"+path, strings.NewReader(values.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "PVEAPIToken=root@pam!lab=11111111-2222-3333-4444-555555555555")
	answer, err := sim.Transport().RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", method, path, answer.Status)
	}
}
