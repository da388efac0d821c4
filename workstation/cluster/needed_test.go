package cluster_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// The plan for a Spec is the same with the facts of ObserveFor as with the
// facts of Observe, whatever VMs and mappings the cluster has. With ObserveFor
// only the findings about devices of VMs outside the Spec are missing.
func TestObserveForIsEnough(t *testing.T) {
	t.Parallel()
	left := 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 21))
		c, err := cluster.Connect(t.Context(), addresses(pvetest.NewCluster(randomHosts(r), nil).Transport(), "a"), nil)
		if err != nil {
			t.Fatal(err)
		}
		spec := randomSpec(r)
		all, err := c.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		some, err := c.ObserveFor(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range some.Nodes {
			left += len(n.Facts.Unread)
		}
		if want, got := planText(spec, all), planText(spec, some); got != want {
			t.Errorf("seed %d: with the facts of ObserveFor:\n%s\nwith the facts of Observe:\n%s", seed, got, want)
		}
	}
	if left < 50 {
		t.Errorf("ObserveFor left out only %d configurations", left)
	}
}

// The function workstation.Fit returns the plan of workstation.Diff without the
// findings about devices of VMs outside the Spec.
func TestFitIsDiffWithoutOtherVMs(t *testing.T) {
	t.Parallel()
	left := 0
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 21))
		c, err := cluster.Connect(t.Context(), addresses(pvetest.NewCluster(randomHosts(r), nil).Transport(), "a"), nil)
		if err != nil {
			t.Fatal(err)
		}
		all, err := c.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range all.Nodes {
			vm := linux(150, []string{"", "rtx"}[r.IntN(2)])
			vm.Config = maps.Clone(vm.Config)
			if r.IntN(2) == 0 {
				vm.Config["hostpci0"], vm.Config["onboot"] = "0000:01:00,pcie=1", "1"
			}
			spec := workstation.Spec{VMs: []workstation.VM{vm}}
			want, wantErr := workstation.Diff(spec, n.Facts)
			got, gotErr := workstation.Fit(spec, n.Facts)
			before := len(want.Findings)
			want.Findings = slices.DeleteFunc(want.Findings, func(f proxstation.Finding) bool { return stranger(f, 150) })
			left += before - len(want.Findings)
			if fmt.Sprint(want, wantErr) != fmt.Sprint(got, gotErr) {
				t.Errorf("seed %d, node %s: Fit returns %v, %v\nDiff returns %v, %v", seed, n.Name, got, gotErr, want, wantErr)
			}
		}
	}
	if left < 20 {
		t.Errorf("only %d findings are about other VMs", left)
	}
}

// The function "stranger" reports whether a finding is about a VM outside the
// Spec.
func stranger(f proxstation.Finding, vmids ...int) bool {
	return strings.HasPrefix(f.Subject, "VM") && !slices.ContainsFunc(vmids, func(id int) bool { return strings.Contains(f.Subject, fmt.Sprint(id)) })
}

func planText(spec cluster.Spec, facts cluster.Facts) string {
	plan, err := cluster.Diff(spec, facts)
	if err != nil {
		return err.Error()
	}
	var vmids []int
	for _, n := range spec.Workstations {
		vmids = append(vmids, n.VM.ID)
	}
	for i, n := range plan.Nodes {
		plan.Nodes[i].Findings = slices.DeleteFunc(n.Findings, func(f proxstation.Finding) bool { return stranger(f, vmids...) })
	}
	plan.Nodes = slices.DeleteFunc(plan.Nodes, func(n workstation.Plan) bool { return n.Empty() && len(n.Findings) == 0 })
	return plan.String()
}

// The constant "card" is the entry for the first node's RTX in a mapping.
const card = "node=%s,path=0000:01:00,id=10de:2c05,iommugroup=12,subsystem-id=1462:5315"

