package workstation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// leaseOf returns a lease as text, as a VM's description holds it.
func leaseOf(owner, id string, from, to int, ttl time.Duration) string {
	text, _ := json.Marshal(workstation.Lease{Owner: owner, ID: id, From: from, To: to, Phase: workstation.PhaseStop, TTL: ttl})
	return "made by hand\n<!-- proxstation-lease " + string(text) + " -->"
}

var acting = regexp.MustCompile(`^POST .*/qemu/\d+/status/(start|shutdown|stop)$|^DELETE .*/tasks/`)

// A guard is a transport for the requests of one controller. It records every
// request that changes something while the node shows that the controller does
// not hold the lease.
type guard struct {
	base  http.RoundTripper
	sim   *pvetest.Node
	owner string

	mu   *sync.Mutex
	seen *[]string
}

func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	request := r.Method + " " + r.URL.Path
	if state, _ := g.sim.VM(140); acting.MatchString(request) && !strings.Contains(state.Config["description"], fmt.Sprintf("\"owner\":%q", g.owner)) {
		g.mu.Lock()
		*g.seen = append(*g.seen, fmt.Sprintf("%s makes %s without the lease: %s", g.owner, request, state.Config["description"]))
		g.mu.Unlock()
	}
	return g.base.RoundTrip(r)
}

// This returns a function that wraps a transport in a guard, and a record of
// the requests that passed through it.
func guarded(sim *pvetest.Node, owner string) (wrap func(http.RoundTripper) http.RoundTripper, problem func() error) {
	var mu sync.Mutex
	var seen []string
	wrap = func(base http.RoundTripper) http.RoundTripper { return guard{base, sim, owner, &mu, &seen} }
	return wrap, func() error {
		mu.Lock()
		defer mu.Unlock()
		if len(seen) > 0 {
			return errors.New(strings.Join(seen, "\n"))
		}
		return nil
	}
}

// A late transport delays one write of a configuration.
type late struct {
	base http.RoundTripper
	skip int
	wait time.Duration
	n    *int
}

func (l late) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/config") {
		if *l.n++; *l.n == l.skip+1 {
			time.Sleep(l.wait)
		}
	}
	return l.base.RoundTrip(r)
}

// A controller reads that there is no lease. Before its delayed write arrives,
// another controller takes the lease and works. The test checks that the
// delayed write does not take the lease away.
func TestALateWriteOfALeaseTakesNothingAway(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{200 * time.Millisecond, time.Second, 3 * time.Second, 10 * time.Second} {
		scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, _ *workstation.Node) {
			time.Sleep(time.Minute)
			a, b := both, both
			a.Owner, b.Owner = "A", "B"
			wrapA, problemA := guarded(sim, "A")
			wrapB, problemB := guarded(sim, "B")
			n, done := 0, make(chan error, 1)
			go func() {
				done <- patient(sim, func(base http.RoundTripper) http.RoundTripper { return late{wrapB(base), 0, wait, &n} }).Switch(t.Context(), b, 140, nil)
			}()
			time.Sleep(10 * time.Millisecond)
			if err := patient(sim, wrapA).Switch(t.Context(), a, 141, nil); err != nil {
				t.Errorf("after %s: A: %v", wait, err)
			}
			if err := errors.Join(<-done, problemA(), problemB()); err != nil {
				t.Errorf("after %s: %v", wait, err)
			}
		})
	}
}

// If somebody writes a member's description between a switch's read and its
// write, the switch does not overwrite it. This holds for each of the switch's
// writes.
func TestASecondWriterOfTheDescription(t *testing.T) {
	t.Parallel()
	for i := range 6 {
		synctest.Test(t, func(t *testing.T) {
			var sim *pvetest.Node
			writes := 0
			sim = pvetest.New(pair(), &pvetest.Options{OnRequest: func(r pvetest.Request) {
				if r.Method != http.MethodPut || r.Path != "/nodes/pve/qemu/140/config" {
					return
				}
				if writes++; writes != i+1 {
					return
				}
				state, _ := sim.VM(140)
				if err := sim.Edit(140, "description", strings.Replace(state.Config["description"], "made by hand", "written meanwhile", 1)); err != nil {
					t.Error(err)
				}
			}})
			time.Sleep(time.Minute)
			if err := patient(sim, nil).Switch(t.Context(), both, 141, nil); err != nil {
				t.Errorf("write %d: %v", i, err)
			}
			if writes <= i {
				return // the switch ended before this write
			}
			if state, _ := sim.VM(140); state.Config["description"] != "written meanwhile" {
				t.Errorf("write %d: the description is %q", i, state.Config["description"])
			}
		})
	}
}

