package cluster_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// roundTrip is how long a faraway cluster takes to answer.
const roundTrip = 20 * time.Millisecond

// A faraway transport delays each request by one round trip and counts the
// requests.
type faraway struct {
	base http.RoundTripper

	mu             sync.Mutex
	inFlight, most int
	requests       map[string]int // the number of requests by method, path and query
	total          int
}

func (d *faraway) RoundTrip(r *http.Request) (*http.Response, error) {
	d.mu.Lock()
	d.inFlight++
	d.total++
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

// large returns a cluster with this many nodes and VMs. Every other VM runs.
func large(nodes, vms int) *pvetest.Cluster { return largeWith(nodes, vms, nodes) }

func largeWith(nodes, vms, cards int) *pvetest.Cluster {
	var list []pvetest.Host
	for i := range nodes {
		h := pvetest.Reference()
		if i >= cards {
			h.PCI = slices.DeleteFunc(h.PCI, func(f pvetest.PCI) bool { return f.Vendor == 0x10de })
		}
		h.Name, h.VMs = fmt.Sprintf("n%02d", i), nil
		for id := 1000 + i; id < 1000+vms; id += nodes {
			h.VMs = append(h.VMs, pvetest.VM{ID: id, Running: id%2 == 0, Config: map[string]string{"name": fmt.Sprintf("vm%d", id), "memory": "16",
				"scsi0": fmt.Sprintf("local-lvm:vm-%d-disk-0,size=1G", id)}})
		}
		list = append(list, h)
	}
	return pvetest.NewCluster(list, nil)
}

func far(tb testing.TB, sim *pvetest.Cluster, opts *cluster.Options) (*cluster.Cluster, *faraway) {
	tb.Helper()
	d := &faraway{base: sim.Transport(), requests: map[string]int{}}
	c, err := cluster.Connect(tb.Context(), []workstation.Endpoint{{URL: "https://n00:8006", Token: token, Transport: d}}, opts)
	if err != nil {
		tb.Fatal(err)
	}
	d.requests, d.total, d.most = map[string]int{}, 0, 0
	return c, d
}

// No request is made twice. In a small cluster a request waits for at most two
// others. In a large cluster the limit on requests in flight decides the time:
// 1,488 requests with 64 in flight take at most 25 round trips.
func TestObserveAtScale(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ nodes, vms, inFlight, deep, requests int }{
		{1, 0, 64, 2, 23}, {3, 10, 64, 3, 63}, {32, 0, 64, 10, 488}, {32, 1000, 64, 25, 1488}, {32, 1000, 128, 13, 1488}, {32, 400, 2000, 3, 888},
	} {
		t.Run(fmt.Sprintf("%d nodes, %d VMs, %d in flight", test.nodes, test.vms, test.inFlight), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, d := far(t, large(test.nodes, test.vms), &cluster.Options{InFlight: test.inFlight})
				facts, took := observe(t, c)
				vms := 0
				for _, n := range facts.Nodes {
					vms += len(n.Facts.VMs)
				}
				if len(facts.Nodes) != test.nodes || len(facts.Guests) != test.vms || vms != test.vms {
					t.Errorf("%d nodes, %d guests, %d VMs", len(facts.Nodes), len(facts.Guests), vms)
				}
				if deep := int(took / roundTrip); deep > test.deep || d.total > test.requests || d.most > test.inFlight {
					t.Errorf("%d round trips deep, %d requests, %d in flight; want %d, %d and %d", deep, d.total, d.most, test.deep, test.requests, test.inFlight)
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

// ObserveFor leaves out the configurations of VMs on nodes where no workstation
// can take a card. If 10 of 32 nodes have a card, ObserveFor takes at most 300
// ms. The test allows one more round trip than necessary, because a request may
// start late if it depends on other requests.
func TestObserveForAtScale(t *testing.T) {
	t.Parallel()
	existing := cluster.Needs{VM: workstation.VM{ID: 1003, Name: "vm1003"}}
	for name, test := range map[string]struct {
		cards, deep, requests, read int // cards is the number of nodes with the card; the other numbers are the wanted results
		nodes, vms                  int
		spec                        cluster.Spec
	}{
		"no card is wanted":            {cards: 32, deep: 10, requests: 488, nodes: 32, vms: 1000, spec: cluster.Spec{Workstations: []cluster.Needs{{VM: linux(140, "")}}}},
		"the workstation exists":       {cards: 32, deep: 11, requests: 520, read: 32, nodes: 32, vms: 1000, spec: cluster.Spec{Workstations: []cluster.Needs{existing}}},
		"4 nodes have the card":        {cards: 4, deep: 12, requests: 616, read: 128, nodes: 32, vms: 1000, spec: cluster.Spec{Cards: []cluster.Card{rtx}, Workstations: []cluster.Needs{{VM: linux(140, "rtx")}}}},
		"10 nodes have the card":       {cards: 10, deep: 15, requests: 806, read: 318, nodes: 32, vms: 1000, spec: cluster.Spec{Cards: []cluster.Card{rtx}, Workstations: []cluster.Needs{{VM: linux(140, "rtx")}}}},
		"all nodes have the card":      {cards: 32, deep: 25, requests: 1488, read: 1000, nodes: 32, vms: 1000, spec: cluster.Spec{Cards: []cluster.Card{rtx}, Workstations: []cluster.Needs{{VM: linux(140, "rtx")}}}},
		"a small cluster":              {cards: 3, deep: 3, requests: 63, read: 10, nodes: 3, vms: 10, spec: cluster.Spec{Cards: []cluster.Card{rtx}, Workstations: []cluster.Needs{{VM: linux(140, "rtx")}}}},
		"a small cluster without card": {cards: 3, deep: 3, requests: 53, nodes: 3, vms: 10, spec: cluster.Spec{Workstations: []cluster.Needs{{VM: linux(140, "")}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, d := far(t, largeWith(test.nodes, test.vms, test.cards), nil)
				began := time.Now()
				facts, err := c.ObserveFor(t.Context(), test.spec)
				if err != nil {
					t.Fatal(err)
				}
				deep, read, all := int(time.Since(began)/roundTrip), 0, 0
				for _, n := range facts.Nodes {
					read, all = read+len(n.Facts.VMs), all+len(n.Facts.VMs)+len(n.Facts.Unread)
				}
				if deep > test.deep || d.total != test.requests || read != test.read || all != test.vms {
					t.Errorf("%d round trips deep, %d requests, %d configurations, %d VMs; want %d, %d, %d and %d", deep, d.total, read, all, test.deep, test.requests, test.read, test.vms)
				}
			})
		})
	}
}

// The content of a shared storage is requested once, and the facts of each node
// contain it.
func TestASharedStorageIsListedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		list := hosts("n00", "n01", "n02")
		for i := range list {
			list[i].Storages = append(list[i].Storages, pvetest.Storage{Name: "nas", Type: "nfs", Content: "iso,images", Shared: true, Total: 1 << 40,
				Config: map[string]string{"path": "/mnt/pve/nas", "server": "nas.lan"}, Volumes: []pvetest.Volume{{Name: "iso/debian.iso", Size: 1 << 30, Format: "iso"}}})
		}
		sim := pvetest.NewCluster(list, nil)
		c, d := far(t, sim, nil)
		facts, _ := observe(t, c)
		listed := 0
		for request := range d.requests {
			if strings.Contains(request, "/storage/nas/content") {
				listed++
			}
		}
		if listed != 1 {
			t.Errorf("listed %d times", listed)
		}
		for _, n := range facts.Nodes {
			i := slices.IndexFunc(n.Facts.Pools, func(p storage.Pool) bool { return p.Name == "nas" })
			if i < 0 || len(n.Facts.Pools[i].Images) != 1 {
				t.Errorf("node %s: %v", n.Name, n.Facts.Pools)
			}
		}
		// If the first node cannot list the storage, the other nodes are asked
		// too.
		for _, name := range []string{"n00", "n01"} {
			sim.Node(name).Inject(pvetest.Fault{Path: "/nodes/n0[01]/storage/nas/content", Kind: pvetest.Refuse, Times: -1})
		}
		sim.Delay("n02", time.Second) // so that another node is asked before n02
		facts, _ = observe(t, c)
		if n, _ := facts.Node("n02"); !slices.ContainsFunc(n.Facts.Pools, func(p storage.Pool) bool { return p.Name == "nas" && len(p.Images) == 1 }) {
			t.Errorf("node n02: %v", n.Facts.Pools)
		}
	})
}

