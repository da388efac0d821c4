package cluster_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
)

// guarded returns a cluster of three nodes with the same card, and VM 140 on
// node a with the card and a disk on a shared storage.
func guarded() (cluster.Facts, cluster.HA) {
	pool := func(name, kind string) storage.Pool {
		return storage.Pool{Storage: storage.Storage{Name: name, Type: kind, Content: []string{"images"}, Active: true, Shared: kind == "rbd"}}
	}
	at, _ := iommu.ParseAddress("0000:01:00.0")
	card := iommu.Function{Address: at, Class: 0x030000, Model: iommu.Model{Vendor: 0x10de, Device: 0x2c05}, Subsystem: iommu.Model{Vendor: 0x1462, Device: 0x5315}, Group: iommu.Group(12)}
	var entries []gpu.MappingEntry
	f := cluster.Facts{Name: "lab", Quorate: proxstation.Yes}
	for _, name := range []string{"a", "b", "c"} {
		e, _ := gpu.ParseMappingEntry("id=10de:2c05,iommugroup=12,node=" + name + ",path=0000:01:00,subsystem-id=1462:5315")
		entries = append(entries, e)
		f.Nodes = append(f.Nodes, cluster.NodeFacts{Name: name, State: cluster.Online, Facts: workstation.Facts{Node: name, Version: "9.1.4", VMs: map[int]workstation.VMFacts{},
			MemoryTotal: 64 * storage.GiB, Bridges: []string{"vmbr0"}, IOMMU: iommu.Facts{Functions: []iommu.Function{card}},
			Pools: []storage.Pool{pool("ceph", "rbd"), pool("local-lvm", "lvmthin")}}})
	}
	for i := range f.Nodes {
		f.Nodes[i].Facts.Mappings = []gpu.Mapping{{ID: "rtx", Entries: slices.Clone(entries)}}
	}
	f.Nodes[0].Facts.VMs[140] = workstation.VMFacts{ID: 140, Name: "windows", Running: true, Config: map[string]string{"memory": "16384", "hostpci0": "mapping=rtx,pcie=1",
		"scsi0": "ceph:vm-140-disk-0,size=128G", "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0"}}
	f.Guests = []cluster.Guest{{VMID: 140, Name: "windows", Node: "a", Running: proxstation.Yes}, {VMID: 141, Name: "linux", Node: "b", Running: proxstation.No}, {VMID: 150, Name: "proxy", Node: "c", Container: true}}
	return f, cluster.HA{Master: "a", VMs: []cluster.HAVM{haVM(140, "started")}}
}

func haVM(id int, state string) cluster.HAVM {
	one := 1
	return cluster.HAVM{VMID: id, Wanted: state, State: state, Failback: proxstation.Yes, Restarts: &one, Moves: &one}
}

// unmapped removes the entries of the given nodes from the card's mapping.
func unmapped(f *cluster.Facts, nodes ...string) {
	for i := range f.Nodes {
		m := &f.Nodes[i].Facts.Mappings[0]
		m.Entries = slices.DeleteFunc(m.Entries, func(e gpu.MappingEntry) bool { return slices.Contains(nodes, e.Node) })
	}
}

func edit(f *cluster.Facts, key, value string) {
	vm := f.Nodes[0].Facts.VMs[140]
	vm.Config = maps.Clone(vm.Config)
	vm.Config[key] = value
	f.Nodes[0].Facts.VMs[140] = vm
}

// The function "rival" puts VM 141 on a node. VM 141 and VM 140 have the same
// card.
func rival(f *cluster.Facts, h *cluster.HA, node int, running bool) {
	config := maps.Clone(f.Nodes[0].Facts.VMs[140].Config)
	config["scsi0"] = "ceph:vm-141-disk-0,size=8G"
	f.Nodes[node].Facts.VMs[141] = workstation.VMFacts{ID: 141, Name: "linux", Running: running, Config: config}
	f.Guests[1].Node = f.Nodes[node].Name
	if h != nil {
		h.VMs = append(h.VMs, haVM(141, "started"))
	}
}

func onNodes(strict bool, nodes map[string]int) cluster.HARule {
	return cluster.HARule{Name: "desk", Kind: cluster.OnNodes, VMs: []int{140}, Nodes: nodes, Strict: strict}
}

