package cluster_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// trio returns three hosts with the same card and a shared storage. VMs 140 and
// 141 are on node a, and both want the card.
func trio(changes ...func([]pvetest.Host)) []pvetest.Host {
	var hosts []pvetest.Host
	for _, name := range []string{"a", "b", "c"} {
		hosts = append(hosts, shared(named(name, pvetest.Reference())))
	}
	for _, id := range []int{140, 141} {
		hosts[0].VMs = append(hosts[0].VMs, pvetest.VM{ID: id, Config: map[string]string{"name": fmt.Sprint("desk", id), "memory": "8192", "machine": "q35", "hostpci0": "mapping=rtx,pcie=1",
			"scsi0": fmt.Sprintf("nas:%d/vm-%[1]d-disk-0.raw,size=8G", id)}})
	}
	for _, change := range changes {
		change(hosts)
	}
	return hosts
}

// shared returns the host with a storage that all nodes share, and with an
// entry for its card in the mapping rtx.
func shared(host pvetest.Host) pvetest.Host {
	host.Storages = append(slices.Clone(host.Storages), pvetest.Storage{Name: "nas", Type: "nfs", Content: "images", Total: 1 << 40, Shared: true,
		Config: map[string]string{"server": "192.168.1.5", "export": "/tank", "path": "/mnt/pve/nas"}})
	host.Mappings = []pvetest.Mapping{{ID: "rtx", Map: []string{"node=" + host.Name + ",path=0000:01:00,id=10de:2c05,iommugroup=12,subsystem-id=1462:5315"}}}
	return host
}

