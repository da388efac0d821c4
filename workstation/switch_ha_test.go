package workstation_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// This returns a function that makes the nodes of trio(), with the named
// members under high availability. The members have no local disks, so the HA
// manager can start them on every node.
func available(ids ...int) func() []pvetest.Host {
	return func() []pvetest.Host {
		hosts := trio()
		for i, id := range both.Members {
			if slices.Contains(ids, id) {
				hosts[i].HA = []int{id}
				delete(hosts[i].VMs[0].Config, "scsi0")
			}
		}
		return hosts
	}
}

// forced is the same set as "both", but with Force: a switch may pull plugs.
var forced = workstation.DualBoot{Members: both.Members, Owner: both.Owner, Force: true}

// A switch stops and starts members under high availability through their HA
// state, and the HA manager undoes nothing afterwards.
func TestSwitchUnderHA(t *testing.T) {
	t.Parallel()
	for name, managed := range map[string][]int{"both": both.Members, "the holder": {140}, "the target": {141}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inCluster(t, available(managed...)(), func(t *testing.T, c *pvetest.Cluster) {
				wrap, verdict := oversee(c, both.Owner)
				node := enter(c, "pve3", wrap)
				for _, to := range []int{141, 140} {
					if err := node.Switch(t.Context(), forced, to, nil); err != nil {
						t.Fatal(err)
					}
					for range 5 {
						if got := running(c); !slices.Equal(got, []int{to}) {
							t.Errorf("running: %v, want %d", got, to)
						}
						time.Sleep(time.Minute)
					}
				}
				for _, n := range c.Nodes() {
					for _, r := range n.Writes() {
						if strings.HasPrefix(r.Path, "/cluster/ha") {
							t.Errorf("%s needs Sys.Console", r)
						}
					}
				}
				if err := errors.Join(verdict(), described(c)); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// If the HA manager cannot start the target, the switch withdraws its request
// to start it before it goes back. So the two members never run at once. If the
// login can see that the start failed, the switch withdraws the request before
// the manager moves the target to another node.
func TestSwitchUnderHAGoesBack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		times int    // how many starts fail
		blind bool   // the login sees no tasks
		was   string // the HA state that the target was asked to have
	}{
		"one start fails":                 {1, false, "stopped"},
		"every start fails":               {-1, false, "stopped"},
		"the target was disabled":         {-1, false, "disabled"},
		"nobody sees that a start failed": {-1, true, "stopped"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inCluster(t, available(both.Members...)(), func(t *testing.T, c *pvetest.Cluster) {
				ask(t, c, http.MethodPut, "/cluster/ha/resources/vm:141", "state="+test.was)
				time.Sleep(time.Minute)
				wrap, verdict := oversee(c, both.Owner)
				for _, n := range c.Nodes() {
					n.Inject(pvetest.Fault{Task: "qmstart", Kind: pvetest.TaskFails, Times: test.times, VMID: 141})
					if test.blind {
						n.Inject(pvetest.Fault{Method: "GET", Path: "/nodes/[^/]+/tasks", Kind: pvetest.Forbid, Times: -1})
					}
				}
				err := enter(c, "pve3", wrap).Switch(t.Context(), forced, 141, nil)
				var failed *workstation.SwitchError
				if !errors.As(err, &failed) || !failed.Returned || failed.Running != 140 {
					t.Errorf("%v", err)
				}
				var task *workstation.TaskError
				if !test.blind && (!errors.As(err, &task) || task.Type != "qmstart" || c.Where(141) != "pve2") {
					t.Errorf("VM 141 is on %s after %v", c.Where(141), err)
				}
				for range 5 {
					if got := running(c); !slices.Equal(got, []int{140}) {
						t.Errorf("running: %v, want VM 140", got)
					}
					time.Sleep(time.Minute)
				}
				if got := ask(t, c, http.MethodGet, "/cluster/ha/resources/vm:141", ""); !strings.Contains(got, `"state":"`+test.was+`"`) {
					t.Errorf("the HA state of VM 141 is asked to be %s, want %s", got, test.was)
				}
				if err := errors.Join(verdict(), described(c)); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// The HA manager pulls the plug of a guest that does not shut down, so a
// running member under high availability needs Force. While the manager is in a
// state that takes no request, no switch begins.
func TestPreflightUnderHA(t *testing.T) {
	t.Parallel()
	original := observe(t, pvetest.New(pair(), nil))
	with := func(id int, state string, running bool) workstation.Facts {
		facts := original
		facts.HA, facts.VMs = []int{id}, map[int]workstation.VMFacts{140: original.VMs[140], 141: original.VMs[141]}
		v := facts.VMs[id]
		v.HAState, v.Running = state, running
		facts.VMs[id] = v
		return facts
	}
	for name, test := range map[string]struct {
		facts workstation.Facts
		db    workstation.DualBoot
		want  string
	}{
		"the target":                        {with(141, "stopped", false), both, ""},
		"the target is wanted already":      {with(141, "started", false), both, ""},
		"the target is in error":            {with(141, "error", false), both, "switch.ha-error"},
		"the target's node is fenced":       {with(141, "fence", false), both, "switch.ha-busy"},
		"the target is recovered":           {with(141, "recovery", false), both, "switch.ha-busy"},
		"the target migrates":               {with(141, "migrate", false), both, "switch.ha-busy"},
		"the target is relocated":           {with(141, "relocate", false), both, "switch.ha-busy"},
		"the target's node restarts":        {with(141, "freeze", false), both, "switch.ha-busy"},
		"the holder":                        {with(140, "started", true), both, "switch.holder-ha"},
		"the holder, with Force":            {with(140, "started", true), forced, ""},
		"the holder is off, and stays off":  {with(140, "stopped", false), both, ""},
		"the holder is off, and wanted":     {with(140, "started", false), both, "switch.holder-ha"},
		"the holder is off, in error":       {with(140, "error", false), both, ""},
		"the holder runs, in error":         {with(140, "error", true), forced, "switch.ha-error"},
		"the holder is stopped now":         {with(140, "request_stop", true), forced, ""},
		"the holder's node is fenced":       {with(140, "fence", false), forced, "switch.ha-busy"},
		"the manager does not know it yet":  {with(140, "", true), forced, ""},
		"the target, unknown to it as yet":  {with(141, "", false), both, ""},
		"a state of a later version of PVE": {with(141, "hibernate", false), both, ""},
	} {
		if got := blockers(workstation.Preflight(test.db, 141, test.facts)); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// If the node of the running member dies, the HA manager fences it. Until then
// a switch is refused with a reason. Afterwards a plain retry succeeds.
func TestSwitchAfterFencing(t *testing.T) {
	t.Parallel()
	inCluster(t, available(140)(), func(t *testing.T, c *pvetest.Cluster) {
		c.Down("pve1")
		node := enter(c, "pve2", nil)
		err := node.Switch(t.Context(), forced, 141, nil)
		var blocked *workstation.BlockedError
		if !errors.As(err, &blocked) || !strings.Contains(err.Error(), "fences node pve1") {
			t.Errorf("%v", err)
		}
		for range 10 {
			time.Sleep(time.Minute)
			if err = node.Switch(t.Context(), forced, 141, nil); err == nil {
				break
			}
			if !errors.As(err, &blocked) {
				t.Errorf("%v", err)
			}
		}
		if got := running(c); err != nil || !slices.Equal(got, []int{141}) || c.Where(140) == "pve1" {
			t.Errorf("running: %v, VM 140 on %s, %v", got, c.Where(140), err)
		}
	})
}

// Start and Shutdown of a VM under high availability wait for the HA manager.
func TestPowerUnderHA(t *testing.T) {
	t.Parallel()
	inCluster(t, available(both.Members...)(), func(t *testing.T, c *pvetest.Cluster) {
		if err := enter(c, "pve1", nil).Shutdown(t.Context(), 140, 0); err != nil || len(running(c)) != 0 {
			t.Errorf("%v, running %v", err, running(c))
		}
		if err := enter(c, "pve2", nil).Start(t.Context(), 141); err != nil || !slices.Equal(running(c), []int{141}) {
			t.Errorf("%v, running %v", err, running(c))
		}
	})
}

// For a switch under high availability, a login needs VM.PowerMgmt,
// VM.Config.Options and the privileges of Status. It needs neither Sys.Console
// nor Sys.Modify.
func TestPrivilegesUnderHA(t *testing.T) {
	t.Parallel()
	hosts := available(both.Members...)()
	for i := range hosts {
		hosts[i].Users = append(hosts[i].Users, pvetest.User{ID: "couch@pve", Privileges: map[string][]string{
			"/": {"Sys.Audit", "Datastore.Audit", "VM.Audit", "Mapping.Audit"}, "/vms": {"VM.Audit", "VM.PowerMgmt", "VM.Config.Options", "VM.GuestAgent.Audit"}},
			Tokens: []pvetest.Token{{ID: "t", Secret: "s"}}})
	}
	inCluster(t, hosts, func(t *testing.T, c *pvetest.Cluster) {
		node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: "https://pve3:8006", Token: "couch@pve!t=s", Transport: c.Transport()}, "pve3", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range []int{141, 140} {
			if err := node.Switch(t.Context(), forced, to, nil); err != nil {
				t.Error(err)
			}
		}
		status, err := node.Status(t.Context(), forced)
		if err != nil || status.Members[1].CanStart != proxstation.Yes {
			t.Errorf("%+v, %v", status, err)
		}
	})
}

// If PVE moves a member between two requests, the next request finds the
// member. The lease moves together with the configuration of the VM.
func TestAMemberThatPVEMoved(t *testing.T) {
	t.Parallel()
	hosts := trio()
	for i := range hosts[1].VMs {
		delete(hosts[1].VMs[i].Config, "scsi0")
		hosts[1].VMs[i].Config["boot"] = "order=net0"
	}
	inCluster(t, hosts, func(t *testing.T, c *pvetest.Cluster) {
		node := enter(c, "pve1", nil)
		if err := node.Switch(t.Context(), both, 140, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := node.Status(t.Context(), both); err != nil {
			t.Fatal(err)
		}
		ask(t, c, http.MethodPost, "/nodes/pve2/qemu/141/migrate", "target=pve3")
		time.Sleep(time.Minute)
		if err := node.Switch(t.Context(), both, 141, nil); err != nil || c.Where(141) != "pve3" || !slices.Equal(running(c), []int{141}) {
			t.Errorf("VM 141 on %s, running %v, %v", c.Where(141), running(c), err)
		}
		if err := described(c); err != nil {
			t.Error(err)
		}
	})
}

// ask makes a request through the web interface of pve1, as a person would, and
// returns the answer.
func ask(t *testing.T, c *pvetest.Cluster, method, path, form string) string {
	t.Helper()
	text, err := person(t.Context(), c, method, path, form)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func person(ctx context.Context, c *pvetest.Cluster, method, path, form string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, method, "https://pve1:8006/api2/json"+path, strings.NewReader(form))
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", fmt.Sprintf("PVEAPIToken=%s=%s", tokenID, tokenSecret))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := (&http.Client{Transport: c.Transport()}).Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if answer.StatusCode != http.StatusOK {
		err = errors.Join(err, fmt.Errorf("%s: %s", path, answer.Status))
	}
	return string(text), err
}

// A relocating transport shows VM 141 as off and being migrated, for some
// seconds after the request to start it.
type relocating struct {
	base http.RoundTripper
	asks *atomic.Pointer[time.Time]
}

func (l relocating) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := l.base.RoundTrip(r)
	if strings.HasSuffix(r.URL.Path, "/141/status/start") {
		now := time.Now()
		l.asks.CompareAndSwap(nil, &now)
	}
	at := l.asks.Load()
	if err != nil || at == nil || time.Since(*at) > 5*time.Second || !strings.HasSuffix(r.URL.Path, "/141/status/current") {
		return response, err
	}
	body := `{"data":{"vmid":141,"name":"linux","status":"stopped","qmpstatus":"stopped","ha":{"managed":1,"state":"migrate"}}}`
	response.Body, response.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	return response, nil
}

// While a node is in maintenance mode, the HA manager moves the target to
// another node instead of starting it. The switch then goes back immediately.
func TestTheHAManagerTakesTheTargetAway(t *testing.T) {
	t.Parallel()
	inCluster(t, available(both.Members...)(), func(t *testing.T, c *pvetest.Cluster) {
		began := time.Now()
		wrap := func(base http.RoundTripper) http.RoundTripper {
			return relocating{base, &atomic.Pointer[time.Time]{}}
		}
		err := enter(c, "pve3", wrap).Switch(t.Context(), forced, 141, nil)
		var failed *workstation.SwitchError
		if !errors.As(err, &failed) || !failed.Returned || failed.Running != 140 || !strings.Contains(err.Error(), "state migrate") {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		if got := running(c); !slices.Equal(got, []int{140}) {
			t.Errorf("running: %v", got)
		}
		if err := described(c); err != nil {
			t.Error(err)
		}
	})
}