// randomHosts returns three nodes. Some have no RTX and some have two. Their VMs
// take devices by address, by mapping and by args, or take none.
func randomHosts(r *rand.Rand) []pvetest.Host {
	values := []map[string]string{{}, {}, {}, {"hostpci0": "0000:01:00,pcie=1"}, {"hostpci0": "0000:03:00,pcie=1"}, {"hostpci0": "0000:00:02.0"},
		{"hostpci1": "mapping=rtx,pcie=1"}, {"hostpci0": "mapping=nic"}, {"hostpci0": "01:00.1,odd=1"}, {"args": "-device vfio-pci,host=01:00.0"}}
	var hosts []pvetest.Host
	var entries []string
	for i, name := range []string{"a", "b", "c"} {
		h := named(name, pvetest.Reference())
		switch r.IntN(3) {
		case 0:
			h.PCI = slices.DeleteFunc(h.PCI, func(f pvetest.PCI) bool { return f.Vendor == 0x10de })
		case 1:
			for _, f := range h.PCI {
				if f.Vendor == 0x10de {
					f.Address, f.Group = strings.Replace(f.Address, "01:00", "03:00", 1), 20
					h.PCI = append(h.PCI, f)
				}
			}
		}
		if r.IntN(2) == 0 {
			entries = append(entries, fmt.Sprintf(card, name))
		}
		for n := range 4 {
			vm := pvetest.VM{ID: 200 + 10*i + n, Config: map[string]string{"name": fmt.Sprintf("vm%d", 200+10*i+n), "memory": "1024", "machine": "q35"}, Running: r.IntN(4) == 0}
			if !vm.Running {
				maps.Copy(vm.Config, values[r.IntN(len(values))])
			}
			h.VMs = append(h.VMs, vm)
		}
		hosts = append(hosts, h)
	}
	hosts[0].Mappings = []pvetest.Mapping{{ID: "nic", Map: []string{"node=b,path=0000:00:1f.6,id=8086:15bc,iommugroup=6,subsystem-id=1462:7b98"}}}
	if len(entries) > 0 {
		hosts[0].Mappings = append(hosts[0].Mappings, pvetest.Mapping{ID: "rtx", Map: entries})
	}
	return hosts
}

// randomSpec returns a Spec of workstations that exist or are new, with a card
// or without one.
func randomSpec(r *rand.Rand) cluster.Spec {
	var spec cluster.Spec
	if r.IntN(3) > 0 {
		spec.Cards = []cluster.Card{rtx}
	}
	for i := range 1 + r.IntN(2) {
		needs := cluster.Needs{VM: linux(140+i, []string{"", "", "rtx", "nic"}[r.IntN(4)])}
		switch r.IntN(4) {
		case 0:
			needs.Node = []string{"a", "b", "c"}[r.IntN(3)]
		case 1:
			vm := needs.VM
			needs.VM, needs.On = workstation.VM{ID: vm.ID, Name: vm.Name}, func(workstation.Facts) (workstation.VM, []cluster.Image, error) { return vm, nil, nil }
		case 2:
			id := 200 + 10*r.IntN(3) + r.IntN(4)
			needs.VM = workstation.VM{ID: id, Name: fmt.Sprintf("vm%d", id), Config: map[string]string{"cores": "2"}}
		}
		spec.Workstations = append(spec.Workstations, needs)
	}
	return spec
}

// If the devices, the mappings or the guests of a node cannot be read, all
// configurations are needed.
func TestObserveForReadsAllInDoubt(t *testing.T) {
	t.Parallel()
	for path, left := range map[string]int{"/nodes/n01/status": 30, "/nodes/n01/hardware/pci": 20, "/cluster/mapping/pci": 0} {
		c, err := cluster.Connect(t.Context(), addresses(forbidding{large(3, 30).Transport(), "/api2/json" + path}, "n00"), nil)
		if err != nil {
			t.Fatal(err)
		}
		facts, err := c.ObserveFor(t.Context(), cluster.Spec{})
		if err != nil {
			t.Fatal(err)
		}
		unread := 0
		for _, n := range facts.Nodes {
			unread += len(n.Facts.Unread)
		}
		if unread != left {
			t.Errorf("%s is refused: %d configurations were not read, want %d", path, unread, left)
		}
	}
}

