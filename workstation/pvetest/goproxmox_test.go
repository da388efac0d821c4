package pvetest_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// go-proxmox can decode the node's answers into its own types.
func TestGoProxmoxReadsTheNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		sim := pvetest.New(machines(vm(140, "name:=windows memory:=4096 cores:=4 agent:=1 scsi0:=local-lvm:vm-140-disk-0,size=8G")), nil)
		client := labClient(sim)
		node, err := client.Node(ctx, "pve")
		if err != nil {
			t.Fatal(err)
		}
		machine, err := node.VirtualMachine(ctx, 140)
		if err != nil {
			t.Fatal(err)
		}
		if machine.Name != "windows" || machine.Status != "stopped" || *machine.VirtualMachineConfig.Cores != 4 || machine.VirtualMachineConfig.SCSIs["scsi0"] == "" {
			t.Errorf("the VM: %+v", machine)
		}
		task, err := machine.Start(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := task.Wait(ctx, time.Second, time.Minute); err != nil || !task.IsSuccessful {
			t.Errorf("start: %v, %+v", err, task)
		}
		time.Sleep(time.Minute)
		if err := machine.WaitForAgent(ctx, 10); err != nil {
			t.Errorf("agent: %v", err)
		}
		if info, err := machine.AgentOsInfo(ctx); err != nil || info.ID != "ubuntu" {
			t.Errorf("guest: %v, %v", info, err)
		}
		pid, err := machine.AgentExec(ctx, []string{"false"}, "")
		if err != nil {
			t.Fatal(err)
		}
		if status, err := machine.WaitForAgentExecExit(ctx, pid, 10); err != nil || status.ExitCode != 1 {
			t.Errorf("exec: %+v, %v", status, err)
		}
		if got := sim.Running(); !slices.Equal(got, []int{140}) {
			t.Errorf("running: %v", got)
		}
	})
}

func TestGoProxmoxReadsStoragesAndCluster(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		client := labClient(pvetest.New(machines(vm(140, "")), nil))
		node, err := client.Node(ctx, "pve")
		if err != nil {
			t.Fatal(err)
		}
		storages, err := node.Storages(ctx)
		if err != nil || len(storages) != 4 {
			t.Errorf("storages: %v, %v", storages, err)
		}
		cluster, err := client.Cluster(ctx)
		if err != nil {
			t.Fatal(err)
		}
		resources, err := cluster.Resources(ctx)
		if err != nil || len(resources) != 6 {
			t.Errorf("resources: %d, %v", len(resources), err)
		}
		if id, err := cluster.NextID(ctx); err != nil || id != 100 {
			t.Errorf("next ID: %d, %v", id, err)
		}
		if permissions, err := client.Permissions(ctx, nil); err != nil || permissions["/vms"]["VM.PowerMgmt"] != proxmox.IntOrBool(true) {
			t.Errorf("permissions: %v, %v", permissions, err)
		}
		// go-proxmox cannot decode the disks that real nodes list, so it cannot
		// decode the embedded node's disks either.
		if disks, err := node.Disks(ctx, true, false, ""); err == nil {
			t.Errorf("disks: %v", disks)
		}
	})
}
