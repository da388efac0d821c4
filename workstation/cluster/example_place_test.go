package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// pair returns a cluster of two embedded nodes: a has an RTX 5070 Ti, b an RTX
// 3060 and a Radeon.
func pair() *cluster.Cluster {
	a, b := pvetest.Reference(), pvetest.AMD()
	a.Name, b.Name = "a", "b"
	sim := pvetest.NewCluster([]pvetest.Host{a, b}, &pvetest.Options{Speed: 100})
	c, err := cluster.Connect(context.Background(), []workstation.Endpoint{
		{URL: "https://a:8006", Username: "root@pam", Password: "secret", Transport: sim.Transport()},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	return c
}

// The workstation says what it needs. The plan says on which node the VM is
// made, and why.
func ExampleDiff() {
	facts, err := pair().Observe(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	plan, err := cluster.Diff(cluster.Spec{
		Cards:        []cluster.Card{{Mapping: "rtx", Kind: cluster.Kind{Name: "RTX 5070 Ti"}}},
		Workstations: []cluster.Needs{{VM: profile.LinuxAI{Card: "rtx", Models: 80 * storage.GiB}.VM()}},
	}, facts)
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range plan.Placements {
		fmt.Print(p)
	}
	for _, node := range plan.Nodes {
		fmt.Println(node.Node, node.Changes()[0].Object)
	}
	// Output:
	// VM 141 linux-ai goes to node a: no other node meets its needs
	//     b (refused): it has no card of the kind RTX 5070 Ti, only AMD Navi 22 1002:73df at 0000:0c:00.0 and NVIDIA Ampere 10de:2504 at 0000:0d:00.0
	// a VM 141 linux-ai
}

// Apply makes the changes on all nodes, and can be repeated.
func ExampleCluster_Apply() {
	ctx, c := context.Background(), pair()
	spec := cluster.Spec{
		Cards: []cluster.Card{{Mapping: "rtx", Kind: cluster.Kind{Name: "RTX"}}, {Mapping: "radeon", Kind: cluster.Kind{Family: gpu.AMDNavi22}}},
		Workstations: []cluster.Needs{
			{VM: profile.LinuxAI{ID: 140, Name: "models", Card: "rtx"}.VM()},
			{VM: profile.LinuxAI{ID: 141, Name: "render", Card: "radeon"}.VM()},
		},
	}
	for range 2 {
		facts, err := c.Observe(ctx)
		if err != nil {
			log.Fatal(err)
		}
		plan, err := cluster.Diff(spec, facts)
		if err != nil {
			log.Fatal(err)
		}
		for _, p := range plan.Placements {
			fmt.Println(p.Name, p.Node, p.Exists)
		}
		if err := c.Apply(ctx, plan, nil); err != nil {
			log.Fatal(err)
		}
		fmt.Println("nothing to do:", plan.Empty())
	}
	// Output:
	// models a false
	// render b false
	// nothing to do: false
	// models a true
	// render b true
	// nothing to do: true
}

// Place answers the question on which nodes VMs would be made. It plans no
// change.
func ExamplePlace() {
	facts, err := pair().Observe(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	placements, err := cluster.Place(cluster.Spec{Workstations: []cluster.Needs{
		{VM: profile.LinuxAI{ID: 140, Name: "large", Memory: 100 * storage.GiB}.VM()},
		{VM: profile.LinuxAI{ID: 141, Name: "small", Memory: 8 * storage.GiB}.VM(), Node: "a"},
	}}, facts)
	for _, p := range placements {
		fmt.Print(p)
	}
	fmt.Println(err)
	// Output:
	// VM 140 large goes to node b: no other node meets its needs
	//     a (refused): memory 102400: the host has only 64.0 GiB
	// VM 141 small goes to node a: as asked for
	// <nil>
}

// For each node, the error says what the node lacks.
func ExampleNoPlaceError() {
	facts, err := pair().Observe(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	_, err = cluster.Place(cluster.Spec{Workstations: []cluster.Needs{{VM: profile.LinuxAI{Memory: 500 * storage.GiB}.VM()}}}, facts)
	fmt.Println(err)
	var none *cluster.NoPlaceError
	if errors.As(err, &none) {
		fmt.Println(none.Refused[1])
	}
	// Output:
	// cluster: no node for VM 141 linux-ai
	//   a: memory 512000: the host has only 64.0 GiB
	//   b: memory 512000: the host has only 128.0 GiB
	// {b true memory 512000: the host has only 128.0 GiB}
}

func ExampleKind() {
	facts, err := pair().Observe(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, kind := range []cluster.Kind{{Name: "rtx"}, {Family: gpu.NVIDIAAmpere}, {Model: iommu.Model{Vendor: gpu.AMD, Device: 0x73df}}} {
		for _, node := range facts.Nodes {
			for _, card := range node.Facts.Cards() {
				if kind.Is(card) {
					fmt.Printf("%s: %s has %s\n", kind, node.Name, card)
				}
			}
		}
	}
	// Output:
	// rtx: a has NVIDIA Corporation GB203 [GeForce RTX 5070 Ti] at 0000:01:00.0
	// NVIDIA Ampere: b has NVIDIA Ampere 10de:2504 at 0000:0d:00.0
	// 1002:73df: b has AMD Navi 22 1002:73df at 0000:0c:00.0
}

// A VM needs an image that only another node has. The plan brings the image to
// the node of the VM.
func ExampleImage() {
	facts, err := pair().Observe(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	const ubuntu = "local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2"
	plan, err := cluster.Diff(cluster.Spec{
		Workstations: []cluster.Needs{{VM: profile.LinuxAI{Image: ubuntu}.VM(), Node: "b"}},
		Images: []cluster.Image{{Volume: ubuntu, URL: "https://cloud-images.ubuntu.com/releases/24.04/release/ubuntu-24.04-server-cloudimg-amd64.img",
			SHA256: "0000000000000000000000000000000000000000000000000000000000000000"}},
	}, facts)
	if err != nil {
		log.Fatal(err)
	}
	for _, b := range plan.Images {
		fmt.Println(b.Node, b.Image.Volume)
	}
	// Output: b local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2
}

// Each node that has the card gets an entry in the mapping.
func ExampleMappingChange() {
	facts, err := pair().Observe(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	plan, err := cluster.Diff(cluster.Spec{Cards: []cluster.Card{{Mapping: "nvidia", Kind: cluster.Kind{Name: "RTX 5070"}}}}, facts)
	if err != nil {
		log.Fatal(err)
	}
	change := plan.Mappings[0]
	fmt.Println(change.Mapping.ID, change.Have == nil, change.Mapping.On("a")[0])
	// Output: nvidia true id=10de:2c05,iommugroup=12,node=a,path=0000:01:00,subsystem-id=1462:5315
}

// A move is planned from PVE's facts about the VM and its target.
func ExampleMoveFacts_Plan() {
	at := func(node string, vms map[int]workstation.VMFacts) cluster.NodeFacts {
		pool := storage.Pool{Storage: storage.Storage{Name: "local-lvm", Type: "lvmthin", Content: []string{"images"}, Active: true, Total: storage.TiB, Available: storage.TiB}}
		return cluster.NodeFacts{Name: node, State: cluster.Online, Facts: workstation.Facts{Node: node, VMs: vms, Pools: []storage.Pool{pool}}}
	}
	facts := cluster.Facts{Quorate: proxstation.Yes, Nodes: []cluster.NodeFacts{
		at("a", map[int]workstation.VMFacts{140: {ID: 140, Name: "windows", Config: map[string]string{"scsi0": "local-lvm:vm-140-disk-0,size=128G"}}}),
		at("b", nil),
	}}
	move := cluster.MoveFacts{VMID: 140, From: "a", To: "b", Disks: []cluster.MoveDisk{{Volume: "local-lvm:vm-140-disk-0", Size: 128 * storage.GiB}}}
	fmt.Fprint(os.Stdout, move.Plan(facts, &cluster.MoveOptions{Speed: 400 * storage.MiB}))
	// Output:
	// Plan for the cluster
	//
	// ~ VM 140 windows
	//     ~ node  a -> b   # it has to be off
	//     ~ disk  local-lvm:vm-140-disk-0, 128.0 GiB   # copied
	//     ~ time  about 5m27s for 128.0 GiB
}
