package pve_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

const token, secret = "root@pam!lab", "11111111-2222-3333-4444-555555555555"

// open returns a client. If plain is set, this is a caller's client; otherwise
// it is our own client, which uses Transport.
func open(sim *pvetest.Node, plain bool) *pve.Client {
	transport := sim.Transport()
	if !plain {
		transport = pve.Transport(transport)
	}
	return pve.New(proxmox.NewClient(sim.URL(), proxmox.WithHTTPClient(&http.Client{Transport: transport, Timeout: time.Minute}),
		proxmox.WithAPIToken(token, secret)), "pve")
}

func host() pvetest.Host {
	h := pvetest.Reference()
	h.VMs = []pvetest.VM{
		{ID: 140, Running: true, Config: map[string]string{"name": "windows", "memory": "4096", "agent": "1", "machine": "q35", "hostpci0": "0000:01:00,pcie=1", "scsi0": "local-lvm:vm-140-disk-0,size=64G"}},
		{ID: 141, Config: map[string]string{"name": "linux", "memory": "4096", "machine": "q35", "hostpci0": "01:00.0,pcie=1", "scsi0": "local-lvm:vm-141-disk-0,size=32G", "onboot": "1", "description": "a b"}},
	}
	h.HA, h.HAIgnored, h.Backups = []int{150}, []int{151}, []pvetest.BackupJob{{ID: "b", Schedule: "02:00", All: true, Mode: "stop", Enabled: true, Storage: "local"}}
	return h
}

// inBubble runs a test against a new node, in a bubble of testing/synctest.
func inBubble(t *testing.T, play func(t *testing.T, sim *pvetest.Node, c *pve.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(host(), nil)
		time.Sleep(time.Minute)
		play(t, sim, open(sim, false))
	})
}

func TestReading(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, _ *pvetest.Node, c *pve.Client) {
		ctx := t.Context()
		if s, err := c.NodeStatus(ctx); err != nil || s.MemoryTotal != 64*storage.GiB || s.MemoryAvailable != 58*storage.GiB || s.Cores != 8 || !strings.Contains(s.CPU, "i7") || s.Kernel == "" {
			t.Errorf("NodeStatus = %+v, %v", s, err)
		}
		functions, err := c.PCI(ctx)
		card, ok := gpu.CardAt(functions, address(t, "0000:01:00.0"))
		if err != nil || !ok || len(card.Functions) != 2 || card.Model().String() != "10de:2c05" || card.Display().Group != iommu.Group(12) || card.Display().Subsystem.String() != "1462:5315" {
			t.Errorf("PCI: %+v, %v", card, err)
		}
		facts, err := c.Storage(ctx)
		tiers := map[string]storage.Tier{}
		for _, p := range storage.Join(facts, nil) {
			tiers[p.Name] = p.Tier
			if p.Name == "local-lvm" && (p.Committed == nil || *p.Committed != 96*storage.GiB) {
				t.Errorf("local-lvm has promised %v, want 96G", p.Committed)
			}
		}
		if err != nil || tiers["local-lvm"] != storage.Tier1 || tiers["service-pool"] != storage.Tier2 || tiers["media-pool"] != storage.Tier3 || tiers["local"] != storage.TierUnknown {
			t.Errorf("Storage: tiers %v, %v", tiers, err)
		}
		vms, err := c.VMs(ctx)
		if err != nil || len(vms) != 2 || vms[0].VMID != 140 || !vms[0].Running || vms[0].Memory != 4*storage.GiB || vms[0].Uptime < time.Minute || vms[1].Running {
			t.Errorf("VMs = %+v, %v", vms, err)
		}
		config, err := c.Config(ctx, 141)
		if err != nil || config.Values["onboot"] != "1" || config.Values["memory"] != "4096" || config.Values["description"] != "a b" || len(config.Digest) != 40 || config.Values["digest"] != "" {
			t.Errorf("Config = %+v, %v", config, err)
		}
		if ha, ignored, err := c.HAResources(ctx); err != nil || len(ha) != 1 || ha[0] != 150 || len(ignored) != 1 || ignored[0] != 151 {
			t.Errorf("HAResources = %v, %v, %v", ha, ignored, err)
		}
		if jobs, err := c.BackupJobs(ctx); err != nil || len(jobs) != 1 || !jobs[0].All || !jobs[0].Enabled || jobs[0].Mode != "stop" {
			t.Errorf("BackupJobs = %+v, %v", jobs, err)
		}
		if p, err := c.Permissions(ctx); err != nil || !p.Allows("/vms/140", "VM.PowerMgmt") || p.Allows("/vms/140", "VM.Fly") {
			t.Errorf("Permissions: %v", err)
		}
	})
}

