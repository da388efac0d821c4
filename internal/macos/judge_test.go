package macos_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/macos"
	"github.com/proxstation/proxstation/iommu"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	address, err := iommu.ParseAddress("0000:00:02.0")
	if err != nil {
		t.Fatal(err)
	}
	igpu := gpu.Cards([]iommu.Function{{Address: address, Class: 0x030000, Model: iommu.Model{Vendor: 0x8086, Device: 0x3e92}}})[0]
	for name, test := range map[string]struct {
		change macos.Change
		config map[string]string // keys in addition to a processor that macOS knows
		want   []string
	}{
		"nothing to say":                     {},
		"nothing known of the image":         {change: macos.Change{Notes: []proxstation.Finding{}}, want: []string{"macos.model"}},
		"a processor that macOS hangs with":  {config: map[string]string{"args": "-cpu host,phys-bits=46"}, want: []string{"macos.address-bits"}},
		"a processor that macOS lacks":       {change: macos.Change{HostCPU: "12th Gen Intel(R) Core(TM) i5-12400"}, want: []string{"macos.cpu"}},
		"an image on LVM-thin":               {change: macos.Change{Thin: "local-lvm"}, want: []string{"macos.import"}},
		"a recovery system":                  {config: map[string]string{macos.RecoverySlot: "local:iso/recovery.iso"}, want: []string{"macos.scan-policy"}},
		"a recovery system, and known image": {change: macos.Change{Notes: []proxstation.Finding{{ID: "opencore.image"}}}, config: map[string]string{macos.RecoverySlot: "local:iso/recovery.iso"}},
		"another machine":                    {change: macos.Change{Machine: "pc-i440fx-9.0"}, config: map[string]string{"machine": "q35"}, want: []string{"macos.machine"}},
		"the host's iGPU": {change: macos.Change{Card: igpu, Notes: []proxstation.Finding{{ID: "opencore.image"}}}, config: map[string]string{"hostpci0": "0000:00:02.0,legacy-igd=1,romfile=a.rom"},
			want: []string{"macos.console", "macos.firmware", "macos.rom"}},
	} {
		test.change.VM, test.change.Guest = 152, gpu.MacOSSequoia
		if test.change.Notes == nil {
			test.change.Notes = []proxstation.Finding{{ID: "opencore.kexts"}}
		}
		test.change.Config = map[string]string{"args": "-cpu host,host-phys-bits-limit=39"}
		maps.Copy(test.change.Config, test.config)
		var got []string
		for _, f := range test.change.Check() {
			got = append(got, f.ID)
			if f.Subject != "VM 152" || f.Seen == "" || f.Why == "" || f.Fix == "" {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}
