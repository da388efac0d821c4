package workstation_test

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// trio returns three nodes of a cluster. On pve1 the Windows workstation is
// running. On pve2 the Linux workstation is off. On pve3 there is no
// workstation. pve1 and pve2 each have a card, and one mapping names both
// cards.
func trio() []pvetest.Host {
	var hosts []pvetest.Host
	for i, name := range []string{"pve1", "pve2", "pve3"} {
		host := pair()
		host.Name = name
		host.Mappings[0].Map = []string{strings.Replace(host.Mappings[0].Map[0], "node=pve,", "node="+name+",", 1)}
		host.VMs = slices.DeleteFunc(host.VMs, func(v pvetest.VM) bool { return i >= len(both.Members) || v.ID != both.Members[i] })
		hosts = append(hosts, host)
	}
	return hosts
}

// enter returns a Node whose client sends all requests to one node of the
// cluster, the entry node.
func enter(c *pvetest.Cluster, entry string, wrap func(http.RoundTripper) http.RoundTripper) *workstation.Node {
	transport := c.Transport()
	if wrap != nil {
		transport = wrap(transport)
	}
	client := proxmox.NewClient("https://"+entry+":8006/api2/json", proxmox.WithHTTPClient(&http.Client{Transport: transport}), proxmox.WithAPIToken(tokenID, tokenSecret))
	return workstation.Open(client, entry, &workstation.NodeOptions{RootTicket: proxstation.No})
}

// This returns the VMs with an ID below 1000 that run on any node of the
// cluster.
func running(c *pvetest.Cluster) []int {
	var ids []int
	for _, n := range c.Nodes() {
		ids = append(ids, n.Running()...)
	}
	slices.Sort(ids)
	return slices.DeleteFunc(ids, func(id int) bool { return id >= 1000 })
}

// This returns an error if the description of a member still holds a lease.
func described(c *pvetest.Cluster) error {
	for _, id := range both.Members {
		if state, _ := c.Node(c.Where(id)).VM(id); state.Config["description"] != "made by hand" {
			return fmt.Errorf("VM %d is left with the description %q", id, state.Config["description"])
		}
	}
	return nil
}

// An overseer is a transport that checks two rules before each request: at most
// one member runs in the whole cluster, and only the controller that owns the
// lease starts or stops a member.
type overseer struct {
	base  http.RoundTripper
	c     *pvetest.Cluster
	owner string

	mu       *sync.Mutex
	problems *[]string
}

var acts = regexp.MustCompile(`^POST .*/qemu/14\d/status/(start|shutdown|stop|resume)$`)

func (o overseer) RoundTrip(r *http.Request) (*http.Response, error) {
	note := func(format string, args ...any) {
		o.mu.Lock()
		defer o.mu.Unlock()
		*o.problems = append(*o.problems, fmt.Sprintf(format, args...))
	}
	if now := running(o.c); len(now) > 1 {
		note("before %s %s: running: %v", r.Method, r.URL.Path, now)
	}
	if request := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/api2/json"); acts.MatchString(request) {
		held := false
		for _, id := range both.Members {
			state, _ := o.c.Node(o.c.Where(id)).VM(id)
			held = held || strings.Contains(state.Config["description"], fmt.Sprintf("\"owner\":%q", o.owner))
		}
		if !held {
			note("%s makes %s without the lease", o.owner, request)
		}
	}
	return o.base.RoundTrip(r)
}

// oversee returns a function that puts an overseer before a transport, and a
// function that returns the overseer's verdict.
func oversee(c *pvetest.Cluster, owner string) (wrap func(http.RoundTripper) http.RoundTripper, verdict func() error) {
	var mu sync.Mutex
	var problems []string
	wrap = func(base http.RoundTripper) http.RoundTripper { return overseer{base, c, owner, &mu, &problems} }
	return wrap, func() error {
		mu.Lock()
		defer mu.Unlock()
		if len(problems) > 0 {
			return errors.New(strings.Join(problems, "\n"))
		}
		return nil
	}
}

