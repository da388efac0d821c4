package cluster_test

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// hosts returns reference hosts with the given names. Each host has a VM that
// runs: 101 on the first host, 102 on the second, and so on.
func hosts(names ...string) []pvetest.Host {
	var list []pvetest.Host
	for i, name := range names {
		h := pvetest.Reference()
		h.Name = name
		h.VMs = []pvetest.VM{{ID: 101 + i, Running: true, Config: map[string]string{"name": "vm-" + name, "memory": "2048"}}}
		list = append(list, h)
	}
	return list
}

const token = "root@pam!lab=11111111-2222-3333-4444-555555555555"

// addresses returns endpoints of the nodes with these names.
func addresses(transport http.RoundTripper, names ...string) []workstation.Endpoint {
	var list []workstation.Endpoint
	for _, name := range names {
		list = append(list, workstation.Endpoint{URL: "https://" + name + ":8006", Token: token, Transport: transport})
	}
	return list
}

// connect connects to a cluster by the addresses of the named nodes.
func connect(t *testing.T, sim *pvetest.Cluster, opts *cluster.Options, names ...string) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Connect(t.Context(), addresses(sim.Transport(), names...), opts)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Returns the facts, and the time that reading them took.
func observe(t *testing.T, c *cluster.Cluster) (cluster.Facts, time.Duration) {
	t.Helper()
	began := time.Now()
	facts, err := c.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return facts, time.Since(began)
}

// states returns the names of the nodes with their states, and the IDs of all
// findings.
func states(f cluster.Facts) (text string) {
	var parts []string
	for _, finding := range f.Findings {
		parts = append(parts, finding.ID)
	}
	for _, n := range f.Nodes {
		parts = append(parts, n.Name+" "+n.State.String())
		for _, finding := range n.Findings {
			parts = append(parts, finding.ID)
		}
	}
	return strings.Join(parts, ", ")
}

// A node is observed once as a part of the cluster and once alone. The facts
// are the same.
func TestObserveReadsWhatEachNodeReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.NewCluster(hosts("a", "b", "c"), nil)
		c := connect(t, sim, nil, "a")
		facts, _ := observe(t, c)
		if text := states(facts); text != "a online, b online, c online" || facts.Quorate != proxstation.Yes || facts.Name == "" {
			t.Errorf("%s, quorate %s (%s), name %q", text, facts.Quorate, facts.QuorateSeen, facts.Name)
		}
		for _, name := range []string{"a", "b", "c"} {
			alone, err := c.Node(name).Observe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			n, _ := facts.Node(name)
			slices.Sort(alone.CPUModels) // PVE lists the models in the random order of a hash
			slices.Sort(n.Facts.CPUModels)
			if !reflect.DeepEqual(n.Facts, alone) || n.Address == "" {
				t.Errorf("the cluster says %+v\nthe node %+v", n, alone)
			}
		}
		want := []cluster.Guest{{VMID: 101, Name: "vm-a", Node: "a", Running: proxstation.Yes}, {VMID: 102, Name: "vm-b", Node: "b", Running: proxstation.Yes}, {VMID: 103, Name: "vm-c", Node: "c", Running: proxstation.Yes}}
		if !slices.Equal(facts.Guests, want) {
			t.Errorf("guests %+v", facts.Guests)
		}
		if _, ok := facts.Node("d"); ok {
			t.Error("there is no node d")
		}
	})
}

