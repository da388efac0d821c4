package workstation_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// withCD returns a node with a VM that has an ISO image in the drive slot.
func withCD(slot string, running bool) pvetest.Host {
	host := pvetest.Reference()
	host.VMs = []pvetest.VM{{ID: 140, Running: running, Config: map[string]string{
		"name": "windows", "memory": "4096", "scsihw": "virtio-scsi-single", "agent": "1",
		slot: "local:iso/virtio-win-0.1.285.iso,media=cdrom,size=790000640",
	}}}
	return host
}

func TestRemoveCD(t *testing.T) {
	t.Parallel()
	const volume = "local:iso/virtio-win-0.1.285.iso"
	for name, test := range map[string]struct {
		slot, volume string
		running      bool
		drive        string // the drive that is left in the configuration in force
		writes       bool
	}{
		"off":                {"sata0", volume, false, "", true},
		"on, plugged out":    {"scsi2", volume, true, "", true},
		"on, at next start":  {"sata0", volume, true, "none,media=cdrom", true},
		"another image":      {"sata0", "local:iso/other.iso", true, volume, false},
		"a name that begins": {"sata0", strings.TrimSuffix(volume, ".iso"), true, volume, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sim := pvetest.New(withCD(test.slot, test.running), nil)
				node := open(sim)
				for range 2 { // the second call has nothing to do
					if err := node.RemoveCD(t.Context(), 140, test.slot, test.volume); err != nil {
						t.Fatal(err)
					}
				}
				vm, _ := sim.VM(140)
				if !strings.HasPrefix(vm.Config[test.slot], test.drive) || test.drive == "" && vm.Config[test.slot] != "" {
					t.Errorf("the drive is %q, want %q", vm.Config[test.slot], test.drive)
				}
				facts, err := node.Observe(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if next := facts.VMs[140].Config[test.slot]; (next == "") != test.writes {
					t.Errorf("at the next start the drive is %q", next)
				}
				if writes := len(sim.Writes()); writes > 0 != test.writes || writes > 2 {
					t.Errorf("%d writes: %v", writes, sim.Writes())
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		if err := open(pvetest.New(pvetest.Reference(), nil)).RemoveCD(t.Context(), 999, "sata0", volume); err != nil {
			t.Errorf("a VM that is gone: %v", err)
		}
	})
}

func TestDeleteImage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(withCD("sata0", false), nil)
		node := open(sim)
		const volume = "local:iso/seed.iso"
		if err := node.Upload(t.Context(), volume, bytes.NewReader([]byte("image")), nil); err != nil {
			t.Fatal(err)
		}
		sim.Inject(pvetest.Fault{Method: "DELETE", Path: ".*/content/.*", Kind: pvetest.DropAfter})
		for range 3 { // the answer to the first call is lost; the third call finds no volume
			if err := node.DeleteImage(t.Context(), volume); err != nil {
				var lost *workstation.RequestError
				if !errors.Is(err, workstation.ErrNoAnswer) && !errors.As(err, &lost) {
					t.Fatal(err)
				}
			}
		}
		if err := node.Upload(t.Context(), volume, bytes.NewReader([]byte("another image")), nil); err != nil {
			t.Errorf("the volume is still there: %v", err)
		}
		sim.Inject(pvetest.Fault{Method: "DELETE", Path: ".*/content/.*", Kind: pvetest.Forbid})
		if err := node.DeleteImage(t.Context(), volume); !errors.Is(err, workstation.ErrPermission) {
			t.Errorf("a volume that is still there: %v", err)
		}
		for _, disk := range []string{"local-lvm:vm-140-disk-0", "local:backup/x.vma", "/etc/passwd", ""} {
			if err := node.DeleteImage(t.Context(), disk); !errors.Is(err, workstation.ErrInvalid) {
				t.Errorf("%q: %v", disk, err)
			}
		}
	})
}

func TestSendKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(withCD("sata0", false), nil)
		node := open(sim)
		if err := node.SendKey(t.Context(), 140, "up"); !errors.Is(err, workstation.ErrNotRunning) {
			t.Errorf("a VM that is off: %v", err)
		}
		if err := sim.PowerOn(140); err != nil {
			t.Fatal(err)
		}
		if err := node.SendKey(t.Context(), 140, "up"); err != nil {
			t.Error(err)
		}
	})
}
