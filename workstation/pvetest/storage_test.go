package pvetest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// On a thick storage a new volume uses its whole size from the start. Thin
// volumes and files use space only when a guest writes to them.
func TestSpace(t *testing.T) {
	t.Parallel()
	for kind, grows := range map[string]float64{"lvm": 10 << 30, "lvmthin": 0, "zfspool": 10 << 30, "dir": 0} {
		host := machines(vm(140, ""))
		host.Storages = []pvetest.Storage{{Name: "pool", Type: kind, Content: "images", Total: 100 << 30, Used: 5 << 30,
			Config: map[string]string{"vgname": "vg", "pool": "tank"}}}
		inBubble(t, host, func(l *lab) {
			before := l.object("/nodes/pve/storage/pool/status")
			l.want("PUT", configPath, "scsi0", "pool:10")
			after := l.object("/nodes/pve/storage/pool/status")
			used, _ := after["used"].(float64)
			if before["used"] != float64(5<<30) || used != 5<<30+grows || after["avail"] != 100<<30-used || after["active"] != 1.0 {
				t.Errorf("%s: %v -> %v", kind, before, after)
			}
			l.FillStorage("pool", 200<<30)
			if full := l.object("/nodes/pve/storage/pool/status"); full["avail"] != 0.0 {
				t.Errorf("%s, full: %v", kind, full)
			}
		})
	}
}

// ISO images use space on their storage. The space of the images is part of
// Used in the description of the storage.
func TestSpaceOfImages(t *testing.T) {
	t.Parallel()
	inBubble(t, pvetest.Reference(), func(l *lab) {
		const local = "/nodes/pve/storage/local"
		if got := l.object(local + "/status")["used"]; got != float64(pvetest.Reference().Storages[0].Used) {
			t.Errorf("used: %v", got)
		}
		before, _ := l.object(local + "/status")["used"].(float64)
		if exit := l.task("DELETE", local+"/content/local:iso/virtio-win-0.1.285.iso"); exit != "OK" {
			t.Errorf("delete: %s", exit)
		}
		if after, _ := l.object(local + "/status")["used"].(float64); before-after != 790_000_640 {
			t.Errorf("%.0f before, %.0f after", before, after)
		}
	})
}

func TestContent(t *testing.T) {
	t.Parallel()
	host := machines(vm(140, "scsi0:=local-lvm:vm-140-disk-0,size=8G"), vm(141, "scsi0:=local-lvm:vm-141-disk-0,size=4G"))
	host.Storages[3].Inactive = true
	inBubble(t, host, func(l *lab) {
		const nodes = "/nodes/pve/storage/"
		if got := fmt.Sprint(l.list(nodes+"local-lvm/content", "vmid", "141")); !strings.Contains(got, "content:images") || !strings.Contains(got, "volid:local-lvm:vm-141-disk-0") || strings.Contains(got, "vm-140") {
			t.Errorf("of VM 141: %s", got)
		}
		for kind, n := range map[string]int{"iso": 3, "import": 3, "images": 0} {
			if got := len(l.list(nodes+"local/content", "content", kind)); got != n {
				t.Errorf("%d of %s, want %d", got, kind, n)
			}
		}
		if got := l.object(nodes + "local/content/iso/virtio-win-0.1.285.iso"); got["path"] != "/var/lib/vz/template/iso/virtio-win-0.1.285.iso" || got["format"] != "iso" {
			t.Errorf("an image: %v", got)
		}
		for path, want := range map[string]string{
			nodes + "media-pool/content":           "storage 'media-pool' is not online",
			nodes + "nowhere/content":              "storage 'nowhere' does not exist",
			"/storage/nowhere":                     "storage 'nowhere' does not exist",
			nodes + "local/content/iso/gone.iso":   "volume_size_info on 'local:iso/gone.iso' failed - no format",
			"/nodes/pve/disks/zfs/nothing":         "command '/sbin/zpool status nothing' failed: exit code 1",
			"/nodes/pve/hardware/pci/nothing/mdev": "mapping 'nothing' not found",
		} {
			if r := l.do("GET", path); r.status != 500 || r.reason != want {
				t.Errorf("%s: %d %s, want %s", path, r.status, r.reason, want)
			}
		}
		if r := l.do("GET", nodes+"nowhere/status"); r.status != 400 || r.errors["storage"] != "No such storage." {
			t.Errorf("the status of no storage: %v", r)
		}
		if got := l.object("/storage/local-lvm"); got["thinpool"] != "data" || got["type"] != "lvmthin" {
			t.Errorf("configuration: %v", got)
		}
		for filter, n := range map[string]int{"content=iso": 1, "content=images": 3, "storage=local": 1, "": 4} {
			key, value, _ := strings.Cut(filter, "=")
			if got := len(l.list("/nodes/pve/storage", map[bool][]string{true: {key, value}, false: nil}[filter != ""]...)); got != n {
				t.Errorf("storages with %q: %d, want %d", filter, got, n)
			}
		}
		for path, want := range map[string]string{"/nodes/pve/disks/smart?disk=/dev/nvme0n1": "map[health:PASSED text:\nSMART overall-health self-assessment test result: PASSED\nPercentage Used:                    7%\n type:text wearout:93]",
			"/nodes/pve/hardware/pci/0000:01:00.0": "[map[method:mdev]]", "/nodes/pve/hardware/pci/0000:01:00.0/mdev": "[]"} {
			path, query, _ := strings.Cut(path, "?")
			key, value, _ := strings.Cut(query, "=")
			if got := fmt.Sprint(l.want("GET", path, map[bool][]string{true: {key, value}, false: nil}[query != ""]...)); got != want {
				t.Errorf("%s: %s, want %s", path, got, want)
			}
		}
	})
}