// When a controller releases its own lease or tidies up, the lease of another
// controller stays.
func TestTheLeaseOfAnotherStays(t *testing.T) {
	t.Parallel()
	theirs := leaseOf("other", "theirs", 0, 140, time.Hour)
	for name, test := range map[string]struct {
		to    int
		after func(e workstation.Event) bool // the event after which the other controller takes the lease
	}{
		"at the end of a switch":             {141, func(e workstation.Event) bool { return e.Phase == workstation.PhaseDone }},
		"at a switch to what already runs":   {140, func(e workstation.Event) bool { return e.Phase == workstation.PhaseDone }},
		"when the target is not up any more": {141, func(e workstation.Event) bool { return e.Phase == workstation.PhaseUp }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sim := pvetest.New(pair(), nil)
				time.Sleep(time.Minute)
				_ = patient(sim, nil).Switch(t.Context(), both, test.to, func(e workstation.Event) {
					if test.after(e) {
						if err := sim.Edit(140, "description", theirs); err != nil {
							t.Error(err)
						}
					}
				})
				if state, _ := sim.VM(140); state.Config["description"] != theirs {
					t.Errorf("the description is %q", state.Config["description"])
				}
			})
		})
	}
}

// Another controller takes over the lease while the first controller's target
// fails to start. The test checks that the first controller then changes
// nothing more.
func TestAnOvertakenControllerDoesNotGoBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(pair(), nil)
		time.Sleep(time.Minute)
		sim.Inject(pvetest.Fault{Task: "qmstart", VMID: 141, Kind: pvetest.TaskFails, Message: "no"})
		taken := leaseOf("other", "theirs", 140, 141, time.Hour)
		var failed *workstation.SwitchError
		err := patient(sim, nil).Switch(t.Context(), both, 141, func(e workstation.Event) {
			if e.Phase == workstation.PhaseStart {
				_ = sim.Edit(140, "description", taken)
			}
		})
		if !errors.As(err, &failed) || !errors.Is(err, workstation.ErrLeased) || failed.Running != 0 {
			t.Errorf("%v", err)
		}
		if n := starts(sim); n != 1 {
			t.Errorf("%d starts, want the one of VM 141", n)
		}
		if state, _ := sim.VM(140); state.Config["description"] != taken {
			t.Errorf("the description is %q", state.Config["description"])
		}
	})
}

// A controller died after it had stopped a VM. The next controller takes over
// its lease, and fails to start the target. It then starts the VM that the dead
// controller had stopped, because the lease names this VM. If the lease names a
// VM outside the set, or the target itself, no VM is started instead.
func TestTheHeirOfADeadControllerReturns(t *testing.T) {
	t.Parallel()
	for from, want := range map[int]int{140: 140, 141: 0, 150: 0} {
		host := pair()
		host.VMs[0].Running = false
		host.VMs = append(host.VMs, pvetest.VM{ID: 150, Config: map[string]string{"name": "stranger", "memory": "512"}})
		scenario(t, host, func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
			if err := sim.Edit(140, "description", leaseOf("dead", "x", from, 141, time.Minute)); err != nil {
				t.Fatal(err)
			}
			sim.Inject(pvetest.Fault{Task: "qmstart", VMID: 141, Kind: pvetest.TaskFails, Times: -1, Message: "no"})
			var failed *workstation.SwitchError
			if err := node.Switch(t.Context(), both, 141, nil); !errors.As(err, &failed) || failed.Running != want || failed.Returned != (want != 0) {
				t.Errorf("from %d: %v", from, err)
			}
			if n := starts(sim); want == 0 && n != 1 {
				t.Errorf("from %d: %d starts, want one", from, n)
			}
		})
	}
}

