package devices_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/devices"
	"github.com/proxstation/proxstation/iommu"
)

func TestFit(t *testing.T) {
	t.Parallel()
	type values = map[string]string
	host := gpu.Node{}
	for address, class := range map[string]iommu.Class{"0000:01:00.0": 0x030000, "0000:01:00.1": 0x040300, "0000:02:00.0": 0x010802, "0000:03:00.0": 0x030000} {
		a, err := iommu.ParseAddress(address)
		if err != nil {
			t.Fatal(err)
		}
		host.Functions = append(host.Functions, iommu.Function{Address: a, Class: class})
	}
	for name, test := range map[string]struct {
		have, config, defaults, want values
		absent, split                []string
		fault                        bool
	}{
		"a new card":                           {config: values{"hostpci0": "0000:01:00"}, defaults: values{"hostpci0": "pcie=1,x-vga=1"}, want: values{"hostpci0": "0000:01:00"}},
		"a new card of a q35 machine":          {have: values{"machine": "q35", "vga": "none"}, config: values{"hostpci0": "0000:01:00"}, defaults: values{"hostpci0": "pcie=1,x-vga=1"}, want: values{"hostpci0": "0000:01:00,pcie=1,x-vga=1"}},
		"the card is in another key":           {have: values{"hostpci2": "0000:01:00"}, config: values{"hostpci0": "0000:01:00", "args": "-set device.hostpci0.x=1"}, want: values{"hostpci2": "0000:01:00", "args": "-set device.hostpci2.x=1"}},
		"another card takes a card's place":    {have: values{"hostpci0": "0000:03:00.0,romfile=a.rom"}, config: values{"hostpci0": "0000:01:00"}, want: values{"hostpci0": "0000:01:00"}, absent: []string{"hostpci0.romfile"}},
		"a disk controller keeps its key":      {have: values{"hostpci0": "0000:02:00.0"}, config: values{"hostpci0": "0000:01:00"}, want: values{"hostpci1": "0000:01:00"}},
		"a card with one function in each key": {have: values{"hostpci0": "0000:01:00.0", "hostpci1": "0000:01:00.1"}, config: values{"hostpci0": "0000:01:00"}, want: values{"hostpci0": "0000:01:00.0"}, split: []string{"hostpci0"}},
		"a USB device in another key":          {have: values{"usb1": "host=046d:c52b"}, config: values{"usb0": "host=0x046D:0xC52B,usb3=1"}, want: values{"usb1": "host=0x046D:0xC52B,usb3=1"}},
		"another USB device in the key":        {have: values{"usb0": "host=1-2"}, config: values{"usb0": "host=046d:c52b"}, want: values{"usb1": "host=046d:c52b"}},
		"a network card that is new":           {have: values{"net0": "virtio"}, config: values{"net0": "bridge=vmbr1", "net1": "bridge=vmbr1"}, defaults: values{"net0": "firewall=1", "net1": "firewall=1"}, want: values{"net0": "bridge=vmbr1", "net1": "bridge=vmbr1,firewall=1"}},
		"no key is left": {have: values{"virtiofs0": "a", "virtiofs1": "b", "virtiofs2": "c", "virtiofs3": "d", "virtiofs4": "e", "virtiofs5": "f", "virtiofs6": "g", "virtiofs7": "h", "virtiofs8": "i", "virtiofs9": "j"},
			config: values{"virtiofs0": "dirid=new"}, want: values{}, fault: true},
	} {
		w := devices.Wish{VM: 140, Title: "VM 140 a", Have: test.have, Host: host, Config: maps.Clone(test.config), Defaults: maps.Clone(test.defaults)}
		w.Fit()
		if !maps.Equal(w.Config, test.want) || !slices.Equal(w.Absent, test.absent) || !slices.Equal(w.Split, test.split) || (len(w.Faults) > 0) != test.fault {
			t.Errorf("%s: %v, absent %v, split %v, faults %v", name, w.Config, w.Absent, w.Split, w.Faults)
		}
		if len(w.Findings) != len(test.split) {
			t.Errorf("%s: findings %v", name, w.Findings)
		}
	}
}
