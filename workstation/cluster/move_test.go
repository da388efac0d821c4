package cluster_test

import (
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
)

// movable returns a cluster of two nodes, and PVE's facts about VM 140 on node
// a. The VM has all its disks on a shared storage.
func movable() (cluster.Facts, cluster.MoveFacts) {
	pool := func(name, kind string) storage.Pool {
		return storage.Pool{Storage: storage.Storage{Name: name, Type: kind, Content: []string{"images"}, Active: true, Total: storage.TiB, Available: storage.TiB, Shared: kind == "rbd"}}
	}
	entry := func(node string) gpu.MappingEntry {
		e, _ := gpu.ParseMappingEntry("id=10de:2c05,node=" + node + ",path=0000:01:00")
		return e
	}
	node := func(name string) cluster.NodeFacts {
		return cluster.NodeFacts{Name: name, State: cluster.Online, Facts: workstation.Facts{Node: name, VMs: map[int]workstation.VMFacts{}, MemoryTotal: 64 * storage.GiB,
			Mappings: []gpu.Mapping{{ID: "rtx", Entries: []gpu.MappingEntry{entry("a"), entry("b")}}},
			Pools:    []storage.Pool{pool("ceph", "rbd"), pool("local-lvm", "lvmthin"), pool("tank", "zfspool"), pool("san", "iscsi")}}}
	}
	f := cluster.Facts{Quorate: proxstation.Yes, Nodes: []cluster.NodeFacts{node("a"), node("b")}}
	f.Nodes[0].Facts.VMs[140] = workstation.VMFacts{ID: 140, Name: "windows", Digest: "d1", Config: map[string]string{"memory": "16384", "hostpci0": "mapping=rtx,pcie=1",
		"scsi0": "ceph:vm-140-disk-0,size=128G", "scsi1": "local-lvm:vm-140-disk-1,size=200G", "ide2": "local:iso/x.iso,media=cdrom"}}
	return f, cluster.MoveFacts{VMID: 140, From: "a", To: "b"}
}

func onLVM(m *cluster.MoveFacts) {
	m.Disks = []cluster.MoveDisk{{Volume: "local-lvm:vm-140-disk-1", Size: 200 * storage.GiB}}
}

func onZFS(m *cluster.MoveFacts) {
	m.Disks = []cluster.MoveDisk{{Volume: "tank:vm-140-disk-0", Size: 100 * storage.GiB}, {Volume: "tank:vm-140-disk-1", Size: 4 * storage.MiB}}
}

