package pvetest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A backup runs as a task. The task locks the VM and leaves a file on the
// storage.
func TestBackup(t *testing.T) {
	t.Parallel()
	host := machines(running(140, "scsi0:=local-lvm:vm-140-disk-0,size=3G"), vm(141, "lock:=migrate"))
	inBubble(t, host, func(l *lab) {
		const path = "/nodes/pve/vzdump"
		upid := fmt.Sprint(l.want("POST", path, "vmid", "140", "storage", "local"))
		time.Sleep(2 * time.Second)
		if state, _ := l.VM(140); state.Config["lock"] != "backup" || !state.Running {
			t.Errorf("while it is saved: %v", state)
		}
		if exit := l.wait(upid); exit != "OK" {
			t.Error(exit)
		}
		if state, _ := l.VM(140); state.Config["lock"] != "" {
			t.Errorf("after: %v", state)
		}
		files := l.list("/nodes/pve/storage/local/content", "content", "backup")
		if file, _ := files[0].(map[string]any); len(files) != 1 || !strings.HasPrefix(fmt.Sprint(file["volid"]), "local:backup/vzdump-qemu-140-") || file["size"].(float64) < 1<<30 {
			t.Errorf("%v", files)
		}
		for step, want := range map[string]string{
			"vmid=141 storage=local": "job errors", "vmid=999 storage=local": "job errors", "all=1 storage=local exclude=141": "OK",
			"vmid=140 storage=none":      "could not get storage information for 'none': storage 'none' does not exist",
			"vmid=140 storage=local-lvm": "could not get storage information for 'local-lvm': can't use storage 'local-lvm' for backups - wrong content type",
		} {
			var params []string
			for field := range strings.FieldsSeq(step) {
				key, value, _ := strings.Cut(field, "=")
				params = append(params, key, value)
			}
			if exit := l.task("POST", path, params...); exit != want {
				t.Errorf("%s: %s, want %s", step, exit, want)
			}
		}
		l.answers([2]string{"POST " + path + " storage=local", "400 Parameter verification failed. vmid: property is missing and it is not optional"},
			[2]string{"POST " + path + " vmid=140 script=/x", "400 Parameter verification failed. script: Only root may set this option."})
	})
}

// A backup in mode "stop" turns the VM off and starts it again before the data
// is saved.
func TestBackupInModeStop(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(running(140, "scsi0:=local-lvm:vm-140-disk-0,size=3G")), func(l *lab) {
		before, _ := l.VM(140)
		if exit := l.task("POST", "/nodes/pve/vzdump", "vmid", "140", "mode", "stop"); exit != "OK" {
			t.Error(exit)
		}
		if after, _ := l.VM(140); !after.Running || !after.Since.After(before.Since) {
			t.Errorf("%v, before %v", after.Since, before.Since)
		}
	})
}

// Backup jobs, HA resources, storages and options of the datacenter can be
// made, changed and deleted.
func TestDatacenter(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(vm(140, "name:=a tags:=x"), vm(141, "")), func(l *lab) {
		const failed = "400 Parameter verification failed. "
		l.answers([][2]string{
			{"POST /cluster/backup id=nightly schedule=daily storage=local vmid=140", "200 OK"},
			{"POST /cluster/backup id=nightly schedule=daily storage=local vmid=140", "500 Job 'nightly' already exists"},
			{"GET /cluster/backup-info/not-backed-up", "200 OK [map[name:VM 141 type:qemu vmid:141]]"},
			{"PUT /cluster/backup/nightly vmid=141 enabled=0", "200 OK"},
			{"GET /cluster/backup/nightly", "200 OK map[enabled:0 id:nightly mode:snapshot schedule:daily storage:local type:vzdump vmid:141]"},
			{"DELETE /cluster/backup/nightly", "200 OK"},
			{"GET /cluster/backup/nightly", failed + "id: No such job 'nightly'"},
			{"POST /cluster/ha/resources sid=vm:140 state=ignored", "200 OK"},
			{"POST /cluster/ha/resources sid=140", "500 create resource failed: resource ID 'vm:140' already defined"},
			{"POST /cluster/ha/resources sid=vm:999", "500 resource 'vm:999' does not exist in cluster"},
			{"GET /cluster/ha/resources/vm:140", "200 OK map[digest:..."},
			{"GET /cluster/ha/resources/vm:141", "500 no such resource 'vm:141'"},
			{"PUT /cluster/ha/resources/vm:141 state=started", "500 update resources config failed: no such resource 'vm:141'"},
			{"PUT /cluster/ha/resources/vm:140 state=started", "200 OK"},
			{"GET /cluster/ha/groups", "500 cannot index groups: ha groups have been migrated to rules"},
			{"POST /storage storage=extra type=dir path=/mnt/extra content=iso", "200 OK map[storage:extra type:dir]"},
			{"POST /storage storage=extra type=dir path=/mnt/extra", "500 create storage failed: storage ID 'extra' already defined"},
			{"POST /storage storage=more type=dir", failed + "path: missing value for required option 'path'"},
			{"PUT /storage/extra disable=1", "200 OK map[storage:extra type:dir]"},
			{"GET /storage/extra", "200 OK map[content:iso digest:da39a3ee5e6b4b0d3255bfef95601890afd80709 disable:1 path:/mnt/extra storage:extra type:dir]"},
			{"PUT /storage/extra delete=disable", "200 OK..."},
			{"DELETE /storage/extra", "200 OK"},
			{"DELETE /storage/extra", "500 delete storage failed: storage 'extra' does not exist"},
			{"PUT /cluster/options keyboard=de", "200 OK"},
			{"GET /cluster/options", "200 OK map[allowed-tags:[x] description: keyboard:de mac_prefix:BC:24:11]"},
			{"PUT /cluster/options delete=keyboard", "200 OK"},
			{"GET /cluster/options", "200 OK map[allowed-tags:[x] description: mac_prefix:BC:24:11]"},
			{"GET /nodes/pve/network/vmbr9", failed + "iface: interface does not exist"},
			{"GET /cluster/status", "200 OK [map[id:node/pve ip:192.168.1.10 level: local:1 name:pve nodeid:0 online:1 type:node]]"},
		}...)
		time.Sleep(time.Minute)
		if running := l.Running(); len(running) != 1 || running[0] != 140 {
			t.Errorf("the HA manager started %v", running)
		}
		l.answers([2]string{"DELETE /cluster/ha/resources/vm:140", "200 OK"},
			[2]string{"DELETE /cluster/ha/resources/vm:140", "500 cannot delete service 'vm:140', not HA managed!"})
	})
}

