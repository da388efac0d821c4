package qmconf

import (
	"net/netip"
	"strings"
)

// IPConfigProblem returns what is wrong with a value of ipconfig, or "" for a
// valid value (qemu-server PVE/QemuServer/Network.pm, parse_ipconfig). For some
// faults, PVE only warns and then ignores the whole value.
func IPConfigProblem(value string) string {
	p := Parse("ipconfig0", value)
	for _, v := range []struct{ ip, gateway, words string }{{"ip", "gw", "dhcp manual"}, {"ip6", "gw6", "dhcp auto manual"}} {
		ip, _ := p.Get(v.ip)
		gateway, routed := p.Get(v.gateway)
		prefix, err := netip.ParsePrefix(ip)
		fixed := err == nil && prefix.Addr().Is4() == (v.ip == "ip")
		switch router, err := netip.ParseAddr(gateway); {
		case ip != "" && !fixed && !strings.Contains(v.words, ip):
			return v.ip + " wants an address with the length of its network, such as 192.168.1.41/24"
		case routed && !fixed:
			return v.gateway + " needs " + v.ip + " with an address of its own"
		case routed && (err != nil || router.Is4() != prefix.Addr().Is4()):
			return v.gateway + " is not an address of the same kind as " + v.ip
		case routed && v.ip == "ip" && !prefix.Contains(router):
			return v.gateway + " is not in the network of " + v.ip
		}
	}
	return ""
}
