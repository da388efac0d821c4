package cluster_test

import (
	"context"
	"fmt"
	"log"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// Node c lacks the card, but the HA manager would still recover the VM to it.
// The plan binds the VM to the nodes that have the card.
func ExampleDiffHA() {
	hosts := trio(func(hosts []pvetest.Host) {
		hosts[0].VMs = hosts[0].VMs[:1]
		hosts[2].Mappings = nil
	})
	sim := pvetest.NewCluster(hosts, nil)
	ctx := context.Background()
	c, err := cluster.Connect(ctx, []workstation.Endpoint{{URL: "https://a:8006", Username: "root@pam", Password: "secret", Transport: sim.Transport()}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	facts, err := c.Observe(ctx)
	if err != nil {
		log.Fatal(err)
	}
	ha, err := c.ObserveHA(ctx)
	if err != nil {
		log.Fatal(err)
	}
	recovery, err := ha.Recovery(facts, 140)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(recovery)
	plan, err := cluster.DiffHA(cluster.HASpec{VMs: []cluster.HAVM{{VMID: 140, Wanted: "started"}}, Rules: ha.Advise(facts, 140)}, facts, ha)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(plan)
	// Output:
	// VM 140 desk140, if node a is lost:
	//   b: would start there, chosen first
	//   c: would not start there, chosen first; hostpci0: mapping rtx has no entry for it
	// Plan for the cluster
	//
	// + high availability of VM 140
	//     + state         started
	//     + failback      yes
	//     + max_restart   1
	//     + max_relocate  1
	//
	// + rule nodes-140 of high availability
	//     + kind    on nodes
	//     + VMs     VM 140
	//     + nodes   a,b
	//     + strict  yes
}

// The text of a rule begins with its kind in words, such as "apart".
func ExampleHAKind() {
	for _, r := range []cluster.HARule{
		{Name: "desk", Kind: cluster.OnNodes, VMs: []int{140}, Nodes: map[string]int{"a": 2, "b": 0}, Strict: true},
		{Name: "one-card", Kind: cluster.Apart, VMs: []int{141, 140}},
	} {
		fmt.Println(r)
	}
	var kind cluster.HAKind
	fmt.Println(kind.UnmarshalText([]byte("together")), kind == cluster.Together)
	// Output:
	// on nodes: VM 140 on a:2,b, nowhere else
	// apart: VM 140, VM 141
	// <nil> true
}

// Judge reports a VM that is in the HA state "error". It also says how to end
// this state.
func ExampleHA_Judge() {
	ha := cluster.HA{VMs: []cluster.HAVM{{VMID: 140, Wanted: "started", State: "error", Node: "b"}}}
	for _, f := range ha.Judge(cluster.Facts{}) {
		fmt.Println(f.ID)
		fmt.Println(f.Fix)
	}
	// Output:
	// cluster.ha-error
	// ha-manager set vm:140 --state disabled; mend what its last task on node b says; then ha-manager set vm:140 --state started, or --state stopped if another VM has its turn.
}