// The recovery of a VM with a card is judged node by node.
func TestRecovery(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		with func(*cluster.Facts, *cluster.HA)
		b    string // what Recovery says about node b
		ids  string // the IDs of the findings that Judge returns
		says string // a part of the text of the findings
	}{
		"any node can":                {nil, "yes first", "", ""},
		"not under high availability": {func(_ *cluster.Facts, h *cluster.HA) { h.VMs = nil }, "yes first", "", ""},
		"ignored": {func(f *cluster.Facts, h *cluster.HA) {
			h.VMs = []cluster.HAVM{haVM(140, "ignored")}
			unmapped(f, "b", "c")
		}, "no first hostpci0: mapping rtx has no entry for it", "", ""},
		"b lacks the mapping":    {func(f *cluster.Facts, _ *cluster.HA) { unmapped(f, "b") }, "no first hostpci0: mapping rtx has no entry for it", "cluster.ha-wrong-node", "ha-manager rules add node-affinity vm140 --resources vm:140 --nodes a,c --strict 1"},
		"nobody has the mapping": {func(f *cluster.Facts, _ *cluster.HA) { unmapped(f, "b", "c") }, "no first hostpci0: mapping rtx has no entry for it", "cluster.ha-no-recovery", "bind the VM to its node: ha-manager rules add node-affinity vm140 --resources vm:140 --nodes a --strict 1"},
		"on PVE 8":               {func(f *cluster.Facts, h *cluster.HA) { unmapped(f, "b", "c"); h.Groups = true }, "no first hostpci0: mapping rtx has no entry for it", "cluster.ha-no-recovery", "Give another node what it lacks, or bind the VM to its node: ha-manager groupadd vm140 --nodes a --restricted 1"},
		"another card there": {func(f *cluster.Facts, _ *cluster.HA) {
			f.Nodes[1].Facts.IOMMU.Functions = slices.Clone(f.Nodes[1].Facts.IOMMU.Functions)
			f.Nodes[1].Facts.IOMMU.Functions[0].Model.Device = 0x2504
		}, "no first hostpci0: ", "cluster.ha-wrong-node", "10de:2504"},
		"no device at the address": {func(f *cluster.Facts, _ *cluster.HA) { edit(f, "hostpci0", "0000:02:00") }, "no first hostpci0: no PCI device found for '0000:02:00'", "cluster.ha-no-recovery", ""},
		"a local disk":             {func(f *cluster.Facts, _ *cluster.HA) { edit(f, "scsi1", "local-lvm:vm-140-disk-1,size=8G") }, "no first scsi1: local-lvm:vm-140-disk-1 is on storage local-lvm of node a, which the nodes do not share", "cluster.ha-no-recovery", "ends in the state error"},
		"a replica": {func(f *cluster.Facts, _ *cluster.HA) {
			edit(f, "scsi1", "local-lvm:vm-140-disk-1,size=8G")
			f.Nodes[1].Facts.Pools[1].Volumes = []storage.Volume{{ID: "local-lvm:vm-140-disk-1"}}
		}, "yes first scsi1: the node has only a replicated copy of local-lvm:vm-140-disk-1: data written since the last replication would be lost", "cluster.ha-replica cluster.ha-wrong-node", "pvesr update"},
		"an image that b has too": {func(f *cluster.Facts, _ *cluster.HA) {
			edit(f, "ide2", "local-lvm:iso/x.iso,media=cdrom")
			f.Nodes[1].Facts.Pools[1].Images = []storage.Volume{{ID: "local-lvm:iso/x.iso"}}
		}, "yes first", "cluster.ha-wrong-node", "--nodes a,b --strict"},
		"a device of the host":   {func(f *cluster.Facts, _ *cluster.HA) { edit(f, "scsi1", "/dev/disk/by-id/x,size=8G") }, "no first scsi1: /dev/disk/by-id/x is a device of node a", "cluster.ha-no-recovery", ""},
		"a storage that b lacks": {func(f *cluster.Facts, _ *cluster.HA) { f.Nodes[1].Facts.Pools = f.Nodes[1].Facts.Pools[1:] }, "no first scsi0: storage ceph is not on it", "cluster.ha-wrong-node", ""},
		"a storage that is away": {func(f *cluster.Facts, _ *cluster.HA) {
			f.Nodes[1].Facts.Pools = slices.Clone(f.Nodes[1].Facts.Pools)
			f.Nodes[1].Facts.Pools[0].Active = false
		}, "no first scsi0: it does not reach storage ceph", "cluster.ha-wrong-node", ""},
		"no bridge":                {func(f *cluster.Facts, _ *cluster.HA) { f.Nodes[1].Facts.Bridges = []string{"vmbr1"} }, "no first net0: it has no bridge vmbr0", "cluster.ha-wrong-node", ""},
		"bridges that are unknown": {func(f *cluster.Facts, _ *cluster.HA) { f.Nodes[1].Facts.Bridges = nil }, "yes first", "", ""},
		"too little memory":        {func(f *cluster.Facts, _ *cluster.HA) { f.Nodes[1].Facts.MemoryTotal = 8 * storage.GiB }, "no first it has 8.0 GiB of memory, and the VM takes 16.0 GiB", "cluster.ha-wrong-node", ""},
		"the card is taken":        {func(f *cluster.Facts, _ *cluster.HA) { rival(f, nil, 1, true) }, "no first its card is the card of VM 141 linux, which runs there", "cluster.ha-wrong-node", ""},
		"the card is free":         {func(f *cluster.Facts, _ *cluster.HA) { rival(f, nil, 1, false) }, "yes first", "", ""},
		"b cannot be read":         {func(f *cluster.Facts, _ *cluster.HA) { f.Nodes[1].State = cluster.Slow }, "unknown first it is slow", "cluster.ha-unsure", "b: it is slow"},
		"b is away":                {func(f *cluster.Facts, _ *cluster.HA) { f.Nodes[1].State = cluster.Away }, "unknown it is away", "cluster.ha-unsure", ""},
		"bound to its node": {func(f *cluster.Facts, h *cluster.HA) {
			unmapped(f, "b", "c")
			h.Rules = []cluster.HARule{onNodes(true, map[string]int{"a": 0})}
		}, "no refused hostpci0: mapping rtx has no entry for it", "cluster.ha-pinned", "the VM waits"},
		"bound to good nodes": {func(f *cluster.Facts, h *cluster.HA) {
			unmapped(f, "b")
			h.Rules = []cluster.HARule{onNodes(true, map[string]int{"a": 0, "c": 0})}
		}, "no refused hostpci0: mapping rtx has no entry for it", "", ""},
		"bound to a bad node": {func(f *cluster.Facts, h *cluster.HA) {
			unmapped(f, "b")
			h.Rules = []cluster.HARule{onNodes(true, map[string]int{"a": 0, "b": 0, "c": 0})}
		}, "no first hostpci0: mapping rtx has no entry for it", "cluster.ha-wrong-node", "ha-manager rules set node-affinity desk --nodes a,c --strict 1"},
		"c is preferred": {func(_ *cluster.Facts, h *cluster.HA) {
			h.Rules = []cluster.HARule{onNodes(false, map[string]int{"a": 2, "c": 1})}
		}, "yes", "", ""},
		"c is preferred and away": {func(f *cluster.Facts, h *cluster.HA) {
			h.Rules = []cluster.HARule{onNodes(false, map[string]int{"a": 2, "c": 1})}
			f.Nodes[2].State = cluster.Away
		}, "yes first", "cluster.ha-unsure", ""},
		"a rule that is off": {func(_ *cluster.Facts, h *cluster.HA) {
			r := onNodes(true, map[string]int{"a": 0})
			r.Disabled = true
			h.Rules = []cluster.HARule{r}
		}, "yes first", "", ""},
		"a rule that PVE ignores": {func(_ *cluster.Facts, h *cluster.HA) {
			r := onNodes(true, map[string]int{"a": 0})
			r.Ignored = []string{"too many"}
			h.Rules = []cluster.HARule{r}
		}, "yes first", "cluster.ha-rule-ignored", "too many"},
		"one card for two": {func(f *cluster.Facts, h *cluster.HA) { rival(f, h, 1, true) }, "no first its card is the card of VM 141 linux, which the HA manager keeps running there", "cluster.ha-same-card cluster.ha-wrong-node cluster.ha-wrong-node", "ha-manager rules add resource-affinity vm140-vm141 --affinity negative --resources vm:140,vm:141"},
		"two VMs, one card": {func(f *cluster.Facts, h *cluster.HA) {
			rival(f, h, 1, true)
			delete(f.Nodes[1].Facts.VMs[141].Config, "hostpci0")
		}, "yes first", "", ""},
		"one card for two, apart": {func(f *cluster.Facts, h *cluster.HA) {
			rival(f, h, 1, true)
			h.Rules = []cluster.HARule{{Name: "apart", Kind: cluster.Apart, VMs: []int{140, 141}}}
		}, "no refused its card is the card of VM 141 linux, which the HA manager keeps running there", "", ""},
		"one card for two, on other nodes": {func(f *cluster.Facts, h *cluster.HA) {
			rival(f, h, 1, true)
			r := onNodes(true, map[string]int{"b": 0})
			r.Name, r.VMs = "other", []int{141}
			h.Rules = []cluster.HARule{onNodes(true, map[string]int{"a": 0, "c": 0}), r}
		}, "no refused its card is the card of VM 141 linux, which the HA manager keeps running there", "cluster.ha-pinned", ""},
		"in error":           {func(_ *cluster.Facts, h *cluster.HA) { h.VMs[0].State, h.VMs[0].Node = "error", "a" }, "yes first", "cluster.ha-error", "ha-manager set vm:140 --state disabled"},
		"b in maintenance":   {func(_ *cluster.Facts, h *cluster.HA) { h.Maintenance = []string{"b"} }, "yes refused", "cluster.ha-maintenance", "ha-manager crm-command node-maintenance disable b"},
		"all in maintenance": {func(_ *cluster.Facts, h *cluster.HA) { h.Maintenance = []string{"b", "c"} }, "yes refused", "cluster.ha-maintenance cluster.ha-maintenance cluster.ha-pinned", "maintenance mode allow no node but a"},
		"two nodes":          {func(f *cluster.Facts, _ *cluster.HA) { f.Nodes = f.Nodes[:2] }, "yes first", "cluster.ha-two-nodes", "pvecm qdevice setup"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, h := guarded()
			if test.with != nil {
				test.with(&f, &h)
			}
			r, err := h.Recovery(f, 140)
			if err != nil {
				t.Fatal(err)
			}
			b := r.Nodes[0]
			got := b.Able.String() + map[bool]string{true: " first"}[b.First] + map[bool]string{true: " refused"}[!b.Allowed]
			got = strings.TrimSpace(got + " " + strings.Join(slices.Concat(b.Why, b.Notes), "; "))
			if b.Node != "b" || got != test.b && !(strings.HasSuffix(test.b, ": ") && strings.HasPrefix(got, test.b)) {
				t.Errorf("b: %q, want %q", got, test.b)
			}
			var ids []string
			said := ""
			for _, finding := range h.Judge(f) {
				ids, said = append(ids, finding.ID), said+finding.String()+"\n"
			}
			if slices.Sort(ids); strings.Join(ids, " ") != test.ids || !strings.Contains(said, test.says) {
				t.Errorf("%s, want %s; %q in\n%s", ids, test.ids, test.says, said)
			}
		})
	}
	f, h := guarded()
	if _, err := h.Recovery(f, 999); !errors.Is(err, workstation.ErrNotFound) {
		t.Error(err)
	}
}

