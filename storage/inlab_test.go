//go:build linux

package storage_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/storage"
)

// These tests run inside the booted kernels of internal/lab. They run one after
// the other, because the second test writes to the disks.

func TestInLabDisks(t *testing.T) { //nolint:paralleltest // the machine is shared
	if os.Getenv("PROXSTATION_IN_LAB") == "" {
		t.Skip("not inside the lab; see internal/lab")
	}
	want := map[string]storage.Tier{} // the key is a text that identifies the disk
	for _, d := range read(t, nil).Disks {
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

// labLVM configures LVM to work without udev, dmeventd and thin_check, which
// the booted system does not have.
const labLVM = "devices { obtain_device_list_from_udev=0 use_devicesfile=0 } global { thin_check_executable=\"\" use_lvmlockd=0 }" +
	" activation { udev_sync=0 udev_rules=0 verify_udev_operations=1 monitoring=0 } log { prefix=\"\" } backup { backup=0 archive=0 }"

func sh(t *testing.T, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if name == "lvm" {
		args = append(args, "--config", labLVM)
	}
	if output, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, output)
	}
}

// TestInLabPools makes storages with the tools of LVM, Btrfs and ext4, as on
// PVE. It checks that Join finds their disks.
func TestInLabPools(t *testing.T) { //nolint:paralleltest // the machine is shared
	if os.Getenv("PROXSTATION_IN_LAB") == "" {
		t.Skip("not inside the lab; see internal/lab")
	}
	device := map[storage.Bus]string{}
	for _, d := range read(t, nil).Disks {
		bus := d.Bus
		if bus == storage.SATA && *d.Rotates {
			bus = "hdd"
		}
		device[bus] = d.Path
	}
	sh(t, "lvm", "vgcreate", "fast-vg", device[storage.NVMe])
	sh(t, "lvm", "lvcreate", "-y", "-Zn", "--type", "thin-pool", "-L", "64M", "-n", "data", "fast-vg")
	sh(t, "lvm", "lvcreate", "-y", "-Wn", "-V", "1G", "-T", "fast-vg/data", "-n", "vm-140-disk-0")
	sh(t, "lvm", "lvcreate", "-y", "-Zn", "-Wn", "-L", "32M", "-n", "root", "fast-vg")
	sh(t, "lvm", "vgcreate", "mixed", device[storage.SATA], device["hdd"])
	sh(t, "lvm", "lvcreate", "-y", "-Zn", "-Wn", "-l", "50", "-n", "wide", "mixed")
	sh(t, "mke2fs", "-q", "-F", "-t", "ext4", "/dev/mapper/fast--vg-root")
	sh(t, "mkfs.btrfs", "-q", "-f", "-d", "single", device[storage.Virtio], device[storage.USB])
	dir := t.TempDir()
	for kind, source := range map[string]string{"ext4": "/dev/mapper/fast--vg-root", "btrfs": device[storage.Virtio]} {
		mount(t, source, filepath.Join(dir, kind), kind)
	}

	config := "dir: files\n\tpath " + dir + "/ext4/images\nbtrfs: cow\n\tpath " + dir + "/btrfs\nlvm: wide\n\tvgname mixed\n" +
		"lvmthin: thin\n\tvgname fast-vg\n\tthinpool data\ndir: memory\n\tpath /proc/x\n"
	if err := os.MkdirAll("/etc/pve", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/etc/pve/storage.cfg", []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	facts := read(t, nil)
	want := map[string]struct {
		tier  storage.Tier
		disks []string
	}{
		"files": {storage.Tier1, []string{device[storage.NVMe]}}, "thin": {storage.Tier1, []string{device[storage.NVMe]}},
		"cow": {storage.TierUnknown, []string{device[storage.USB], device[storage.Virtio]}}, "memory": {storage.TierUnknown, nil},
		"wide": {storage.Tier3, []string{device[storage.SATA], device["hdd"]}},
	}
	for _, p := range storage.Join(facts, nil) {
		var disks []string
		for _, d := range p.Disks {
			disks = append(disks, d.Path)
		}
		slices.Sort(disks) // the name sda can belong to another SATA disk at each boot
		if p.Tier != want[p.Name].tier || !slices.Equal(disks, slices.Sorted(slices.Values(want[p.Name].disks))) {
			t.Errorf("%s: tier %s on %v (%s), want %+v", p.Name, p.Tier, disks, p.Why, want[p.Name])
		}
		if p.Name == "thin" && (p.Thin == nil || p.Thin.Size != 64*storage.MiB) {
			t.Errorf("thin pool %+v", p.Thin)
		}
		t.Logf("%s: %s", p.Name, p.Why)
	}
}