// inCluster runs a test against a fresh cluster, in its own synctest bubble.
func inCluster(t *testing.T, hosts []pvetest.Host, play func(t *testing.T, c *pvetest.Cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := pvetest.NewCluster(hosts, nil)
		time.Sleep(time.Minute)
		play(t, c)
		if err := c.Check(); err != nil {
			t.Error(err)
		}
	})
}

// A switch finds the members on their nodes, whichever node of the cluster gets
// the requests.
func TestSwitchAcrossNodes(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{"pve1", "pve2", "pve3"} {
		inCluster(t, trio(), func(t *testing.T, c *pvetest.Cluster) {
			wrap, verdict := oversee(c, both.Owner)
			node := enter(c, entry, wrap)
			for _, to := range []int{141, 140, 141} {
				if err := node.Switch(t.Context(), both, to, nil); err != nil {
					t.Fatalf("%s: to %d: %v", entry, to, err)
				}
				if got := running(c); !slices.Equal(got, []int{to}) {
					t.Errorf("%s: running: %v, want %d", entry, got, to)
				}
			}
			status, err := node.Status(t.Context(), both)
			if err != nil || status.Running != 141 || status.Members[0].Node != "pve1" || status.Members[1].Node != "pve2" || status.Members[0].CanStart != proxstation.Yes {
				t.Errorf("%s: %+v, %v", entry, status, err)
			}
			if err := errors.Join(verdict(), described(c)); err != nil {
				t.Errorf("%s: %v", entry, err)
			}
		})
	}
}

// The first status of a set finds the nodes of its members. With members on two
// nodes, every later status makes ten requests in one round trip.
func TestStatusAcrossNodesAsksForLittle(t *testing.T) {
	t.Parallel()
	hosts := trio()
	for i := range hosts {
		hosts[i].Containers = nil
		hosts[i].VMs = slices.DeleteFunc(hosts[i].VMs, func(v pvetest.VM) bool { return !slices.Contains(both.Members, v.ID) })
		for n := range 300 {
			hosts[i].VMs = append(hosts[i].VMs, pvetest.VM{ID: 1000 + 300*i + n, Config: map[string]string{"name": "other", "memory": "16"}})
		}
	}
	inCluster(t, hosts, func(t *testing.T, c *pvetest.Cluster) {
		node := enter(c, "pve3", func(base http.RoundTripper) http.RoundTripper { return distant{base} })
		for _, want := range []struct{ requests, depth int }{{0, 0}, {10, 1}} { // the first status finds the members
			before, began := len(c.Node("pve3").Trace()), time.Now()
			if _, err := node.Status(t.Context(), both); err != nil {
				t.Fatal(err)
			}
			trace, depth := c.Node("pve3").Trace()[before:], int(time.Since(began)/time.Second)
			if want.depth > 0 && (len(trace) != want.requests || depth != want.depth) {
				t.Errorf("%d requests, %d deep, want %d and %d: %v", len(trace), depth, want.requests, want.depth, trace)
			}
		}
	})
}

