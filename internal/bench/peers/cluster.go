package main

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"time"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// machines returns a cluster with a number of VMs, evenly distributed over the
// nodes. Every second VM runs.
func machines(nodes, vms int) *pvetest.Cluster {
	all, hosts := host(vms).VMs, []pvetest.Host{}
	for i := range nodes {
		h := pvetest.Reference()
		h.Name, h.VMs = fmt.Sprintf("n%02d", i), all[i*vms/nodes:(i+1)*vms/nodes]
		hosts = append(hosts, h)
	}
	return pvetest.NewCluster(hosts, &pvetest.Options{TraceLimit: 1})
}

// clusters compares how many requests are made to a distant cluster, and how
// long they take. It makes the comparison twice, with different limits for the
// requests in flight.
func clusters(ctx context.Context, brief bool) error {
	nodes, vms, wait := 32, 1000, roundTrip
	if brief {
		nodes, vms, wait = 2, 4, time.Millisecond
	}
	near := &distant{base: machines(nodes, vms).Transport()}
	naive := proxmox.NewClient("https://n00:8006/api2/json", proxmox.WithHTTPClient(&http.Client{Transport: &distant{base: near.base, wait: wait}}),
		proxmox.WithCredentials(&proxmox.Credentials{Username: user, Password: password}))
	for _, inFlight := range []int{64, 128} {
		near.wait = 0
		c, err := cluster.Connect(ctx, []workstation.Endpoint{{URL: "https://n00:8006", Username: user, Password: password, Transport: near}}, &cluster.Options{InFlight: inFlight})
		if err != nil {
			return err
		}
		near.requests.Store(0)
		near.wait = wait
		var facts cluster.Facts
		work := comparison{fmt.Sprintf("all of a cluster of %d nodes with %d VMs, %d ms a request, %d in flight", nodes, vms, wait.Milliseconds(), inFlight), "", func() (err error) {
			if facts, err = c.Observe(ctx); err != nil {
				return err
			}
			return count(vms, len(facts.Guests))
		}, nil, 1, true}
		if inFlight == 64 {
			work.goal = "three requests deep"
			work.peers = []contender{{"go-proxmox, only the VMs, one by one", func() error { return everyNode(ctx, naive, nodes, vms) }}}
		}
		if err := work.print(); err != nil {
			return err
		}
		fmt.Printf("| requests for that, and the memory of the facts | %d, %s | | | | |\n", near.requests.Load(), held(&facts))
	}
	return nil
}

// everyNode reads the VMs of all nodes in the way that go-proxmox's
// documentation shows.
func everyNode(ctx context.Context, client *proxmox.Client, nodes, vms int) error {
	list, err := client.Nodes(ctx)
	if err != nil {
		return err
	}
	read := 0
	for _, status := range list {
		node, err := client.Node(ctx, status.Node)
		if err != nil {
			return err
		}
		of, err := node.VirtualMachines(ctx)
		if err != nil {
			return err
		}
		if err := loop(ctx, node, len(of)); err != nil {
			return err
		}
		read += len(of)
	}
	if err := count(nodes, len(list)); err != nil {
		return err
	}
	return count(vms, read)
}

// The function "held" returns how much memory *facts takes up. To measure this,
// it empties *facts.
func held(facts *cluster.Facts) string {
	var with, without runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&with)
	runtime.KeepAlive(facts.Nodes)
	*facts = cluster.Facts{}
	runtime.GC()
	runtime.ReadMemStats(&without)
	return storage.Size(max(int64(with.HeapAlloc)-int64(without.HeapAlloc), 0)).Human()
}
