package workstation_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation/internal/slow"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// These tests use a cluster of three nodes. They disturb a switch from VM 140,
// which is on pve1, to VM 141, which is on pve2. Each request and each task of
// the switch fails in turn. In other tests a node loses its power or its
// network at each request. Each test then compares the error with the state of
// all nodes. A plain retry must succeed.

// A clusterCase is a switch that the tests disturb.
type clusterCase struct {
	name  string
	entry string
	db    workstation.DualBoot
	hosts func() []pvetest.Host
}

func clusterCases() []clusterCase {
	var cases []clusterCase
	for _, entry := range []string{"pve1", "pve2", "pve3"} {
		cases = append(cases, clusterCase{"switch by " + entry, entry, both, trio})
	}
	return append(cases, clusterCase{"switch that may go back, by pve3", "pve3", returning, trio},
		clusterCase{"switch under high availability, by pve3", "pve3", forced, available(both.Members...)})
}

// A trial is one run of a case.
type trial struct {
	*pvetest.Cluster
	up, late atomic.Bool // up: the target is up; late: the disturbance came when the target was up already
	// cut is true if the fault can leave requests between the client and the
	// nodes without an answer. The error may then say that nobody knows which
	// VM runs.
	cut bool
}

// A disturbance prepares a fault. It may wrap the client's transport.
type disturbance func(c *trial) (wrap func(http.RoundTripper) http.RoundTripper)

// An nth transport counts the requests. It calls a function just before it
// sends one of them.
type nth struct {
	base http.RoundTripper
	n    *atomic.Int64
	do   func()
}

func (n nth) RoundTrip(r *http.Request) (*http.Response, error) {
	if n.n.Add(-1) == -1 {
		n.do()
	}
	return n.base.RoundTrip(r)
}

// This returns a disturbance that calls the function "do" just before the
// request with the given number is sent.
func before(request int, do func(c *trial)) disturbance {
	return func(c *trial) func(http.RoundTripper) http.RoundTripper {
		left := &atomic.Int64{}
		left.Store(int64(request))
		c.cut = true
		strike := func() {
			c.late.Store(c.up.Load())
			do(c)
		}
		return func(base http.RoundTripper) http.RoundTripper { return nth{base, left, strike} }
	}
}

// rehearse returns the number of requests that the switch makes.
func (cc clusterCase) rehearse(t *testing.T) (requests int) {
	t.Helper()
	inCluster(t, cc.hosts(), func(t *testing.T, c *pvetest.Cluster) {
		if err := enter(c, cc.entry, nil).Switch(t.Context(), cc.db, 141, nil); err != nil {
			t.Fatal(err)
		}
		requests = len(c.Node(cc.entry).Trace())
	})
	return requests
}

func (cc clusterCase) try(t *testing.T, name string, disturb disturbance) {
	t.Helper()
	share := uint32(8)
	if testing.Short() {
		share = 32
	}
	if !slow.Drawn(cc.name+name, share) {
		left.Add(1)
		return
	}
	cases.Add(1)
	var problem error
	synctest.Test(t, func(t *testing.T) { problem = cc.suffer(t, disturb) })
	if problem != nil {
		t.Errorf("%s, %s: %v", cc.name, name, problem)
	}
}

// suffer performs the switch under a disturbance. It returns an error for each
// wrong effect.
func (cc clusterCase) suffer(t *testing.T, disturb disturbance) error {
	c := &trial{Cluster: pvetest.NewCluster(cc.hosts(), nil)}
	time.Sleep(time.Minute)
	wrap, verdict := oversee(c.Cluster, cc.db.Owner)
	inner := disturb(c)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
	defer cancel()
	began := time.Now()
	err := enter(c.Cluster, cc.entry, func(base http.RoundTripper) http.RoundTripper {
		base = wrap(base)
		if inner != nil {
			base = inner(base)
		}
		return base
	}).Switch(ctx, cc.db, 141, func(e workstation.Event) { c.up.Store(e.Phase == workstation.PhaseDone) })
	problem := errors.Join(c.Check(), c.told(err, began), verdict())
	for _, name := range []string{"pve1", "pve2", "pve3"} {
		c.Node(name).ClearFaults()
		c.Up(name)
	}
	c.Partition()
	return errors.Join(problem, cc.converge(t.Context(), c.Cluster))
}

