package board

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// The function "three" returns the hosts of a cluster. Each host has its own
// card. Windows runs on the first host, and Linux is on the second host.
func three() []pvetest.Host {
	whole := pair()
	var hosts []pvetest.Host
	for i, name := range []string{"pve", "pve2", "pve3"} {
		host := pvetest.Reference()
		host.Name, host.Mappings, host.VMs = name, nil, nil
		if i < len(whole.VMs) {
			host.VMs = whole.VMs[i : i+1]
		}
		hosts = append(hosts, host)
	}
	entry := whole.Mappings[0].Map[0]
	hosts[0].Mappings = []pvetest.Mapping{{ID: "rtx5070ti", Map: []string{entry, strings.Replace(entry, "node=pve", "node=pve2", 1)}}}
	return hosts
}

// The systems are on two nodes. The page shows the node of each system,
// switches across the nodes, and shuts a system down on its own node. If a
// system's node is gone, the page does not show the system as off.
func TestSystemsOnSeveralNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.NewCluster(three(), nil)
		node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: "https://pve:8006", Username: "root@pam", Password: "secret", Transport: sim.Transport()}, "pve", nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		b := &bench{t: t, sim: sim.Node("pve"), node: &counted{Node: node}}
		b.board = New(ctx, b.node, duo, Options{Host: "pve", Labels: map[int]string{140: "Windows", 141: "Linux AI"}})
		b.handler = b.board.Handler()
		time.Sleep(time.Minute) // the guest boots in this time

		b.want(200, "pve2 · VM 141", "GET", "/", "")
		b.want(200, `"title":"Linux AI has the card."`, "POST", "/api/switch", "vmid=141&wait=true")
		if len(sim.Node("pve").Running()) > 0 || len(sim.Node("pve2").Running()) != 1 {
			t.Error("the switch did not arrive")
		}
		b.want(200, `"title":"Linux AI is off."`, "POST", "/api/shutdown", "vmid=141&wait=true")
		b.want(200, `"title":"Linux AI has the card."`, "POST", "/api/switch", "vmid=141&wait=true")

		sim.Down("pve2")
		time.Sleep(time.Minute) // the cluster loses sight of the node in this time
		b.want(200, "Not known: node pve2 is away", "GET", "/", "")
		b.want(502, "Linux AI may still run there", "POST", "/api/shutdown", "vmid=141")
		b.want(409, "pve2", "POST", "/api/switch", "vmid=140")
		if len(sim.Node("pve").Running()) > 0 {
			t.Error("Windows was started while nobody knows whether Linux runs")
		}

		sim.Up("pve2")
		time.Sleep(5 * time.Minute)
		b.want(200, `"title":"Windows has the card."`, "POST", "/api/switch", "vmid=140&wait=true")
		b.board.Close()
		if err := sim.Check(); err != nil {
			t.Error(err)
		}
	})
}

func TestStateOfASystem(t *testing.T) {
	t.Parallel()
	v := on()
	v.Systems[0].Node, v.Systems[1].Node, v.Systems[1].Away = "pve", "pve2", true
	s := v.Systems[1]
	if got := v.State(s) + ", " + v.Look(s) + ", " + v.Place(s); got != "Not known: node pve2 is away, is-away, pve2" {
		t.Errorf("%q", got)
	}
	v.Systems[1].Node = "pve"
	if got := v.Place(v.Systems[1]); got != "" {
		t.Errorf("all systems are on one node, and the page says %q", got)
	}
}
