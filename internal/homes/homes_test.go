package homes_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation/internal/homes"
	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

func TestVMsAreFoundOnTheirNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testVMs)
}

func testVMs(t *testing.T) {
	one, two := pvetest.Reference(), pvetest.Reference()
	one.Name, two.Name = "one", "two"
	one.VMs = []pvetest.VM{{ID: 140, Config: map[string]string{"name": "a"}}}
	two.VMs = []pvetest.VM{{ID: 141, Running: true, Config: map[string]string{"name": "b"}}}
	cluster := pvetest.NewCluster([]pvetest.Host{one, two}, nil)
	time.Sleep(time.Minute) // the nodes have reported to each other
	client, err := pve.Dial(pve.Endpoint{URL: cluster.Node("one").URL(), Token: "root@pam!lab=11111111-2222-3333-4444-555555555555", Transport: cluster.Transport()})
	if err != nil {
		t.Fatal(err)
	}
	vms := homes.New(client.On("one"), "one")
	if vms.Home(141) != "one" || vms.Clustered() {
		t.Errorf("before anything was seen: %s, %v", vms.Home(141), vms.Clustered())
	}
	if status, err := vms.Status(t.Context(), 141); err != nil || !status.Running { // VM 141 is on the second node
		t.Errorf("%+v, %v", status, err)
	}
	if vms.Home(140) != "one" || vms.Home(141) != "two" || !vms.Clustered() || vms.IsAway(141) {
		t.Errorf("%s, %s, %v", vms.Home(140), vms.Home(141), vms.Lost())
	}
	running, err := vms.For(client.On("two"), "two").Running(t.Context(), []int{140, 141}, nil)
	if err != nil || len(running) != 1 || running[0].VMID != 141 {
		t.Errorf("%+v, %v", running, err)
	}
	if running, err = vms.Running(t.Context(), []int{140, 141}, []string{"two"}); err != nil || len(running) != 0 {
		t.Errorf("without the node that is off: %+v, %v", running, err)
	}
	cluster.Down("two")
	time.Sleep(time.Minute)
	if _, err := vms.Status(t.Context(), 141); err == nil || vms.Look(t.Context()) != nil || !vms.IsAway(141) || vms.Lost()["two"] == "" {
		t.Errorf("%v, away %v", err, vms.Lost())
	}
}
