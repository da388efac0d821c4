package pvetest

import (
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
)

type clusterTransport struct{ d *datacenter }

// RoundTrip implements [http.RoundTripper].
func (t clusterTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	host := r.URL.Hostname()
	for _, n := range t.d.peers {
		if n.host.Name == host || strings.HasPrefix(host, n.host.Name+".") || n.host.address() == host || n.server != nil && n.server.Listener.Addr().String() == r.URL.Host {
			return n.Transport().RoundTrip(r)
		}
	}
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
}

// The method "unreachable" returns the error of a connection to a host that is
// down.
func (n *Node) unreachable() error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.ParseIP(n.host.address()), Port: 8006},
		Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}
}