func address(t *testing.T, s string) iommu.Address {
	t.Helper()
	a, err := iommu.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestLifeOfAVM(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, sim *pvetest.Node, c *pve.Client) {
		ctx := t.Context()
		do := func(what string, task pve.UPID, err error) {
			t.Helper()
			if err == nil {
				_, err = c.Wait(ctx, task, nil)
			}
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		task, err := c.Create(ctx, 200, map[string]string{"name": "new", "memory": "1024", "scsi0": "local-lvm:8"})
		do("create", task, err)
		config, err := c.Config(ctx, 200)
		if err != nil {
			t.Fatal(err)
		}
		task, err = c.ChangeConfig(ctx, 200, pve.Change{Set: map[string]string{"cores": "4", "scsi1": "service-pool:4"}, Digest: config.Digest})
		do("change", task, err)
		if err := c.SetConfig(ctx, 200, pve.Change{Set: map[string]string{"tags": "a"}, Delete: []string{"cores"}}); err != nil {
			t.Errorf("set: %v", err)
		}
		task, err = c.Resize(ctx, 200, pve.Resize{Disk: "scsi0", Size: 10 * storage.GiB})
		do("resize", task, err)
		task, err = c.Start(ctx, 200)
		do("start", task, err)
		if s, err := c.Status(ctx, 200); err != nil || !s.Running || s.VMID != 200 {
			t.Errorf("Status = %+v, %v", s, err)
		}
		task, err = c.Shutdown(ctx, 200, time.Minute, false)
		do("shutdown", task, err)
		task, err = c.Start(ctx, 200)
		do("start again", task, err)
		task, err = c.Stop(ctx, 200)
		do("stop", task, err)
		state, _ := sim.VM(200)
		if state.Running || state.Config["tags"] != "a" || state.Config["cores"] != "" || !strings.Contains(state.Config["scsi0"], "size=10G") || state.Config["scsi1"] == "" {
			t.Errorf("the node has %+v", state)
		}
		task, err = c.Destroy(ctx, 200)
		do("destroy", task, err)
		if err := sim.Check(); err != nil {
			t.Error(err)
		}
	})
}

func TestMappings(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, _ *pvetest.Node, c *pve.Client) {
		functions, err := c.PCI(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		card, _ := gpu.CardAt(functions, address(t, "0000:01:00.0"))
		m, err := gpu.NewMapping("rtx", "pve", card)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.CreateMapping(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if err := c.CreateMapping(t.Context(), m); !errors.Is(err, pve.ErrExists) {
			t.Errorf("a second time: %v, want ErrExists", err)
		}
		have, err := c.Mappings(t.Context())
		if err != nil || len(have) != 1 || have[0].Entries[0].String() != m.Entries[0].String() || have[0].Digest == "" {
			t.Fatalf("Mappings = %+v, %v", have, err)
		}
		have[0].Entries[0].Description = "the card"
		if err := c.UpdateMapping(t.Context(), have[0]); err != nil {
			t.Errorf("update: %v", err)
		}
		if err := c.UpdateMapping(t.Context(), have[0]); !errors.Is(err, pve.ErrStale) {
			t.Errorf("update with an old digest: %v, want ErrStale", err)
		}
	})
}

