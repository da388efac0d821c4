package pvetest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// PVE adds values to a new VM. It refuses a VMID that is in use, not valid or
// missing.
func TestCreate(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(vm(140, "")), func(l *lab) {
		exit := l.task("POST", "/nodes/pve/qemu", "vmid", "150", "name", "win", "ostype", "win11", "machine", "q35", "bios", "ovmf",
			"efidisk0", "local-lvm:1,efitype=4m,pre-enrolled-keys=1", "tpmstate0", "local-lvm:1,version=v2.0", "scsi0", "service-pool:64",
			"ide2", "local:iso/Win11_25H2_English_x64.iso,media=cdrom", "net0", "virtio,bridge=vmbr0,firewall=1", "tags", "Lab", "start", "1")
		if exit != "OK" {
			t.Fatal(exit)
		}
		got := l.object("/nodes/pve/qemu/150/config")
		for key, want := range map[string]string{
			"machine": "pc-q35-10.1", "boot": "order=scsi0;ide2;net0", "tags": "lab", "scsi0": "service-pool:vm-150-disk-0,size=64G",
			"efidisk0": "local-lvm:vm-150-disk-0,efitype=4m,pre-enrolled-keys=1,size=4M", "tpmstate0": "local-lvm:vm-150-disk-1,size=4M,version=v2.0",
			"ide2": "local:iso/Win11_25H2_English_x64.iso,media=cdrom,size=7554810K",
		} {
			if got[key] != want {
				t.Errorf("%s = %v, want %s", key, got[key], want)
			}
		}
		for _, key := range []string{"meta", "vmgenid", "smbios1", "digest", "net0"} {
			if got[key] == nil {
				t.Errorf("no %s", key)
			}
		}
		time.Sleep(time.Minute)
		if !slices.Equal(l.Running(), []int{150}) {
			t.Errorf("running: %v", l.Running())
		}
		for params, want := range map[string]string{
			"vmid=140": "500 unable to create VM 140 - VM 140 already exists on node 'pve'",
			"vmid=7":   "400 Parameter verification failed. vmid: invalid format - value does not look like a valid VM ID",
			"":         "400 Parameter verification failed. vmid: property is missing and it is not optional",
		} {
			key, value, _ := strings.Cut(params, "=")
			got := l.task("POST", "/nodes/pve/qemu", key, value)
			if params == "" {
				got = l.task("POST", "/nodes/pve/qemu")
			}
			if got != want {
				t.Errorf("%s: %q, want %q", params, got, want)
			}
		}
	})
}

// While the task of a creation runs, the VM already exists, and is locked.
func TestCreateIsLocked(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(), func(l *lab) {
		upid, _ := l.want("POST", "/nodes/pve/qemu", "vmid", "140").(string)
		if r := l.do("PUT", configPath, "cores", "2"); r.status != 500 || r.reason != "VM is locked (create)" {
			t.Errorf("a change meanwhile: %v", r)
		}
		if exit := l.wait(upid); exit != "OK" {
			t.Error(exit)
		}
		l.want("PUT", configPath, "cores", "2")
	})
}

func TestDestroy(t *testing.T) {
	t.Parallel()
	const twoDisks = "scsi0:=local-lvm:vm-140-disk-0,size=1G unused0:=local-lvm:vm-140-disk-1 ide2:=local:iso/virtio-win-0.1.285.iso,media=cdrom"
	for name, tt := range map[string]struct {
		config string
		act    func(*lab)
		want   string
	}{
		"a VM that is off": {config: twoDisks, want: "OK"},
		"a running one":    {config: twoDisks, act: func(l *lab) { _ = l.PowerOn(140) }, want: "500 VM 140 is running - destroy failed"},
		"a protected one":  {config: twoDisks + " protection:=1", want: "500 can't remove VM 140 - protection mode enabled"},
		"a locked one":     {config: twoDisks, act: func(l *lab) { _ = l.Lock(140, "backup") }, want: "VM is locked (backup)"},
		"one that is gone": {act: func(l *lab) { _ = l.DestroyVM(140) }, want: "500 Configuration file 'nodes/pve/qemu-server/140.conf' does not exist"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, machines(vm(140, tt.config)), func(l *lab) {
				if tt.act != nil {
					tt.act(l)
				}
				if got := l.task("DELETE", "/nodes/pve/qemu/140", "destroy-unreferenced-disks", "1"); got != tt.want {
					t.Errorf("%q, want %q", got, tt.want)
				}
				if left := len(l.Volumes()); tt.want == "OK" && left != 0 {
					t.Errorf("volumes left: %v", l.Volumes())
				}
				if images := l.list("/nodes/pve/storage/local/content", "content", "iso"); len(images) != 3 {
					t.Errorf("an ISO image went too: %v", images)
				}
			})
		})
	}
}

