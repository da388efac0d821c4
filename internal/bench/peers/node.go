package main

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// roundTrip is the network's share of the time for a request. The node's own
// work is not included.
const roundTrip = 20 * time.Millisecond

// distant is a node behind a slow network. It counts requests.
type distant struct {
	base     http.RoundTripper
	wait     time.Duration
	requests atomic.Int64
}

// RoundTrip implements [http.RoundTripper].
func (d *distant) RoundTrip(r *http.Request) (*http.Response, error) {
	d.requests.Add(1)
	time.Sleep(d.wait)
	return d.base.RoundTrip(r)
}

// user and password are the login of root on the embedded node.
const user, password = "root@pam", "secret"

// The function "host" returns the reference host with the given number of VMs.
// Every second VM runs.
func host(vms int) pvetest.Host {
	host := pvetest.Reference()
	host.VMs = nil
	for i := range vms {
		host.VMs = append(host.VMs, pvetest.VM{ID: 1000 + i, Running: i%2 == 0, Config: map[string]string{"name": fmt.Sprintf("vm%d", i), "memory": "16",
			"scsi0": fmt.Sprintf("local-lvm:vm-%d-disk-0,size=1G", 1000+i)}})
	}
	return host
}

// A pair holds two connections to the same node, one of this library and one of
// go-proxmox.
type pair struct {
	ours          *workstation.Node
	naive         *proxmox.Node
	client        *proxmox.Client
	near, farther *distant
}

func connect(ctx context.Context, sim *pvetest.Node, wait time.Duration) (pair, error) {
	p := pair{near: &distant{base: sim.Transport()}, farther: &distant{base: sim.Transport()}}
	var err error
	p.ours, err = workstation.Connect(ctx, workstation.Endpoint{URL: "https://pve.test:8006", Username: user, Password: password, Transport: p.near}, "pve", nil)
	if err != nil {
		return pair{}, err
	}
	p.client = proxmox.NewClient(sim.URL(), proxmox.WithHTTPClient(&http.Client{Transport: p.farther}),
		proxmox.WithCredentials(&proxmox.Credentials{Username: user, Password: password}))
	if p.naive, err = p.client.Node(ctx, "pve"); err != nil {
		return pair{}, err
	}
	p.near.requests.Store(0)
	p.farther.requests.Store(0)
	p.near.wait, p.farther.wait = wait, wait
	return p, nil
}

// node compares how many requests are made to a distant node, and how long they
// take.
func node(ctx context.Context, short bool) error {
	sizes, rounds, wait := []int{2, 16, 1000}, map[int]int{2: 9, 16: 9, 1000: 1}, roundTrip
	if short {
		sizes, wait = sizes[:1], time.Millisecond
		rounds = map[int]int{2: 1}
	}
	goals := map[int]string{16: "two round trips deep", 1000: "< 1.3 s"}
	for _, n := range sizes {
		p, err := connect(ctx, pvetest.New(host(n), nil), wait)
		if err != nil {
			return err
		}
		c := comparison{fmt.Sprintf("all of a node with %d VMs, %d ms a request", n, wait.Milliseconds()), goals[n], func() error {
			facts, err := p.ours.Observe(ctx)
			if err != nil {
				return err
			}
			return count(n, len(facts.VMs))
		}, []contender{{"go-proxmox, only the VMs, one by one", func() error { return loop(ctx, p.naive, n) }}}, rounds[n], true}
		if err := c.print(); err != nil {
			return err
		}
		each := int64(rounds[n])
		fmt.Printf("| requests for that | %d | the same | %d | | |\n", p.near.requests.Load()/each, p.farther.requests.Load()/each)
	}
	return starts(ctx, short, wait)
}

// loop reads the VMs of a node in the way that go-proxmox's documentation
// shows.
func loop(ctx context.Context, node *proxmox.Node, n int) error {
	vms, err := node.VirtualMachines(ctx)
	if err != nil {
		return err
	}
	for _, v := range vms {
		if _, err := node.VirtualMachine(ctx, int(v.VMID)); err != nil {
			return err
		}
	}
	return count(n, len(vms))
}

// This function compares how soon a program notices the end of a task. The
// program starts VMs one after the other.
func starts(ctx context.Context, short bool, wait time.Duration) error {
	rounds := 5
	if short {
		rounds = 1
	}
	stopped := host(2 * rounds)
	for i := range stopped.VMs {
		stopped.VMs[i].Running = false
	}
	p, err := connect(ctx, pvetest.New(stopped, nil), wait)
	if err != nil {
		return err
	}
	next := 999
	return comparison{fmt.Sprintf("the start of a VM, until it is known to be done, %d ms a request", wait.Milliseconds()), "end seen within 0.3 s", func() error {
		next++
		return p.ours.Start(ctx, next)
	}, []contender{{"go-proxmox, Task.WaitFor", func() error {
		next++
		v, err := p.naive.VirtualMachine(ctx, next)
		if err != nil {
			return err
		}
		task, err := v.Start(ctx)
		if err != nil {
			return err
		}
		return task.WaitFor(ctx, 60)
	}}}, rounds, true}.print()
}
