package iommu_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
)

func TestRenamedNetworkCards(t *testing.T) {
	t.Parallel()
	const bridge = "auto vmbr0\niface vmbr0 inet static\n\taddress 192.168.1.2/24\n\tbridge-ports "
	for name, test := range map[string]struct {
		config string
		lines  []string
		want   []string // parts of the finding; nil if there is no finding
	}{
		"as it is":                      {bridge + "eno1\n", nil, nil},
		"an old name":                   {bridge + "enp5s0\n", nil, []string{"vmbr0 wants enp5s0", "eno1 (0000:00:1f.6) has no bridge", "Write eno1 for enp5s0", "line 4"}},
		"a VLAN of an old name":         {bridge + "enp5s0.10\n", nil, []string{"enp5s0"}},
		"underscores":                   {strings.Replace(bridge, "bridge-ports", "bridge_ports", 1) + "enp5s0\n", nil, []string{"enp5s0"}},
		"a bond of two":                 {"iface bond0 inet manual\n\tbond-slaves eno1 enp6s0\n", nil, []string{"bond0 wants enp6s0"}},
		"a port of Open vSwitch":        {"iface vmbr0 inet manual\n\tovs_type OVSBridge\n\tovs_ports enp5s0\n", nil, []string{"vmbr0 wants enp5s0"}},
		"an address of its own":         {"iface enp5s0 inet dhcp\n", nil, []string{"enp5s0"}},
		"only named, as PVE leaves it":  {bridge + "eno1\n\niface enp5s0 inet manual\n", nil, nil},
		"no port and what is virtual":   {bridge + "none\n\niface vmbr1 inet manual\n\tbridge-ports bond0 tap100i0\n", nil, nil},
		"another name of the same card": {bridge + "enp0s31f6\n", []string{`file run/udev/data/n12 "E:ID_NET_NAME_PATH=enp0s31f6\n"`, `file sys/devices/pci0000:00/0000:00:1f.6/net/eno1/ifindex "12\n"`}, nil},
		"the card went to a guest": {bridge + "enp5s0\n", []string{"function 0000:05:00.0 class=020000 id=8086:1539 group=30 driver=vfio-pci"},
			[]string{"0000:05:00.0 (network card) has the driver vfio-pci", "-give-back 0000:05:00"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := append([]string{"net eno1 at=0000:00:1f.6 address=02:00:00:00:00:01", "remove sys/class/net/vmbr0", "remove sys/devices/pci0000:00/0000:00:1f.6/net/eno1/master",
				"file etc/network/interfaces " + strconv.Quote(test.config)}, test.lines...)
			found := slices.DeleteFunc(read(t, "reference", lines...).Check(), func(f proxstation.Finding) bool { return f.ID != "iommu.nic-renamed" })
			if test.want == nil {
				if len(found) > 0 {
					t.Errorf("found %v", found)
				}
				return
			}
			if len(found) != 1 || found[0].Severity != proxstation.Blocker {
				t.Fatalf("found %v", found)
			}
			for _, want := range test.want {
				if !strings.Contains(found[0].String(), want) {
					t.Errorf("no %q in %v", want, found[0])
				}
			}
		})
	}
}

// If both ports of a card were renamed, the finding names the new name of each
// port. If several cards may be meant, the finding names all of them.
func TestTwoPortsThatWereRenamed(t *testing.T) {
	t.Parallel()
	const ports = "function 0000:07:00.0 class=020000 id=8086:10fb group=30 driver=ixgbe\nfunction 0000:07:00.1 class=020000 id=8086:10fb group=30 driver=ixgbe\n"
	for config, want := range map[string][]string{
		"iface bond0 inet manual\n\tbond-slaves enp5s0f0 enp5s0f1\n": {"Write enp7s0f0 for enp5s0f0", "Write enp7s0f1 for enp5s0f1"},
		"iface vmbr0 inet manual\n\tbridge-ports enp5s0\n":           {"enp7s0f0 or enp7s0f1 (by its MAC address: ip -br link), for enp5s0"},
	} {
		lines := append(strings.Split(strings.TrimSpace(ports), "\n"), "net eno1 at=0000:00:1f.6 address=02:00:00:00:00:01", "net enp7s0f0 at=0000:07:00.0 address=02:00:00:00:00:02",
			"net enp7s0f1 at=0000:07:00.1 address=02:00:00:00:00:03", "file etc/network/interfaces "+strconv.Quote("iface eno1 inet dhcp\n"+config))
		var fixes []string
		for _, f := range read(t, "reference", lines...).Check() {
			if f.ID == "iommu.nic-renamed" {
				fixes = append(fixes, f.Fix)
			}
		}
		if len(fixes) != len(want) {
			t.Fatalf("%q: %v", config, fixes)
		}
		for i := range want {
			if !strings.Contains(fixes[i], want[i]) {
				t.Errorf("%q is not in %q", want[i], fixes[i])
			}
		}
	}
}