// The agent answers the commands that other clients use. Each command has its
// own path. PVE's older method takes the command as a parameter.
func TestAgentCommands(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(running(140, "agent:=1 cores:=2 scsi0:=local-lvm:vm-140-disk-0,size=8G")), func(l *lab) {
		const agent = "/nodes/pve/qemu/140/agent"
		time.Sleep(time.Minute)
		l.answers([][2]string{
			{"POST " + agent + " command=ping", "200 OK map[result:map[]]"},
			{"POST " + agent + " command=suspend-ram", "501 PVE has 'POST " + agent + " command=suspend-ram', the embedded node does not serve it"},
			{"POST " + agent + "/fsfreeze-freeze", "200 OK map[result:1]"},
			{"POST " + agent + "/fsfreeze-status", "200 OK map[result:frozen]"},
			{"POST " + agent + "/fsfreeze-thaw", "200 OK map[result:1]"},
			{"POST " + agent + "/fsfreeze-status", "200 OK map[result:thawed]"},
			{"GET " + agent + "/get-users", "200 OK map[result:[]]"},
			{"GET " + agent + "/get-vcpus", "200 OK map[result:[map[can-offline:false logical-id:0 online:true] map[can-offline:true logical-id:1 online:true]]]"},
			{"GET " + agent + "/get-timezone", "200 OK map[result:map[offset:0 zone:UTC]]"},
			{"POST " + agent + "/set-user-password username=a password=abc", "400 Parameter verification failed. password: value must be at least 5 characters long"},
			{"POST " + agent + "/set-user-password username=a password=abcdefgh", "200 OK map[result:map[]]"},
			{"POST " + agent + "/shutdown", "200 OK map[result:map[]]"},
		}...)
		time.Sleep(time.Minute)
		if len(l.Running()) != 0 {
			t.Error("it runs after a shutdown from inside")
		}
		for _, r := range l.Trace() {
			if r.Params["password"] == "abcdefgh" {
				t.Error("the trace tells a password")
			}
		}
	})
}

// A guest with a network card has an address, unless its description sets
// NoAddress.
func TestAddresses(t *testing.T) {
	t.Parallel()
	const card = "agent:=1 net0:=virtio=BC:24:11:00:00:01,bridge=vmbr0"
	host := machines(running(140, card), running(141, card+" ipconfig0:=ip=10.0.0.7/16,gw=10.0.0.1"), running(142, card), running(143, "agent:=1"), running(144, card))
	host.Guests = map[int]pvetest.Guest{142: {NoAddress: true}, 144: {Addresses: []string{"fd00::1/64"}}}
	inBubble(t, host, func(l *lab) {
		time.Sleep(time.Minute)
		for id, want := range map[int]string{140: "192.168.1.160/24", 141: "10.0.0.7/16", 142: "", 143: "", 144: "fd00::1/64"} {
			got := ""
			result, _ := l.object(fmt.Sprintf("/nodes/pve/qemu/%d/agent/network-get-interfaces", id))["result"].([]any)
			for _, each := range result[1:] { // skips the first interface, which is lo
				addresses, _ := each.(map[string]any)["ip-addresses"].([]any)
				for _, a := range addresses {
					address, _ := a.(map[string]any)
					got += fmt.Sprint(address["ip-address"], "/", address["prefix"])
				}
			}
			if got != want {
				t.Errorf("%d: %s, want %s", id, got, want)
			}
		}
	})
}

