package pvetest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
)

// Start serves the node with TLS on a port of the loopback interface, until
// [Node.Close] is called. To serve it at another address, use your own server:
// a node is an [http.Handler] and has a [Node.Certificate].
func (n *Node) Start() *Node {
	n.server = n.serve(httptest.NewUnstartedServer(n))
	n.listening = n.server
	return n
}

func (n *Node) serve(s *httptest.Server) *httptest.Server {
	s.TLS = &tls.Config{Certificates: []tls.Certificate{n.Certificate()}, MinVersion: tls.VersionTLS12}
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // do not log the connections that Close cuts
	s.StartTLS()
	if transport, ok := s.Client().Transport.(*http.Transport); ok {
		transport.TLSClientConfig.RootCAs = n.CertPool()
	}
	return s
}

// stopListening closes the port of a started node and its connections, without
// waiting for requests.
func (n *Node) stopListening() {
	if n.listening != nil {
		_ = n.listening.Config.Close() // an error does no harm, because the server is then already closed
	}
}

// listenAgain opens the port of a started node again. It panics if another
// program has taken the port meanwhile.
func (n *Node) listenAgain() {
	if n.listening == nil {
		return
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", n.server.Listener.Addr().String())
	if err != nil {
		panic(fmt.Sprintf("pvetest: %s boots: %v", n.host.Name, err))
	}
	s := httptest.NewUnstartedServer(n)
	_ = s.Listener.Close() // an error does no harm, because nobody used this listener
	s.Listener = listener
	n.listening = n.serve(s)
}

// Close stops the server of [Node.Start].
func (n *Node) Close() {
	n.mu.Lock()
	listening := n.listening
	n.mu.Unlock()
	if listening != nil {
		listening.Close()
	}
}

// URL returns the address of the API in the form that go-proxmox expects. If
// the node was not started with [Node.Start], only [Node.Transport] answers at
// this address.
func (n *Node) URL() string {
	if n.server == nil {
		return "https://" + n.host.Name + ".test:8006/api2/json"
	}
	return n.server.URL + "/api2/json"
}

// HTTPClient returns a client for the node. If the node was started, the client
// trusts the certificates of all nodes of its cluster. If not, it uses
// [Node.Transport].
func (n *Node) HTTPClient() *http.Client {
	if n.server == nil {
		return &http.Client{Transport: n.Transport()}
	}
	return n.server.Client()
}

// ServeHTTP implements [http.Handler]. PVE puts an error's message into the
// status line. ServeHTTP can do the same only if it takes over the connection.
// If it cannot (a [httptest.ResponseRecorder], HTTP/2), only the body has the
// message.
func (n *Node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := n.answer(r)
	if !a.wait(r) {
		panic(http.ErrAbortHandler) // makes net/http close the connection without a log entry
	}
	if a.status != http.StatusOK {
		if conn, buffered, err := http.NewResponseController(w).Hijack(); err == nil {
			a.writeTo(conn, buffered)
			return
		}
	}
	if len(a.body) > 0 {
		w.Header().Set("Content-Type", a.contentType())
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // if the client has gone, nobody needs the answer
}

// writeTo writes an answer with its status line to a connection, and closes the
// connection.
func (a answer) writeTo(conn net.Conn, w *bufio.ReadWriter) {
	defer conn.Close()
	kind := ""
	if len(a.body) > 0 {
		kind = "Content-Type: " + a.contentType() + "\r\n"
	}
	_, _ = fmt.Fprintf(w, "HTTP/1.1 %d %s\r\n%sContent-Length: %d\r\nConnection: close\r\n\r\n%s", a.status, a.reason, kind, len(a.body), a.body) // if the client has gone, nobody needs the answer
	_ = w.Flush()
}

// Transport returns a transport that reaches the node without a network. It
// also works inside a testing/synctest bubble.
func (n *Node) Transport() http.RoundTripper { return transport{n} }

type transport struct{ node *Node }

// RoundTrip implements [http.RoundTripper].
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if r.Body != nil {
		defer r.Body.Close()
	} else {
		r = r.Clone(r.Context())
		r.Body = http.NoBody
	}
	a := t.node.answer(r)
	if a.down {
		return nil, t.node.unreachable()
	}
	if !a.wait(r) {
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		return nil, io.EOF // the error of a connection that the server closed
	}
	return &http.Response{ // the caller must close the body
		Status: fmt.Sprintf("%d %s", a.status, a.reason), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {a.contentType()}},
		Body:   io.NopCloser(bytes.NewReader(a.body)), ContentLength: int64(len(a.body)), Request: r,
	}, nil
}