// The table shows which volumes a limited user may attach to a VM.
func TestVolumesOfOthers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		value, reason string
		grant         map[string][]string
	}{
		"its own":              {value: "local-lvm:vm-140-disk-1"},
		"another VM's":         {value: "local-lvm:vm-141-disk-0", reason: "Permission check failed (/vms/141, VM.Config.Disk)"},
		"owner of both":        {value: "local-lvm:vm-141-disk-0", grant: map[string][]string{"/vms/141": {"VM.Config.Disk"}}},
		"storage's master":     {value: "local-lvm:vm-141-disk-0", grant: map[string][]string{"/storage": {"Datastore.Allocate"}}},
		"an ISO he may see":    {value: "local:iso/virtio-win-0.1.285.iso,media=cdrom"},
		"an ISO he may not":    {value: "local:iso/virtio-win-0.1.285.iso,media=cdrom", grant: map[string][]string{"/storage/local": {}}, reason: "Permission check failed (/storage/local, Datastore.AllocateSpace|Datastore.Audit)"},
		"an import he may not": {value: "local-lvm:0,import-from=local:import/recovery-sequoia.raw", grant: map[string][]string{"/storage/local": {}}, reason: "Permission check failed (/storage/local, Datastore.AllocateSpace|Datastore.Audit)"},
		"a path":               {value: "/dev/sdb", reason: "Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651."},
		"the host's drive":     {value: "cdrom,media=cdrom", reason: "Permission check failed (/, Sys.Console)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := machines(vm(140, "unused0:=local-lvm:vm-140-disk-1"), vm(141, "unused0:=local-lvm:vm-141-disk-0"))
			privileges := everything()
			privileges["/vms/141"] = nil
			for path, list := range tt.grant {
				privileges[path] = list
			}
			host.Users = []pvetest.User{{ID: "ops@pve", Privileges: privileges, Tokens: []pvetest.Token{{ID: "bot", Secret: opsToken[12:]}}}}
			synctestNode(t, host, func(l *lab) {
				l.login = withToken(opsToken)
				r := l.do("PUT", configPath, "ide0", tt.value)
				if tt.reason == "" && r.status != 200 || tt.reason != "" && r.reason != tt.reason {
					t.Errorf("%d %s %v, want %q", r.status, r.reason, r.errors, tt.reason)
				}
			})
		})
	}
}

// The user has every privilege VM.Config.* on the VMs. For some keys this is
// not enough: they need another privilege, or only root@pam may set them.
func TestKeysOfALimitedUser(t *testing.T) {
	t.Parallel()
	for params, reason := range map[string]string{
		"serial0=socket":           "",
		"serial0=/dev/ttyS0":       "only root can modify 'serial0' config for real devices",
		"usb0=spice":               "",
		"usb0=host=1234:5678":      "only root can set 'usb0' config for real devices",
		"usb0=mapping=stick":       "Permission check failed (/mapping/usb/stick, Mapping.Use)",
		"hostpci0=pcie=1":          "either 'host' or 'mapping' must be set.",
		"startup=order=1":          "Permission check failed (/, Sys.Modify)",
		"ciuser=me":                "",
		"numa0=cpus=0,memory=1":    "",
		"args=-S":                  "only root can set 'args' config",
		"affinity=0":               "only root can set 'affinity' config",
		"lock=backup":              "only root can set 'lock' config",
		"rng0=source=/dev/hwrng":   "Permission check failed (/mapping/hwrng, Mapping.Use)",
		"rng0=source=/dev/urandom": "",
		"vmstatestorage=local":     "",
		"net0=virtio,bridge=dmz0":  "Permission check failed (/sdn/zones/localnetwork/dmz0, SDN.Use)",
	} {
		t.Run(params, func(t *testing.T) {
			t.Parallel()
			host := machines(vm(140, ""))
			host.Users = []pvetest.User{{ID: "ops@pve", Privileges: everything(), Tokens: []pvetest.Token{{ID: "bot", Secret: opsToken[12:]}}}}
			inBubble(t, host, func(l *lab) {
				l.login = withToken(opsToken)
				key, value, _ := strings.Cut(params, "=")
				if r := l.do("PUT", configPath, key, value); reason == "" && r.status != 200 || reason != "" && r.reason != reason {
					t.Errorf("%d %s %v, want %q", r.status, r.reason, r.errors, reason)
				}
				time.Sleep(time.Second)
			})
		})
	}
}

func TestClusterLists(t *testing.T) {
	t.Parallel()
	host := machines(running(140, "name:=win"), vm(141, ""))
	host.Backups = []pvetest.BackupJob{{ID: "nightly", Schedule: "02:00", VMIDs: "140,141", Mode: "snapshot", Enabled: true, Storage: "local"}, {ID: "all", All: true, Mode: "stop"}}
	inBubble(t, host, func(l *lab) {
		for query, n := range map[string]int{"": 7, "vm": 2, "storage": 4, "node": 1} {
			params := []string{"type", query}
			if query == "" {
				params = nil
			}
			if got := len(l.list("/cluster/resources", params...)); got != n {
				t.Errorf("resources of type %q: %d, want %d", query, got, n)
			}
		}
		if got := fmt.Sprint(l.list("/cluster/backup")); !strings.Contains(got, "vmid:140,141") || !strings.Contains(got, "all:1") {
			t.Errorf("backups: %s", got)
		}
		if exit := l.task("DELETE", "/nodes/pve/qemu/141", "purge", "1"); exit != "OK" || !strings.Contains(fmt.Sprint(l.list("/cluster/backup")), "vmid:140]") && !strings.Contains(fmt.Sprint(l.list("/cluster/backup")), "vmid:140 ") {
			t.Errorf("after a purge (%s): %v", exit, l.list("/cluster/backup"))
		}
	})
}
