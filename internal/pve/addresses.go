package pve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/proxstation/proxstation/internal/printable"
)

// dialTime limits the time in which a connection to one of several addresses
// must be made. It is short, because another address may be reachable
// immediately.
const dialTime = 5 * time.Second

// Addresses is a transport over several addresses of one cluster. A request
// goes to the address that answered last. If the request fails, it goes to the
// next address, but only if it is a GET or if nothing of it has been sent.
// Other requests return the error, because they may have had an effect.
type Addresses struct {
	list    []address
	current atomic.Int32
}

type address struct {
	url       *url.URL
	transport http.RoundTripper
	// answered is the time of the last answer, in nanoseconds since 1970.
	answered *atomic.Int64
}

// Join returns one endpoint that stands for several endpoints of one cluster.
// All endpoints use the login of the first endpoint. An endpoint with a
// different login is an error. An endpoint without RootCAs uses the RootCAs of
// the first endpoint. The errors match [ErrInvalid].
func Join(endpoints []Endpoint, inFlight int) (Endpoint, *Addresses, error) {
	if len(endpoints) == 0 {
		return Endpoint{}, nil, inputError("no endpoint: want the address of at least one node")
	}
	first := endpoints[0]
	a := new(Addresses)
	for _, e := range endpoints {
		u, err := e.parse()
		if err != nil {
			return Endpoint{}, nil, err
		}
		if differs(e.Token, first.Token) || differs(e.Username, first.Username) || differs(e.Password, first.Password) {
			return Endpoint{}, nil, inputError(fmt.Sprintf("endpoint %q: its login differs from the login of %q: one cluster has one login", e, first))
		}
		if e.RootCAs == nil {
			e.RootCAs = first.RootCAs
		}
		transport := e.Transport
		if transport == nil {
			network, err := verifying(u.Hostname(), e)
			if err != nil {
				return Endpoint{}, nil, err
			}
			network.MaxIdleConnsPerHost = inFlight
			network.DialContext = (&net.Dialer{Timeout: dialTime}).DialContext
			transport = network
		}
		a.list = append(a.list, address{u, transport, new(atomic.Int64)})
	}
	first.Transport = a
	if first.Token == "" && first.Password != "" {
		first.Transport = newLogin(a, a.list[0].url.String()+"/api2/json", first)
	}
	return first, a, nil
}

func differs(text, first string) bool { return text != "" && text != first }

// Len returns the number of addresses.
func (a *Addresses) Len() int { return len(a.list) }

// Elsewhere makes the next requests go to another address.
func (a *Addresses) Elsewhere() { a.leave(int(a.current.Load())) }

func (a *Addresses) leave(at int) {
	a.current.CompareAndSwap(int32(at), int32((at+1)%len(a.list)))
}

// RoundTrip implements [http.RoundTripper].
func (a *Addresses) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	began := time.Now()
	var failed unreachable
	for range a.list {
		at := int(a.current.Load())
		response, sent, err := a.list[at].try(r, a.list[0].url)
		if err == nil {
			return response, nil
		}
		if ctx := r.Context(); ctx.Err() != nil {
			if errors.Is(ctx.Err(), context.DeadlineExceeded) && a.list[at].answered.Load() <= began.UnixNano() {
				a.leave(at) // the address has not answered since this request began
			}
			return nil, err
		}
		failed = append(failed, err)
		a.leave(at)
		if sent && r.Method != http.MethodGet || !rewind(r) {
			break
		}
	}
	if len(failed) == 1 {
		return nil, failed[0]
	}
	return nil, failed
}

// rewind makes the body of a request whole again, so that the request can be
// repeated. It reports whether this succeeded.
func rewind(r *http.Request) bool {
	if r.Body == nil || r.Body == http.NoBody {
		return true
	}
	if r.GetBody == nil {
		return false
	}
	body, err := r.GetBody()
	r.Body = body
	return err == nil
}

// try makes a request at this address. If sent is true, the node may have
// received the request.
func (a address) try(r *http.Request, first *url.URL) (response *http.Response, sent bool, err error) {
	var asked, connected atomic.Bool
	trace := &httptrace.ClientTrace{GetConn: func(string) { asked.Store(true) }, GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	here := r.Clone(httptrace.WithClientTrace(r.Context(), trace))
	if here.URL, err = url.Parse(a.url.String() + strings.TrimPrefix(r.URL.String(), first.String())); err != nil {
		return nil, false, err
	}
	here.Host = here.URL.Host
	if response, err = a.transport.RoundTrip(here); err == nil {
		a.answered.Store(time.Now().UnixNano())
		return response, true, nil
	}
	var certificate *CertificateError
	var network *net.OpError
	dialing := errors.As(err, &network) && network.Op == "dial"
	return nil, !dialing && !errors.As(err, &certificate) && (connected.Load() || !asked.Load()), fmt.Errorf("%s: %w", a.url.Host, err)
}

// unreachable holds the error of each address that was tried.
type unreachable []error

// Error implements error.
func (u unreachable) Error() string {
	var texts []string
	for _, err := range u {
		texts = append(texts, err.Error())
	}
	return printable.Line(strings.Join(texts, "; "))
}

// Unwrap returns the errors.
func (u unreachable) Unwrap() []error { return u }