// DiffHA refuses a Spec that PVE would refuse, and plans no setting that exists
// already.
func TestDiffHA(t *testing.T) {
	t.Parallel()
	three := 3
	apart := cluster.HARule{Name: "apart", Kind: cluster.Apart, VMs: []int{141, 140}}
	for name, test := range map[string]struct {
		spec cluster.HASpec
		with func(*cluster.Facts, *cluster.HA)
		want string // a part of the plan or of the error
	}{
		"nothing":           {cluster.HASpec{VMs: []cluster.HAVM{{VMID: 140}}}, nil, "nothing to do"},
		"a VM that is off":  {cluster.HASpec{VMs: []cluster.HAVM{{VMID: 141}}}, nil, "+ high availability of VM 141\n    + state         stopped\n    + failback      yes\n    + max_restart   1\n    + max_relocate  1\n"},
		"a VM that is away": {cluster.HASpec{VMs: []cluster.HAVM{{VMID: 141}}}, func(f *cluster.Facts, _ *cluster.HA) { f.Guests[1].Running = proxstation.Unknown }, "it is not known whether the VM runs"},
		"no such VM":        {cluster.HASpec{VMs: []cluster.HAVM{{VMID: 999}}}, nil, "the cluster has no such VM"},
		"a container":       {cluster.HASpec{VMs: []cluster.HAVM{{VMID: 150}}}, nil, "the cluster has no such VM"},
		"an odd state":      {cluster.HASpec{VMs: []cluster.HAVM{{VMID: 140, Wanted: "on"}}}, nil, "PVE knows started, stopped, disabled, ignored"},
		"some settings":     {cluster.HASpec{VMs: []cluster.HAVM{{VMID: 140, Restarts: &three, Failback: proxstation.No, Comment: "desk"}}}, nil, "~ high availability of VM 140\n    ~ failback     yes -> no\n    ~ max_restart  1 -> 3\n    + comment      desk\n"},
		"a rule":            {cluster.HASpec{Rules: []cluster.HARule{onNodes(true, map[string]int{"a": 2, "b": 0})}}, nil, "+ rule desk of high availability\n    + kind    on nodes\n    + VMs     VM 140\n    + nodes   a:2,b\n    + strict  yes\n"},
		"the same rule": {cluster.HASpec{Rules: []cluster.HARule{onNodes(true, map[string]int{"a": 2})}}, func(_ *cluster.Facts, h *cluster.HA) {
			r := onNodes(true, map[string]int{"a": 2})
			r.Comment = "x"
			h.Rules = []cluster.HARule{r}
		}, "nothing to do"},
		"a rule that changes": {cluster.HASpec{Rules: []cluster.HARule{onNodes(false, map[string]int{"b": 0})}}, func(_ *cluster.Facts, h *cluster.HA) {
			h.Rules = []cluster.HARule{onNodes(true, map[string]int{"a": 2})}
		}, "~ rule desk of high availability\n    ~ nodes   a:2 -> b\n    - strict  yes\n"},
		"kept apart":                {cluster.HASpec{VMs: []cluster.HAVM{{VMID: 141, Wanted: "started"}}, Rules: []cluster.HARule{apart}}, nil, "    + VMs   VM 140, VM 141\n"},
		"of VMs that are not there": {cluster.HASpec{Rules: []cluster.HARule{apart}}, nil, "VM 141 is not under high availability"},
		"a name that PVE refuses":   {cluster.HASpec{Rules: []cluster.HARule{{Name: "1", Kind: cluster.Apart}}}, nil, "a name is a letter"},
		"no kind":                   {cluster.HASpec{Rules: []cluster.HARule{{Name: "desk", VMs: []int{140}}}}, nil, "it has no kind"},
		"one VM apart":              {cluster.HASpec{Rules: []cluster.HARule{{Name: "desk", Kind: cluster.Apart, VMs: []int{140, 140}}}}, nil, "too few VMs"},
		"more VMs than nodes":       {cluster.HASpec{VMs: []cluster.HAVM{{VMID: 141}}, Rules: []cluster.HARule{apart}}, func(f *cluster.Facts, _ *cluster.HA) { f.Nodes = f.Nodes[:1] }, "it keeps 2 VMs apart, and the cluster has 1 nodes"},
		"no node":                   {cluster.HASpec{Rules: []cluster.HARule{onNodes(true, nil)}}, nil, "it names no node"},
		"a node that is not there":  {cluster.HASpec{Rules: []cluster.HARule{onNodes(true, map[string]int{"z": 0})}}, nil, "the cluster has no node z"},
		"bound twice": {cluster.HASpec{Rules: []cluster.HARule{onNodes(true, map[string]int{"a": 0})}}, func(_ *cluster.Facts, h *cluster.HA) {
			r := onNodes(true, map[string]int{"a": 2})
			r.Name = "old"
			h.Rules = []cluster.HARule{r}
		}, "VM 140 is bound to nodes by rule old already"},
		"another kind": {cluster.HASpec{VMs: []cluster.HAVM{{VMID: 141}}, Rules: []cluster.HARule{apart}}, func(_ *cluster.Facts, h *cluster.HA) {
			r := apart
			r.Kind = cluster.Together
			h.Rules = []cluster.HARule{r}
		}, `a rule of this name that is for "together"`},
		"nodes of a rule for VMs":    {cluster.HASpec{VMs: []cluster.HAVM{{VMID: 141}}, Rules: []cluster.HARule{{Name: "apart", Kind: cluster.Apart, VMs: []int{140, 141}, Strict: true}}}, nil, `only a rule of the kind "on nodes" names nodes`},
		"groups":                     {cluster.HASpec{Rules: []cluster.HARule{onNodes(true, map[string]int{"a": 2})}}, func(_ *cluster.Facts, h *cluster.HA) { h.Groups = true }, "+ group desk of high availability"},
		"apart with groups":          {cluster.HASpec{VMs: []cluster.HAVM{{VMID: 141}}, Rules: []cluster.HARule{apart}}, func(_ *cluster.Facts, h *cluster.HA) { h.Groups = true }, "PVE 8 has groups of nodes"},
		"failback with groups":       {cluster.HASpec{VMs: []cluster.HAVM{{VMID: 140, Failback: proxstation.No}}}, func(_ *cluster.Facts, h *cluster.HA) { h.Groups = true }, "on PVE 8 this is a setting of the VM's group"},
		"a node that knows no rules": {cluster.HASpec{Rules: []cluster.HARule{onNodes(true, map[string]int{"a": 0})}}, func(f *cluster.Facts, _ *cluster.HA) { f.Nodes[2].Facts.Version = "8.4.1" }, "cluster.ha-mixed"},
		"the state after the plan":   {cluster.HASpec{Rules: []cluster.HARule{onNodes(true, map[string]int{"a": 0})}}, func(f *cluster.Facts, _ *cluster.HA) { unmapped(f, "b", "c") }, "cluster.ha-pinned"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, h := guarded()
			if test.with != nil {
				test.with(&f, &h)
			}
			plan, err := cluster.DiffHA(test.spec, f, h)
			if err != nil && !errors.Is(err, workstation.ErrInvalid) {
				t.Error(err)
			}
			if got := plan.String() + fmt.Sprint(err); !strings.Contains(got, test.want) {
				t.Errorf("%q is not in\n%s", test.want, got)
			}
		})
	}
}

