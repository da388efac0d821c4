package workstation

import (
	"strings"
	"testing"
)

// If the Spec names a property in Absent, Diff removes the property from the
// value of its key. It keeps the properties that other people set.
func TestAbsentProperties(t *testing.T) {
	t.Parallel()
	const have = "0000:00:02,legacy-igd=1,romfile=own.rom,rombar=1"
	facts := Facts{Node: "pve", VMs: map[int]VMFacts{130: {ID: 130, Name: "vm", Config: map[string]string{"name": "vm", "vga": "none", "hostpci0": have}}}}
	for name, test := range map[string]struct {
		config map[string]string
		absent []string
		want   string // of the change, "" for none, or the error's text
	}{
		"a property":                 {nil, []string{"hostpci0.legacy-igd"}, "~ hostpci0  " + have + " -> 0000:00:02,romfile=own.rom,rombar=1\n"},
		"two":                        {nil, []string{"hostpci0.legacy-igd", "hostpci0.rombar"}, "-> 0000:00:02,romfile=own.rom\n"},
		"beside one that changes":    {map[string]string{"hostpci0": "0000:00:02,romfile=new.rom"}, []string{"hostpci0.legacy-igd"}, "-> 0000:00:02,romfile=new.rom,rombar=1\n"},
		"one that is not there":      {nil, []string{"hostpci0.x-vga", "hostpci1.x-vga", "net0.firewall"}, ""},
		"the key":                    {nil, []string{"hostpci0"}, "- hostpci0  " + have},
		"one that is wanted":         {map[string]string{"vga": "type=none,memory=32"}, []string{"vga.memory"}, "both wanted and absent"},
		"a drive's":                  {nil, []string{"scsi0.discard"}, "drives belong in Disks"},
		"what PVE would not start":   {map[string]string{"machine": "q35"}, nil, "legacy-igd needs the machine type pc"},
		"what is mended in one step": {map[string]string{"machine": "q35"}, []string{"hostpci0.legacy-igd"}, "+ machine   q35"},
	} {
		p, err := Diff(Spec{VMs: []VM{{ID: 130, Name: "vm", Config: test.config, Absent: test.absent}}}, facts)
		text := p.String()
		if err != nil {
			text = err.Error()
		}
		if !strings.Contains(text, test.want) || test.want == "" && !p.Empty() {
			t.Errorf("%s: %s, want %s", name, text, test.want)
		}
	}
}

// A plan changes only the part of ipconfig that was asked for. It refuses a
// value that PVE would drop as a whole (qemu-server PVE/QemuServer/Network.pm,
// parse_ipconfig).
func TestNetworkOfACloudImage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ have, want, says string }{
		{"ip=192.0.2.10/24,gw=192.0.2.1", "gw=192.0.2.254", "-> ip=192.0.2.10/24,gw=192.0.2.254"},
		{"ip=192.0.2.10/24,gw=192.0.2.1", "ip6=auto", "-> ip=192.0.2.10/24,gw=192.0.2.1,ip6=auto"},
		{"ip=192.0.2.10/24,gw=192.0.2.1,ip6=dhcp", "ip=192.0.2.11/24", "-> ip=192.0.2.11/24,gw=192.0.2.1,ip6=dhcp"},
		{"ip=dhcp", "gw=192.0.2.1", "gw needs ip with an address of its own"},
		{"ip=192.0.2.10/24,gw=192.0.2.1", "ip=198.51.100.7/24", "gw is not in the network of ip"},
		{"ip=192.0.2.10/24,gw=192.0.2.1", "ip=dhcp", "gw needs ip with an address of its own"},
		{"ip=192.0.2.10/24", "ip=192.0.2.10", "ip wants an address with the length of its network"},
		{"", "gw6=2001:db8::1", "gw6 needs ip6"},
	} {
		config := map[string]string{"name": "vm", "ide2": "local-lvm:vm-130-cloudinit,media=cdrom", "boot": "order=net0"}
		if test.have != "" {
			config["ipconfig0"] = test.have
		}
		facts := Facts{Node: "pve", VMs: map[int]VMFacts{130: {ID: 130, Name: "vm", Config: config}}}
		p, err := Diff(Spec{VMs: []VM{{ID: 130, Name: "vm", Config: map[string]string{"ipconfig0": test.want}}}}, facts)
		text := p.String()
		if err != nil {
			text = err.Error()
		}
		if refused := !strings.HasPrefix(test.says, "->"); !strings.Contains(text, test.says) || (err != nil) != refused {
			t.Errorf("%s with %s: %s, want %s", test.have, test.want, text, test.says)
		}
	}
}