// If the answer to a write of the lease is lost, the controller looks whether
// the lease was written.
func TestALostAnswerOfALeaseWrite(t *testing.T) {
	t.Parallel()
	for skip := range 4 {
		for _, kind := range []pvetest.FaultKind{pvetest.ProxyTimeout, pvetest.DropAfter} {
			scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, _ *workstation.Node) {
				time.Sleep(time.Minute)
				sim.Inject(pvetest.Fault{Method: http.MethodPut, Path: "/nodes/pve/qemu/140/config", Kind: kind, Skip: skip})
				if err := patient(sim, nil).Switch(t.Context(), both, 141, nil); err != nil {
					t.Errorf("write %d, %s: %v", skip, kind, err)
				}
				wantRunning(t, sim, 141)
			})
		}
	}
}

// A controller waits between half a minute and two hours for another
// controller's lease, whatever TTL the lease has. A lease that cannot be read
// counts as the lease of another controller.
func TestALeaseOfNonsense(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		description string
		least, most time.Duration
	}{
		"a TTL of years":     {leaseOf("dead", "x", 0, 141, 100*365*24*time.Hour), 2 * time.Hour, 2*time.Hour + time.Minute},
		"no TTL":             {leaseOf("dead", "x", 0, 141, 0), 30 * time.Second, 2 * time.Minute},
		"a TTL below zero":   {leaseOf("dead", "x", 0, 141, -time.Hour), 30 * time.Second, 2 * time.Minute},
		"it cannot be read":  {"made by hand\n<!-- proxstation-lease {\"ttl\":1e99} -->", 30 * time.Second, 2 * time.Minute},
		"it has no ID":       {"made by hand\n<!-- proxstation-lease {\"owner\":\"x\"} -->", 30 * time.Second, 2 * time.Minute},
		"a minute, as usual": {leaseOf("dead", "x", 0, 141, time.Minute), time.Minute, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := pair()
			host.VMs[0].Running = false
			scenario(t, host, func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
				if err := sim.Edit(140, "description", test.description); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				if err := node.Switch(t.Context(), both, 141, nil); err != nil {
					t.Fatal(err)
				}
				if waited := time.Since(began); waited < test.least || waited > test.most {
					t.Errorf("it waited %s, want %s to %s", waited, test.least, test.most)
				}
			})
		})
	}
}

// A status shows a lease with its owner and the time left. A person who knows
// that the owner is dead can take the lease over without waiting.
func TestALeaseIsTakenOverOnPurpose(t *testing.T) {
	t.Parallel()
	host := pair()
	host.VMs[0].Running = false
	scenario(t, host, func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		if err := sim.Edit(140, "description", leaseOf("so\x1b[2Jfa", "x", 140, 141, 10*time.Minute)); err != nil {
			t.Fatal(err)
		}
		for _, left := range []time.Duration{10 * time.Minute, 6 * time.Minute, 2 * time.Minute} {
			status, err := node.Status(t.Context(), both)
			if err != nil || status.Lease == nil || status.LeaseLeft.Round(time.Minute) != left || strings.Contains(status.Lease.String(), "\x1b") {
				t.Fatalf("%+v, %v, want %s left", status, err, left)
			}
			time.Sleep(4 * time.Minute)
		}
		if err := sim.Edit(140, "description", leaseOf("sofa", "renewed", 140, 141, 10*time.Minute)); err != nil {
			t.Fatal(err)
		}
		db := both
		db.TakeOver = "x"
		if err := node.Switch(t.Context(), db, 141, nil); !errors.Is(err, workstation.ErrLeased) || !strings.Contains(err.Error(), "its owner is alive") {
			t.Errorf("a lease that was renewed: %v", err)
		}
		db.TakeOver = "renewed"
		began := time.Now()
		if err := node.Switch(t.Context(), db, 141, nil); err != nil || time.Since(began) > time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// A caller may ask for a switch to the VM that already runs, and take over a
// lease with it. The switch then removes this lease.
func TestALeaseIsTakenOverForWhatRuns(t *testing.T) {
	t.Parallel()
	scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		time.Sleep(time.Minute)
		if err := sim.Edit(140, "description", leaseOf("dead", "x", 140, 141, time.Hour)); err != nil {
			t.Fatal(err)
		}
		db := both
		db.TakeOver = "x"
		if err := node.Switch(t.Context(), db, 140, nil); err != nil {
			t.Fatal(err)
		}
		wantRunning(t, sim, 140)
	})
}

