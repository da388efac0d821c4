package workstation_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// embeddedNode returns an embedded node for the examples, and a function that
// closes it.
func embeddedNode(host pvetest.Host) (*workstation.Node, func()) {
	sim := pvetest.New(host, &pvetest.Options{Speed: 100}).Start()
	node, err := workstation.Connect(context.Background(), workstation.Endpoint{
		URL: sim.URL(), Token: tokenID + "=" + tokenSecret, Fingerprint: sim.Fingerprint(),
	}, "", nil)
	if err != nil {
		panic(err)
	}
	return node, sim.Close
}

// This plans the changes that bring the node into the wanted state, and makes
// them.
func Example() {
	ctx := context.Background()
	node, closeNode := embeddedNode(pvetest.Reference())
	defer closeNode()

	facts, err := node.Observe(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	spec := workstation.Spec{VMs: []workstation.VM{profile.LinuxAI{Models: 80 * storage.GiB}.VM()}}
	plan, err := workstation.Diff(spec, facts)
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := node.Apply(ctx, plan, nil); err != nil {
		fmt.Println(err)
		return
	}
	facts, err = node.Observe(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err = workstation.Diff(spec, facts)
	fmt.Println(plan.Empty(), err)
	// Output: true <nil>
}

func ExampleDiff() {
	vm := profile.LinuxAI{ID: 141, Name: "llm", Memory: 48 * storage.GiB, System: 64 * storage.GiB}.VM()
	vm.Config["tags"] = "ai"
	pools := []storage.Pool{{Tier: storage.Tier1, Storage: storage.Storage{Name: "local-lvm", Type: "lvmthin", Content: []string{"images"}, Active: true, Total: 800 * storage.GiB, Available: 700 * storage.GiB}}}
	facts := workstation.Facts{Node: "pve", Pools: pools, VMs: map[int]workstation.VMFacts{141: {ID: 141, Name: "llm", Digest: "d1", Config: map[string]string{
		"name": "llm", "bios": "ovmf", "machine": "q35", "cpu": "host", "sockets": "1", "cores": "8", "balloon": "0", "memory": "32768", "ostype": "l26",
		"scsihw": "virtio-scsi-single", "agent": "1", "boot": "order=scsi0", "vga": "std", "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1",
		"scsi0": "local-lvm:vm-141-disk-0,size=32G,backup=0", "efidisk0": "local-lvm:vm-141-disk-1,efitype=4m,pre-enrolled-keys=0,size=4M",
	}}}}
	plan, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, facts)
	if err != nil {
		fmt.Println(err)
	}
	fmt.Print(plan)
	// Output:
	// Plan for node pve: 0 to add, 2 to change, 0 to destroy
	//
	// ~ VM 141 llm
	//     ~ scsi0  32G -> 64G   # the guest has to grow its file system
	//
	// ~ VM 141 llm
	//     ~ memory  32768 -> 49152
	//     + tags    ai
	//
	// Storages, when the new disks are full
	//     local-lvm  0 % -> 4 %  # 32.0 GiB more
}

func ExampleWindows11() {
	vm := profile.Windows11{Card: "rtx5070ti", Games: 100 * storage.GiB}.VM().AsNew()
	for _, key := range []string{"bios", "machine", "memory", "hostpci0", "vga"} {
		fmt.Println(key, vm.Config[key])
	}
	for _, disk := range vm.Disks {
		fmt.Println(disk.Slot, disk.Purpose, disk.Size)
	}
	fmt.Println(vm.Validate())
	// Output:
	// bios ovmf
	// machine q35
	// memory 16384
	// hostpci0 mapping=rtx5070ti,pcie=1,x-vga=1
	// vga none
	// scsi0 boot 128G
	// efidisk0 firmware 0
	// tpmstate0 firmware 0
	// scsi1 games 100G
	// <nil>
}

func ExampleLinuxAI() {
	vm := profile.LinuxAI{Image: "local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2", Card: "rtx5070ti"}.VM().AsNew()
	fmt.Println(vm.ID, vm.Name, vm.Config["hostpci0"], vm.Config["vga"], vm.Disks[0].Import)
	// Output: 141 linux-ai mapping=rtx5070ti,pcie=1 std local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2
}

func ExampleVM_Validate() {
	vm := profile.Windows11{}.VM()
	vm.Guest, vm.Config["hostpci0"] = gpu.MacOSSequoia, "0000:00:02.0,legacy-igd=1"
	err := vm.Validate()
	fmt.Println(errors.Is(err, workstation.ErrInvalid), strings.Contains(err.Error(), "legacy-igd needs the machine type pc (i440fx)"))
	// Output: true true
}

func ExampleNode_Switch() {
	node, closeNode := embeddedNode(pair())
	defer closeNode()
	duo := workstation.DualBoot{Members: []int{140, 141}, Grace: time.Minute}
	if err := node.Switch(context.Background(), duo, 141, nil); err != nil {
		fmt.Println(err)
		return
	}
	status, err := node.Status(context.Background(), duo)
	fmt.Println(status.Running, err)
	// Output: 141 <nil>
}

func ExampleDualBoot_Advise() {
	host := pair()
	host.VMs[0].Config["ostype"] = "win11"
	node, closeNode := embeddedNode(host)
	defer closeNode()
	facts, err := node.Observe(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range both.Advise(facts) {
		fmt.Println(f.ID, "-", f.Fix)
	}
	// Output: switch.fast-startup - In the guest, as administrator: powercfg /h off.
}

func ExampleNode_Agent() {
	host := pair()
	host.Guests = map[int]pvetest.Guest{140: {Exec: func([]string, []byte) pvetest.Result { // RustDesk is installed in this guest already
		return pvetest.Result{Stdout: []byte("rustdesk: version 1.4.7\nrustdesk: service running\nrustdesk: id 123456789\nrustdesk: done\n")}
	}}}
	node, closeNode := embeddedNode(host)
	defer closeNode()
	report, err := rustdesk.SetUp(context.Background(), node.Agent(140), rustdesk.Setup{OS: rustdesk.Linux}, nil)
	fmt.Println(report.Link(), err)
	// Output: rustdesk://connect/123456789 <nil>
}