// If one node cannot be read, all other nodes are still read.
func TestANodeThatCannotBeRead(t *testing.T) {
	t.Parallel()
	hang := func(path string) func(*pvetest.Cluster) {
		return func(sim *pvetest.Cluster) {
			sim.Node("b").Inject(pvetest.Fault{Path: path, Kind: pvetest.HangAfter, Times: -1})
		}
	}
	for name, test := range map[string]struct {
		happens func(*pvetest.Cluster)
		want    string
		within  time.Duration
		running proxstation.Answer // whether VM 102 runs
	}{
		"all is well":              {func(*pvetest.Cluster) {}, "a online, b online, c online", 0, proxstation.Yes},
		"it is off":                {func(sim *pvetest.Cluster) { sim.Down("b") }, "a online, b away, cluster.node-away, c online", 0, proxstation.Unknown},
		"it is out of the network": {func(sim *pvetest.Cluster) { sim.Partition("b") }, "a online, b away, cluster.node-away, c online", 0, proxstation.Unknown},
		"its proxy is down": {func(sim *pvetest.Cluster) {
			sim.Node("b").Inject(pvetest.Fault{Path: "/nodes/b/.*", Kind: pvetest.ProxyDown, Times: -1})
		}, "a online, b away, cluster.node-away, c online", 10 * time.Second, proxstation.Unknown},
		"it hangs":               {hang(".*"), "a online, b slow, cluster.node-slow, c online", 10 * time.Second, proxstation.Yes},
		"its list of VMs hangs":  {hang("/nodes/b/qemu"), "a online, b slow, cluster.node-slow, c online", 10 * time.Second, proxstation.Yes},
		"it takes half a minute": {func(sim *pvetest.Cluster) { sim.Delay("b", 32*time.Second) }, "a online, b slow, cluster.node-slow, c online", 10 * time.Second, proxstation.Yes},
		"it takes nine seconds":  {func(sim *pvetest.Cluster) { sim.Delay("b", 9*time.Second) }, "a online, b online, c online", 18 * time.Second, proxstation.Yes},
		"a disk of it hangs":     {hang("/nodes/b/disks/list"), "a online, b online, c online", 20 * time.Second, proxstation.Yes},
		"it answers nonsense": {func(sim *pvetest.Cluster) {
			sim.Node("b").Inject(pvetest.Fault{Path: "/nodes/b/qemu", Kind: pvetest.Refuse, Message: "out of order", Times: -1})
		}, "a online, b unread, cluster.node-unread, c online", 0, proxstation.Yes},
		"it refuses the login": {func(sim *pvetest.Cluster) {
			sim.Node("b").Inject(pvetest.Fault{Path: "/nodes/b/qemu", Kind: pvetest.Forbid, Times: -1})
		}, "a online, b forbidden, cluster.node-forbidden, c online", 0, proxstation.Yes},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sim := pvetest.NewCluster(hosts("a", "b", "c"), nil)
				c := connect(t, sim, nil, "a")
				test.happens(sim)
				facts, took := observe(t, c)
				if text := states(facts); text != test.want {
					t.Errorf("%s, want %s", text, test.want)
				}
				if took > test.within {
					t.Errorf("it took %s, want %s at most", took, test.within)
				}
				b, _ := facts.Node("b")
				if read := b.State == cluster.Online; read != (b.Err == nil && b.Facts.Version != "") && b.State != cluster.Away {
					t.Errorf("node b is %s, with %v", b.State, b.Err)
				}
				for _, g := range facts.Guests {
					if g.VMID == 102 && g.Running != test.running {
						t.Errorf("VM 102 runs: %s, want %s", g.Running, test.running)
					}
				}
				for _, f := range b.Findings {
					if f.Seen == "" || f.Why == "" || f.Fix == "" || f.Subject != "node b" {
						t.Errorf("the finding is not whole: %+v", f)
					}
				}
			})
		})
	}
}

type stopwatch struct {
	base  http.RoundTripper
	began time.Time
	mu    sync.Mutex
	last  map[string]time.Duration // the time of the last answer, by node
}

func (s *stopwatch) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(20 * time.Millisecond)
	response, err := s.base.RoundTrip(r)
	if rest, isNode := strings.CutPrefix(r.URL.Path, "/api2/json/nodes/"); isNode && err == nil {
		node, _, _ := strings.Cut(rest, "/")
		s.mu.Lock()
		s.last[node] = time.Since(s.began)
		s.mu.Unlock()
	}
	return response, err
}

