package browser_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/examples/switchboard/board"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

var duo = workstation.DualBoot{Members: []int{140, 141}, Owner: "switchboard on den"}

var named = board.Options{Host: "pve", Labels: map[int]string{140: "Windows", 141: "Linux AI"}}

// The function "host" describes a host on which the first VM has the card.
func host() pvetest.Host {
	host := pvetest.Reference()
	host.Mappings = []pvetest.Mapping{{ID: "rtx5070ti", Map: []string{"node=pve,path=0000:01:00,id=10de:2c05,iommugroup=12,subsystem-id=1462:5315"}}}
	for i, name := range []string{"windows", "linux-ai"} {
		host.VMs = append(host.VMs, pvetest.VM{ID: 140 + i, Running: i == 0, Config: map[string]string{"name": name, "memory": "16384", "machine": "q35", "bios": "ovmf",
			"agent": "enabled=1", "hostpci0": "mapping=rtx5070ti,pcie=1", "scsi0": []string{"local-lvm:vm-140-disk-0,size=64G", "local-lvm:vm-141-disk-0,size=64G"}[i]}})
	}
	for i := range host.Storages {
		s := &host.Storages[i]
		fill := map[string]float64{"local": .31, "service-pool": .83, "media-pool": .46}[s.Name]
		if s.Total > 0 && fill > 0 {
			s.Used = int64(fill * float64(s.Total))
		}
	}
	for i := range host.ThinPools {
		host.ThinPools[i].Used = host.ThinPools[i].Size * 58 / 100
	}
	return host
}

// connect returns the embedded node of a host.
func connect(t *testing.T, host pvetest.Host, opts *pvetest.Options) (*workstation.Node, *pvetest.Node) {
	t.Helper()
	sim := pvetest.New(host, opts).Start()
	t.Cleanup(sim.Close)
	token := "root@pam!" + host.RootTokens[0].ID + "=" + host.RootTokens[0].Secret
	node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: sim.URL(), RootCAs: sim.CertPool(), Token: token}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return node, sim
}

// A scene is a node with prepared answers, for a picture of the page.
type scene struct {
	facts workstation.Facts

	mu     sync.Mutex
	status workstation.DualBootStatus
	hangs  int // how many times the node reports its status before it hangs; 0 if it never hangs
	asked  int
	events []workstation.Event // the events that a switch reports
	during func(s *scene)      // changes the scene after the switch has reported the events
	result error               // the error that a switch returns at its end
	end    chan struct{}       // a switch lasts until this channel is closed
}

// newScene returns a scene in which Windows runs. It reads the described host
// only once.
func newScene(t *testing.T) *scene {
	t.Helper()
	node, _ := connect(t, host(), nil)
	facts, err := node.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{facts: facts, end: make(chan struct{})}
	s.runs(140)
	return s
}

// The method "runs" makes the system with this VMID run. If vmid is 0, no system
// runs.
func (s *scene) runs(vmid int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = workstation.DualBootStatus{Running: vmid, For: 3*time.Hour + 12*time.Minute, Members: []workstation.MemberStatus{
		{VMID: 140, Name: "windows", Running: vmid == 140, CanStart: proxstation.Yes}, {VMID: 141, Name: "linux-ai", Running: vmid == 141, CanStart: proxstation.Yes}}}
}

func (s *scene) change(change func(s *scene)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *scene) Status(context.Context, workstation.DualBoot) (workstation.DualBootStatus, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hangs > 0 {
		s.asked++
	}
	if s.hangs > 0 && s.asked > s.hangs {
		return workstation.DualBootStatus{}, errors.New("workstation: GET /nodes/pve/qemu: no answer in 30s")
	}
	return s.status, nil
}

func (s *scene) Observe(context.Context) (workstation.Facts, error) { return s.facts, nil }

func (s *scene) Shutdown(ctx context.Context, _ int, _ time.Duration) error {
	return s.Switch(ctx, duo, 0, func(workstation.Event) {})
}

func (s *scene) Switch(ctx context.Context, _ workstation.DualBoot, _ int, progress func(workstation.Event)) error {
	s.mu.Lock()
	events := s.events
	s.mu.Unlock()
	for _, e := range events {
		progress(e)
	}
	if s.during != nil {
		s.during(s)
	}
	select {
	case <-s.end:
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.result
	case <-ctx.Done():
		return ctx.Err()
	}
}

// starting holds the events of a switch that has not ended.
var starting = []workstation.Event{
	{Phase: workstation.PhaseCheck, VMID: 141}, {Phase: workstation.PhaseStop, VMID: 140, Limit: 3 * time.Minute},
	{Phase: workstation.PhaseStart, VMID: 141, Limit: 5 * time.Minute},
	{Phase: workstation.PhaseUp, VMID: 141, Limit: 5 * time.Minute, Elapsed: 112 * time.Second}}

// rolledBack is the error of a switch that was undone. After this switch,
// Windows runs again.
var rolledBack = &workstation.SwitchError{Phase: workstation.PhaseStart, To: 141, Running: 140, Returned: true,
	Cause: errors.New("workstation: qmstart of VM 141 failed: start failed: QEMU exited with code 1"), Advice: []proxstation.Finding{{
		ID: "switch.example", Severity: proxstation.Warning, Subject: "VM 141 linux-ai", Seen: "start failed: QEMU exited with code 1",
		Why: "QEMU did not take the VM's configuration", Fix: "read the task's log on the host: journalctl -b -t pvedaemon"}}}

var locked = proxstation.Finding{ID: "switch.locked", Severity: proxstation.Blocker, Subject: "VM 141 linux-ai", Seen: "lock: backup",
	Why: "PVE does not start a locked VM", Fix: "wait for the backup to end"}
