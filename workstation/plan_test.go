package workstation_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// rtx is the slot of the reference host's RTX 5070 Ti.
var rtx = func() iommu.Address {
	a, err := iommu.ParseAddress("0000:01:00.0")
	if err != nil {
		panic(err)
	}
	return a
}()

func dualBootSpec() workstation.Spec {
	return workstation.Spec{
		Mappings: []workstation.CardMapping{{ID: "rtx5070ti", Card: rtx}},
		VMs: []workstation.VM{
			profile.Windows11{Card: "rtx5070ti", Games: 100 * storage.GiB}.VM(),
			profile.LinuxAI{Card: "rtx5070ti", Models: 80 * storage.GiB}.VM(),
		},
	}
}

// tokenID and tokenSecret are the login of a test: an API token of root@pam.
const tokenID, tokenSecret = "root@pam!lab", "11111111-2222-3333-4444-555555555555"

func open(node *pvetest.Node) *workstation.Node {
	client := proxmox.NewClient(node.URL(), proxmox.WithHTTPClient(node.HTTPClient()), proxmox.WithAPIToken(tokenID, tokenSecret))
	return workstation.Open(client, "pve", &workstation.NodeOptions{RootTicket: proxstation.No})
}

func plan(t *testing.T, node *workstation.Node, spec workstation.Spec) workstation.Plan {
	t.Helper()
	facts, err := node.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan, err := workstation.Diff(spec, facts)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestApplyCreatesTheWorkstationsAndThenHasNothingToDo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(pvetest.Reference(), nil)
		node := open(sim)
		p := plan(t, node, dualBootSpec())
		t.Log(p)
		if err := node.Apply(t.Context(), p, &workstation.ApplyOptions{Progress: func(e workstation.Event) { t.Logf("%+v", e) }}); err != nil {
			t.Fatal(err)
		}
		for id, want := range map[int]map[string]string{
			140: {"scsi0": "local-lvm", "scsi1": "service-pool", "efidisk0": "local-lvm", "tpmstate0": "local-lvm"},
			141: {"scsi0": "local-lvm", "scsi1": "service-pool", "efidisk0": "local-lvm"},
		} {
			state, ok := sim.VM(id)
			if !ok {
				t.Fatalf("no VM %d", id)
			}
			for slot, pool := range want {
				drive, err := storage.ParseDrive(state.Config[slot])
				if got, _ := drive.Pool(); err != nil || got != pool {
					t.Errorf("VM %d: %s is %q, want it on %s", id, slot, state.Config[slot], pool)
				}
			}
		}
		again := plan(t, node, dualBootSpec())
		if !again.Empty() {
			t.Errorf("a second plan is not empty:\n%s", again)
		}
		before := len(sim.Trace())
		if err := node.Apply(t.Context(), p, nil); err != nil {
			t.Errorf("applying the first plan again: %v", err)
		}
		for _, request := range sim.Trace()[before:] {
			if request.Method != "GET" {
				t.Errorf("applying the first plan again writes: %s", request)
			}
		}
		if err := sim.Check(); err != nil {
			t.Error(err)
		}
		_ = fmt.Sprint(time.Now())
	})
}
