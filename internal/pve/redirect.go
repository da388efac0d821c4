package pve

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"sync"
)

// A guard keeps the requests of a caller's own client with the node. Such a
// client follows redirects, and go-proxmox offers no way to prevent this. The
// guard sees where the connections of a request lead. It ends the request
// before anything is sent to another host, or to the same host without TLS.
//
// The guard has three gaps. It sees nothing if the caller's transport is not an
// [http.Transport]. It does not notice a redirect to the same host and port. It
// does not watch uploads, which go-proxmox makes without a context. A client
// with [Transport] has no such gaps.
type guard struct {
	mu     sync.Mutex
	stop   context.CancelFunc
	host   string // the host of the first connection
	secure bool   // the first connection has TLS
	left   string // the address to which the node redirected, or ""
}

// watch returns a context with which the guard watches one request.
func (g *guard) watch(ctx context.Context) context.Context {
	ctx, g.stop = context.WithCancel(ctx)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: g.getConn, GotConn: g.gotConn})
}

func (g *guard) getConn(host string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch g.host {
	case "":
		g.host = host
	case host:
	default:
		g.left = host
		g.stop()
	}
}

func (g *guard) gotConn(info httptrace.GotConnInfo) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, secure := info.Conn.(*tls.Conn)
	if g.secure && !secure && g.left == "" {
		g.left = g.host + " without TLS"
		g.stop()
	}
	g.secure = g.secure || secure
	if g.left != "" {
		_ = info.Conn.Close() // closes the connection before anything is written to it
	}
}

// The method "elsewhere" returns the address to which the node redirected the
// request, or "".
func (g *guard) elsewhere() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.left
}