// Status requests the list of VMs once. A node may have VMs, but no member of
// the set. The number of such VMs changes neither the number of requests nor
// the time.
func TestStatusAtScale(t *testing.T) {
	t.Parallel()
	count := func(vms int) (requests int, took time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			list := hosts("n00", "n01")
			for i := range 30 {
				h := pvetest.Reference()
				h.Name = fmt.Sprintf("n%02d", i+2)
				for id := 1000 + i; id < 1000+vms; id += 30 {
					h.VMs = append(h.VMs, pvetest.VM{ID: id, Running: true, Config: map[string]string{"name": "vm", "memory": "16"}})
				}
				list = append(list, h)
			}
			c, d := far(t, pvetest.NewCluster(list, nil), nil)
			began := time.Now()
			status, err := c.Node("n00").Status(t.Context(), workstation.DualBoot{Members: []int{101, 102}})
			if err != nil || len(status.Members) != 2 {
				t.Fatalf("%+v, %v", status, err)
			}
			requests, took = d.total, time.Since(began)
		})
		return requests, took
	}
	few, fewTook := count(30)
	many, manyTook := count(1000)
	if few != many || fewTook != manyTook || many > 12 || manyTook > 3*roundTrip {
		t.Errorf("%d requests in %s among 30 VMs, %d in %s among 1000", few, fewTook, many, manyTook)
	}
}