func TestErrorsByTheirSentinels(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, sim *pvetest.Node, c *pve.Client) {
		ctx := t.Context()
		inject := func(kind pvetest.FaultKind, times int) {
			sim.Inject(pvetest.Fault{Path: "/nodes/pve/qemu", Kind: kind, Times: times})
		}
		vms := func() error { _, err := c.VMs(ctx); return err }
		startErr := func() error {
			task, err := c.Start(ctx, 141)
			if err == nil {
				_, err = c.Wait(ctx, task, nil)
			}
			return err
		}
		tests := []struct {
			name    string
			prepare func()
			do      func() error
			is      error
		}{
			{"no such VM", nil, func() error { _, err := c.Config(ctx, 999); return err }, pve.ErrNotFound},
			{"a VM that exists", nil, func() error { _, err := c.Create(ctx, 140, nil); return err }, pve.ErrExists},
			{"an old digest", nil, func() error {
				return c.SetConfig(ctx, 141, pve.Change{Set: map[string]string{"name": "x"}, Digest: strings.Repeat("0", 40)})
			}, pve.ErrStale},
			{"a locked VM", func() { _ = sim.Lock(141, "backup") }, func() error { return c.SetConfig(ctx, 141, pve.Change{Set: map[string]string{"name": "x"}}) }, pve.ErrLocked},
			{"a card in use", func() { _ = sim.Lock(141, "") }, startErr, pve.ErrInUse},
			{"an unknown parameter", nil, func() error { return c.SetConfig(ctx, 141, pve.Change{Set: map[string]string{"colour": "red"}}) }, pve.ErrInvalid},
			{"what only root may", nil, func() error { return c.SetConfig(ctx, 141, pve.Change{Set: map[string]string{"args": "-x"}}) }, pve.ErrPermission},
			{"an agent that is not configured", nil, func() error { return c.AgentPing(ctx, 141) }, pve.ErrAgent},
			{"403", func() { inject(pvetest.Forbid, 1) }, vms, pve.ErrPermission},
			{"401", func() { inject(pvetest.ExpireTicket, 1) }, vms, pve.ErrLogin},
			{"595", func() { inject(pvetest.ProxyDown, 4) }, vms, pve.ErrNoAnswer},
			{"596", func() { inject(pvetest.ProxyTimeout, 4) }, vms, pve.ErrNoAnswer},
			{"a dropped connection", func() { inject(pvetest.DropAfter, 4) }, vms, pve.ErrNoAnswer},
			{"a hang", func() { inject(pvetest.HangAfter, 1) }, vms, pve.ErrNoAnswer},
		}
		for _, test := range tests {
			if test.prepare != nil {
				test.prepare()
			}
			err := test.do()
			if !errors.Is(err, test.is) {
				t.Errorf("%s: %v, want %v", test.name, err, test.is)
			}
			for _, other := range []error{pve.ErrNotFound, pve.ErrStale, pve.ErrLocked, pve.ErrInUse, pve.ErrExists, pve.ErrAgent, pve.ErrInvalid, pve.ErrNoAnswer} {
				if !errors.Is(test.is, other) && errors.Is(err, other) {
					t.Errorf("%s: also matches %v", test.name, other)
				}
			}
		}
	})
}

// Without Transport, go-proxmox treats an answer 595 with a body as a success.
// An answer 595 without a body must nevertheless be an error.
func TestPlainClient(t *testing.T) {
	t.Parallel()
	sim := pvetest.New(host(), nil)
	c := open(sim, true)
	sim.Inject(pvetest.Fault{Path: "/nodes/pve/qemu/141/config", Kind: pvetest.ProxyDown})
	if err := c.SetConfig(t.Context(), 141, pve.Change{Set: map[string]string{"name": "x"}}); !errors.Is(err, pve.ErrNoAnswer) {
		t.Errorf("595: %v, want ErrNoAnswer", err)
	}
	sim.Inject(pvetest.Fault{Path: "/nodes/pve/qemu", Kind: pvetest.Forbid})
	if _, err := c.VMs(t.Context()); !errors.Is(err, pve.ErrPermission) {
		t.Errorf("403: %v, want ErrPermission", err)
	}
}

func TestWait(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, sim *pvetest.Node, c *pve.Client) {
		ctx := t.Context()
		sim.Inject(pvetest.Fault{Task: "qmstop", Kind: pvetest.TaskFails, Message: "boom"})
		task, err := c.Stop(ctx, 140)
		if err != nil {
			t.Fatal(err)
		}
		var failed *pve.TaskError
		if _, err := c.Wait(ctx, task, nil); !errors.As(err, &failed) || failed.Exit != "boom" || failed.UPID.VMID() != 140 || failed.UPID.Type() != "qmstop" || len(failed.Log) == 0 {
			t.Errorf("a task that fails: %v (%+v)", err, failed)
		}
		sim.Inject(pvetest.Fault{Path: "/nodes/pve/tasks/.*/status", Kind: pvetest.DropAfter, Times: 5})
		if task, err = c.Stop(ctx, 140); err == nil {
			_, err = c.Wait(ctx, task, nil)
		}
		if err != nil {
			t.Errorf("with five answers lost: %v", err)
		}
		sim.Inject(pvetest.Fault{Task: "qmstart", Kind: pvetest.TaskHangs})
		if task, err = c.Start(ctx, 140); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		began, told := time.Now(), 0
		if _, err := c.Wait(short, task, func(time.Duration) { told++ }); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 11*time.Second || told != 10 {
			t.Errorf("a task that hangs: %v after %s, %d times told", err, time.Since(began), told)
		}
		if tasks, err := c.RunningTasks(ctx, 140); err != nil || len(tasks) != 1 || c.StopTask(ctx, tasks[0].UPID) != nil {
			t.Errorf("RunningTasks = %v, %v", tasks, err)
		}
		for _, odd := range []pve.UPID{"x", "UPID:", "UPID:a:b:c:d:e:f:g:h:i"} {
			if _, err := c.Wait(ctx, odd, nil); err == nil {
				t.Errorf("Wait(%q) is content", odd)
			}
		}
	})
}
