package pvetest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// templateConfig is the configuration of a VM with one disk of each kind. A
// clone treats each kind in a different way.
const templateConfig = "name:=base memory:=512 net0:=virtio=BC:24:11:00:00:01,bridge=vmbr0 scsi0:=local-lvm:vm-140-disk-0,size=8G " +
	"ide0:=local-lvm:vm-140-cloudinit,media=cdrom,size=4M ide2:=none,media=cdrom smbios1:=uuid=11111111-2222-3333-4444-555555555555 " +
	"vmgenid:=11111111-2222-3333-4444-555555555555 description:=d"

// A full clone has disks, addresses and names of its own.
func TestFullClone(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(vm(140, templateConfig)), func(l *lab) {
		const path = "/nodes/pve/qemu/140/clone"
		if exit := l.task("POST", path, "newid", "150", "pool", "none"); exit != "403 Permission check failed (pool 'none' does not exist)" {
			t.Errorf("pool: %s", exit)
		}
		l.want("POST", "/pools", "poolid", "lab")
		if exit := l.task("POST", path, "newid", "150", "pool", "lab", "storage", "service-pool"); exit != "OK" {
			t.Fatal(exit)
		}
		source, made := l.object("/nodes/pve/qemu/140/config"), l.object("/nodes/pve/qemu/150/config")
		for key, want := range map[string]any{"name": "Copy-of-VM-base", "memory": "512", "description": "d", "scsi0": "service-pool:vm-150-disk-0,size=8G",
			"ide0": "service-pool:vm-150-cloudinit,media=cdrom,size=4M", "ide2": "none,media=cdrom"} {
			if made[key] != want {
				t.Errorf("%s = %v, want %v", key, made[key], want)
			}
		}
		for _, key := range []string{"net0", "smbios1", "vmgenid"} {
			if made[key] == source[key] || made[key] == nil {
				t.Errorf("%s = %v, as the source has it", key, made[key])
			}
		}
		if l.VMs()[1] != 150 || l.object("/pools/lab")["members"].([]any)[0].(map[string]any)["vmid"] != 150.0 {
			t.Errorf("%v, %v", l.VMs(), l.object("/pools/lab"))
		}
	})
}

// PVE refuses every clone in this test at once, and no new VM exists
// afterwards.
func TestCloneRefused(t *testing.T) {
	t.Parallel()
	locked := vm(142, "lock:=backup")
	host := machines(vm(140, templateConfig), vm(141, "hostpci0:=0000:01:00"), locked, running(143, "tpmstate0:=local-lvm:vm-143-disk-0,size=4M"))
	host.Users = []pvetest.User{{ID: "ops@pve", Password: "opsecret", Privileges: map[string][]string{"/vms": {"VM.Clone", "VM.Allocate"}}}}
	inBubble(t, host, func(l *lab) {
		const qemu = "POST /nodes/pve/qemu/"
		l.answers([][2]string{
			{qemu + "140/clone newid=150 target=other", "500 no such cluster node 'other'"},
			{qemu + "140/clone newid=150 storage=none", "500 storage 'none' does not exist"},
			{qemu + "140/clone newid=150 storage=local", "400 Parameter verification failed. storage: storage 'local' does not support vm images"},
			{qemu + "999/clone newid=150", "500 unable to find configuration file for VM 999 on node 'pve'"},
			{qemu + "142/clone newid=150", "500 VM is locked (backup)"},
			{qemu + "140/clone newid=150 snapname=none", "500 snapshot 'none' does not exist"},
			{qemu + "140/clone newid=150 full=0 storage=local-lvm", "500 parameter 'storage' not allowed for linked clones"},
			{qemu + "140/clone newid=150 full=0", "500 Linked clone feature is not supported for 'local-lvm:vm-140-disk-0' (scsi0)"},
			{qemu + "140/clone newid=141", "500 unable to create VM 141: config file already exists"},
			{qemu + "141/clone newid=150", "500 only root can set 'hostpci0' config for non-mapped devices"},
			{qemu + "143/clone newid=150", "500 cannot clone TPM state while VM is running"},
		}...)
		l.asUser("ops@pve", "opsecret")
		l.answers([2]string{qemu + "140/clone newid=150", "403 Permission check failed (/storage/local-lvm, Datastore.AllocateSpace)"})
		if len(l.VMs()) != 4 {
			t.Errorf("%v", l.VMs())
		}
	})
}

// If the storage is too small for a clone, the clone's task fails. It leaves
// neither a VM nor volumes.
func TestCloneThatFails(t *testing.T) {
	t.Parallel()
	host := machines(vm(140, templateConfig))
	host.Storages = append(host.Storages, pvetest.Storage{Name: "small", Type: "lvm", Content: "images", Total: 1 << 30})
	inBubble(t, host, func(l *lab) {
		if exit := l.task("POST", "/nodes/pve/qemu/140/clone", "newid", "150", "storage", "small"); exit != "clone failed: not enough free space (1044480 < 8388608)" {
			t.Error(exit)
		}
		if len(l.VMs()) != 1 || len(l.Volumes()) != 2 {
			t.Errorf("%v %v", l.VMs(), l.Volumes())
		}
	})
}