func TestResizeAndMove(t *testing.T) {
	t.Parallel()
	host := machines(vm(140, "scsi0:=local-lvm:vm-140-disk-0,size=8G ide2:=none,media=cdrom"))
	host.Storages = append(host.Storages, pvetest.Storage{Name: "thick", Type: "lvm", Content: "images", Total: 10 << 30, Config: map[string]string{"vgname": "thick"}})
	inBubble(t, host, func(l *lab) {
		for _, tt := range [][]string{ // a row has the request, its parameters, the exit status, and the value of scsi0 afterwards
			{"resize", "disk=scsi0 size=+1G", "OK", "local-lvm:vm-140-disk-0,size=9G"},
			{"resize", "disk=scsi0 size=9728M", "OK", "local-lvm:vm-140-disk-0,size=9728M"},
			{"resize", "disk=scsi0 size=1G", "shrinking disks is not supported", "local-lvm:vm-140-disk-0,size=9728M"},
			{"resize", "disk=scsi1 size=1G", "disk 'scsi1' does not exist", "local-lvm:vm-140-disk-0,size=9728M"},
			{"resize", "disk=ide2 size=1G", "you can't resize a cdrom", "local-lvm:vm-140-disk-0,size=9728M"},
			{"resize", "disk=scsi0 size=10G digest=0", "checksum mismatch (file change by other user?)", "local-lvm:vm-140-disk-0,size=9728M"},
			{"resize", "disk=scsi0 size=much", "400 Parameter verification failed. size: value does not match the regex pattern", "local-lvm:vm-140-disk-0,size=9728M"},
			{"move_disk", "disk=scsi0 storage=local-lvm", "500 you can't move to the same storage with same format", "local-lvm:vm-140-disk-0,size=9728M"},
			{"move_disk", "disk=ide2 storage=thick", "500 you can't move a cdrom", "local-lvm:vm-140-disk-0,size=9728M"},
			{"move_disk", "disk=scsi0 storage=local", "400 Parameter verification failed. storage: storage 'local' does not support vm images", "local-lvm:vm-140-disk-0,size=9728M"},
			{"move_disk", "disk=scsi0 storage=thick delete=1", "OK", "thick:vm-140-disk-0,size=9728M"},
			{"resize", "disk=scsi0 size=11G", "error resizing volume '/dev/thick/vm-140-disk-0':   Insufficient free space: 384 extents needed, but only 128 available", "thick:vm-140-disk-0,size=9728M"},
			{"move_disk", "disk=scsi0 storage=service-pool", "OK", "service-pool:vm-140-disk-0,size=9728M"},
		} {
			var params []string
			for field := range strings.FieldsSeq(tt[1]) {
				key, value, _ := strings.Cut(field, "=")
				params = append(params, key, value)
			}
			method := map[string]string{"resize": "PUT", "move_disk": "POST"}[tt[0]]
			if got := l.task(method, "/nodes/pve/qemu/140/"+tt[0], params...); got != tt[2] {
				t.Errorf("%s %s: %q, want %q", tt[0], tt[1], got, tt[2])
			}
			if state, _ := l.VM(140); state.Config["scsi0"] != tt[3] {
				t.Errorf("after %s %s: %s, want %s", tt[0], tt[1], state.Config["scsi0"], tt[3])
			}
		}
		if state, _ := l.VM(140); state.Config["unused0"] != "thick:vm-140-disk-0" {
			t.Errorf("the source is not kept: %v", state.Config)
		}
		l.want("PUT", "/nodes/pve/qemu/140/unlink", "idlist", "scsi0", "force", "1")
		if l.want("PUT", "/nodes/pve/qemu/140/unlink", "idlist", "unused0"); len(l.Volumes()) != 0 {
			t.Errorf("volumes left: %v", l.Volumes())
		}
	})
}

