package lab

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation/firstboot"
)

// TestCD boots a machine with the CDs of a Windows guest and of a Linux guest,
// each in the kind of drive that package install uses for it. A CD has two
// trees of names. The test inside the machine mounts each CD with each tree,
// and compares the files with the files that were put on the CD.
func TestCD(t *testing.T) {
	t.Parallel()
	l, init, tests := find(t, ".")
	m := Machine{Name: "cd", Devices: []string{"virtio-scsi-pci,id=scsi"}, Modules: []string{"ahci", "virtio_pci", "virtio_scsi", "sr_mod", "isofs"}}
	b := Boot{Init: init, Commands: []Command{command(tests[0], m.Name, "^TestInCD")}, Files: map[string]string{}}
	for _, cd := range []struct {
		drive string
		seed  firstboot.Seed
	}{{"ide-cd,bus=ide.0", windowsSeed(t)}, {"scsi-cd,bus=scsi.0", linuxSeed(t)}} {
		image, err := cd.seed.Image()
		if err != nil {
			t.Fatal(err)
		}
		label := cd.seed.Label()
		m.Disks = append(m.Disks, Disk{ID: label, Device: cd.drive, Bytes: int64(len(image)), Content: string(image)})
		for _, name := range cd.seed.Files() {
			data, err := cd.seed.ReadFile(name)
			here := filepath.Join(t.TempDir(), name)
			if err == nil {
				err = os.WriteFile(here, data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			b.Files["/want/"+label+"/"+name] = here
		}
	}
	b.Machine = m
	outcome, err := l.Run(turns(t)(t), b)
	judge(t, outcome, "TestInCD")
	if err != nil {
		t.Fatal(err)
	}
}

func windowsSeed(t *testing.T) firstboot.Seed {
	t.Helper()
	seed, err := firstboot.Windows11{
		ComputerName: "GAMES", User: "me", Password: proxstation.NewSecret("correct horse"), Games: &firstboot.GamesDisk{Slot: "scsi1"},
	}.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return seed
}

// linuxSeed returns a seed with all files that a seed can have.
func linuxSeed(t *testing.T) firstboot.Seed {
	t.Helper()
	seed, err := firstboot.LinuxAI{
		HostName: "linux-ai", User: "me", Password: proxstation.NewSecret("correct horse"), NVIDIA: true, Containers: true,
		Network: firstboot.Network{MAC: net.HardwareAddr{0xBC, 0x24, 0x11, 0, 0, 1}, Address: netip.MustParsePrefix("192.168.1.41/24")},
	}.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return seed
}