// A template is the base of linked clones. It cannot be started, and it cannot
// be destroyed while a linked clone of it exists.
func TestTemplate(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(vm(140, "name:=base scsi0:=media-pool:vm-140-disk-0,size=8G"), running(141, "")), func(l *lab) {
		const qemu = "/nodes/pve/qemu/"
		feature := func(name string) any { return l.object(qemu+"140/feature", "feature", name)["hasFeature"] }
		if feature("clone") != 0.0 || feature("copy") != 1.0 || feature("snapshot") != 1.0 {
			t.Errorf("before: %v %v %v", feature("clone"), feature("copy"), feature("snapshot"))
		}
		if exit := l.task("POST", qemu+"140/template"); exit != "OK" {
			t.Fatal(exit)
		}
		if feature("clone") != 1.0 || feature("snapshot") != 0.0 {
			t.Errorf("after: %v %v", feature("clone"), feature("snapshot"))
		}
		if config := l.object(qemu + "140/config"); config["template"] != 1.0 || config["scsi0"] != "media-pool:base-140-disk-0,size=8G" {
			t.Errorf("%v", config)
		}
		if exit := l.task("POST", qemu+"140/clone", "newid", "150"); exit != "OK" {
			t.Error(exit)
		}
		if drive := l.object(qemu + "150/config")["scsi0"]; drive != "media-pool:base-140-disk-0/vm-150-disk-0,size=8G" {
			t.Errorf("linked: %v", drive)
		}
		for step, want := range map[string]string{
			"POST 140/template": "500 you can't convert a template to a template", "POST 141/template": "500 you can't convert a VM to template if VM is running",
			"POST 140/status/start": "you can't start a vm if it's a template", "DELETE 140": "base volume 'media-pool:base-140-disk-0' is still in use by linked cloned",
		} {
			var method, path string
			if _, err := fmt.Sscan(step, &method, &path); err != nil {
				t.Fatal(err)
			}
			if exit := l.task(method, qemu+path); exit != want {
				t.Errorf("%s: %s, want %s", step, exit, want)
			}
		}
		for _, id := range []string{"150", "140"} {
			if exit := l.task("DELETE", qemu+id); exit != "OK" {
				t.Errorf("destroy %s: %s", id, exit)
			}
		}
	})
}

// A rollback stops the VM and restores its configuration. Disks that were added
// after the snapshot are kept.
func TestRollback(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(running(140, "name:=base description:=d cores:=2 scsi0:=local-lvm:vm-140-disk-0,size=8G")), func(l *lab) {
		const vm = "/nodes/pve/qemu/140"
		snapshot := func(name string, params ...string) {
			if exit := l.task("POST", vm+"/snapshot", append(params, "snapname", name)...); exit != "OK" {
				t.Fatal(exit)
			}
		}
		snapshot("one", "description", "first")
		l.want("PUT", vm+"/config", "description", "e", "scsi1", "local-lvm:4")
		snapshot("two")
		l.want("PUT", vm+"/snapshot/one/config", "description", "changed")
		if config := l.object(vm + "/snapshot/one/config"); config["description"] != "changed" || config["cores"] != 2.0 || config["digest"] != nil {
			t.Errorf("%v", config)
		}
		if exit := l.task("POST", vm+"/snapshot/one/rollback", "start", "1"); exit != "OK" {
			t.Error(exit)
		}
		time.Sleep(10 * time.Second)
		state, _ := l.VM(140)
		if !state.Running || state.Config["parent"] != "one" || state.Config["scsi1"] != "" || state.Config["unused0"] != "local-lvm:vm-140-disk-1" || state.Config["description"] != "e" {
			t.Errorf("%v", state)
		}
		if list := fmt.Sprint(l.list(vm + "/snapshot")); list == "" || l.object(vm + "/snapshot/two/config")["parent"] != "one" {
			t.Errorf("%v", list)
		}
		l.answers([][2]string{
			{"GET " + vm + "/snapshot/none/config", "500 snapshot 'none' does not exist"},
			{"PUT " + vm + "/snapshot/none/config description=x", "500 snapshot 'none' does not exist"},
		}...)
		if exit := l.task("POST", vm+"/snapshot/none/rollback"); exit != "snapshot 'none' does not exist" {
			t.Error(exit)
		}
		for _, name := range []string{"one", "two"} {
			if exit := l.task("DELETE", vm+"/snapshot/"+name); exit != "OK" {
				t.Error(exit)
			}
		}
		if state, _ = l.VM(140); state.Config["parent"] != "" {
			t.Errorf("parent after the last snapshot: %v", state.Config)
		}
	})
}

// ZFS can roll back to the newest snapshot only.
func TestRollbackOfZFS(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(vm(140, "scsi0:=media-pool:vm-140-disk-0,size=8G")), func(l *lab) {
		for _, name := range []string{"one", "two"} {
			l.task("POST", "/nodes/pve/qemu/140/snapshot", "snapname", name)
		}
		for name, want := range map[string]string{"two": "OK", "one": "can't rollback, 'one' is not most recent snapshot on 'vm-140-disk-0'"} {
			if exit := l.task("POST", "/nodes/pve/qemu/140/snapshot/"+name+"/rollback"); exit != want {
				t.Errorf("%s: %s, want %s", name, exit, want)
			}
		}
	})
}