func BenchmarkObserve(b *testing.B) {
	for _, size := range []struct{ nodes, vms int }{{1, 16}, {3, 30}, {32, 1000}} {
		b.Run(fmt.Sprintf("%dnodes%dVMs", size.nodes, size.vms), func(b *testing.B) {
			c, err := cluster.Connect(b.Context(), addresses(large(size.nodes, size.vms).Transport(), "n00"), nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Observe(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The benchmark places 20 VMs on 32 nodes with 1,000 VMs. Each node has one
// card. In two of the variants all VMs of a node have this card, so they all
// conflict.
func BenchmarkPlace(b *testing.B) {
	for _, test := range []struct{ name, have, want string }{{"plain", "", ""}, {"cards", "0000:01:00,pcie=1", ""}, {"cardsForAll", "0000:01:00,pcie=1", "rtx"}} {
		b.Run(test.name, func(b *testing.B) {
			c, err := cluster.Connect(b.Context(), addresses(large(32, 1000).Transport(), "n00"), nil)
			if err != nil {
				b.Fatal(err)
			}
			facts, err := c.Observe(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			for _, n := range facts.Nodes {
				for _, v := range n.Facts.VMs {
					if test.have != "" {
						v.Config["hostpci0"] = test.have
					}
				}
			}
			spec := cluster.Spec{Cards: []cluster.Card{rtx}}
			for i := range 20 {
				spec.Workstations = append(spec.Workstations, cluster.Needs{VM: linux(5000+i, test.want)})
			}
			b.ReportAllocs()
			for b.Loop() {
				if placements, err := cluster.Place(spec, facts); err != nil || len(placements) != 20 {
					b.Fatal(err)
				}
			}
		})
	}
}