// A controller that waits for a lease reports the lease's owner and the longest
// time that it will wait.
func TestWaitingForALeaseIsTold(t *testing.T) {
	t.Parallel()
	scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		time.Sleep(time.Minute)
		if err := sim.Edit(140, "description", leaseOf("sofa", "x", 0, 141, 10*time.Minute)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		var told []string
		err := node.Switch(ctx, both, 141, func(e workstation.Event) {
			if told = append(told, e.Message); e.Limit < 9*time.Minute || e.Limit > 10*time.Minute {
				t.Errorf("%q has the limit %s", e.Message, e.Limit)
			}
		})
		if len(told) < 3 || len(told) > 5 || told[0] != "waiting for another controller, at most 10m0s if it does not renew its lease: sofa is switching to VM 141 (phase stop)" || !strings.Contains(told[2], "9m") {
			t.Errorf("told %q", told)
		}
		if !errors.Is(err, workstation.ErrLeased) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "sofa") || !strings.Contains(err.Error(), "9m") {
			t.Errorf("%v", err)
		}
		if err := sim.Edit(140, "description", "made by hand"); err != nil {
			t.Fatal(err)
		}
		// If the lease belongs to a switch of the same program, the event about
		// the wait says so.
		release := make(chan struct{})
		db := both
		db.Up = func(context.Context, int) error { <-release; return nil }
		done := make(chan error, 1)
		go func() { done <- node.Switch(t.Context(), db, 141, nil) }()
		time.Sleep(time.Minute)
		told = nil
		go func() {
			done <- node.Switch(t.Context(), both, 140, func(e workstation.Event) { told = append(told, e.Message) })
		}()
		time.Sleep(time.Second)
		close(release)
		if err := errors.Join(<-done, <-done); err != nil {
			t.Error(err)
		}
		if told[0] != "waiting for this program's switch to VM 141" {
			t.Errorf("told %q", told)
		}
	})
}

// A switch is refused if its phases could take longer than a lease can last.
func TestASwitchThatIsTooLongForALease(t *testing.T) {
	t.Parallel()
	node := open(pvetest.New(pair(), nil))
	for _, db := range []workstation.DualBoot{{Grace: time.Hour}, {Boot: 2 * time.Hour}, {Grace: 1 << 62}} {
		db.Members = both.Members
		if err := node.Switch(t.Context(), db, 141, nil); !errors.Is(err, workstation.ErrInvalid) {
			t.Errorf("%+v: %v", db, err)
		}
	}
}

// A member that does not exist does not keep the other members from switching.
// The switch holds its lease in VM 140, the first member that exists.
func TestASwitchWithAMemberThatDoesNotExist(t *testing.T) {
	t.Parallel()
	for _, missing := range []int{139, 142} {
		scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, _ *workstation.Node) {
			time.Sleep(time.Minute)
			wrap, problem := guarded(sim, "test")
			node := patient(sim, wrap)
			set := workstation.DualBoot{Members: []int{missing, 140, 141}, Owner: "test"}
			for _, to := range []int{141, 141, 140} { // the second switch finds its target running
				if err := node.Switch(t.Context(), set, to, nil); err != nil {
					t.Errorf("without VM %d: %v", missing, err)
				}
				wantRunning(t, sim, to)
			}
			if err := problem(); err != nil {
				t.Error(err)
			}
			if err := node.Switch(t.Context(), set, missing, nil); !errors.Is(err, workstation.ErrBlocked) {
				t.Errorf("a switch to the VM that does not exist: %v", err)
			}
			wantRunning(t, sim, 140)
		})
	}
	none := pair()
	none.VMs = nil
	scenario(t, none, func(t *testing.T, _ *pvetest.Node, node *workstation.Node) {
		if err := node.Switch(t.Context(), both, 141, nil); !errors.Is(err, workstation.ErrNotFound) {
			t.Errorf("no member exists: %v", err)
		}
	})
}