// A forbidding transport answers requests for one path with an error.
type forbidding struct {
	base http.RoundTripper
	path string
}

func (f forbidding) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == f.path {
		return &http.Response{Status: "403 Permission check failed", StatusCode: http.StatusForbidden, Body: http.NoBody, Header: http.Header{}, Request: r}, nil
	}
	return f.base.RoundTrip(r)
}

// Facts that were not read are never judged to be good.
func TestUnreadIsNotJudged(t *testing.T) {
	t.Parallel()
	hosts := twins()
	hosts[0].VMs = []pvetest.VM{{ID: 200, Config: map[string]string{"name": "ai", "hostpci0": "mapping=rtx", "machine": "q35"}}}
	hosts[1].VMs = []pvetest.VM{{ID: 300, Config: map[string]string{"name": "rival", "hostpci0": "mapping=rtx", "machine": "q35"}, Running: true}}
	hosts[0].Mappings = []pvetest.Mapping{{ID: "rtx", Map: []string{fmt.Sprintf(card, "a"), fmt.Sprintf(card, "b")}}}
	c, err := cluster.Connect(t.Context(), addresses(pvetest.NewCluster(hosts, nil).Transport(), "a"), nil)
	if err != nil {
		t.Fatal(err)
	}
	spec := cluster.Spec{Workstations: []cluster.Needs{{VM: workstation.VM{ID: 200, Name: "ai"}}}} // the VM is on node a, so the VMs of node b are not needed
	facts, err := c.ObserveFor(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if name := facts.Nodes[1].Facts.Unread[300]; name != "rival" || len(facts.Nodes[1].Facts.VMs) != 0 || len(facts.Nodes[0].Facts.Unread) != 0 {
		t.Fatalf("%+v", facts.Nodes)
	}

	ha := cluster.HA{VMs: []cluster.HAVM{{VMID: 200, Wanted: "started", State: "started", Node: "a"}, {VMID: 300, Wanted: "started", State: "started", Node: "b"}}}
	recovery, err := ha.Recovery(facts, 200)
	if err != nil || recovery.Nodes[0].Able != proxstation.Unknown {
		t.Errorf("recovery of the VM whose rival was not read: %v, %v", recovery, err)
	}
	if _, err := ha.Recovery(facts, 300); !errors.Is(err, workstation.ErrUnread) {
		t.Errorf("recovery of a VM that was not read: %v", err)
	}
	finding(t, slices.DeleteFunc(ha.Judge(facts), func(f proxstation.Finding) bool { return f.Subject != "VM 300" }), "cluster.ha-unsure", proxstation.Info, "its configuration was not read")

	move := cluster.MoveFacts{VMID: 300, From: "b", To: "a"}.Plan(facts, nil)
	finding(t, move.Findings, "cluster.move-no-vm", proxstation.Blocker, "the configuration of VM 300 on node b was not read")
	move = cluster.MoveFacts{VMID: 200, From: "a", To: "b"}.Plan(facts, nil)
	finding(t, move.Findings, "cluster.move-card", proxstation.Info, "perhaps one of 1 VMs whose configurations were not read")

	if _, err := cluster.Diff(cluster.Spec{Workstations: []cluster.Needs{{VM: workstation.VM{ID: 300, Name: "rival"}}}}, facts); !errors.Is(err, workstation.ErrUnread) {
		t.Errorf("a plan for a VM that was not read: %v", err)
	}
	placements, err := cluster.Place(cluster.Spec{Workstations: []cluster.Needs{{VM: linux(140, "rtx"), Node: "b"}, {VM: linux(141, "rtx"), Node: "a"}}}, facts)
	if err != nil {
		t.Fatal(err)
	}
	placements, err = cluster.Place(cluster.Spec{Workstations: []cluster.Needs{{VM: placements[0].VM}}}, facts)
	if err != nil || !strings.Contains(placements[0].String(), "on node b, the configurations of VM 300 rival were not read") {
		t.Errorf("%v, %v", placements, err)
	}
}
