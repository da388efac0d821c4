package workstation_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// roundTrip is how long a faraway node takes to answer.
const roundTrip = 20 * time.Millisecond

// A faraway transport delays each request by one round trip and counts the
// requests.
type faraway struct {
	base     http.RoundTripper
	mu       sync.Mutex
	inFlight int
	most     int
	requests map[string]int // the number of requests by path and query
}

func (d *faraway) RoundTrip(r *http.Request) (*http.Response, error) {
	d.mu.Lock()
	d.inFlight++
	d.most = max(d.most, d.inFlight)
	d.requests[r.Method+" "+strings.TrimPrefix(r.URL.RequestURI(), "/api2/json")]++
	d.mu.Unlock()
	time.Sleep(roundTrip)
	response, err := d.base.RoundTrip(r)
	d.mu.Lock()
	d.inFlight--
	d.mu.Unlock()
	return response, err
}

func (d *faraway) total() (n int) {
	for _, times := range d.requests {
		n += times
	}
	return n
}

// This returns the reference host with the given number of VMs. Every second VM
// runs.
func many(vms int) pvetest.Host {
	host := pvetest.Reference()
	host.VMs = nil
	for i := range vms {
		host.VMs = append(host.VMs, pvetest.VM{ID: 1000 + i, Running: i%2 == 0, Config: map[string]string{"name": fmt.Sprintf("vm%d", i), "memory": "16",
			"scsi0": fmt.Sprintf("local-lvm:vm-%d-disk-0,size=1G", 1000+i)}})
	}
	return host
}

// This connects to a faraway node.
func far(tb testing.TB, sim *pvetest.Node) (*workstation.Node, *faraway) {
	tb.Helper()
	d := &faraway{base: sim.Transport(), requests: map[string]int{}}
	node, err := workstation.Connect(tb.Context(), workstation.Endpoint{URL: "https://pve.test:8006", Username: "root@pam", Password: "secret", Transport: d}, "pve", nil)
	if err != nil {
		tb.Fatal(err)
	}
	d.requests = map[string]int{}
	return node, d
}

func TestObserveIsTwoRoundTripsDeep(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ vms, deep, requests int }{
		{0, 2, 22}, {16, 2, 38}, {1000, 34, 1022},
	} {
		t.Run(fmt.Sprint(test.vms, " VMs"), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				node, d := far(t, pvetest.New(many(test.vms), nil))
				began := time.Now()
				facts, err := node.Observe(t.Context())
				took := time.Since(began)
				if err != nil || len(facts.VMs) != test.vms {
					t.Fatalf("%d VMs, %v", len(facts.VMs), err)
				}
				if deep := int(took / roundTrip); deep > test.deep || d.total() > test.requests || d.most > 32 {
					t.Errorf("%d round trips deep, %d requests, %d in flight; want %d, %d and 32", deep, d.total(), d.most, test.deep, test.requests)
				}
				for request, times := range d.requests {
					if times > 1 {
						t.Errorf("%s %d times", request, times)
					}
				}
			})
		})
	}
}

// Connections stay open from one Observe to the next.
func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	sim := pvetest.New(many(8), nil).Start()
	t.Cleanup(sim.Close)
	address, opened := counted(t, strings.TrimSuffix(strings.TrimPrefix(sim.URL(), "https://"), "/api2/json"))
	node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: "https://" + address, Token: tokenID + "=" + tokenSecret, Fingerprint: sim.Fingerprint()}, "pve", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if _, err := node.Observe(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := opened.Load(); n > 32+2 { // the transport may open a connection for a request that another connection then serves
			t.Errorf("%d connections after %d observations", n, i+1)
		}
	}
}

// This starts a relay to an address. The relay counts its connections.
func counted(t *testing.T, to string) (address string, opened *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	opened = new(atomic.Int64)
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			opened.Add(1)
			go func() {
				defer in.Close()
				out, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer out.Close()
				go io.Copy(out, in)
				io.Copy(in, out)
			}()
		}
	}()
	return listener.Addr().String(), opened
}

func BenchmarkObserve(b *testing.B) {
	for _, vms := range []int{2, 16, 1000} {
		b.Run(fmt.Sprint(vms, "VMs"), func(b *testing.B) {
			node, d := far(b, pvetest.New(many(vms), nil))
			for b.Loop() {
				if _, err := node.Observe(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(d.total())/float64(b.N), "requests/op")
			b.ReportMetric(float64(d.most), "in-flight")
		})
	}
}
