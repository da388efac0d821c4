package pvetest

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// An answer is what the node sends back.
type answer struct {
	status int
	reason string // the words in the status line, where PVE puts its message
	body   []byte
	drop   bool          // close the connection instead
	hang   bool          // never answer
	delay  time.Duration // real time
}

// ok is an answer with data.
func ok(data any) answer {
	body, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		return fail(http.StatusInternalServerError, "%v", err)
	}
	return answer{status: http.StatusOK, reason: "OK", body: body}
}

// fail is an answer of PVE's with a message: data is null, and the message
// stands in the status line and, since PVE 8, in the body.
func fail(status int, format string, args ...any) answer {
	message := strings.TrimRight(fmt.Sprintf(format, args...), "\n")
	body, _ := json.Marshal(map[string]any{"data": nil, "message": message + "\n"})
	return answer{status: status, reason: strings.ReplaceAll(message, "\n", " "), body: body}
}

// invalid is the answer to wrong parameters.
func invalid(problems map[string]string) answer {
	a := fail(http.StatusBadRequest, "Parameter verification failed.")
	a.body, _ = json.Marshal(map[string]any{"data": nil, "errors": problems, "message": "Parameter verification failed.\n"})
	return a
}

// Start serves the node with TLS on a port of the loopback interface, until
// [Node.Close].
func (n *Node) Start() *Node {
	n.server = httptest.NewTLSServer(n)
	return n
}

// Close ends what [Node.Start] began.
func (n *Node) Close() {
	if n.server != nil {
		n.server.Close()
	}
}

// URL returns the address of the API, as go-proxmox wants it. Without
// [Node.Start] it is an address that [Node.Transport] answers.
func (n *Node) URL() string {
	if n.server == nil {
		return "https://" + n.host.Name + ".test:8006/api2/json"
	}
	return n.server.URL + "/api2/json"
}

// CertPool returns a pool with the certificate of a started node.
func (n *Node) CertPool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(n.server.Certificate())
	return pool
}

// Fingerprint returns the SHA-256 fingerprint of a started node's certificate
// as PVE's web interface shows it: hexadecimal bytes with colons.
func (n *Node) Fingerprint() string {
	sum := sha256.Sum256(n.server.Certificate().Raw)
	return strings.ReplaceAll(strings.ToUpper(fmt.Sprintf("% x", sum[:])), " ", ":")
}

// HTTPClient returns a client that trusts a started node, or one that reaches
// it through [Node.Transport].
func (n *Node) HTTPClient() *http.Client {
	if n.server == nil {
		return &http.Client{Transport: n.Transport()}
	}
	return n.server.Client()
}

// ServeHTTP implements [http.Handler]. It takes the connection over for
// answers that are no success, because only so the message gets into the
// status line, where PVE puts it.
func (n *Node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := n.answer(r)
	if !a.wait(r) {
		panic(http.ErrAbortHandler)
	}
	if a.status == http.StatusOK {
		w.Header().Set("Content-Type", "application/json;charset=UTF-8")
		_, _ = w.Write(a.body) // the client is gone: nobody to tell
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, a.reason, a.status)
		return
	}
	defer conn.Close()
	fmt.Fprintf(buffered, "HTTP/1.1 %d %s\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		a.status, a.reason, len(a.body), a.body)
	_ = buffered.Flush() // likewise
}

// wait lets the answer take its time, and reports whether there is one.
func (a answer) wait(r *http.Request) bool {
	if a.delay > 0 || a.hang {
		timer := time.NewTimer(a.delay)
		defer timer.Stop()
		expired := timer.C
		if a.hang {
			expired = nil
		}
		select {
		case <-expired:
		case <-r.Context().Done():
			return false
		}
	}
	return !a.drop && r.Context().Err() == nil
}

// Transport returns a transport that reaches the node without a network. It
// can be used inside a testing/synctest bubble.
func (n *Node) Transport() http.RoundTripper { return transport{n} }

type transport struct{ node *Node }

// errDropped is what a client sees of a connection that is closed under it.
var errDropped = errors.New("EOF")

// RoundTrip implements [http.RoundTripper].
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	inner := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), r.Body)
	inner.Header = r.Header
	a := t.node.answer(inner)
	if !a.wait(r) {
		if err := r.Context().Err(); err != nil {
			return nil, err
		}
		return nil, errDropped
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", a.status, a.reason), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json;charset=UTF-8"}},
		Body:   io.NopCloser(bytes.NewReader(a.body)), ContentLength: int64(len(a.body)), Request: r,
	}, nil
}