// If the cluster has no quorum, or if a member may run unseen, a switch does
// not begin and changes nothing. Each refusal names its reason.
func TestSwitchRefusesWhatItCannotSee(t *testing.T) {
	t.Parallel()
	said := both
	said.NodesOff = []string{"pve1"}
	leaseless := both
	leaseless.NoLease = true
	for name, test := range map[string]struct {
		before func(*pvetest.Cluster)
		db     workstation.DualBoot
		entry  string
		to     int
		want   string // the findings; "" for a switch that works
	}{
		"the holder's node is down":                     {func(c *pvetest.Cluster) { c.Down("pve1") }, both, "pve3", 141, "switch.node-away"},
		"the holder's node is down, and the set's node": {func(c *pvetest.Cluster) { c.Down("pve1") }, both, "pve2", 141, "switch.node-away"},
		"a person says so":                              {func(c *pvetest.Cluster) { c.Down("pve1") }, said, "pve3", 141, ""},
		"a person says so of a node that is up":         {func(*pvetest.Cluster) {}, said, "pve3", 141, "switch.node-not-off"},
		"the target's node is down":                     {func(c *pvetest.Cluster) { c.Down("pve2") }, both, "pve3", 141, "switch.target-away"},
		"a node without members is down":                {func(c *pvetest.Cluster) { c.Down("pve3") }, both, "pve1", 141, ""},
		"the holder's node is cut off":                  {func(c *pvetest.Cluster) { c.Partition("pve1") }, both, "pve3", 141, "switch.node-away"},
		"from the node that is cut off":                 {func(c *pvetest.Cluster) { c.Partition("pve1") }, both, "pve1", 141, "switch.no-quorum switch.target-away"},
		"from the node that is cut off, without lease":  {func(c *pvetest.Cluster) { c.Partition("pve1") }, leaseless, "pve1", 141, "switch.no-quorum switch.target-away"},
		"from a node without members that is cut off":   {func(c *pvetest.Cluster) { c.Partition("pve3") }, both, "pve3", 141, "switch.no-quorum switch.node-away switch.target-away"},
		"to the one that runs, other node down":         {func(c *pvetest.Cluster) { c.Down("pve2") }, both, "pve3", 140, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inCluster(t, trio(), func(t *testing.T, c *pvetest.Cluster) {
				test.before(c)
				wasRunning := running(c)
				node := enter(c, test.entry, nil)
				err := node.Switch(t.Context(), test.db, test.to, nil)
				if test.want == "" {
					if got := running(c); err != nil || !slices.Equal(got, []int{test.to}) {
						t.Errorf("running: %v, %v", got, err)
					}
					return
				}
				var blocked *workstation.BlockedError
				if !errors.As(err, &blocked) || blockers(blocked.Findings) != test.want {
					t.Errorf("%v, want %q", err, test.want)
				}
				for _, n := range c.Nodes() {
					if writes := n.Writes(); len(writes) > 0 {
						t.Errorf("it writes: %v", writes)
					}
				}
				if got := running(c); !slices.Equal(got, wasRunning) {
					t.Errorf("running: %v, want %v", got, wasRunning)
				}
				status, err := node.Status(t.Context(), test.db)
				if err != nil || status.Members[test.to-140].CanStart != proxstation.No {
					t.Errorf("%+v, %v", status, err)
				}
			})
		})
	}
}

// blockers returns the IDs of the findings that block.
func blockers(findings []proxstation.Finding) string {
	return ids(slices.DeleteFunc(slices.Clone(findings), func(f proxstation.Finding) bool { return f.Severity != proxstation.Blocker }))
}

