package cluster_test

import (
	"context"
	"fmt"
	"log"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A node that is in no cluster is a cluster of one node.
func ExampleConnect() {
	node := pvetest.New(pvetest.Reference(), nil)
	c, err := cluster.Connect(context.Background(), []workstation.Endpoint{
		{URL: "https://pve.test:8006", Username: "root@pam", Password: "secret", Transport: node.Transport()},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	facts, err := c.Observe(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, n := range facts.Nodes {
		fmt.Println(n.Name, n.State, "quorate:", facts.Quorate)
		for _, card := range n.Facts.Cards() {
			fmt.Println(card.Address(), card.Name())
		}
	}
	// Output:
	// pve online quorate: yes
	// 0000:00:02.0 Intel Corporation CoffeeLake-S GT2 [UHD Graphics 630]
	// 0000:01:00.0 NVIDIA Corporation GB203 [GeForce RTX 5070 Ti]
}
