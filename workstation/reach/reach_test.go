package reach_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/reach"
)

func TestWays(t *testing.T) {
	t.Parallel()
	address := []netip.Addr{netip.MustParseAddr("10.0.0.4"), netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fd00::4")}
	tests := []struct {
		config map[string]string
		want   string
	}{
		{map[string]string{"ostype": "win11", "vga": "none", "hostpci0": "mapping=rtx"}, "RDP Moonlight RDP Moonlight"},
		{map[string]string{"ostype": "l26", "vga": "std"}, "SSH SSH VNC"},
		{map[string]string{"ostype": "l26", "vga": "qxl,memory=32"}, "SSH SSH SPICE"},
		{map[string]string{"ostype": "l26", "vga": "type=qxl4"}, "SSH SSH SPICE"},
		{map[string]string{"ostype": "l26", "vga": "virtio"}, "SSH SSH VNC"},
		{map[string]string{"ostype": "l26", "vga": "virtio-gl,clipboard=vnc"}, "SSH SSH VNC"},
		{map[string]string{"ostype": "l26", "vga": "serial0"}, "SSH SSH serial console"},
		{map[string]string{"ostype": "other"}, "SSH SSH VNC"},
		{map[string]string{"ostype": "l26", "hostpci0": "mapping=rtx,x-vga=1"}, "SSH Moonlight SSH Moonlight"},
		{map[string]string{"ostype": "l26", "hostpci0": "mapping=rtx,x-vga=1", "vga": "std"}, "SSH Moonlight SSH Moonlight VNC"},
		{map[string]string{"ostype": "l26", "hostpci0": "mapping=rtx"}, "SSH Moonlight SSH Moonlight VNC"},
	}
	for _, test := range tests {
		var names []string
		for _, way := range reach.Ways(workstation.VMFacts{ID: 140, Config: test.config}, address) {
			names = append(names, way.Name)
			if way.Address == "" || way.Needs == "" {
				t.Errorf("%+v lacks a part", way)
			}
		}
		if got := strings.Join(names, " "); got != test.want {
			t.Errorf("%v: %s, want %s", test.config, got, test.want)
		}
	}
}

func ExampleWays() {
	v := workstation.VMFacts{ID: 141, Config: map[string]string{"ostype": "l26", "vga": "none", "hostpci0": "mapping=rtx"}}
	for _, way := range reach.Ways(v, []netip.Addr{netip.MustParseAddr("192.168.1.41")}) {
		fmt.Println(way.Name, way.Address)
	}
	// Output:
	// SSH ssh://192.168.1.41
	// Moonlight 192.168.1.41
}

// Without an address from the guest agent, the only way in is PVE's console.
func TestWaysWithoutAnAgent(t *testing.T) {
	t.Parallel()
	ways := reach.Ways(workstation.VMFacts{ID: 140, Config: map[string]string{"ostype": "win11"}}, nil)
	if len(ways) != 1 || ways[0].Name != "VNC" {
		t.Errorf("ways %v, want VNC", ways)
	}
}
