package pve_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// answers returns a client of a node that has answers for some paths. The node
// answers all other paths with null.
func answers(byPath map[string]any) *pve.Client {
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		path := strings.TrimPrefix(r.URL.Path, "/api2/json")
		if r.URL.RawQuery != "" {
			path += "?" + r.URL.RawQuery
		}
		text, err := json.Marshal(map[string]any{"data": byPath[path]})
		status, code := "200 OK", 200
		if refusal, refused := byPath[path].(string); refused && len(refusal) > 3 && refusal[3] == ' ' {
			status, code = refusal, map[bool]int{true: 400, false: 500}[refusal[:3] == "400"]
		}
		return &http.Response{StatusCode: code, Status: status, Body: io.NopCloser(strings.NewReader(string(text))), Header: http.Header{}, Request: r}, err
	})
	return pve.New(proxmox.NewClient("https://pve/api2/json", proxmox.WithHTTPClient(&http.Client{Transport: transport}), proxmox.WithAPIToken(token, secret)), "pve")
}

// Storage decodes the answers of unusual nodes: with a pool on NVMe disks made
// by the installer, a pool whose name PVE's own API refuses, an SSD on a USB
// bridge, containers, or a storage of other nodes.
func TestStorageOfOddNodes(t *testing.T) {
	t.Parallel()
	type object = map[string]any
	c := answers(map[string]any{
		"/nodes/pve/disks/list?include-partitions=1": []object{
			{"devpath": "/dev/nvme0n1", "type": "nvme", "wwn": "eui.0025385b91500001", "by_id_link": "/dev/disk/by-id/nvme-Samsung_SSD_980_S64A", "serial": "S64A", "size": 1},
			{"devpath": "/dev/sda", "type": "hdd", "wwn": "0x5000c500a1b2c3d4", "by_id_link": "/dev/disk/by-id/ata-ST8000VN004_WKD0ABCD", "serial": "WKD0ABCD", "rpm": "7200", "size": 1},
			{"devpath": "/dev/sdb", "type": "ssd", "wwn": "unknown", "serial": "123456", "rpm": 0, "size": 1},
			{"devpath": "/dev/sdc", "type": "ssd", "wwn": "unknown", "by_id_link": "/dev/disk/by-id/ata-CT500MX500SSD1_2033E0000001", "serial": "2033E0000001", "size": 1},
		},
		"/nodes/pve/disks/zfs":       []object{{"name": "rpool", "health": "ONLINE"}, {"name": "z", "health": "ONLINE"}, {"name": "tank", "health": "ONLINE"}},
		"/nodes/pve/disks/zfs/rpool": object{"name": "rpool", "children": []object{{"name": "/dev/disk/by-id/nvme-eui.0025385b91500001-part3", "leaf": 1}}},
		"/nodes/pve/disks/zfs/z":     "400 Parameter verification failed.",
		"/nodes/pve/disks/zfs/tank":  object{"name": "tank", "children": []object{{"name": "/dev/disk/by-id/wwn-0x5000c500a1b2c3d4-part1", "leaf": 1}, {"name": "/dev/disk/by-id/scsi-SATA_ST8000VN004_WKD0ABCD", "leaf": 1}}},
		"/storage":                   []object{{"storage": "local-zfs", "type": "zfspool", "pool": "rpool/data"}, {"storage": "z", "type": "zfspool", "pool": "z"}, {"storage": "tank", "type": "zfspool", "pool": "tank"}},
		"/nodes/pve/storage?enabled=1": []object{
			{"storage": "local-zfs", "type": "zfspool", "content": "images,rootdir", "active": 1, "enabled": 1},
			{"storage": "z", "type": "zfspool", "content": "images", "active": 1, "enabled": 1}, {"storage": "tank", "type": "zfspool", "content": "images", "active": 1},
			{"storage": "elsewhere", "type": "lvmthin", "content": "images", "active": 0, "enabled": 0},
		},
		"/nodes/pve/storage/local-zfs/content": []object{{"volid": "local-zfs:vm-140-disk-0", "content": "images", "size": 64 << 30, "vmid": 140},
			{"volid": "local-zfs:subvol-200-disk-0", "content": "rootdir", "size": 8 << 30, "vmid": "200"}, {"volid": "local-zfs:iso/x.iso", "content": "iso", "size": 1 << 30}},
	})
	facts, err := c.Storage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tiers := map[string]string{}
	for _, d := range facts.Disks {
		tier, _ := d.Tier()
		tiers[d.Name()] = tier.String()
	}
	for _, p := range storage.Join(facts, nil) {
		tiers[p.Name] = p.Tier.String()
		if p.Name == "local-zfs" && (p.Committed == nil || *p.Committed != 72*storage.GiB || len(p.Volumes) != 2) {
			t.Errorf("local-zfs has promised %v in %v", p.Committed, p.Volumes)
		}
	}
	want := map[string]string{"nvme0n1": "1", "sda": "3", "sdb": "unknown", "sdc": "2", "local-zfs": "1", "z": "unknown", "tank": "3"}
	for name, tier := range want {
		if tiers[name] != tier {
			t.Errorf("%s is of tier %q, want %q", name, tiers[name], tier)
		}
	}
	if len(tiers) != len(want) {
		t.Errorf("tiers %v", tiers)
	}
}

