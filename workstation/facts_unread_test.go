package workstation_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// If a configuration was not read, the caller gets an error or a finding. The
// VM does not count as missing, and its card does not count as free.
func TestAVMThatWasNotRead(t *testing.T) {
	t.Parallel()
	host := pair()
	host.VMs = append(host.VMs, pvetest.VM{ID: 200, Config: map[string]string{"name": "rival", "hostpci0": "0000:01:00,pcie=1", "machine": "q35"}})
	node := open(pvetest.New(host, nil))
	complete, err := node.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var seen workstation.Facts
	facts, err := node.ObserveFor(t.Context(), func(f workstation.Facts) []int { seen = f; return []int{141} })
	if err != nil {
		t.Fatal(err)
	}
	if len(seen.Unread) != 3 || len(seen.IOMMU.Functions) == 0 || len(seen.Mappings) != len(facts.Mappings) || seen.Node != facts.Node {
		t.Errorf("the facts by which the VMs are chosen: %+v", seen)
	}
	if len(facts.VMs) != 1 || len(facts.Unread) != 2 || facts.Unread[200] != "rival" || !strings.Contains(facts.Others[200], "VM 200 rival, whose configuration was not read") {
		t.Fatalf("VMs %v, unread %v, others %v", facts.VMs, facts.Unread, facts.Others)
	}

	before := complete.Snapshot()
	for what, do := range map[string]func() error{
		"Adopt":         func() error { _, err := workstation.Adopt(facts, 200); return err },
		"DestroyPlan":   func() error { _, err := workstation.DestroyPlan(facts, 200); return err },
		"RestorePlan":   func() error { _, err := workstation.RestorePlan(before, facts); return err },
		"StartWithHost": func() error { _, err := both.StartWithHost(facts, 141); return err },
		"Diff": func() error {
			_, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{{ID: 200, Name: "rival"}}}, facts)
			return err
		},
	} {
		if err := do(); !errors.Is(err, workstation.ErrUnread) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := workstation.Adopt(facts, 999); !errors.Is(err, workstation.ErrNotFound) {
		t.Errorf("Adopt of a VM that does not exist: %v", err)
	}
	if s := facts.Snapshot(); !slices.Equal(s.Unread, []int{140, 200}) || len(s.Missing) != 0 || len(s.Configs) != 1 {
		t.Errorf("snapshot %+v", s)
	}
	made := workstation.Snapshot{Node: facts.Node, Missing: []int{200}}
	if plan, err := workstation.RestorePlan(made, facts); err != nil || !has(plan.Findings, "restore.made", "VM 200 rival") {
		t.Errorf("a VM that was made since the snapshot: %v, %v", plan.Findings, err)
	}

	plan, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{{ID: 141, Name: complete.VMs[141].Name}}}, facts)
	if err != nil || !has(plan.Findings, "workstation.claims-unread", "VM 141") {
		t.Errorf("a plan for a VM with the card: %v, %v", plan.Findings, err)
	}
	findings := workstation.Preflight(both, 141, facts)
	if !has(findings, "workstation.claims-unread", "VM 141") || !has(findings, "switch.elsewhere", "VM 140") {
		t.Errorf("a switch: %v", findings)
	}
	if findings := workstation.Preflight(both, 140, facts); !has(findings, "switch.elsewhere", "VM 140") {
		t.Errorf("a switch to a VM that was not read: %v", findings)
	}
	if has(workstation.Preflight(both, 141, complete), "workstation.claims-unread", "") {
		t.Error("a finding about VMs that were not read, and all were read")
	}
}

func has(findings []proxstation.Finding, id, subject string) bool {
	return slices.ContainsFunc(findings, func(f proxstation.Finding) bool { return f.ID == id && strings.HasPrefix(f.Subject, subject) })
}
