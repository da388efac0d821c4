package workstation_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// The plan names every setting that PVE would refuse in the request or at the
// start of the VM.
func TestSettingsAreJudgedBeforePVEDoes(t *testing.T) {
	t.Parallel()
	facts := observe(t, pvetest.New(pvetest.Reference(), nil))
	vm := func(key, value string) workstation.VM {
		return workstation.VM{ID: 150, Name: "x", Config: map[string]string{key: value}, Disks: []workstation.Disk{{Slot: "scsi0", Size: 4 * storage.GiB}}}
	}
	for _, test := range []struct{ key, value, refusal, finding string }{
		{"cpu", "foo", "cpu", ""},
		{"nonsense", "1", "nonsense", ""},
		{"machine", "q36", "machine", ""},
		{"net0", "virtio,bridge=vmbr9", "", "workstation.bridge"},
		{"cpu", "custom-mine", "", "workstation.cpu-model"},
		{"net0", "virtio,bridge=vmbr0", "", ""},
		{"cpu", "x86-64-v3,flags=+aes", "", ""},
		{"smbios1", "uuid=nonsense", "smbios1", ""},
	} {
		plan, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm(test.key, test.value)}}, facts)
		if refused := errors.Is(err, workstation.ErrInvalid) && strings.Contains(err.Error(), test.refusal); refused != (test.refusal != "") {
			t.Errorf("%s=%s: %v, want a refusal: %v", test.key, test.value, err, test.refusal != "")
		}
		blocked := slices.ContainsFunc(plan.Findings, func(f proxstation.Finding) bool {
			return f.ID == test.finding && f.Severity == proxstation.Blocker && strings.Contains(f.Seen, test.value[strings.LastIndexByte(test.value, '=')+1:])
		})
		if blocked != (test.finding != "") {
			t.Errorf("%s=%s: findings %v, want %q", test.key, test.value, plan.Findings, test.finding)
		}
	}
	facts.Bridges, facts.CPUModels = nil, nil // without the lists of bridges and CPU models, nothing is refused
	for _, unread := range []workstation.VM{vm("net0", "virtio,bridge=vmbr9"), vm("cpu", "custom-mine")} {
		if plan, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{unread}}, facts); err != nil || len(plan.Findings) > 0 {
			t.Errorf("%v, %v", plan.Findings, err)
		}
	}
}
