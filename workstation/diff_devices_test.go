package workstation_test

import (
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A VM that would take from the host what the host needs is refused, or told
// where nobody knows for sure.
func TestDevicesThatTheHostNeeds(t *testing.T) {
	t.Parallel()
	facts := observe(t, pvetest.New(pvetest.Reference(), nil))
	facts.RootTicket = proxstation.Yes
	without := facts
	without.Disks = nil
	for name, test := range map[string]struct {
		facts    workstation.Facts
		device   string
		has      bool // the VM has it already
		id       string
		severity proxstation.Severity
		seen     string
	}{
		"the host's NVMe disk":     {facts, "0000:02:00.0", false, "workstation.host-disk", proxstation.Blocker, "0000:02:00.0"},
		"one that the VM has":      {facts, "0000:02:00.0", true, "workstation.host-disk", proxstation.Warning, "0000:02:00.0"},
		"disks that were not read": {without, "0000:02:00.0", false, "", 0, ""},
		"a USB controller's group": {facts, "0000:00:14.0", false, "workstation.host-device", proxstation.Warning, "0000:00:14.2"},
		"the graphics card, whole": {facts, "0000:01:00", false, "", 0, ""},
		"a card that nobody knows": {facts, "0000:09:00.0", false, "", 0, ""},
		"the host's SATA disks":    {facts, "0000:00:17.0", false, "workstation.host-disk", proxstation.Blocker, "0000:00:17.0"},
	} {
		vm := profile.LinuxAI{ID: 300, Name: "own", Install: "local:iso/ubuntu-24.04.3-live-server-amd64.iso"}.VM()
		vm.Config["hostpci1"] = test.device
		now := test.facts
		if test.has {
			now.VMs = map[int]workstation.VMFacts{300: {ID: 300, Name: "own", Config: map[string]string{"name": "own", "machine": "q35", "hostpci1": test.device,
				"ide2": "local:iso/ubuntu-24.04.3-live-server-amd64.iso,media=cdrom"}}}
		}
		p, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm}, Place: &storage.PlaceOptions{}}, now)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		found := proxstation.Finding{}
		for _, f := range p.Findings {
			if strings.HasPrefix(f.ID, "workstation.host-") && (found.ID == "" || f.Severity > found.Severity) {
				found = f
			}
		}
		if found.ID != test.id || found.ID != "" && (found.Severity != test.severity || !strings.Contains(found.Seen, test.seen)) {
			t.Errorf("%s: %v, want %s %s", name, found, test.severity, test.id)
		}
	}
}