func TestSnapshots(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(running(140, "hostpci0:=0000:01:00 scsi0:=local-lvm:vm-140-disk-0,size=1G")), func(l *lab) {
		const path = "/nodes/pve/qemu/140/snapshot"
		for _, tt := range [][]string{
			{"snapname=with-ram vmstate=1", "VM 140 qmp command 'savevm-start' failed - 0000:01:00.0: VFIO migration is not supported in kernel"},
			{"snapname=before", "OK"}, {"snapname=before", "snapshot name 'before' already used"},
			{"snapname=current", "500 unable to use snapshot name 'current' (reserved name)"},
		} {
			var params []string
			for field := range strings.FieldsSeq(tt[0]) {
				key, value, _ := strings.Cut(field, "=")
				params = append(params, key, value)
			}
			if got := l.task("POST", path, params...); got != tt[1] {
				t.Errorf("%s: %q, want %q", tt[0], got, tt[1])
			}
		}
		l.want("PUT", configPath, "delete", "scsi0")
		if r := l.do("PUT", configPath, "delete", "unused0"); r.status != 500 || !strings.Contains(r.reason, "still in use (snapshot?)") {
			t.Errorf("a disk that a snapshot needs: %v", r)
		}
		if got := fmt.Sprint(l.object(configPath, "snapshot", "before")["scsi0"]); got != "local-lvm:vm-140-disk-0,size=1G" {
			t.Errorf("in the snapshot: %s", got)
		}
		if list := l.list(path); len(list) != 2 || !strings.Contains(fmt.Sprint(list[1]), "name:current parent:before running:1") {
			t.Errorf("list: %v", list)
		}
		for _, want := range []string{"OK", "snapshot 'before' does not exist"} {
			if got := l.task("DELETE", path+"/before"); got != want {
				t.Errorf("delete: %q, want %q", got, want)
			}
		}
	})
	files := machines(vm(141, "scsi0:=files:141/vm-141-disk-0.raw,size=1G"))
	files.Storages = append(files.Storages, pvetest.Storage{Name: "files", Type: "dir", Content: "images", Total: 1 << 40})
	inBubble(t, files, func(l *lab) {
		if got := l.task("POST", "/nodes/pve/qemu/141/snapshot", "snapname", "before"); got != "snapshot feature is not available" {
			t.Errorf("of a raw file: %q", got)
		}
	})
}

func TestMappings(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(), func(l *lab) {
		const path = "/cluster/mapping/pci"
		if got := l.task("POST", path, "id", "card", "map", cardMap); got != "500 create hardware mapping failed: pci ID 'card' already defined" {
			t.Errorf("twice: %s", got)
		}
		for entry, want := range map[string]string{
			"node=pve,path=0000:01:00":                  "map[0].id: property is missing and it is not optional",
			"node=pve,path=01:00,id=10de:2c05":          "map[0].path: value does not match the regex pattern",
			"node=pve,path=0000:01:00,id=10de:2c05,x=1": "map[0].x: property is not defined in schema",
		} {
			if r := l.do("POST", path, "id", "bad", "map", entry); r.status != 400 || !strings.Contains(fmt.Sprint(r.errors["map[0]"]), want) {
				t.Errorf("%s: %v", entry, r)
			}
		}
		// A mapping can be made even if it does not match the hardware.
		l.want("POST", path, "id", "other", "map", "node=pve,path=0000:09:00,id=10de:0001", "map", "node=far,path=0000:01:00,id=10de:0001")
		checks := map[string]string{"card": "[]", "other": "[map[message:Invalid configuration: pci device '0000:09:00.0' not found\n severity:error]]"}
		for _, each := range l.list(path, "check-node", "pve") {
			m, _ := each.(map[string]any)
			if got := fmt.Sprint(m["checks"]); got != checks[fmt.Sprint(m["id"])] {
				t.Errorf("checks of %v: %s", m["id"], got)
			}
		}
		l.want("PUT", path+"/other", "map", cardMap, "description", "spare", "live-migration-capable", "1")
		l.want("PUT", path+"/other", "map", cardMap, "delete", "live-migration-capable")
		if got := l.object(path + "/other"); got["description"] != "spare" || got["live-migration-capable"] != nil {
			t.Errorf("described: %v", got)
		}
		if got := l.task("PUT", path+"/other", "description", "x"); got != "500 update hardware mapping failed: missing value for required option 'map'" {
			t.Errorf("without entries: %s", got)
		}
		digest := fmt.Sprint(l.object(path + "/card")["digest"])
		l.want("PUT", path+"/card", "map", cardMap, "mdev", "1", "digest", digest)
		if got := l.task("PUT", path+"/card", "map", cardMap, "digest", digest); !strings.HasSuffix(got, "file changed by other user? Try again.") {
			t.Errorf("a stale digest: %s", got)
		}
		if got := l.object(path + "/card"); got["mdev"] != 1.0 || fmt.Sprint(got["map"]) != "["+cardMap+"]" {
			t.Errorf("after it: %v", got)
		}
		l.want("DELETE", path+"/card")
		if r := l.do("GET", path+"/card"); r.status != 500 || r.reason != "mapping 'card' not found" {
			t.Errorf("deleted: %v", r)
		}
	})
}

