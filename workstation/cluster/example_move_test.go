package cluster_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A VM that is off is moved to another node, if the plan shows no blocker.
func ExampleCluster_ObserveMove() {
	ctx := context.Background()
	a, b := pvetest.Reference(), pvetest.Reference()
	a.Name, b.Name = "a", "b"
	a.VMs = []pvetest.VM{{ID: 140, Config: map[string]string{"name": "models", "memory": "4096", "scsi0": "local-lvm:vm-140-disk-0,size=2G"}}}
	sim := pvetest.NewCluster([]pvetest.Host{a, b}, &pvetest.Options{Speed: 100})
	c, err := cluster.Connect(ctx, []workstation.Endpoint{{URL: "https://a:8006", Username: "root@pam", Password: "secret", Transport: sim.Transport()}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	facts, err := c.Observe(ctx)
	if err != nil {
		log.Fatal(err)
	}
	move, err := c.ObserveMove(ctx, 140, "a", "b")
	if err != nil {
		log.Fatal(err)
	}
	plan := move.Plan(facts, nil)
	fmt.Print(plan)
	if err := c.Apply(ctx, plan, nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println("\nVM 140 is on", sim.Where(140))
	// Output:
	// Plan for the cluster
	//
	// ~ VM 140 models
	//     ~ node  a -> b   # it has to be off
	//     ~ disk  local-lvm:vm-140-disk-0, 2.0 GiB   # copied
	//     ~ time  the time is not known, because no speed is given: 2.0 GiB are copied, which takes about 18s on a network of 1 Gbit/s
	//
	// VM 140 is on b
}

// A move copies only those parts of replicated disks that changed since the
// last run of the replication.
func ExampleReplication() {
	pool := storage.Pool{Storage: storage.Storage{Name: "tank", Type: "zfspool", Content: []string{"images"}, Active: true}}
	node := func(name string, vms map[int]workstation.VMFacts) cluster.NodeFacts {
		return cluster.NodeFacts{Name: name, State: cluster.Online, Facts: workstation.Facts{Node: name, VMs: vms, Pools: []storage.Pool{pool}}}
	}
	facts := cluster.Facts{Quorate: proxstation.Yes, Nodes: []cluster.NodeFacts{node("a", map[int]workstation.VMFacts{140: {ID: 140, Name: "models"}}), node("b", nil)}}
	move := cluster.MoveFacts{VMID: 140, From: "a", To: "b", Disks: []cluster.MoveDisk{{Volume: "tank:vm-140-disk-0", Size: 64 * storage.GiB}},
		Replication: &cluster.Replication{ID: "140-0", LastSync: time.Date(2026, 11, 27, 14, 0, 0, 0, time.UTC), LastRun: 8 * time.Second}}
	for _, change := range move.Plan(facts, nil).Changes() {
		fmt.Print(change)
	}
	// Output:
	// ~ VM 140 models
	//     ~ node  a -> b   # it has to be off
	//     ~ disk  tank:vm-140-disk-0, 64.0 GiB   # replicated: only changes are copied
	//     ~ time  short; of replicated disks only what changed since 2026-11-27 14:00:00 UTC is copied, which last took 8s
}

// CheckMappings reports a card that was put into another slot of its node.
func ExampleFacts_CheckMappings() {
	facts, err := pair().Observe(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	entry, err := gpu.ParseMappingEntry("id=10de:2c05,iommugroup=12,node=a,path=0000:04:00,subsystem-id=1462:5315")
	if err != nil {
		log.Fatal(err)
	}
	for i := range facts.Nodes {
		facts.Nodes[i].Facts.Mappings = []gpu.Mapping{{ID: "rtx", Entries: []gpu.MappingEntry{entry}}}
	}
	for _, f := range facts.CheckMappings() {
		fmt.Println(f.Subject, f.Fix)
	}
	// Output: mapping rtx on node a 10de:2c05 is at 0000:01:00.0 now: write the mapping anew for that address.
}
