package macos_test

import (
	"strings"
	"testing"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/macos"
)

func TestDevicePath(t *testing.T) {
	t.Parallel()
	const card, upt = "0000:00:02.0", "-set device.hostpci0.bus=pcie.0 -set device.hostpci0.addr=2.0 -set device.hostpci0.x-igd-opregion=on"
	for _, test := range []struct {
		key, machine, value, args, want string
		bridge                          bool
	}{
		{"hostpci0", "", card + ",legacy-igd=1", "", "PciRoot(0x0)/Pci(0x2,0x0)", false},
		{"hostpci0", "pc-i440fx-9.2", card, "", "PciRoot(0x0)/Pci(0x10,0x0)", false},
		{"hostpci0", "pc", card, "-set device.hostpci0.bus=pci.0 -set device.hostpci0.addr=2.0", "PciRoot(0x0)/Pci(0x2,0x0)", false},
		{"hostpci0", "q35", card, upt, "PciRoot(0x0)/Pci(0x2,0x0)", false},
		{"hostpci0", "q35", card, "-set 'device.hostpci0.bus=pcie.0' -set device.hostpci0.addr=0x1c.0x2", "PciRoot(0x0)/Pci(0x1C,0x2)", false},
		{"hostpci0", "pc-q35-10.1", "mapping=igpu,pcie=1", "", "PciRoot(0x0)/Pci(0x1C,0x0)/Pci(0x0,0x0)", true},
		{"hostpci2", "q35", "01:00,pcie=1,x-vga=1", "", "PciRoot(0x0)/Pci(0x1C,0x2)/Pci(0x0,0x0)", true},
		{"hostpci5", "q35", "01:00,pcie=1", "", "PciRoot(0x0)/Pci(0x10,0x1)/Pci(0x0,0x0)", true},
		{"hostpci0", "q35", card, "", "PciRoot(0x0)/Pci(0x1E,0x0)/Pci(0x1,0x0)/Pci(0x10,0x0)", true},
		{"hostpci0", "q35", card, "-set device.hostpci0.bus=pci.0 -set device.hostpci0.addr=2.0", "PciRoot(0x0)/Pci(0x1E,0x0)/Pci(0x1,0x0)/Pci(0x2,0x0)", true},
		{"hostpci0", "q35", card, "-set device.hostpci0.addr=2.0", "PciRoot(0x0)/Pci(0x1E,0x0)/Pci(0x1,0x0)/Pci(0x2,0x0)", true},
		{"hostpci0", "q35", card, "-set device.hostpci0.bus=own.0 -set device.hostpci0.addr=2.0", "", false},
		{"hostpci0", "q35", card, "-set device.hostpci0.addr=a.b.c", "", false},
		{"hostpci0", "pc", card, "-set device.hostpci0.bus=pci.3 -set device.hostpci1.addr=9", "PciRoot(0x0)/Pci(0x5,0x0)/Pci(0x10,0x0)", true},
		{"hostpci7", "pc", card, "", "", false},
		{"hostpci0", "pc", "nonsense", "", "", false},
		{"net0", "q35", "virtio=BC:24:11:00:00:01", "", "PciRoot(0x0)/Pci(0x1E,0x0)/Pci(0x1,0x0)/Pci(0x12,0x0)", true},
		{"net0", "", "virtio=BC:24:11:00:00:01", "", "PciRoot(0x0)/Pci(0x12,0x0)", false},
	} {
		config := map[string]string{"machine": test.machine, test.key: test.value, "args": test.args}
		have := macos.DevicePath(config, test.key)
		if have != test.want || macos.BehindBridge(have) != test.bridge {
			t.Errorf("%s: %s, machine %s, args %s: %q, want %q", test.key, test.value, test.machine, test.args, have, test.want)
		}
	}
}

func TestCPUOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		cpu, args string
		host      int // the host's address width in bits
		model     int
		bits      int
		family    gpu.Family
		fits      gpu.Family
	}{
		{"host", "", 46, 0, 46, gpu.UnknownFamily, gpu.IntelCoffeeLake},
		{"host", "", 0, 0, 0, gpu.UnknownFamily, gpu.IntelKabyLake},
		{"host", "-cpu host,kvm=on,host-phys-bits-limit=39", 46, 0, 39, gpu.UnknownFamily, gpu.IntelCoffeeLake},
		{"host", "-cpu host,host-phys-bits-limit=39", 36, 0, 36, gpu.UnknownFamily, gpu.IntelCoffeeLake},
		{"host", "-cpu host -cpu Skylake-Client-v4,vendor=GenuineIntel,+invtsc,model=158", 46, 158, 40, gpu.IntelCoffeeLake, gpu.IntelCometLake},
		{"host", "-cpu Skylake-Client-v4", 46, 94, 40, gpu.IntelSkylake, gpu.IntelSkylake},
		{"host", "-cpu Skylake-Client,model=158,stepping=9", 46, 158, 40, gpu.IntelKabyLake, gpu.IntelKabyLake},
		{"Cascadelake-Server,phys-bits=46", "", 39, 85, 46, gpu.IntelSkylake, gpu.IntelSkylake},
		{"cputype=Haswell,phys-bits=host", "", 39, 60, 39, gpu.IntelHaswell, gpu.IntelHaswell},
		{"host", "-cpu Penryn,host-phys-bits=on", 48, 23, 48, gpu.UnknownFamily, gpu.UnknownFamily},
		{"host", "-cpu Skylake-Server,model=0xa5", 0, 165, 40, gpu.IntelCometLake, gpu.IntelCoffeeLake},
		{"host", "-cpu Skylake-Server,model=126", 0, 126, 40, gpu.IntelIceLake, gpu.IntelIceLake},
	} {
		cpu := macos.CPUOf(map[string]string{"cpu": test.cpu, "args": test.args})
		if cpu.Model != test.model || cpu.AddressBits(test.host) != test.bits || cpu.Generation() != test.family || !cpu.Fits(test.fits) {
			t.Errorf("%s, %s: %s with %d bits of %s", test.cpu, test.args, cpu, cpu.AddressBits(test.host), cpu.Generation())
		}
		if cpu.Model != 0 && cpu.Fits(gpu.IntelBroadwell) {
			t.Errorf("%s fits Broadwell", cpu)
		}
	}
	if macos.Hangs(44) || !macos.Hangs(45) {
		t.Error("macOS takes 44 bits")
	}
	for _, family := range []gpu.Family{gpu.IntelSkylake, gpu.IntelKabyLake, gpu.IntelCoffeeLake, gpu.IntelCometLake, gpu.IntelIceLake} {
		cpu := macos.CPUOf(map[string]string{"args": "-cpu Penryn," + macos.ModelFor(family)})
		if !cpu.Fits(family) || cpu.Fits(gpu.IntelHaswell) {
			t.Errorf("%s: %s", family, cpu)
		}
	}
}

func FuzzDevicePath(f *testing.F) {
	f.Add("q35", "0000:00:02.0,pcie=1", "-set device.hostpci0.bus=pcie.0 -set device.hostpci0.addr=2.0 -cpu host,model=158")
	f.Add("pc", "mapping=a,legacy-igd=1", "-set device.hostpci0.addr=0x1c.0x7")
	f.Fuzz(func(t *testing.T, machine, value, args string) {
		config := map[string]string{"machine": machine, "hostpci0": value, "args": args}
		if path := macos.DevicePath(config, "hostpci0"); path != "" && (!strings.HasPrefix(path, "PciRoot(0x0)/Pci(0x") || strings.ContainsAny(path, " \n")) {
			t.Errorf("%q", path)
		}
		_ = macos.CPUOf(config).AddressBits(39)
	})
}
