package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"time"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A node that is away causes no error, and Observe reads the other nodes.
func ExampleCluster_Observe() {
	sim := pvetest.NewCluster(hosts("a", "b", "c"), nil)
	c, err := cluster.Connect(context.Background(), addresses(sim.Transport(), "a", "b", "c"), nil)
	if err != nil {
		log.Fatal(err)
	}
	sim.Down("a")
	facts, err := c.Observe(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("quorate:", facts.Quorate)
	for _, n := range facts.Nodes {
		fmt.Println(n.Name, n.State, len(n.Facts.Cards()), "cards")
	}
	for _, g := range facts.Guests {
		fmt.Println(g.VMID, g.Name, "on", g.Node, "runs:", g.Running)
	}
	// Output:
	// quorate: yes
	// a away 0 cards
	// b online 2 cards
	// c online 2 cards
	// 101 vm-a on a runs: unknown
	// 102 vm-b on b runs: yes
	// 103 vm-c on c runs: yes
}

// ObserveFor reads the configurations of VMs only where the Spec depends on
// them.
func ExampleCluster_ObserveFor() {
	sim := pvetest.NewCluster(hosts("a", "b", "c"), nil)
	c, err := cluster.Connect(context.Background(), addresses(sim.Transport(), "a", "b", "c"), nil)
	if err != nil {
		log.Fatal(err)
	}
	spec := cluster.Spec{Workstations: []cluster.Needs{{VM: workstation.VM{ID: 102, Name: "vm-b", Config: map[string]string{"cores": "4"}}}}}
	facts, err := c.ObserveFor(context.Background(), spec)
	if err != nil {
		log.Fatal(err)
	}
	for _, n := range facts.Nodes {
		fmt.Println(n.Name, n.State, len(n.Facts.VMs), "read, not read:", n.Facts.Unread)
	}
	plan, err := cluster.Diff(spec, facts)
	fmt.Println(len(plan.Nodes), "node changes,", err)
	// Output:
	// a online 0 read, not read: map[101:vm-a]
	// b online 1 read, not read: map[]
	// c online 0 read, not read: map[103:vm-c]
	// 1 node changes, <nil>
}

// Open takes a client that the program configured itself: its address, login,
// TLS and proxy.
func ExampleOpen() {
	sim := pvetest.NewCluster(hosts("a", "b"), nil).Start()
	client := proxmox.NewClient(sim.Node("b").URL(), proxmox.WithHTTPClient(sim.Node("b").HTTPClient()),
		proxmox.WithAPIToken("root@pam!lab", "11111111-2222-3333-4444-555555555555"))
	facts, err := cluster.Open(client, nil).Observe(context.Background())
	sim.Close()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(facts.Nodes), "nodes,", facts.QuorateSeen)
	// Output:
	// 2 nodes, /cluster/status of node b: 2 of 2 nodes online, quorate: yes
}

func ExampleFacts_Node() {
	facts := cluster.Facts{Nodes: []cluster.NodeFacts{{Name: "a", State: cluster.Slow}}}
	n, ok := facts.Node("a")
	fmt.Println(n.State, ok)
	_, ok = facts.Node("b")
	fmt.Println(ok)
	// Output:
	// slow true
	// false
}

func ExampleOptions() {
	opts := &cluster.Options{
		InFlight: 128,             // for a large cluster far away
		Limit:    5 * time.Second, // Observe soon gives up on a node that hangs
	}
	sim := pvetest.NewCluster(hosts("a", "b"), nil)
	c, err := cluster.Connect(context.Background(), addresses(sim.Transport(), "a"), opts)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Node("b").Name())
	// Output: b
}

func ExampleState() {
	text, err := json.Marshal([]cluster.State{cluster.Online, cluster.Away})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(text))
	// Output: ["online","away"]
}

func ExampleGuest() {
	g := cluster.Guest{VMID: 140, Name: "windows", Node: "b"} // a guest of a node that is away
	fmt.Println(g.VMID, g.Name, "on", g.Node, "runs:", g.Running)
	// Output: 140 windows on b runs: unknown
}
