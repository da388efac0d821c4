package storage_test

import (
	"os"
	"testing"

	"github.com/proxstation/proxstation/storage"
)

// TestInLabDisks runs inside the booted kernels of internal/lab.
func TestInLabDisks(t *testing.T) {
	t.Parallel()
	if os.Getenv("PROXSTATION_IN_LAB") == "" {
		t.Skip("not inside the lab; see internal/lab")
	}
	want := map[string]storage.Tier{} // by what tells the disk
	for _, d := range storage.ReadHost(storage.Host{}).Disks {
		tier, why := d.Tier()
		t.Logf("%s: bus %q, tier %s (%s), %s", d.Path, d.Bus, tier, why, d.Size)
		switch d.Bus {
		case storage.NVMe, storage.Virtio, storage.USB:
			want[string(d.Bus)] = tier
		case storage.SATA:
			want["sata "+d.Path] = tier
		default:
			t.Errorf("%s is on bus %q", d.Path, d.Bus)
		}
		if d.Size != 128*storage.MiB {
			t.Errorf("%s has %s, want 128M", d.Path, d.Size)
		}
	}
	for disk, tier := range map[string]storage.Tier{"nvme": storage.Tier1, "virtio": storage.TierUnknown, "usb": storage.TierUnknown} {
		if got, found := want[disk]; !found || got != tier {
			t.Errorf("%s disk: found %v, tier %s, want %s", disk, found, got, tier)
		}
	}
	var ssd, hdd int
	for disk, tier := range want {
		if len(disk) > 5 && disk[:5] == "sata " {
			switch tier {
			case storage.Tier2:
				ssd++
			case storage.Tier3:
				hdd++
			}
		}
	}
	if ssd != 1 || hdd != 1 {
		t.Errorf("found %d SATA SSDs and %d SATA HDDs, want one of each", ssd, hdd)
	}
}