// The advised rules are exactly the rules that the VMs need, and PVE accepts
// them.
func TestAdvise(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		with func(*cluster.Facts, *cluster.HA)
		want string
	}{
		"any node can":        {nil, "[]"},
		"b lacks the mapping": {func(f *cluster.Facts, _ *cluster.HA) { unmapped(f, "b") }, "[on nodes: VM 140 on a,c, nowhere else]"},
		"bound already": {func(f *cluster.Facts, h *cluster.HA) {
			unmapped(f, "b")
			h.Rules = []cluster.HARule{onNodes(true, map[string]int{"a": 0})}
		}, "[]"},
		"c cannot be read":     {func(f *cluster.Facts, _ *cluster.HA) { f.Nodes[2].State = cluster.Slow }, "[on nodes: VM 140 on a,b, nowhere else]"},
		"one card for two":     {func(f *cluster.Facts, h *cluster.HA) { rival(f, h, 1, true) }, "[apart: VM 140, VM 141]"},
		"two cards of three":   {func(f *cluster.Facts, h *cluster.HA) { rival(f, h, 1, true); unmapped(f, "c") }, "[on nodes: VM 140 on a,b, nowhere else on nodes: VM 141 on a,b, nowhere else apart: VM 140, VM 141]"},
		"only one node has it": {func(f *cluster.Facts, h *cluster.HA) { rival(f, h, 0, false); unmapped(f, "b", "c") }, "[on nodes: VM 140 on a, nowhere else on nodes: VM 141 on a, nowhere else]"},
		"apart already": {func(f *cluster.Facts, h *cluster.HA) {
			rival(f, h, 1, true)
			h.Rules = []cluster.HARule{{Name: "x1", Kind: cluster.Apart, VMs: []int{140, 141}}}
		}, "[]"},
		"PVE 8":                  {func(f *cluster.Facts, h *cluster.HA) { rival(f, h, 1, true); h.Groups = true }, "[]"},
		"a VM that is not there": {func(f *cluster.Facts, _ *cluster.HA) { delete(f.Nodes[0].Facts.VMs, 140) }, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, h := guarded()
			if test.with != nil {
				test.with(&f, &h)
			}
			rules := h.Advise(f, 141, 140, 140)
			if got := fmt.Sprint(rules); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
			if _, err := cluster.DiffHA(cluster.HASpec{VMs: []cluster.HAVM{{VMID: 140}, {VMID: 141}}, Rules: rules}, f, h); err != nil {
				t.Error(err)
			}
		})
	}
}
