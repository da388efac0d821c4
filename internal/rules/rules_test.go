package rules_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/rules"
	"github.com/proxstation/proxstation/storage"
)

func fields(faults []rules.Fault) (names []string) {
	for _, f := range faults {
		names = append(names, f.Field)
	}
	return names
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const efi = "a:vm-1-disk-1"
	for name, test := range map[string]struct {
		guest  gpu.Guest
		config map[string]string
		want   []string
	}{
		"nothing is asked":               {gpu.AnyGuest, nil, nil},
		"Windows 11 without its needs":   {gpu.Windows11, nil, []string{"tpmstate0", "bios", "machine", "memory"}},
		"Windows 11":                     {gpu.Windows11, map[string]string{"tpmstate0": "a:1", "bios": "ovmf", "efidisk0": efi, "machine": "q35", "memory": "8192"}, nil},
		"macOS without its needs":        {gpu.MacOSSequoia, nil, []string{"memory", "bios"}},
		"a network card for newer macOS": {gpu.MacOSMojave, map[string]string{"bios": "ovmf", "efidisk0": efi, "memory": "8192", "net0": "virtio,bridge=vmbr0"}, []string{"net0"}},
		"an Apple SMC for Linux":         {gpu.Linux, map[string]string{"args": "-device isa-applesmc"}, []string{"guest"}},
		"cloud-init without its drive":   {gpu.Linux, map[string]string{"ciuser": "me"}, []string{"ciuser"}},
		"two drives of cloud-init":       {gpu.Linux, map[string]string{"ide2": "a:vm-1-cloudinit", "ide3": "a:cloudinit"}, []string{"disk"}},
		"PCIe on i440fx":                 {gpu.Linux, map[string]string{"hostpci0": "0000:01:00,pcie=1"}, []string{"hostpci"}},
		"huge pages without NUMA":        {gpu.Linux, map[string]string{"hugepages": "2", "memory": "4096"}, []string{"hugepages"}},
		"memory that pages do not fill":  {gpu.Linux, map[string]string{"hugepages": "1024", "numa": "1", "memory": "4096", "sockets": "3"}, []string{"memory"}},
		"a USB device by two names":      {gpu.Linux, map[string]string{"usb0": "host=1-2,mapping=stick"}, []string{"usb0"}},
		"one USB port twice":             {gpu.Linux, map[string]string{"usb0": "host=1-2", "usb1": "host=1-2"}, []string{"usb1"}},
		"CPUs that do not exist":         {gpu.Linux, map[string]string{"affinity": "3-1"}, []string{"affinity"}},
	} {
		if got := fields(rules.Check(test.guest, test.config)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestCheckValues(t *testing.T) {
	t.Parallel()
	config := map[string]string{"cores": "0", "memory": "current=8", "sockets": "+2", "cpuunits": "20000", "hostpci1": "nonsense"}
	if got, want := fields(rules.CheckValues(gpu.Linux, config)), []string{"cpuunits", "cores", "memory", "sockets", "hostpci1"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := fields(rules.CheckValues(gpu.MacOSSequoia, map[string]string{"hostpci0": ""})), []string{"hostpci0"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestHost(t *testing.T) {
	t.Parallel()
	host := rules.Host{Cores: 8, Memory: 16 * storage.GiB}
	for _, test := range []struct {
		config          map[string]string
		faults, advices []string
	}{
		{map[string]string{"cores": "8"}, nil, nil},
		{map[string]string{"cores": "4", "sockets": "3"}, []string{"cores"}, nil},
		{map[string]string{"affinity": "7-9", "memory": "32768"}, []string{"affinity", "memory"}, nil},
		{map[string]string{"cores": "4", "affinity": "0-1"}, nil, []string{"workstation.pinned-few"}},
		{map[string]string{"affinity": "0-7"}, nil, []string{"workstation.pinned-all"}},
		{map[string]string{"hugepages": "1024", "memory": "2049"}, nil, []string{"workstation.huge-pages"}},
	} {
		if got := fields(host.Check(test.config)); !slices.Equal(got, test.faults) {
			t.Errorf("%v: %q, want %q", test.config, got, test.faults)
		}
		var advices []string
		for _, f := range host.Advise(140, test.config) {
			advices = append(advices, f.ID)
		}
		if !slices.Equal(advices, test.advices) {
			t.Errorf("%v: %q, want %q", test.config, advices, test.advices)
		}
		if got := (rules.Host{}).Check(maps.Clone(test.config)); got != nil {
			t.Errorf("%v on a host that is not known: %v", test.config, got)
		}
	}
}