// converge repeats the switch, with a client that talks to pve3, until the
// switch succeeds. It ends tasks that hang, as a person would.
func (cc clusterCase) converge(ctx context.Context, c *pvetest.Cluster) (err error) {
	for range 4 {
		ctx, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		if err = enter(c, "pve3", nil).Switch(ctx, cc.db, 141, nil); err == nil {
			if got := running(c); !slices.Equal(got, []int{141}) {
				return fmt.Errorf("running: %v after a retry", got)
			}
			return errors.Join(described(c), c.Check())
		}
		for _, n := range c.Nodes() {
			n.EndTasks()
		}
		if strings.Contains(err.Error(), "switch.ha-error") { // these are the commands that the finding's Fix names
			for _, state := range []string{"disabled", "stopped"} {
				if _, err := person(ctx, c, http.MethodPut, "/cluster/ha/resources/vm:140", "state="+state); err != nil {
					return err
				}
				time.Sleep(time.Minute)
			}
		}
		time.Sleep(time.Minute)
	}
	return fmt.Errorf("a plain retry does not get there: %w", err)
}

// This checks that the error which the switch returned describes what happened.
func (c *trial) told(err error, began time.Time) error {
	now := running(c.Cluster)
	var blocked *workstation.BlockedError
	switch {
	case err == nil && (slices.Equal(now, []int{141}) || c.late.Load() && len(now) == 0):
		return nil
	case err == nil:
		return fmt.Errorf("told success, but running: %v", now)
	case errors.As(err, &blocked):
		for _, n := range c.Nodes() {
			if len(changes(n)) > 0 {
				return fmt.Errorf("told %w, but it wrote %v", err, changes(n))
			}
		}
		return nil
	case !slices.ContainsFunc(c.Nodes(), func(n *pvetest.Node) bool { return truthful(n, err) == nil }):
		return truthful(c.Nodes()[0], err)
	}
	var failed *workstation.SwitchError
	switch {
	case !errors.As(err, &failed):
		return nil
	case failed.Running < 0 && !c.cut:
		return fmt.Errorf("told %w, but all nodes answer: running %v", err, now)
	case failed.Running == 0 && len(now) > 0, failed.Running > 0 && !slices.Contains(now, failed.Running):
		return fmt.Errorf("told %w, but running: %v", err, now)
	case failed.Running > 0 && failed.Running != failed.To:
		state, _ := c.Node(c.Where(failed.Running)).VM(failed.Running)
		if again := state.Since.After(began); failed.Returned != again && failed.Return == nil {
			return fmt.Errorf("told %w, but VM %d was started again: %v", err, failed.Running, again)
		}
	}
	return nil
}

func TestClusterFaultsInEveryRequest(t *testing.T) {
	t.Parallel()
	count(t)
	for _, cc := range clusterCases() {
		t.Run(cc.name, func(t *testing.T) {
			t.Parallel()
			for i := range cc.rehearse(t) {
				for _, kind := range requestFaults {
					cc.try(t, fmt.Sprintf("request %d %s", i, kind), func(c *trial) func(http.RoundTripper) http.RoundTripper {
						c.Node(cc.entry).Inject(pvetest.Fault{Kind: kind, Skip: i})
						return nil
					})
				}
			}
		})
	}
}