func TestAMoveIsJudged(t *testing.T) {
	t.Parallel()
	synced := &cluster.Replication{ID: "140-0", LastSync: time.Unix(1800000000, 0), LastRun: 12 * time.Second}
	for name, test := range map[string]struct {
		with  func(*cluster.Facts, *cluster.MoveFacts)
		speed storage.Size
		id    string // the ID of the finding; "" if there is no finding
		level proxstation.Severity
		says  string // a part of the text of the plan
	}{
		"shared disks":          {says: "~ node  a -> b   # it has to be off\n    ~ time  seconds: all its disks are on storages that both nodes share"},
		"a speed that is known": {with: func(_ *cluster.Facts, m *cluster.MoveFacts) { onLVM(m) }, speed: 100 * storage.MiB, says: "~ disk  local-lvm:vm-140-disk-1, 200.0 GiB   # copied\n    ~ time  about 34m8s for 200.0 GiB"},
		"no speed is known":     {with: func(_ *cluster.Facts, m *cluster.MoveFacts) { onLVM(m) }, says: "the time is not known, because no speed is given: 200.0 GiB are copied, which takes about 31m1s on a network of 1 Gbit/s"},
		"a size that is not known": {with: func(_ *cluster.Facts, m *cluster.MoveFacts) {
			m.Disks = []cluster.MoveDisk{{Volume: "local-lvm:vm-140-disk-9"}}
		}, speed: storage.GiB, says: "because the size of 1 disk is not known"},
		"the list of volumes knows the size": {with: func(f *cluster.Facts, m *cluster.MoveFacts) {
			m.Disks = []cluster.MoveDisk{{Volume: "local-lvm:vm-140-disk-9"}}
			f.Nodes[0].Facts.Pools[1].Volumes = []storage.Volume{{ID: "local-lvm:vm-140-disk-9", Size: storage.GiB}}
		}, speed: storage.GiB, says: "about 1s for 1.0 GiB"},
		"replicated": {with: func(_ *cluster.Facts, m *cluster.MoveFacts) { onZFS(m); m.Replication = synced },
			says: "short; of replicated disks only what changed since 2027-01-15 08:00:00 UTC is copied, which last took 12s"},
		"replicated in part": {with: func(_ *cluster.Facts, m *cluster.MoveFacts) {
			onZFS(m)
			m.Disks = append(m.Disks, cluster.MoveDisk{Volume: "local-lvm:vm-140-disk-1", Size: storage.GiB})
			m.Replication = synced
		}, speed: storage.GiB, says: "about 1s for 1.0 GiB; of replicated disks only"},
		"no replication of LVM": {with: func(_ *cluster.Facts, m *cluster.MoveFacts) { onLVM(m); m.Replication = synced }, says: "200.0 GiB   # copied"},
		"a replication that is off": {with: func(_ *cluster.Facts, m *cluster.MoveFacts) {
			onZFS(m)
			m.Replication = &cluster.Replication{ID: "140-0", Disabled: true, LastSync: time.Unix(1, 0)}
		}, id: "cluster.move-replication", level: proxstation.Info, says: "100.0 GiB   # copied"},
		"a replication without a copy": {with: func(_ *cluster.Facts, m *cluster.MoveFacts) {
			onZFS(m)
			m.Replication = &cluster.Replication{ID: "140-0"}
		}, id: "cluster.move-replication", level: proxstation.Info, says: "# copied"},
		"a replication that fails": {with: func(_ *cluster.Facts, m *cluster.MoveFacts) {
			onZFS(m)
			m.Replication = &cluster.Replication{ID: "140-0", LastSync: time.Unix(1, 0), Failures: 3, Error: "no tunnel IP received"}
		}, id: "cluster.move-replication", level: proxstation.Warning, says: "failed 3 times since: no tunnel IP received"},

		"it runs":    {with: func(_ *cluster.Facts, m *cluster.MoveFacts) { m.Running = true }, id: "cluster.move-running", level: proxstation.Blocker, says: "qm shutdown 140, on node a"},
		"a lock":     {with: func(f *cluster.Facts, _ *cluster.MoveFacts) { lock(f, "backup") }, id: "cluster.move-locked", level: proxstation.Blocker, says: "Wait for the backup to end"},
		"an address": {with: func(_ *cluster.Facts, m *cluster.MoveFacts) { m.Devices = []string{"hostpci0"} }, id: "cluster.move-devices", level: proxstation.Blocker, says: "qm set 140 --hostpci0 mapping="},
		"no entry":   {with: func(_ *cluster.Facts, m *cluster.MoveFacts) { m.Mappings = []string{"hostpci0"} }, id: "cluster.move-mapping", level: proxstation.Blocker, says: "hostpci0: mapping=rtx,pcie=1"},
		"a rule":     {with: func(_ *cluster.Facts, m *cluster.MoveFacts) { m.HA = []string{"vm:141 (resource-affinity)"} }, id: "cluster.move-rule", level: proxstation.Blocker, says: "vm:141 (resource-affinity)"},
		"others too": {with: func(_ *cluster.Facts, m *cluster.MoveFacts) { m.Along = []string{"vm:150"} }, id: "cluster.move-along", level: proxstation.Warning, says: "vm:150"},
		"HA":         {with: func(f *cluster.Facts, _ *cluster.MoveFacts) { f.Nodes[0].Facts.HA = []int{140} }, id: "cluster.move-ha", level: proxstation.Info, says: "The HA manager moves it"},
		"a CD":       {with: func(_ *cluster.Facts, m *cluster.MoveFacts) { m.CDs = []string{"local:iso/x.iso"} }, id: "cluster.move-cd", level: proxstation.Blocker, says: "qm set 140 --ide2 none,media=cdrom"},
		"a path":     {with: func(_ *cluster.Facts, m *cluster.MoveFacts) { m.Disks = []cluster.MoveDisk{{Volume: "/dev/sdb"}} }, id: "cluster.move-path", level: proxstation.Blocker, says: "/dev/sdb"},
		"no storage": {with: func(_ *cluster.Facts, m *cluster.MoveFacts) { onLVM(m); m.Storages = []string{"local-lvm"} }, id: "cluster.move-storage", level: proxstation.Blocker, says: "storage local-lvm is not on node b"},
		"no room":    {with: func(f *cluster.Facts, m *cluster.MoveFacts) { onLVM(m); full(&f.Nodes[1].Facts, "local-lvm") }, id: "cluster.move-room", level: proxstation.Blocker, says: "200.0 GiB is needed"},
		"a clone": {with: func(_ *cluster.Facts, m *cluster.MoveFacts) {
			m.Disks = []cluster.MoveDisk{{Volume: "tank:base-100-disk-0/vm-140-disk-0", Size: 1 << 30}}
		}, id: "cluster.move-clone", level: proxstation.Blocker, says: "linked clone"},
		"a snapshot": {with: func(f *cluster.Facts, m *cluster.MoveFacts) {
			onLVM(m)
			f.Nodes[0].Facts.VMs[140].Config["parent"] = "before"
		}, id: "cluster.move-snapshot", level: proxstation.Blocker, says: "qm delsnapshot 140 NAME"},
		"ZFS copies snapshots": {with: func(f *cluster.Facts, m *cluster.MoveFacts) {
			onZFS(m)
			f.Nodes[0].Facts.VMs[140].Config["parent"] = "before"
		}, says: "100.0 GiB   # copied"},
		"a type": {with: func(_ *cluster.Facts, m *cluster.MoveFacts) {
			m.Disks = []cluster.MoveDisk{{Volume: "san:0.0.1.scsi-36", Size: 1 << 30}}
		}, id: "cluster.move-type", level: proxstation.Blocker, says: "a storage of type iscsi"},
		"memory":   {with: func(f *cluster.Facts, _ *cluster.MoveFacts) { f.Nodes[1].Facts.MemoryTotal = 8 * storage.GiB }, id: "cluster.move-memory", level: proxstation.Blocker, says: "it has 16.0 GiB of memory, node b has 8.0 GiB"},
		"the same": {with: func(_ *cluster.Facts, m *cluster.MoveFacts) { m.To = "a" }, id: "cluster.move-here", level: proxstation.Blocker, says: "it is on node a"},
		"no VM":    {with: func(f *cluster.Facts, _ *cluster.MoveFacts) { delete(f.Nodes[0].Facts.VMs, 140) }, id: "cluster.move-no-vm", level: proxstation.Blocker, says: "node a has no VM 140"},
		"away": {with: func(f *cluster.Facts, _ *cluster.MoveFacts) {
			f.Nodes[1] = cluster.NodeFacts{Name: "b", State: cluster.Away}
		}, id: "cluster.move-away", level: proxstation.Blocker, says: "b: it is away"},
		"nowhere": {with: func(_ *cluster.Facts, m *cluster.MoveFacts) { m.To = "z" }, id: "cluster.move-away", level: proxstation.Blocker, says: "the cluster has no such node"},
		"the card is another VM's": {with: func(f *cluster.Facts, _ *cluster.MoveFacts) {
			f.Nodes[1].Facts.VMs[150] = workstation.VMFacts{ID: 150, Name: "other", Config: map[string]string{"hostpci0": "mapping=rtx"}}
		}, id: "cluster.move-card", level: proxstation.Info, says: "VM 150 other"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, m := movable()
			if test.with != nil {
				test.with(&f, &m)
			}
			plan := m.Plan(f, &cluster.MoveOptions{Speed: test.speed})
			if text := plan.String(); !strings.Contains(text, test.says) {
				t.Errorf("it does not say %q:\n%s", test.says, text)
			}
			if test.id != "" {
				finding(t, plan.Findings, test.id, test.level, "")
			} else if len(plan.Findings) > 0 {
				t.Errorf("findings %v", plan.Findings)
			}
			if plan.Moves[0].VMID != 140 || plan.Empty() {
				t.Errorf("plan %+v", plan)
			}
		})
	}
}

