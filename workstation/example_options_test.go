package workstation_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// This makes a Linux VM from a cloud image. A user can log in after its first
// boot.
func ExampleCloudInit() {
	vm := profile.LinuxAI{
		Image: "local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2",
		CloudInit: profile.CloudInit{
			User:    "ai",
			SSHKeys: []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHW0Sg0Dv1XoPZ5HHq9yqkFr3Kj6n2l0rJ7n3hZ3cQ0a me@desk"},
			Address: netip.MustParsePrefix("192.168.1.41/24"),
			Gateway: netip.MustParseAddr("192.168.1.1"),
		},
	}.VM()
	fmt.Println(vm.Config["ciuser"], vm.Config["ipconfig0"])
	fmt.Println(vm.Disks[2].Slot, vm.Disks[2].Volume)
	fmt.Println(vm.Validate())
	// Output:
	// ai ip=192.168.1.41/24,gw=192.168.1.1
	// ide2 cloudinit
	// <nil>
}

// This makes a gaming VM that runs on the P-cores of a 14900K and gets the
// keyboard on the desk.
func ExampleTuning() {
	vm := profile.Windows11{
		Card: "rtx5070ti", Cores: 14,
		Tuning: profile.Tuning{Pin: "2-15", HugePages: storage.GiB, USB: []string{"keyboard", "046d:c52b"}},
	}.VM()
	for _, key := range []string{"affinity", "hugepages", "numa", "usb0", "usb1"} {
		fmt.Println(key, vm.Config[key])
	}
	// Output:
	// affinity 2-15
	// hugepages 1024
	// numa 1
	// usb0 mapping=keyboard
	// usb1 host=046d:c52b
}

func ExampleNewSecret() {
	vm := profile.LinuxAI{CloudInit: profile.CloudInit{Password: proxstation.NewSecret("hunter2")}}.VM()
	fmt.Println(vm.Password)
	plan := workstation.Plan{Steps: []workstation.Step{workstation.ChangeVM{Password: vm.Password}}}
	fmt.Printf("%+v\n", plan.Changes()[0].Lines[0])
	// Output:
	// [secret]
	// {Sign:43 Key:cipassword Have: Want:[secret] Note:}
}

// This changes a VM and then restores its old configuration.
func ExampleRestorePlan() {
	ctx := context.Background()
	host := pvetest.Reference()
	host.VMs = []pvetest.VM{{ID: 141, Config: map[string]string{"name": "linux-ai", "memory": "32768", "onboot": "1"}}}
	node, closeNode := embeddedNode(host)
	defer closeNode()

	facts, err := node.Observe(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	kept, err := json.Marshal(facts.Snapshot(141)) // write the snapshot to a file before Apply
	if err != nil {
		fmt.Println(err)
		return
	}
	spec := workstation.Spec{VMs: []workstation.VM{{ID: 141, Name: "linux-ai", Config: map[string]string{"memory": "16384", "tags": "ai"}, Absent: []string{"onboot"}}}}
	plan, err := workstation.Diff(spec, facts)
	if err == nil {
		err = node.Apply(ctx, plan, nil)
	}
	if err != nil {
		fmt.Println(err)
		return
	}

	var before workstation.Snapshot
	if err := json.Unmarshal(kept, &before); err != nil {
		fmt.Println(err)
		return
	}
	if facts, err = node.Observe(ctx); err != nil {
		fmt.Println(err)
		return
	}
	back, err := workstation.RestorePlan(before, facts)
	fmt.Print(back)
	fmt.Println(node.Apply(ctx, back, nil), err)
	// Output:
	// Plan for node pve: 0 to add, 1 to change, 0 to destroy
	//
	// ~ VM 141 linux-ai
	//     ~ memory  16384 -> 32768
	//     + onboot  1
	//     - tags    ai
	// <nil> <nil>
}

func ExampleFacts_Snapshot() {
	facts := workstation.Facts{Node: "pve", VMs: map[int]workstation.VMFacts{
		140: {ID: 140, Config: map[string]string{"name": "windows", "lock": "backup"}},
	}}
	before := facts.Snapshot(140, 141)
	fmt.Println(before)
	text, err := json.Marshal(before)
	fmt.Println(string(text), err)
	// Output:
	// configurations on node pve: VM 140
	// {"node":"pve","configs":{"140":{"name":"windows"}},"missing":[141]} <nil>
}