// Nodes that hang do not delay the reading of other nodes, even if most nodes
// hang.
func TestNodesThatHangDelayNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		names := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n"}
		sim := pvetest.NewCluster(hosts(names...), nil)
		watch := &stopwatch{base: sim.Transport(), last: map[string]time.Duration{}}
		c, err := cluster.Connect(t.Context(), addresses(watch, "a"), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names[1:13] {
			sim.Node(name).Inject(pvetest.Fault{Path: "/nodes/.*", Kind: pvetest.HangAfter, Times: -1})
		}
		watch.began = time.Now()
		facts, took := observe(t, c)
		if took > roundTrip+30*time.Second || watch.last["a"] > 200*time.Millisecond || watch.last["n"] > 200*time.Millisecond {
			t.Errorf("it took %s, node a %s, node n %s", took, watch.last["a"], watch.last["n"])
		}
		for i, n := range facts.Nodes {
			want := cluster.Slow
			if i == 0 || i == 13 {
				want = cluster.Online
			}
			if n.State != want {
				t.Errorf("node %s is %s, want %s", n.Name, n.State, want)
			}
		}
	})
}

// A node is slow, but each single answer comes in time. The reading of this
// node ends when all its answers together take longer than the limit.
func TestTheLimitOfANode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.NewCluster(hosts("a", "b", "c"), nil)
		c := connect(t, sim, &cluster.Options{InFlight: 3, Limit: 10 * time.Second}, "a")
		sim.Delay("b", 3*time.Second)
		facts, took := observe(t, c)
		if text := states(facts); text != "a online, b slow, cluster.node-slow, c online" || took != 10*time.Second {
			t.Errorf("%s in %s", text, took)
		}
	})
}

// Observe reports that nodes run two versions of PVE, and still reads each
// node.
func TestVersionSkew(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]string{
		"9.1.4":  "a online, b online",
		"9.1.1":  "a online, b online",
		"9.2.1":  "a online, cluster.other-version, b online",
		"9.0.3":  "a online, b online, cluster.other-version",
		"8.4.14": "a online, b online, cluster.other-version",
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				list := hosts("a", "b")
				list[1].Version, list[1].Release = version, version[:3]
				facts, _ := observe(t, connect(t, pvetest.NewCluster(list, nil), nil, "a"))
				if text := states(facts); text != want {
					t.Errorf("%s, want %s", text, want)
				}
				b, _ := facts.Node("b")
				if version == "8.4.14" && b.Findings[0].Severity != proxstation.Warning {
					t.Errorf("two major versions: %v", b.Findings)
				}
			})
		})
	}
}

// A login that has rights on only one node gets only the facts of that node.
func TestALoginWithFewRights(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		list := hosts("a", "b")
		list[0].Users = []pvetest.User{{ID: "eve@pve", Privileges: map[string][]string{"/nodes/b": {"Sys.Audit"}, "/vms/102": {"VM.Audit"}}, Tokens: []pvetest.Token{{ID: "t", Secret: "x"}}}}
		sim := pvetest.NewCluster(list, nil)
		endpoints := addresses(sim.Transport(), "a")
		endpoints[0].Token = "eve@pve!t=x"
		c, err := cluster.Connect(t.Context(), endpoints, nil)
		if err != nil {
			t.Fatal(err)
		}
		facts, _ := observe(t, c)
		if text := states(facts); text != "cluster.quorum-unknown, a forbidden, cluster.node-forbidden, b online" || facts.Quorate != proxstation.Unknown || facts.QuorateSeen == "" {
			t.Errorf("%s, quorate %s (%s)", text, facts.Quorate, facts.QuorateSeen)
		}
		if len(facts.Guests) != 1 || facts.Guests[0].VMID != 102 {
			t.Errorf("guests %v", facts.Guests)
		}
		b, _ := facts.Node("b")
		if b.Facts.CPU == "" || len(b.Facts.VMs) != 1 {
			t.Errorf("node b: %+v", b.Facts)
		}
	})
}

