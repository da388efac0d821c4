package pvetest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A client of the PVE API can use the node without changes. The first request
// has no ticket yet, and the node takes three seconds to refuse it, like a real
// node. Speed makes these seconds shorter.
func Example() {
	node := pvetest.New(pvetest.Reference(), &pvetest.Options{Speed: 100}).Start()
	defer node.Close()
	client := proxmox.NewClient(node.URL(), proxmox.WithHTTPClient(node.HTTPClient()),
		proxmox.WithCredentials(&proxmox.Credentials{Username: "root@pam", Password: "secret"}))

	version, err := client.Version(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("Proxmox VE", version.Release)
	// Output: Proxmox VE 9.1
}

// labClient returns a client that needs no network.
func labClient(node *pvetest.Node) *proxmox.Client {
	return proxmox.NewClient(node.URL(), proxmox.WithHTTPClient(node.HTTPClient()),
		proxmox.WithAPIToken("root@pam!lab", "11111111-2222-3333-4444-555555555555"))
}

// In a testing/synctest bubble, the minutes that a guest needs to shut down
// take no real time.
func TestMinutesPassInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		host := pvetest.Reference()
		host.VMs = []pvetest.VM{{ID: 140, Running: true, Config: map[string]string{"agent": "1"}}}
		host.Guests = map[int]pvetest.Guest{140: {Shutdown: 3 * time.Minute}}
		node := pvetest.New(host, nil)
		var upid string
		if err := labClient(node).Post(t.Context(), "/nodes/pve/qemu/140/status/shutdown", map[string]any{"timeout": 300}, &upid); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if len(node.Running()) != 1 {
			t.Error("the guest is off too early")
		}
		time.Sleep(2 * time.Minute)
		if len(node.Running()) != 0 {
			t.Error("the guest is still on")
		}
	})
}

// A Host describes a node as data. The node has only the parts in the
// description.
func ExampleHost() {
	host := pvetest.Host{
		Name: "pve", Version: "9.1.4", Release: "9.1", Cores: 4, Memory: 8 << 30,
		PCI: []pvetest.PCI{{Address: "0000:00:02.0", Class: 0x030000, Vendor: 0x8086, Device: 0x46d1, Group: 0}},
	}
	_ = json.NewEncoder(os.Stdout).Encode(host.PCI)
	// Output: [{"address":"0000:00:02.0","class":196608,"vendor":32902,"device":18129,"subVendor":0,"subDevice":0,"group":0}]
}

// The zero Guest boots and shuts down as it should. The guest in this example
// boots for a minute and never finishes a shutdown.
func ExampleGuest() {
	host := pvetest.Reference()
	host.VMs = []pvetest.VM{{ID: 140, Running: true, Config: map[string]string{"name": "windows", "agent": "1"}}}
	host.Guests = map[int]pvetest.Guest{140: {Hang: true, Boot: time.Minute}}
	node := pvetest.New(host, nil)

	fmt.Println(node.Running())
	// Output: [140]
}

// The test itself defines the results of commands in a guest.
func ExampleResult() {
	guest := pvetest.Guest{Exec: func(argv []string, input []byte) pvetest.Result {
		switch argv[0] {
		case "nvidia-smi":
			return pvetest.Result{Stdout: []byte("NVIDIA GeForce RTX 5070 Ti\n")}
		case "apt-get":
			return pvetest.Result{Code: 100, Stderr: []byte("E: Could not get lock"), After: time.Minute}
		}
		return pvetest.NotFound()
	}}
	fmt.Printf("%s", guest.Exec([]string{"nvidia-smi"}, nil).Stdout)
	// Output: NVIDIA GeForce RTX 5070 Ti
}

// A fault affects the next request that matches it.
func ExampleFault() {
	node := pvetest.New(pvetest.Reference(), nil)
	node.Inject(pvetest.Fault{Path: "/version", Kind: pvetest.Refuse, Message: "cluster not ready - no quorum?"})
	client := labClient(node)

	_, err := client.Version(context.Background())
	fmt.Println(err)
	_, err = client.Version(context.Background())
	fmt.Println(err)
	// Output:
	// 500 cluster not ready - no quorum?
	// <nil>
}

// Writes lists the requests that wrote something. A test uses it to show that a
// second run writes nothing.
func ExampleNode_Writes() {
	host := pvetest.Reference()
	host.VMs = []pvetest.VM{{ID: 140, Config: map[string]string{"cores": "2"}}}
	node := pvetest.New(host, nil)
	client := labClient(node)

	var config map[string]any
	_ = client.Get(context.Background(), "/nodes/pve/qemu/140/config", &config)
	_ = client.Put(context.Background(), "/nodes/pve/qemu/140/config", map[string]any{"cores": 4, "digest": config["digest"]}, nil)
	for _, request := range node.Writes() {
		fmt.Println(request, "cores:", request.Params["cores"])
	}
	// Output: PUT /nodes/pve/qemu/140/config cores: 4
}

// PowerOn starts the other VM, as another person would. Reservations returns
// the VM that has the card.
func ExampleNode_PowerOn() {
	host := pvetest.Reference()
	card := map[string]string{"hostpci0": "0000:01:00"}
	host.VMs = []pvetest.VM{{ID: 140, Config: card, Running: true}, {ID: 141, Config: card}}
	node := pvetest.New(host, nil)

	fmt.Println(node.PowerOn(141))
	fmt.Println(node.Reservations())
	fmt.Println(node.Check())
	// Output:
	// pvetest: PCI device '0000:01:00.0' already in use by VMID '140'
	// map[0000:01:00.0:140 0000:01:00.1:140]
	// <nil>
}

// Check reports damage that a client has done to the node, whatever answers the
// client got.
func ExampleNode_Check() {
	host := pvetest.SharedGroup()
	host.VMs = []pvetest.VM{{ID: 140, Config: map[string]string{"hostpci0": "0000:04:00"}}}
	node := pvetest.New(host, nil)

	if err := node.PowerOn(140); err != nil {
		fmt.Println(err)
	}
	fmt.Println(node.Check())
	// Output:
	// pvetest: the host has lost 0000:01:00.1, which it runs on: it was in the IOMMU group of a VM's device
	// pvetest: the host has lost 0000:03:00.0, which it runs on: it was in the IOMMU group of a VM's device
}

// State is the true state of a VM, including the changes that wait for its next
// start.
func ExampleState() {
	host := pvetest.Reference()
	host.VMs = []pvetest.VM{{ID: 140, Running: true, Config: map[string]string{"cores": "2"}}}
	node := pvetest.New(host, nil)

	if err := node.Edit(140, "cores", "8"); err != nil {
		fmt.Println(err)
	}
	state, _ := node.VM(140)
	fmt.Println(state.Config["cores"], "now,", state.Pending["cores"], "after the next start")
	// Output: 2 now, 8 after the next start
}