// Some answers have types that clients often decode wrongly.
func TestShapes(t *testing.T) {
	t.Parallel()
	host := machines(running(140, "onboot:=1 memory:=4096 name:=win agent:=1"))
	host.PCI[0].Group = -1
	inBubble(t, host, func(l *lab) {
		for _, each := range l.list("/nodes/pve/hardware/pci", "pci-class-blacklist", "") {
			f, _ := each.(map[string]any)
			switch f["id"] {
			case "0000:00:00.0":
				if f["iommugroup"] != -1.0 {
					t.Errorf("no group: %v", f["iommugroup"])
				}
			case "0000:01:00.0":
				if got := fmt.Sprint(f["class"], f["vendor"], f["device"], f["subsystem_vendor"], f["iommugroup"], f["mdev"]); got != "0x0300000x10de0x2c050x146212 <nil>" {
					t.Errorf("the card: %s", got)
				}
			}
		}
		if all, shown := len(l.list("/nodes/pve/hardware/pci", "pci-class-blacklist", "")), len(l.list("/nodes/pve/hardware/pci")); all != 14 || shown != 9 {
			t.Errorf("%d functions, %d without bridges and memory", all, shown)
		}
		time.Sleep(100 * time.Second)
		status := l.object("/nodes/pve/qemu/140/status/current")
		if status["uptime"] != 100.0 || status["qmpstatus"] != "running" || status["agent"] != 1.0 || status["maxmem"] != float64(4<<30) {
			t.Errorf("status: %v", status)
		}
		if got := l.object(configPath); got["memory"] != "4096" || got["onboot"] != 1.0 {
			t.Errorf("config: %#v", got)
		}
		if id := l.want("GET", "/cluster/nextid"); id != "100" {
			t.Errorf("nextid: %#v", id)
		}
		if r := l.do("GET", "/cluster/nextid", "vmid", "140"); r.status != 400 || r.errors["vmid"] != "VM 140 already exists" {
			t.Errorf("nextid of a VM: %v", r)
		}
	})
}

// Check returns an error for each state that must never occur.
func TestCheck(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		vms  []pvetest.VM
		act  func(*lab)
		want string
	}{
		"nothing wrong": {vms: []pvetest.VM{vm(140, "scsi0:=local-lvm:vm-140-disk-0,size=1G")}},
		"a disk twice":  {vms: []pvetest.VM{vm(140, "scsi0:=local-lvm:vm-140-disk-0,size=1G"), vm(141, "scsi0:=local-lvm:vm-140-disk-0,size=1G")}, want: "is named by scsi0 of VM 140 and by scsi0 of VM 141"},
		"a disk deleted": {vms: []pvetest.VM{vm(140, "scsi0:=local-lvm:vm-140-disk-0,size=1G")}, act: func(l *lab) {
			l.task("DELETE", "/nodes/pve/storage/local-lvm/content/local-lvm:vm-140-disk-0")
		}, want: "VM 140 has lost scsi0 (local-lvm:vm-140-disk-0)"},
		"a disk of nobody": {act: func(l *lab) {
			l.want("POST", "/nodes/pve/storage/local-lvm/content", "filename", "vm-150-disk-0", "size", "1G", "vmid", "150")
		}, want: "local-lvm:vm-150-disk-0 is orphaned"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctestNode(t, machines(tt.vms...), func(l *lab) {
				if tt.act != nil {
					tt.act(l)
				}
				err := l.Check()
				if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Check: %v, want %q", err, tt.want)
				}
			})
		})
	}
}
