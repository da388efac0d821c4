package workstation_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// This returns the dual-boot specification in which VM 140's disk for games has
// the given size.
func growing(size storage.Size) workstation.Spec {
	spec := dualBootSpec()
	i := slices.IndexFunc(spec.VMs[0].Disks, func(d workstation.Disk) bool { return d.Slot == "scsi1" })
	spec.VMs[0].Disks[i].Size = size
	return spec
}

func TestGrowthNeedsRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		node := open(pvetest.New(pvetest.Reference(), nil))
		if err := node.Apply(t.Context(), plan(t, node, dualBootSpec()), nil); err != nil {
			t.Fatal(err)
		}
		facts, err := node.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if p, err := workstation.Diff(growing(110*storage.GiB), facts); err != nil || len(p.Steps) != 1 {
			t.Errorf("growing by 10 GiB: %v, %v", p, err)
		}
		var refusal *storage.NoPlaceError
		_, err = workstation.Diff(growing(400*storage.GiB), facts)
		if !errors.As(err, &refusal) || refusal.Request.Size != 300*storage.GiB || refusal.Request.Storage != "service-pool" {
			t.Errorf("growing beyond the pool: %v", err)
		}
		wide := growing(400 * storage.GiB)
		wide.Place = &storage.PlaceOptions{Overcommit: 4}
		p, err := workstation.Diff(wide, facts)
		if err != nil || len(p.Steps) != 1 || !strings.Contains(p.String(), "service-pool") {
			t.Errorf("told to promise four times as much: %v\n%s", err, p)
		}
	})
}

func TestDisksThatAreElsewhere(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		volume string
		disk   workstation.Disk
		want   string // part of the finding; empty if no finding is expected
	}{
		"as asked for":                {"local-lvm:vm-140-disk-0,size=128G", workstation.Disk{Purpose: storage.Boot, Storage: "local-lvm"}, ""},
		"another storage":             {"service-pool:vm-140-disk-0,size=128G", workstation.Disk{Purpose: storage.Boot, Storage: "local-lvm"}, "qm disk move 140 scsi0 local-lvm"},
		"a system on hard disks":      {"media-pool:vm-140-disk-0,size=128G", workstation.Disk{Purpose: storage.Boot}, "tier 2 (SSD) or faster"},
		"a system where it was asked": {"media-pool:vm-140-disk-0,size=128G", workstation.Disk{Purpose: storage.Boot, Storage: "media-pool"}, ""},
		"data on hard disks":          {"media-pool:vm-140-disk-0,size=128G", workstation.Disk{Purpose: storage.Data}, ""},
		"data that wants the first":   {"service-pool:vm-140-disk-0,size=128G", workstation.Disk{Purpose: storage.Data, Tier: storage.Tier1}, "tier 1 (NVMe) or faster"},
		"a storage nobody knows":      {"gone:vm-140-disk-0,size=128G", workstation.Disk{Purpose: storage.Boot}, ""},
	}
	pools := []storage.Pool{
		{Storage: storage.Storage{Name: "local-lvm"}, Tier: storage.Tier1}, {Storage: storage.Storage{Name: "service-pool"}, Tier: storage.Tier2},
		{Storage: storage.Storage{Name: "media-pool"}, Tier: storage.Tier3},
	}
	for name, test := range tests {
		test.disk.Slot, test.disk.Size = "scsi0", 64*storage.GiB
		spec := workstation.Spec{VMs: []workstation.VM{{ID: 140, Name: "a", Disks: []workstation.Disk{test.disk}}}}
		facts := workstation.Facts{Pools: pools, VMs: map[int]workstation.VMFacts{140: {ID: 140, Name: "a", Config: map[string]string{"scsi0": test.volume}}}}
		p, err := workstation.Diff(spec, facts)
		if err != nil || !p.Empty() || (len(p.Findings) > 0) != (test.want != "") || test.want != "" && !strings.Contains(p.String(), test.want) {
			t.Errorf("%s: %v\n%s", name, err, p)
		}
	}
}