// The facts say whether the node that answers has a quorum. If the addresses
// belong to different parts of the cluster, the part with a quorum is used.
func TestQuorum(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		addresses []string
		quorate   proxstation.Answer
		want      string
	}{
		"with the majority":     {[]string{"a"}, proxstation.Yes, "a online, b online, c away, cluster.node-away"},
		"with the minority":     {[]string{"c"}, proxstation.No, "cluster.no-quorum, a away, cluster.node-away, b away, cluster.node-away, c online"},
		"the minority first":    {[]string{"c", "a"}, proxstation.Yes, "a online, b online, c away, cluster.node-away"},
		"the minority and none": {[]string{"c", "nowhere"}, proxstation.No, "cluster.no-quorum, a away, cluster.node-away, b away, cluster.node-away, c online"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sim := pvetest.NewCluster(hosts("a", "b", "c"), nil)
				c := connect(t, sim, nil, test.addresses...)
				sim.Partition("c")
				for range 2 {
					facts, _ := observe(t, c)
					if text := states(facts); text != test.want || facts.Quorate != test.quorate {
						t.Errorf("%s, quorate %s (%s)", text, facts.Quorate, facts.QuorateSeen)
					}
				}
			})
		})
	}
}

// Another address takes over when the address in use dies or falls silent.
func TestTheAddressDies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		dies   func(*pvetest.Cluster)
		want   string
		within time.Duration
	}{
		"power is cut": {func(sim *pvetest.Cluster) { sim.Down("a") }, "a away, cluster.node-away, b online, c online", 0},
		"it is silent": {func(sim *pvetest.Cluster) { sim.Delay("a", time.Hour) }, "a slow, cluster.node-slow, b online, c online", 15 * time.Second},
		"it drops all ": {func(sim *pvetest.Cluster) {
			sim.Node("a").Inject(pvetest.Fault{Path: ".*", Kind: pvetest.DropBefore, Times: -1})
		}, "a slow, cluster.node-slow, b online, c online", 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sim := pvetest.NewCluster(hosts("a", "b", "c"), nil)
				c := connect(t, sim, nil, "a", "b", "c")
				test.dies(sim)
				facts, took := observe(t, c)
				if text := states(facts); text != test.want || took > test.within {
					t.Errorf("%s in %s, want %s in %s", text, took, test.want, test.within)
				}
			})
		})
	}
}

func TestConnectFindsAnAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.NewCluster(hosts("a", "b", "c"), nil)
		sim.Down("a")
		sim.Delay("b", time.Hour)
		c := connect(t, sim, nil, "a", "b", "c")
		if facts, _ := observe(t, c); states(facts) != "a away, cluster.node-away, b slow, cluster.node-slow, c online" {
			t.Error(states(facts))
		}
		for name, test := range map[string]struct {
			endpoints []workstation.Endpoint
			want      error
		}{
			"no address answers": {addresses(sim.Transport(), "a", "nowhere"), workstation.ErrNoAnswer},
			"a wrong token":      {[]workstation.Endpoint{{URL: "https://c:8006", Token: "root@pam!lab=hunter2", Transport: sim.Transport()}}, workstation.ErrLogin},
			"no endpoint":        {nil, workstation.ErrInvalid},
		} {
			if _, err := cluster.Connect(t.Context(), test.endpoints, nil); !errors.Is(err, test.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestObserveEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.NewCluster(hosts("a", "b"), nil)
		c := connect(t, sim, nil, "a")
		sim.Delay("b", time.Minute)
		enough := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, enough)
		defer cancel()
		if _, err := c.Observe(ctx); !errors.Is(err, enough) || !strings.HasPrefix(err.Error(), "cluster: ") {
			t.Errorf("%v", err)
		}
	})
}