// A console is a task with a port and a ticket. The task fails if no viewer
// connects.
func TestConsoles(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(running(140, ""), vm(141, "vga:=serial0")), func(l *lab) {
		for path, keys := range map[string][]string{
			"140/vncproxy": {"cert", "password", "port", "ticket", "upid", "user"}, "141/vncproxy": {"cert", "port", "ticket", "upid", "user"},
			"140/termproxy": {"port", "ticket", "upid", "user"},
		} {
			object, _ := l.want("POST", "/nodes/pve/qemu/"+path).(map[string]any)
			for _, key := range keys {
				if object[key] == nil {
					t.Errorf("%s: no %s in %v", path, key, object)
				}
			}
			if len(object) != len(keys) {
				t.Errorf("%s: %v, want %v", path, object, keys)
			}
			if exit := l.wait(fmt.Sprint(object["upid"])); exit != "connection timed out" {
				t.Errorf("%s: %s", path, exit)
			}
		}
		l.answers([2]string{"PUT /nodes/pve/qemu/141/sendkey key=ret", "500 VM 141 not running"},
			[2]string{"PUT /nodes/pve/qemu/140/sendkey key=ctrl-alt-delete", "200 OK"},
			[2]string{"PUT /nodes/pve/qemu/140/sendkey key=;quit", "500 unknown key: ';quit'"},
			[2]string{"POST /nodes/pve/qemu/140/migrate target=other", "500 no such cluster node 'other'"})
	})
}

// Cloud-init's user data contains the values of the configuration, but not the
// password.
func TestCloudInitDump(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(vm(140, "name:=web.lab ciuser:=me cipassword:=hidden ciupgrade:=0 sshkeys:=ssh-ed25519%20AAAA%20me ide0:=local-lvm:vm-140-cloudinit,media=cdrom")), func(l *lab) {
		const want = "#cloud-config\nhostname: web\nmanage_etc_hosts: true\nfqdn: web.lab\nuser: me\npassword: **********\nssh_authorized_keys:\n  - ssh-ed25519 AAAA me\n" +
			"chpasswd:\n  expire: False\nusers:\n  - default\n"
		if got := l.want("GET", "/nodes/pve/qemu/140/cloudinit/dump", "type", "user"); got != want {
			t.Errorf("%s", got)
		}
		l.want("PUT", "/nodes/pve/qemu/140/cloudinit")
		if list := fmt.Sprint(l.list("/nodes/pve/qemu/140/cloudinit")); !strings.Contains(list, "map[key:ciuser value:me]") || strings.Contains(list, "hidden") {
			t.Error(list)
		}
	})
}

// Some methods always give the same answer. Directories of the API list the
// names of the paths below them.
func TestConstantsAndIndexes(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(vm(140, "")), func(l *lab) {
		for path, want := range map[string]string{
			"/": "map[subdir:access]", "/access": "map[subdir:users]", "/cluster": "map[name:ha]", "/cluster/ha": "map[id:groups]",
			"/nodes/pve": "map[name:qemu]", "/nodes/pve/hardware": "map[type:pci]", "/nodes/pve/storage/local": "map[subdir:content]",
			"/nodes/pve/qemu/140": "map[subdir:config]", "/nodes/pve/qemu/140/agent": "map[name:exec]", "/nodes/pve/qemu/140/status": "map[subdir:current]",
		} {
			if list := fmt.Sprint(l.list(path)); !strings.Contains(list, want) {
				t.Errorf("%s: %s, want %s", path, list, want)
			}
		}
		l.answers([2]string{"GET /nodes/pve/qemu/999/status", "500 Configuration file 'nodes/pve/qemu-server/999.conf' does not exist"})
		for _, path := range []string{"/nodes/pve/subscription", "/nodes/pve/dns", "/nodes/pve/hosts", "/nodes/pve/services", "/nodes/pve/certificates/info",
			"/nodes/pve/apt/versions", "/nodes/pve/vzdump/defaults", "/nodes/pve/capabilities/qemu/cpu-flags", "/nodes/pve/network/vmbr0", "/nodes/pve/qemu/140/migrate"} {
			if data := fmt.Sprint(l.want("GET", path)); data == "[]" || data == "map[]" {
				t.Errorf("%s: nothing", path)
			}
		}
	})
}
