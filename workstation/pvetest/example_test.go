package pvetest_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A client of the PVE API talks to the node unchanged.
func Example() {
	node := pvetest.New(pvetest.Reference(), nil).Start()
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

// The zero value of most of a Guest is a guest that behaves; this one does not.
func ExampleGuest() {
	host := pvetest.Reference()
	host.VMs = []pvetest.VM{{ID: 140, Running: true, Config: map[string]string{"name": "windows", "agent": "1"}}}
	host.Guests = map[int]pvetest.Guest{140: {Hang: true, Boot: time.Minute}}
	node := pvetest.New(host, nil)

	fmt.Println(node.Running())
	// Output: [140]
}

// A fault strikes the next request that matches it.
func ExampleFault() {
	node := pvetest.New(pvetest.Reference(), nil)
	node.Inject(pvetest.Fault{Path: "/version", Kind: pvetest.Refuse, Message: "no quorum"})
	client := proxmox.NewClient(node.URL(), proxmox.WithHTTPClient(node.HTTPClient()),
		proxmox.WithAPIToken("root@pam!lab", "11111111-2222-3333-4444-555555555555"))

	_, err := client.Version(context.Background())
	fmt.Println(err)
	_, err = client.Version(context.Background())
	fmt.Println(err)
	// Output:
	// 500 no quorum
	// <nil>
}

// In a synctest bubble a minute of the guest's time takes no time at all.
func TestMinutesPassInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		host := pvetest.Reference()
		host.VMs = []pvetest.VM{{ID: 140, Running: true, Config: map[string]string{"agent": "1"}}}
		host.Guests = map[int]pvetest.Guest{140: {Shutdown: 3 * time.Minute}}
		node := pvetest.New(host, nil)
		client := proxmox.NewClient(node.URL(), proxmox.WithHTTPClient(node.HTTPClient()),
			proxmox.WithAPIToken("root@pam!lab", "11111111-2222-3333-4444-555555555555"))
		var upid string
		if err := client.Post(t.Context(), "/nodes/pve/qemu/140/status/shutdown", map[string]any{"timeout": 300}, &upid); err != nil {
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