// A request to another node may fail between the nodes. The entry node then
// answers the client with status 595 or 596. The test also cuts a node's power
// before and after the node carries out a request.
func TestClusterFaultsBetweenNodes(t *testing.T) {
	t.Parallel()
	count(t)
	for _, cc := range clusterCases() {
		t.Run(cc.name, func(t *testing.T) {
			t.Parallel()
			for _, name := range []string{"pve1", "pve2"} {
				for i := range 40 {
					for _, kind := range append(slices.Clone(requestFaults), pvetest.PowerBefore, pvetest.PowerAfter) {
						cc.try(t, fmt.Sprintf("request %d to %s %s", i, name, kind), func(c *trial) func(http.RoundTripper) http.RoundTripper {
							c.cut = kind == pvetest.PowerBefore || kind == pvetest.PowerAfter
							c.Node(name).Inject(pvetest.Fault{Path: "/nodes/" + name + "/.*", Kind: kind, Skip: i})
							return nil
						})
					}
				}
			}
		})
	}
}

func TestClusterFaultsInEveryTask(t *testing.T) {
	t.Parallel()
	count(t)
	for _, cc := range clusterCases() {
		t.Run(cc.name, func(t *testing.T) {
			t.Parallel()
			for name, tasks := range map[string][]string{"pve1": {"qmshutdown", "qmstart"}, "pve2": {"qmstart", "qmshutdown"}} {
				for _, task := range tasks {
					for _, kind := range append(slices.Clone(taskFaults), pvetest.PowerBefore, pvetest.PowerAfter) {
						for skip := range 2 {
							cc.try(t, fmt.Sprintf("task %s #%d on %s %s", task, skip, name, kind), func(c *trial) func(http.RoundTripper) http.RoundTripper {
								c.cut = kind == pvetest.PowerBefore || kind == pvetest.PowerAfter
								c.Node(name).Inject(pvetest.Fault{Task: task, Kind: kind, Skip: skip})
								return nil
							})
						}
					}
				}
			}
		})
	}
}

// At each request of a switch, the test lets a node die: for good, or until it
// has booted again.
func TestClusterNodeDiesAtEveryRequest(t *testing.T) {
	t.Parallel()
	count(t)
	for _, cc := range clusterCases() {
		t.Run(cc.name, func(t *testing.T) {
			t.Parallel()
			requests := cc.rehearse(t)
			for _, name := range []string{"pve1", "pve2", "pve3"} {
				for i := range requests {
					cc.try(t, fmt.Sprintf("%s dies at request %d", name, i), before(i, func(c *trial) { c.Down(name) }))
					cc.try(t, fmt.Sprintf("%s dies at request %d and boots", name, i), before(i, func(c *trial) {
						c.Down(name)
						time.AfterFunc(90*time.Second, func() { c.Up(name) })
					}))
				}
			}
		})
	}
}

// At each request of a switch, the test cuts a node off from the two others:
// for good or for a while. The VMs of that node go on running.
func TestClusterPartitionAtEveryRequest(t *testing.T) {
	t.Parallel()
	count(t)
	for _, cc := range clusterCases() {
		t.Run(cc.name, func(t *testing.T) {
			t.Parallel()
			requests := cc.rehearse(t)
			for _, name := range []string{"pve1", "pve2", "pve3"} {
				for i := range requests {
					cc.try(t, fmt.Sprintf("%s is cut off at request %d", name, i), before(i, func(c *trial) { c.Partition(name) }))
					cc.try(t, fmt.Sprintf("%s is cut off at request %d for a while", name, i), before(i, func(c *trial) {
						c.Partition(name)
						time.AfterFunc(45*time.Second, func() { c.Partition() })
					}))
				}
			}
		})
	}
}

// At each request of a switch, the test lets the controller die. Another
// controller, whose client talks to pve3, must then complete the switch.
func TestClusterControllerDiesAtEveryRequest(t *testing.T) {
	t.Parallel()
	count(t)
	for _, cc := range clusterCases() {
		t.Run(cc.name, func(t *testing.T) {
			t.Parallel()
			for i := range cc.rehearse(t) {
				cc.try(t, fmt.Sprintf("dead after %d requests", i), func(c *trial) func(http.RoundTripper) http.RoundTripper {
					c.cut = true
					left := &atomic.Int64{}
					left.Store(int64(i))
					return func(base http.RoundTripper) http.RoundTripper { return dying{base, left} }
				})
			}
		})
	}
}
