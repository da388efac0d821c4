package gpu_test

import (
	"slices"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
)

func TestCheckConfig(t *testing.T) {
	t.Parallel()
	virtual := append(slices.Clone(reference), function("0000:00:02.1", 0x030000, uhd630, 20))
	n := gpu.Node{Name: "pve", Functions: virtual}
	for name, test := range map[string]struct {
		config map[string]string
		want   string // the finding's ID; "" if there is no finding
		worst  proxstation.Severity
	}{
		"no card":                       {map[string]string{"args": "-cpu host,-hypervisor", "memory": "131072"}, "", 0},
		"a card with OVMF":              {map[string]string{"hostpci0": "01:00,pcie=1", "bios": "ovmf", "memory": "65536"}, "", 0},
		"a card with SeaBIOS":           {map[string]string{"hostpci0": "01:00"}, "gpu.seabios", proxstation.Info},
		"a UEFI ROM with SeaBIOS":       {map[string]string{"hostpci0": "00:02.0,legacy-igd=1,romfile=CFL_CML_GOPv9.1_igd.rom"}, "gpu.seabios", proxstation.Warning},
		"a virtual function, hidden":    {map[string]string{"hostpci0": "00:02.1", "bios": "ovmf", "args": "-cpu host,-hypervisor"}, "gpu.cpu-flags", proxstation.Warning},
		"hidden by the processor's key": {map[string]string{"hostpci0": "00:02.1", "bios": "ovmf", "cpu": "host,hidden=1"}, "gpu.cpu-flags", proxstation.Warning},
		"hidden, but a whole card":      {map[string]string{"hostpci0": "01:00", "bios": "ovmf", "cpu": "host,hidden=1"}, "", 0},
		"a ROM under Secure Boot":       {map[string]string{"hostpci0": "01:00,romfile=my.rom", "bios": "ovmf", "efidisk0": "local:1,pre-enrolled-keys=1"}, "gpu.secure-boot", proxstation.Info},
		"much memory":                   {map[string]string{"hostpci0": "01:00", "bios": "ovmf", "memory": "98304"}, "gpu.start-time", proxstation.Info},
		"a value that cannot be read":   {map[string]string{"hostpci0": "nonsense", "memory": "98304"}, "", 0},
	} {
		got := n.CheckConfig(test.config)
		switch {
		case test.want == "" && len(got) == 0:
		case len(got) != 1 || got[0].ID != test.want || got[0].Severity != test.worst || got[0].Fix == "":
			t.Errorf("%s: %v", name, got)
		}
	}
}