func observedHA(t *testing.T, c *cluster.Cluster) cluster.HA {
	t.Helper()
	h, err := c.ObserveHA(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func plannedHA(t *testing.T, c *cluster.Cluster, spec cluster.HASpec) cluster.Plan {
	t.Helper()
	plan, err := cluster.DiffHA(spec, observed(t, c), observedHA(t, c))
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

var desks = cluster.HASpec{
	VMs: []cluster.HAVM{{VMID: 140, Wanted: "started"}, {VMID: 141, Comment: "second desk"}},
	Rules: []cluster.HARule{
		{Name: "one-card", Kind: cluster.Apart, VMs: []int{140, 141}},
		{Name: "desk140", Kind: cluster.OnNodes, VMs: []int{140}, Nodes: map[string]int{"a": 0, "b": 0}, Strict: true},
	},
}

// If a request fails, Apply of the same plan is tried again, and then makes
// high availability match the Spec. Afterwards a new plan has no changes.
func TestApplyHA(t *testing.T) {
	t.Parallel()
	const resources, rules = "/cluster/ha/resources", "/cluster/ha/rules"
	for name, fault := range map[string]pvetest.Fault{
		"nothing fails":              {Path: "/nowhere"},
		"a VM is refused":            {Method: "POST", Path: resources, Kind: pvetest.Refuse},
		"a VM, no answer before":     {Method: "POST", Path: resources, Kind: pvetest.DropBefore},
		"a VM, no answer after":      {Method: "POST", Path: resources, Kind: pvetest.DropAfter},
		"a VM, 500 after":            {Method: "POST", Path: resources, Kind: pvetest.ErrorAfter, Skip: 1},
		"a rule is refused":          {Method: "POST", Path: rules, Kind: pvetest.Refuse, Skip: 1},
		"a rule, no answer before":   {Method: "POST", Path: rules, Kind: pvetest.DropBefore},
		"a rule, no answer after":    {Method: "POST", Path: rules, Kind: pvetest.DropAfter},
		"the look, no answer before": {Method: "GET", Path: rules, Kind: pvetest.DropBefore, Skip: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inCluster(t, trio(), func(t *testing.T, sim *pvetest.Cluster, c *cluster.Cluster) {
				plan := plannedHA(t, c, desks)
				sim.Node("a").Inject(fault)
				for try := 0; ; try++ {
					err := c.Apply(t.Context(), plan, nil)
					if err == nil {
						break
					}
					if try > 2 {
						t.Fatal(err)
					}
				}
				sim.Node("a").ClearFaults()
				before := writes(sim.Node("a"))
				if err := c.Apply(t.Context(), plan, nil); err != nil {
					t.Error(err)
				}
				if again := plannedHA(t, c, desks); !again.Empty() {
					t.Errorf("still to do: %s", again)
				}
				if after := writes(sim.Node("a")); after != before {
					t.Errorf("%d writes for nothing", after-before)
				}
				h := observedHA(t, c)
				first, _ := h.VM(140)
				second, _ := h.VM(141)
				if first.Wanted != "started" || second.Wanted != "stopped" || second.Comment != "second desk" || len(h.Rules) != 2 {
					t.Errorf("%+v", h)
				}
				time.Sleep(2 * time.Minute)
				if got := sim.Node("a").Running(); !slices.Equal(got, []int{140}) {
					t.Errorf("running: %v", got)
				}
			})
		})
	}
}

// Apply does not overwrite a change that somebody made after the plan was made.
func TestApplyHAIsStale(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]cluster.HASpec{
		"the VM":   {VMs: []cluster.HAVM{{VMID: 140, Wanted: "disabled"}}},
		"the rule": {VMs: []cluster.HAVM{{VMID: 140, Wanted: "started"}, {VMID: 141}}, Rules: []cluster.HARule{{Name: "one-card", Kind: cluster.Together, VMs: []int{140, 141}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inCluster(t, trio(), func(t *testing.T, _ *pvetest.Cluster, c *cluster.Cluster) {
				plan := plannedHA(t, c, desks)
				if err := c.Apply(t.Context(), plannedHA(t, c, change), nil); err != nil {
					t.Fatal(err)
				}
				before := observedHA(t, c)
				if err := c.Apply(t.Context(), plan, nil); !errors.Is(err, workstation.ErrStale) {
					t.Errorf("%v", err)
				}
				if after := observedHA(t, c); len(after.Rules) != len(before.Rules) || after.VMs[0].Wanted != before.VMs[0].Wanted {
					t.Errorf("%+v, before %+v", after, before)
				}
			})
		})
	}
}

// On PVE 8 a rule that binds VMs to nodes is a group.
func TestApplyHAGroups(t *testing.T) {
	t.Parallel()
	hosts := []pvetest.Host{named("a", pvetest.AMD()), named("b", pvetest.AMD())}
	hosts[0].VMs = []pvetest.VM{{ID: 140, Config: map[string]string{}}, {ID: 141, Config: map[string]string{}}}
	rule := func(vms ...int) cluster.HARule {
		return cluster.HARule{Name: "desk", Kind: cluster.OnNodes, VMs: vms, Nodes: map[string]int{"a": 2, "b": 0}, Strict: true}
	}
	inCluster(t, hosts, func(t *testing.T, sim *pvetest.Cluster, c *cluster.Cluster) {
		for _, spec := range []cluster.HASpec{
			{VMs: []cluster.HAVM{{VMID: 140}, {VMID: 141}}, Rules: []cluster.HARule{rule(140)}},
			{Rules: []cluster.HARule{rule(140, 141)}},
			{Rules: []cluster.HARule{rule(141)}},
		} {
			plan := plannedHA(t, c, spec)
			sim.Node("a").Inject(pvetest.Fault{Method: "PUT", Path: "/cluster/ha/resources/.*", Kind: pvetest.Refuse})
			if err := c.Apply(t.Context(), plan, nil); err == nil {
				t.Error("the refusal was not told")
			}
			if err := c.Apply(t.Context(), plan, nil); err != nil {
				t.Fatal(err)
			}
			h := observedHA(t, c)
			if r, is := h.Rule("desk"); !h.Groups || !is || r.String() != spec.Rules[0].String() || !plannedHA(t, c, spec).Empty() {
				t.Errorf("%+v", h)
			}
		}
	})
}

// Apply does not overwrite a group that somebody changed after the plan was
// made.
func TestApplyHAGroupIsStale(t *testing.T) {
	t.Parallel()
	hosts := []pvetest.Host{named("a", pvetest.AMD()), named("b", pvetest.AMD())}
	hosts[0].VMs = []pvetest.VM{{ID: 140, Config: map[string]string{}}}
	spec := func(nodes map[string]int) cluster.HASpec {
		return cluster.HASpec{VMs: []cluster.HAVM{{VMID: 140}}, Rules: []cluster.HARule{{Name: "desk", Kind: cluster.OnNodes, VMs: []int{140}, Nodes: nodes}}}
	}
	inCluster(t, hosts, func(t *testing.T, _ *pvetest.Cluster, c *cluster.Cluster) {
		plan := plannedHA(t, c, spec(map[string]int{"a": 0}))
		if err := c.Apply(t.Context(), plannedHA(t, c, spec(map[string]int{"b": 1})), nil); err != nil {
			t.Fatal(err)
		}
		if err := c.Apply(t.Context(), plan, nil); !errors.Is(err, workstation.ErrStale) {
			t.Errorf("%v", err)
		}
		if r, _ := observedHA(t, c).Rule("desk"); r.String() != "on nodes: VM 140 on b:1" {
			t.Error(r)
		}
	})
}

// After a node is lost, the embedded HA manager recovers the VMs as Recovery
// judged beforehand.
func TestRecoveryComesTrue(t *testing.T) {
	t.Parallel()
	started := func(hosts []pvetest.Host) {
		hosts[0].VMs, hosts[0].HA = hosts[0].VMs[:1], []int{140}
		hosts[0].VMs[0].Running = true
	}
	for name, test := range map[string]struct {
		hosts []pvetest.Host
		spec  cluster.HASpec
		ids   string // the IDs of the findings
		state string // the HA state in the end
		on    string
	}{
		"another node has the card": {trio(started), cluster.HASpec{}, "", "started", "b"},
		"no other node has the card": {trio(started, func(h []pvetest.Host) { h[1].Mappings, h[2].Mappings = nil, nil }), cluster.HASpec{},
			"cluster.ha-no-recovery", "error", "b"},
		"the mapping is not true": {trio(started, func(h []pvetest.Host) {
			h[1].Mappings[0].Map[0] = strings.Replace(h[1].Mappings[0].Map[0], "2c05", "2504", 1)
		}), cluster.HASpec{},
			"cluster.ha-wrong-node", "started", "c"},
		"bound to its node": {trio(started), cluster.HASpec{Rules: []cluster.HARule{{Name: "here", Kind: cluster.OnNodes, VMs: []int{140}, Nodes: map[string]int{"a": 0}, Strict: true}}},
			"cluster.ha-pinned", "recovery", "a"},
		"bound to c": {trio(started, func(h []pvetest.Host) { h[1].Mappings = nil }), cluster.HASpec{Rules: []cluster.HARule{{Name: "there", Kind: cluster.OnNodes, VMs: []int{140}, Nodes: map[string]int{"a": 0, "c": 0}, Strict: true}}},
			"", "started", "c"},
		"a local disk": {trio(started, func(h []pvetest.Host) { h[0].VMs[0].Config["scsi1"] = "local-lvm:vm-140-disk-0,size=1G" }), cluster.HASpec{},
			"cluster.ha-no-recovery", "error", "b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inCluster(t, test.hosts, func(t *testing.T, sim *pvetest.Cluster, c *cluster.Cluster) {
				if err := c.Apply(t.Context(), plannedHA(t, c, test.spec), nil); err != nil {
					t.Fatal(err)
				}
				h := observedHA(t, c)
				var ids []string
				for _, f := range h.Judge(observed(t, c)) {
					ids = append(ids, f.ID)
				}
				if strings.Join(ids, " ") != test.ids {
					t.Errorf("%s, want %s", ids, test.ids)
				}
				other, err := cluster.Connect(t.Context(), []workstation.Endpoint{{URL: "https://b:8006", Username: "root@pam", Password: "secret", Transport: sim.Transport()}}, nil)
				if err != nil {
					t.Fatal(err)
				}
				sim.Down("a")
				time.Sleep(10 * time.Minute)
				vm, _ := observedHA(t, other).VM(140)
				if vm.State != test.state || sim.Where(140) != test.on {
					t.Errorf("%s on %s, want %s on %s", vm.State, sim.Where(140), test.state, test.on)
				}
				found := false
				for _, f := range observedHA(t, other).Judge(observed(t, other)) {
					found = found || f.ID == "cluster.ha-error" && f.Severity == proxstation.Warning
				}
				if found != (test.state == "error") {
					t.Errorf("the error is found: %v", found)
				}
			})
		})
	}
}