func TestAgentsThatLack(t *testing.T) {
	t.Parallel()
	h := host()
	h.Guests = map[int]pvetest.Guest{140: {Lacks: []string{"guest-get-osinfo", "guest-network-get-interfaces"},
		Exec: func([]string, []byte) pvetest.Result { return pvetest.Result{Signal: 9} }}}
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(h, nil)
		c := open(sim, false)
		time.Sleep(time.Minute)
		_, osErr := c.AgentOS(t.Context(), 140)
		_, addressErr := c.AgentAddresses(t.Context(), 140)
		for _, err := range []error{osErr, addressErr} {
			var refused *pve.Error
			if !errors.As(err, &refused) || refused.Status != 500 || !strings.Contains(refused.Message, "has not been found") {
				t.Errorf("%v", err)
			}
		}
		pid, err := c.AgentExec(t.Context(), 140, []string{"x"}, "")
		if err != nil {
			t.Fatal(err)
		}
		if s, err := c.AgentExecStatus(t.Context(), 140, pid); err != nil || !s.Exited || s.Signal != 9 || s.Code != 0 {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// An open console is a task, but RunningTasks leaves it out because it does
// nothing to the VM.
func TestConsolesAreNoWork(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, sim *pvetest.Node, c *pve.Client) {
		if err := sim.OpenConsole(140); err != nil {
			t.Fatal(err)
		}
		if tasks, err := c.RunningTasks(t.Context(), 140); err != nil || len(tasks) != 0 {
			t.Errorf("%v, %v", tasks, err)
		}
		if _, err := c.Shutdown(t.Context(), 140, time.Minute, false); err != nil {
			t.Fatal(err)
		}
		if tasks, err := c.RunningTasks(t.Context(), 140); err != nil || len(tasks) != 1 || tasks[0].Type != "qmshutdown" {
			t.Errorf("%v, %v", tasks, err)
		}
	})
}

func TestPending(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, sim *pvetest.Node, c *pve.Client) {
		for key, value := range map[string]string{"balloon": "0", "memory": "8192"} {
			if err := sim.Edit(140, key, value); err != nil {
				t.Fatal(err)
			}
		}
		_ = sim.PowerOff(140)
		if err := sim.PowerOn(140); err != nil {
			t.Fatal(err)
		}
		for key, value := range map[string]string{"balloon": "", "hostpci0": "", "memory": "2048"} {
			if err := sim.Edit(140, key, value); err != nil {
				t.Fatal(err)
			}
		}
		p, err := c.WholeConfig(t.Context(), 140)
		_, card := p.Next["hostpci0"]
		_, balloon := p.Next["balloon"]
		if err != nil || p.InForce["memory"] != "8192" || p.InForce["balloon"] != "0" || !strings.Contains(p.InForce["hostpci0"], "01:00") || card || balloon || p.Next["memory"] != "2048" {
			t.Errorf("%+v, %v", p, err)
		}
		if config, err := c.Config(t.Context(), 140); err != nil || p.Digest != config.Digest || len(p.Digest) != 40 || p.InForce["digest"] != "" {
			t.Errorf("digests %q and %q, %v", p.Digest, config.Digest, err)
		}
		// Config leaves out a deleted key only if the key's value is not 0.
		if config, err := c.Config(t.Context(), 140); err != nil || config.Values["balloon"] != "0" || config.Values["hostpci0"] != "" || config.Values["memory"] != "2048" {
			t.Errorf("%+v, %v", config, err)
		}
	})
}
