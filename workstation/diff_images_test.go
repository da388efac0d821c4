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

// If an image is not on the node, the plan reports it, so Apply does not fail
// half-way.
func TestImagesAreLookedForInThePlan(t *testing.T) {
	t.Parallel()
	const installer, cloud = "local:iso/Win11_25H2_English_x64.iso", "local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2"
	facts := observe(t, pvetest.New(pvetest.Reference(), nil))
	offline := facts
	offline.Pools = append([]storage.Pool(nil), facts.Pools...)
	unlisted := facts
	unlisted.Pools = append([]storage.Pool(nil), facts.Pools...)
	for i := range offline.Pools {
		offline.Pools[i].Active = offline.Pools[i].Name != "local"
		unlisted.Pools[i].Images, unlisted.Pools[i].Volumes = nil, nil
	}
	attached := workstation.VM{ID: 300, Name: "own", Disks: []workstation.Disk{{Slot: "scsi0", Volume: "local-lvm:vm-300-disk-7"}}}
	for name, test := range map[string]struct {
		facts workstation.Facts
		vm    workstation.VM
		id    string // of the finding; "" for none of the two
		seen  string
	}{
		"an installer that is there":    {facts, profile.Windows11{Install: installer}.VM(), "", ""},
		"an installer that is not":      {facts, profile.Windows11{Install: "local:iso/gone.iso"}.VM(), "workstation.image-missing", "local:iso/gone.iso: the volume does not exist"},
		"a cloud image that is there":   {facts, profile.LinuxAI{Image: cloud}.VM(), "", ""},
		"a cloud image that is not":     {facts, profile.LinuxAI{Image: "local:import/gone.qcow2"}.VM(), "workstation.image-missing", "does not exist"},
		"a boot loader that is not":     {facts, profile.MacOS{OSK: proxstation.NewSecret(dummyOSK), OpenCore: "local:import/gone.raw"}.VM(), "workstation.image-missing", "gone.raw"},
		"a disk that is not":            {facts, attached, "workstation.image-missing", "vm-300-disk-7"},
		"a storage that is not":         {facts, profile.Windows11{Install: "nas:iso/a.iso"}.VM(), "workstation.image-missing", "the node has no storage nas"},
		"a storage that is offline":     {offline, profile.Windows11{Install: installer}.VM(), "workstation.image-missing", "offline"},
		"a storage that was not listed": {unlisted, profile.Windows11{Install: "local:iso/gone.iso"}.VM(), "", ""},
		"a file of the host's":          {facts, profile.MacOS{OSK: proxstation.NewSecret(dummyOSK), OpenCore: "/root/opencore.iso"}.VM(), "", ""},
		"Windows with neither":          {facts, profile.Windows11{}.VM(), "workstation.no-system", "an empty disk and no image"},
		"macOS without a boot loader":   {facts, profile.MacOS{OSK: proxstation.NewSecret(dummyOSK)}.VM(), "workstation.no-system", "an empty disk and no image"},
	} {
		p, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{test.vm}}, test.facts)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		found := ""
		for _, f := range p.Findings {
			if f.ID == "workstation.image-missing" || f.ID == "workstation.no-system" {
				found = f.ID
				if blocks := f.ID == "workstation.image-missing"; !strings.Contains(f.Seen, test.seen) || (f.Severity == proxstation.Blocker) != blocks || f.Fix == "" || strings.Contains(f.Fix, "Windows11") || strings.Contains(f.Fix, "MacOS.") || !blocks && !strings.Contains(f.Fix, ":)") {
					t.Errorf("%s: %s", name, f)
				}
			}
		}
		if found != test.id {
			t.Errorf("%s: %q, want %q\n%s", name, found, test.id, p)
		}
	}
}
