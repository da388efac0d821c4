package workstation_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// This returns a plan that gives VM 140 a tag.
func tagged(t *testing.T, node *workstation.Node) workstation.Plan {
	t.Helper()
	facts, err := node.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return workstation.Plan{Node: "pve", Steps: []workstation.Step{workstation.ChangeVM{VMID: 140, Digest: facts.VMs[140].Digest, Set: map[string]string{"tags": "ours"}}}}
}

// A plan that was made for another node is refused and changes nothing.
func TestAPlanOfAnotherNodeIsNotApplied(t *testing.T) {
	t.Parallel()
	sim := pvetest.New(pair(), nil)
	node := open(sim)
	plan := tagged(t, node)
	plan.Node = "pve2"
	if err := node.Apply(t.Context(), plan, nil); !errors.Is(err, workstation.ErrInvalid) || len(sim.Writes()) > 0 {
		t.Errorf("%v, %v", err, sim.Writes())
	}
}

// A step waits for other people's tasks and locks, and an event says so.
func TestApplyWaitsForOthers(t *testing.T) {
	t.Parallel()
	for what, begin := range map[string]func(t *testing.T, sim *pvetest.Node){
		"waiting: task qmshutdown is running": func(t *testing.T, sim *pvetest.Node) {
			t.Helper()
			sim.SetGuest(140, pvetest.Guest{Shutdown: 30 * time.Second})
			go func() { _ = open(sim).Shutdown(t.Context(), 140, time.Minute) }()
			time.Sleep(time.Second)
		},
		"waiting: locked (backup)": func(t *testing.T, sim *pvetest.Node) {
			t.Helper()
			if err := sim.Lock(140, "backup"); err != nil {
				t.Fatal(err)
			}
			go func() {
				time.Sleep(30 * time.Second)
				_ = sim.Lock(140, "")
			}()
		},
	} {
		scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
			time.Sleep(time.Minute)
			plan := tagged(t, node)
			begin(t, sim)
			var told []string
			began := time.Now()
			err := node.Apply(t.Context(), plan, &workstation.ApplyOptions{Progress: func(e workstation.Event) { told = append(told, e.Message) }})
			if err != nil && !errors.Is(err, workstation.ErrStale) || time.Since(began) < 28*time.Second || !slices.Contains(told, what) {
				t.Errorf("%s: %v after %s, told %q", what, err, time.Since(began), told)
			}
		})
	}
}

// A VM whose QEMU runs paused, only for a backup, does not count as started.
func TestAPausedVMHasNotStarted(t *testing.T) {
	t.Parallel()
	host := pair()
	host.VMs[0].Running = false
	delete(host.VMs[1].Config, "agent")
	scenario(t, host, func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		if err := sim.BeginBackup(141); err != nil {
			t.Fatal(err)
		}
		sim.Inject(pvetest.Fault{Task: "qmstart", VMID: 141, Kind: pvetest.TaskFails, Message: "no"})
		var failed *workstation.SwitchError
		if err := node.Switch(t.Context(), workstation.DualBoot{Members: both.Members, NoLease: true}, 141, nil); !errors.As(err, &failed) || failed.Phase != workstation.PhaseStart {
			t.Errorf("%v", err)
		}
	})
}

// The answer to a start is lost, and the task of the start hangs. Meanwhile
// another controller takes over the lease. The test checks that the first
// controller does not end the task then.
func TestAnOvertakenControllerEndsNoTask(t *testing.T) {
	t.Parallel()
	for _, overtaken := range []bool{false, true} {
		scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, _ *workstation.Node) {
			time.Sleep(time.Minute)
			sim.Inject(pvetest.Fault{Method: http.MethodPost, Path: "/nodes/pve/qemu/141/status/start", Kind: pvetest.ProxyTimeout})
			sim.Inject(pvetest.Fault{Task: "qmstart", VMID: 141, Kind: pvetest.TaskHangs})
			watch, leaseless := guarded(sim, both.Owner)
			err := patient(sim, watch).Switch(t.Context(), both, 141, func(e workstation.Event) {
				if e.Phase == workstation.PhaseStart && overtaken {
					time.AfterFunc(10*time.Second, func() { _ = sim.Edit(140, "description", leaseOf("other", "theirs", 140, 141, time.Hour)) })
				}
			})
			if err == nil || leaseless() != nil {
				t.Errorf("overtaken %v: %v, %v", overtaken, err, leaseless())
			}
			ended := slices.ContainsFunc(sim.Trace(), func(r pvetest.Request) bool { return r.Method == http.MethodDelete })
			if ended == overtaken {
				t.Errorf("overtaken %v: the task was ended: %v", overtaken, ended)
			}
			_ = sim.Edit(140, "description", "made by hand")
		})
	}
}

// A switch does not end a task that somebody else began and that hangs on a
// member.
func TestTasksOfOthersAreNotEnded(t *testing.T) {
	t.Parallel()
	scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		time.Sleep(time.Minute)
		sim.Inject(pvetest.Fault{Task: "qmconfig", VMID: 140, Kind: pvetest.TaskHangs})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _ = open(sim).Apply(ctx, tagged(t, open(sim)), nil) }()
		time.Sleep(5 * time.Second)
		cancel()
		db := both
		db.NoLease = true // the member that would hold the lease is locked
		if err := node.Switch(t.Context(), db, 141, nil); err == nil {
			t.Error("a VM with a task that hangs is shut down")
		}
		for _, task := range sim.Tasks() {
			if task.Type == "qmconfig" && task.Exit != "" {
				t.Errorf("it was ended: %s", task)
			}
		}
		for _, r := range sim.Trace() {
			if r.Method == http.MethodDelete && strings.Contains(r.Path, "qmconfig") {
				t.Errorf("it was ended: %s", r)
			}
		}
		wantRunning(t, sim, 140)
	})
}