// A rule of high availability that forbids the target blocks the move, if the
// HA manager has the VM.
func TestARuleForbidsTheTarget(t *testing.T) {
	t.Parallel()
	strict := cluster.HA{Rules: []cluster.HARule{onNodes(true, map[string]int{"a": 0})}}
	for name, test := range map[string]struct {
		managed bool
		ha      cluster.HA
		blocked bool
	}{
		"a strict rule":      {true, strict, true},
		"without the HA":     {false, strict, false},
		"a rule that allows": {true, cluster.HA{Rules: []cluster.HARule{onNodes(true, map[string]int{"b": 0})}}, false},
		"a preference":       {true, cluster.HA{Rules: []cluster.HARule{onNodes(false, map[string]int{"a": 0})}}, false},
		"no rules":           {true, cluster.HA{}, false},
	} {
		f, m := movable()
		if test.managed {
			f.Nodes[0].Facts.HA = []int{140}
		}
		plan := m.Plan(f, &cluster.MoveOptions{HA: test.ha})
		if blocked := proxstation.Worst(plan.Findings) == proxstation.Blocker; blocked != test.blocked {
			t.Errorf("%s: blocked: %t: %v", name, blocked, plan.Findings)
		}
		if test.blocked {
			finding(t, plan.Findings, "cluster.move-rule", proxstation.Blocker, "rule desk allows only a")
		}
	}
}

func lock(f *cluster.Facts, reason string) {
	v := f.Nodes[0].Facts.VMs[140]
	v.Lock = reason
	f.Nodes[0].Facts.VMs[140] = v
}