// Without quorum, a switch of a set on one node is refused too, because PVE
// would shut the running member down but would not start the target.
func TestNoQuorumForASetOnOneNode(t *testing.T) {
	t.Parallel()
	hosts := trio()
	hosts[0].VMs, hosts[1].VMs = append(hosts[0].VMs, hosts[1].VMs...), nil
	for _, noLease := range []bool{false, true} {
		inCluster(t, hosts, func(t *testing.T, c *pvetest.Cluster) {
			c.Partition("pve1")
			db := both
			db.NoLease = noLease
			err := enter(c, "pve1", nil).Switch(t.Context(), db, 141, nil)
			var blocked *workstation.BlockedError
			if !errors.As(err, &blocked) || blockers(blocked.Findings) != "switch.no-quorum" || !slices.Equal(running(c), []int{140}) {
				t.Errorf("no lease %v: %v, running %v", noLease, err, running(c))
			}
			c.Partition()
			if err := enter(c, "pve1", nil).Switch(t.Context(), db, 141, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// If the login may not read the quorum, the switch learns that the quorum is
// missing when PVE refuses to write the lease. Nothing has changed by then.
func TestNoQuorumThatOnlyTheWriteShows(t *testing.T) {
	t.Parallel()
	hosts := trio()
	hosts[0].VMs, hosts[1].VMs = append(hosts[0].VMs, hosts[1].VMs...), nil
	inCluster(t, hosts, func(t *testing.T, c *pvetest.Cluster) {
		c.Partition("pve1")
		c.Node("pve1").Inject(pvetest.Fault{Path: "/cluster/status", Kind: pvetest.Forbid, Times: -1})
		err := enter(c, "pve1", nil).Switch(t.Context(), both, 141, nil)
		var blocked *workstation.BlockedError
		if !errors.As(err, &blocked) || blockers(blocked.Findings) != "switch.no-quorum" || !slices.Equal(running(c), []int{140}) {
			t.Errorf("%v, running %v", err, running(c))
		}
	})
}

// Two controllers that send their requests to different nodes exclude each
// other. Both write the lease into the same member, and the node of that member
// decides who gets it.
func TestControllersOnDifferentEntryNodes(t *testing.T) {
	t.Parallel()
	for seed := range 12 {
		inCluster(t, trio(), func(t *testing.T, c *pvetest.Cluster) {
			var group sync.WaitGroup
			for i, owner := range []string{"sofa", "desk"} {
				db := both
				db.Owner = owner
				wrap, verdict := oversee(c, owner)
				entry := []string{"pve1", "pve2", "pve3"}[(seed+i)%3]
				group.Go(func() {
					time.Sleep(time.Duration(i*seed*seed) * 100 * time.Millisecond)
					if err := enter(c, entry, wrap).Switch(t.Context(), db, both.Members[(i+seed)%2], nil); err != nil {
						t.Errorf("seed %d: %s: %v", seed, owner, err)
					}
					if err := verdict(); err != nil {
						t.Errorf("seed %d: %v", seed, err)
					}
				})
			}
			group.Wait()
			if got := running(c); len(got) != 1 {
				t.Errorf("seed %d: running: %v", seed, got)
			}
			if err := described(c); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		})
	}
}

// A dead controller has left a lease. Another controller, which talks to
// another node of the cluster, waits until it has seen this lease unchanged for
// the lease's TTL. It then takes the lease over.
func TestTakeOverFromAnotherEntryNode(t *testing.T) {
	t.Parallel()
	inCluster(t, trio(), func(t *testing.T, c *pvetest.Cluster) {
		dead := `made by hand` + "\n" + `<!-- proxstation-lease {"owner":"sofa","id":"1","from":140,"to":141,"phase":"stop","ttl":120000000000} -->`
		if err := c.Node("pve1").Edit(140, "description", dead); err != nil {
			t.Fatal(err)
		}
		node := enter(c, "pve2", nil)
		status, err := node.Status(t.Context(), both)
		if err != nil || status.Lease == nil || status.Lease.Owner != "sofa" || status.LeaseLeft != 2*time.Minute {
			t.Errorf("%+v, %v", status, err)
		}
		began := time.Now()
		if err := node.Switch(t.Context(), both, 141, nil); err != nil || time.Since(began) < 2*time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if err := described(c); err != nil {
			t.Error(err)
		}
	})
}

// A node dies, and the lease of a switch is in a member on that node. The
// switch then writes its lease to another member. If another controller has its
// lease in that other member already, the switch does not overwrite it.
func TestAMovedLeaseOverwritesNoOther(t *testing.T) {
	t.Parallel()
	const other = "made by hand\n" + `<!-- proxstation-lease {"owner":"sofa","id":"2","from":140,"to":141,"phase":"stop","ttl":120000000000} -->`
	for request := 4; request < 40; request += 2 {
		inCluster(t, trio(), func(t *testing.T, c *pvetest.Cluster) {
			left := &atomic.Int64{}
			left.Store(int64(request))
			strike := func() {
				c.Down("pve1")
				if err := c.Node("pve2").Edit(141, "description", other); err != nil {
					t.Error(err)
				}
			}
			err := enter(c, "pve3", func(base http.RoundTripper) http.RoundTripper { return nth{base, left, strike} }).Switch(t.Context(), both, 141, nil)
			if left.Load() >= 0 {
				return // the switch ended before this request
			}
			if state, _ := c.Node("pve2").VM(141); state.Config["description"] != other {
				t.Errorf("request %d: %v; VM 141 has %q", request, err, state.Config["description"])
			}
		})
	}
}
