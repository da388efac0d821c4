package workstation_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/slow"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// In the fault campaign every request and every task of an operation fails in
// turn, in every way that the embedded node can simulate. The campaign then
// checks three things: no forbidden state has occurred on the node, the error
// that the caller got is true, and a plain retry succeeds.

// An operation is a call that the campaign disturbs.
type operation struct {
	name string
	host func() pvetest.Host
	do   func(ctx context.Context, node *workstation.Node) error
	// goal returns nil if the node is in the state that the operation should
	// reach.
	goal func(sim *pvetest.Node) error
	// If leased is true, the operation must not act without the lease.
	leased bool
}

func operations() []operation {
	grown := dualBootSpec()
	grown.VMs[0].Config["memory"] = "20480"
	grown.VMs[0].Disks[0].Size = 138 * storage.GiB
	grown.VMs[1].Disks = append(grown.VMs[1].Disks, workstation.Disk{Slot: "scsi2", Purpose: storage.Scratch, Size: 8 * storage.GiB})
	apply := func(spec workstation.Spec) func(context.Context, *workstation.Node) error {
		return func(ctx context.Context, node *workstation.Node) error {
			facts, err := node.Observe(ctx)
			if err != nil {
				return err
			}
			plan, err := workstation.Diff(spec, facts)
			if err != nil {
				return err
			}
			return node.Apply(ctx, plan, nil)
		}
	}
	return []operation{
		{"create", pvetest.Reference, apply(dualBootSpec()), matches(dualBootSpec()), false},
		{"change", made, apply(grown), matches(grown), false},
		{"restore", tampered, func(ctx context.Context, node *workstation.Node) error {
			facts, err := node.Observe(ctx)
			if err != nil {
				return err
			}
			plan, err := workstation.RestorePlan(original(), facts)
			if err != nil {
				return err
			}
			return node.Apply(ctx, plan, nil)
		}, func(sim *pvetest.Node) error {
			facts, err := patient(sim, nil).Observe(context.Background())
			if err != nil {
				return err
			}
			if plan, err := workstation.RestorePlan(original(), facts); err != nil || !plan.Empty() {
				return fmt.Errorf("the node differs from the snapshot: %w\n%s", err, plan)
			}
			return nil
		}, false},
		{"switch", pair, func(ctx context.Context, node *workstation.Node) error { return node.Switch(ctx, both, 141, nil) }, runs(141), true},
		{"switch that goes back", pair, func(ctx context.Context, node *workstation.Node) error { return node.Switch(ctx, returning, 141, nil) }, runs(141), true},
		{"cloud image", pvetest.Reference, apply(clouded()), matches(clouded()), false},
		{"destroy", made, func(ctx context.Context, node *workstation.Node) error {
			facts, err := node.Observe(ctx)
			if _, there := facts.VMs[140]; err != nil || !there {
				return err
			}
			plan, err := workstation.DestroyPlan(facts, 140)
			if err != nil {
				return err
			}
			return node.Apply(ctx, plan, &workstation.ApplyOptions{AllowDestroy: true})
		}, func(sim *pvetest.Node) error {
			if _, there := sim.VM(140); there {
				return errors.New("VM 140 is still there")
			}
			return nil
		}, false},
	}
}

// made returns a function. The function makes the reference host with a Windows
// and a Linux workstation, in the state after an apply.
var made = sync.OnceValue(func() func() pvetest.Host {
	host := pvetest.Reference()
	host.Mappings = pair().Mappings
	host.Mappings[0].ID = "rtx5070ti"
	for id, extra := range map[int]map[string]string{
		140: {"name": "windows", "ostype": "win11", "tpmstate0": "local-lvm:vm-140-disk-2,size=4M,version=v2.0", "hostpci0": "mapping=rtx5070ti,pcie=1,x-vga=1",
			"vga": "none", "memory": "16384", "scsi0": "local-lvm:vm-140-disk-0,size=128G", "scsi1": "service-pool:vm-140-disk-0,size=100G",
			"efidisk0": "local-lvm:vm-140-disk-1,efitype=4m,pre-enrolled-keys=1,size=4M"},
		141: {"name": "linux-ai", "ostype": "l26", "hostpci0": "mapping=rtx5070ti,pcie=1", "vga": "std", "memory": "32768",
			"scsi0": "local-lvm:vm-141-disk-0,size=64G", "scsi1": "service-pool:vm-141-disk-0,size=80G",
			"efidisk0": "local-lvm:vm-141-disk-1,efitype=4m,pre-enrolled-keys=0,size=4M"},
	} {
		config := map[string]string{"bios": "ovmf", "machine": "q35", "cpu": "host", "sockets": "1", "cores": "8", "balloon": "0",
			"scsihw": "virtio-scsi-single", "agent": "enabled=1", "boot": "order=scsi0", "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0"}
		for key, value := range extra {
			config[key] = value
		}
		host.VMs = append(host.VMs, pvetest.VM{ID: id, Config: config})
	}
	return func() pvetest.Host { return host }
})()

// This returns a Spec with a VM that is made from a cloud image and then grown.
func clouded() workstation.Spec {
	return workstation.Spec{VMs: []workstation.VM{profile.LinuxAI{Image: "local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2",
		CloudInit: profile.CloudInit{Password: proxstation.NewSecret("hunter2")}}.VM()}}
}

// original returns a snapshot of the host with both workstations. tampered
// returns this host after other people added, changed and removed keys, CD
// drives among them.
func original() workstation.Snapshot {
	s := workstation.Snapshot{Node: "pve", Configs: map[int]map[string]string{}}
	for _, vm := range made().VMs {
		s.Configs[vm.ID] = maps.Clone(vm.Config)
	}
	s.Configs[140]["ide2"] = "none,media=cdrom"
	return s
}

func tampered() pvetest.Host {
	host := made()
	host.VMs = slices.Clone(host.VMs)
	for i, vm := range host.VMs {
		config := maps.Clone(vm.Config)
		config["memory"], config["onboot"], config["scsi1"] = "4096", "1", config["scsi1"]+",cache=writeback"
		config["ide0"], config["boot"] = "local:iso/virtio-win-0.1.285.iso,media=cdrom", "order=ide0"
		delete(config, "agent")
		host.VMs[i].Config = config
	}
	return host
}

// This returns the goal that a new plan for the Spec is empty.
func matches(spec workstation.Spec) func(*pvetest.Node) error {
	return func(sim *pvetest.Node) error {
		facts, err := patient(sim, nil).Observe(context.Background())
		if err != nil {
			return err
		}
		plan, err := workstation.Diff(spec, facts)
		if err != nil {
			return err
		}
		if !plan.Empty() {
			return fmt.Errorf("the node differs from the Spec:\n%s", plan)
		}
		return nil
	}
}

func runs(id int) func(*pvetest.Node) error {
	return func(sim *pvetest.Node) error {
		if running := sim.Running(); !slices.Equal(running, []int{id}) {
			return fmt.Errorf("running: %v, want VM %d", running, id)
		}
		for _, member := range both.Members {
			if state, _ := sim.VM(member); state.Config["description"] != "made by hand" {
				return fmt.Errorf("VM %d is left with the description %q", member, state.Config["description"])
			}
		}
		return nil
	}
}

// requestFaults and taskFaults list the ways in which the node lets a request
// or a task fail.
var (
	requestFaults = []pvetest.FaultKind{pvetest.Refuse, pvetest.Forbid, pvetest.DropBefore, pvetest.DropAfter, pvetest.ErrorAfter,
		pvetest.ProxyDown, pvetest.ProxyTimeout, pvetest.HangAfter, pvetest.ExpireTicket}
	taskFaults = []pvetest.FaultKind{pvetest.TaskFails, pvetest.TaskFailsLate, pvetest.TaskHangs}
)

// patient opens the node with a client that stops waiting for an answer after a
// while, as every client should.
func patient(sim *pvetest.Node, wrap func(http.RoundTripper) http.RoundTripper) *workstation.Node {
	transport := sim.Transport()
	if wrap != nil {
		transport = wrap(transport)
	}
	client := proxmox.NewClient(sim.URL(), proxmox.WithHTTPClient(&http.Client{Transport: transport}),
		proxmox.WithAPIToken(tokenID, tokenSecret))
	return workstation.Open(client, "pve", &workstation.NodeOptions{RootTicket: proxstation.No})
}

// rehearse returns the number of requests that an operation makes, and the
// tasks that it starts.
func rehearse(t *testing.T, op operation) (requests int, tasks []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(op.host(), nil)
		time.Sleep(time.Minute)
		if err := op.do(t.Context(), patient(sim, nil)); err != nil {
			t.Fatal(err)
		}
		requests = len(sim.Trace())
		if err := op.goal(sim); err != nil {
			t.Fatal(err)
		}
	})
	return requests, []string{"qmcreate", "qmconfig", "resize", "qmstart", "qmshutdown", "qmstop", "qmdestroy"}
}

// suffer injects the faults into the operation and returns an error for each
// wrong effect.
func suffer(t *testing.T, op operation, faults []pvetest.Fault, wrap func(http.RoundTripper) http.RoundTripper) (problem error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(op.host(), nil)
		time.Sleep(time.Minute)
		for _, f := range faults {
			sim.Inject(f)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		watch, leaseless := guarded(sim, both.Owner)
		err := op.do(ctx, patient(sim, func(base http.RoundTripper) http.RoundTripper {
			if op.leased {
				base = watch(base)
			}
			if wrap != nil {
				base = wrap(base)
			}
			return base
		}))
		sim.ClearFaults()
		problem = errors.Join(sim.Check(), told(op, sim, err, began), leaseless())
		problem = errors.Join(problem, converge(t.Context(), op, sim))
	})
	return problem
}

// This checks that the error which the operation returned describes what
// happened.
func told(op operation, sim *pvetest.Node, err error, began time.Time) error {
	if err == nil {
		return op.goal(sim)
	}
	if problem := truthful(sim, err); problem != nil {
		return problem
	}
	var failed *workstation.SwitchError
	if errors.As(err, &failed) && failed.Running >= 0 {
		running := append(sim.Running(), 0)
		if running[0] != failed.Running {
			return fmt.Errorf("told %w, but VM %d is running", err, running[0])
		}
		state, _ := sim.VM(failed.Running)
		if again := state.Since.After(began) && failed.Running != failed.To; failed.Returned != again && failed.Running != 0 && failed.Return == nil {
			return fmt.Errorf("told %w, but VM %d was started again: %v", err, failed.Running, again)
		}
	}
	return nil
}

// This compares the tasks, answers and digests that an error names with the
// tasks, answers and digests of the node.
func truthful(sim *pvetest.Node, err error) error {
	var task *workstation.TaskError
	if errors.As(err, &task) && !slices.ContainsFunc(sim.Tasks(), func(t pvetest.Task) bool { return t.UPID == task.UPID && t.Exit == task.Exit }) {
		return fmt.Errorf("told %w, but no task ended like this: %v", err, sim.Tasks())
	}
	var request *workstation.RequestError
	if errors.As(err, &request) && request.Status != 0 && !slices.ContainsFunc(sim.Trace(), func(r pvetest.Request) bool {
		path, _, _ := strings.Cut(request.Path, "?")
		path, _ = url.PathUnescape(path)
		forbidden := r.Status == http.StatusForbidden && request.Status == http.StatusUnauthorized // a plain client cannot distinguish 401 from 403
		return r.Method == request.Method && r.Path == path && (r.Status == request.Status || forbidden)
	}) {
		return fmt.Errorf("told %w, but the node did not answer so", err)
	}
	var stale *workstation.StaleError
	if errors.As(err, &stale) {
		if state, _ := sim.VM(stale.VMID); state.Digest == stale.Want || stale.Have != "" && state.Digest != stale.Have {
			return fmt.Errorf("told %w, but the digest is %s", err, state.Digest)
		}
	}
	var blocked *workstation.BlockedError
	if errors.As(err, &blocked) && len(changes(sim)) > 0 {
		return fmt.Errorf("told %w, but it wrote %v", err, changes(sim))
	}
	return nil
}

// This returns the requests so far that changed something other than a lease.
func changes(sim *pvetest.Node) []pvetest.Request {
	return slices.DeleteFunc(sim.Writes(), func(r pvetest.Request) bool {
		return r.Method == http.MethodPut && strings.HasSuffix(r.Path, "/config") && (r.Params["description"] != "" || r.Params["delete"] == "description")
	})
}

// converge repeats the operation without faults until it succeeds. It ends
// tasks that hang, as a person would.
func converge(ctx context.Context, op operation, sim *pvetest.Node) error {
	var err error
	for range 4 {
		ctx, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		if err = op.do(ctx, patient(sim, nil)); err == nil {
			return errors.Join(op.goal(sim), sim.Check())
		}
		sim.EndTasks()
		time.Sleep(time.Minute)
	}
	return fmt.Errorf("a plain retry does not get there: %w", err)
}

// These counters hold the number of cases that the campaign ran, and the number
// of cases that the random sample left out.
var cases, left atomic.Int64

// This prints the two counters when a part of the campaign ends.
func count(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		t.Logf("%d cases of the fault campaign so far; sampled: %d not drawn, PROXSTATION_WHOLE=1 runs them", cases.Load(), left.Load())
	})
}

func (op operation) try(t *testing.T, name string, faults []pvetest.Fault, wrap func(http.RoundTripper) http.RoundTripper) {
	t.Helper()
	share := uint32(8)
	if testing.Short() {
		share = 32
	}
	if !slow.Drawn(op.name+name, share) {
		left.Add(1)
		return
	}
	cases.Add(1)
	if err := suffer(t, op, faults, wrap); err != nil {
		t.Errorf("%s, %s: %v", op.name, name, err)
	}
}

func TestFaultsInEveryRequest(t *testing.T) {
	t.Parallel()
	count(t)
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			requests, _ := rehearse(t, op)
			for i := range requests {
				for _, kind := range requestFaults {
					op.try(t, fmt.Sprintf("request %d %s", i, kind), []pvetest.Fault{{Kind: kind, Skip: i}}, nil)
				}
			}
		})
	}
}

func TestFaultsInEveryTask(t *testing.T) {
	t.Parallel()
	count(t)
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			_, tasks := rehearse(t, op)
			for _, task := range tasks {
				for _, kind := range taskFaults {
					for skip := range 2 {
						op.try(t, fmt.Sprintf("task %s #%d %s", task, skip, kind), []pvetest.Fault{{Task: task, Kind: kind, Skip: skip}}, nil)
					}
				}
			}
		})
	}
}

// TestFaultsInPairs injects random pairs of faults. A failure prints the seed
// of the pair.
func TestFaultsInPairs(t *testing.T) {
	t.Parallel()
	count(t)
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			requests, tasks := rehearse(t, op)
			for seed := range uint64(60) {
				r := rand.New(rand.NewPCG(seed, 1))
				draw := func() pvetest.Fault {
					if r.IntN(3) == 0 {
						return pvetest.Fault{Task: tasks[r.IntN(len(tasks))], Kind: taskFaults[r.IntN(len(taskFaults))]}
					}
					return pvetest.Fault{Kind: requestFaults[r.IntN(len(requestFaults))], Skip: r.IntN(requests)}
				}
				faults := []pvetest.Fault{draw(), draw()}
				op.try(t, fmt.Sprintf("seed %d: %+v", seed, faults), faults, nil)
			}
		})
	}
}

// A dying transport sends a number of requests and then no more, as if the
// controller's machine had crashed.
type dying struct {
	base http.RoundTripper
	left *atomic.Int64
}

func (d dying) RoundTrip(r *http.Request) (*http.Response, error) {
	if d.left.Add(-1) < 0 {
		return nil, errors.New("the controller is dead")
	}
	return d.base.RoundTrip(r)
}

func TestFaultControllerDiesAtEveryRequest(t *testing.T) {
	t.Parallel()
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			requests, _ := rehearse(t, op)
			for i := range requests {
				left := &atomic.Int64{}
				left.Store(int64(i))
				op.try(t, fmt.Sprintf("dead after %d requests", i), nil, func(base http.RoundTripper) http.RoundTripper { return dying{base, left} })
			}
		})
	}
}

// TestFaultControllersRace lets two controllers and a user of the web interface
// disturb each other, on schedules drawn from a seed.
func TestFaultControllersRace(t *testing.T) {
	t.Parallel()
	count(t)
	seeds := uint64(6)
	if slow.Whole() {
		seeds = 60
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			cases.Add(1)
			synctest.Test(t, func(t *testing.T) { race(t, seed) })
		})
	}
}

func race(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 2))
	sim := pvetest.New(pair(), nil)
	time.Sleep(time.Minute)
	var group sync.WaitGroup
	for i, owner := range []string{"sofa", "desk"} {
		delay, to := time.Duration(r.IntN(20000))*time.Millisecond, both.Members[(i+r.IntN(2))%2]
		db := both
		db.Owner = owner
		group.Go(func() {
			time.Sleep(delay)
			watch, leaseless := guarded(sim, owner)
			err := patient(sim, watch).Switch(t.Context(), db, to, nil)
			if err != nil {
				t.Logf("seed %d: %s to %d: %v", seed, owner, to, err)
			}
			if err := leaseless(); err != nil {
				t.Errorf("seed %d: %v", seed, err)
			}
		})
	}
	for range 3 {
		delay, id := time.Duration(r.IntN(30000))*time.Millisecond, both.Members[r.IntN(2)]
		group.Go(func() {
			time.Sleep(delay)
			_ = sim.PowerOn(id) // a person starts the VM; PVE may refuse that
		})
	}
	group.Wait()
	if err := sim.Check(); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	if running := sim.Running(); len(running) != 1 {
		t.Errorf("seed %d: running: %v, want one of the two", seed, running)
	}
	if err := converge(t.Context(), operation{name: "switch", do: func(ctx context.Context, node *workstation.Node) error { return node.Switch(ctx, both, 141, nil) }, goal: runs(141)}, sim); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
}

// TestFaultSecondWriter lets another writer change a VM between the read and
// each write of an operation. A plan from the VM's old state is then stale, and
// the VM keeps the other writer's values.
func TestFaultSecondWriter(t *testing.T) {
	t.Parallel()
	count(t)
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			for i := 0; ; i++ {
				cases.Add(1)
				more := false
				synctest.Test(t, func(t *testing.T) { more = meddle(t, op, i) })
				if !more {
					return
				}
			}
		})
	}
}

var ofVM = regexp.MustCompile(`^/nodes/pve/qemu/(\d+)/(config|resize)$`)

// meddle changes a VM just before the operation makes its write number i. found
// is false if the operation made fewer writes.
func meddle(t *testing.T, op operation, i int) (found bool) {
	var sim *pvetest.Node
	writes, edited := 0, 0
	const theirs = "written by somebody else"
	sim = pvetest.New(op.host(), &pvetest.Options{OnRequest: func(r pvetest.Request) {
		match := ofVM.FindStringSubmatch(r.Path)
		if match == nil || r.Method == http.MethodGet || r.Params["digest"] == "" {
			return
		}
		if writes++; writes != i+1 {
			return
		}
		edited, _ = strconv.Atoi(match[1])
		state, _ := sim.VM(edited)
		if err := sim.Edit(edited, "description", theirs+" "+state.Config["description"]); err != nil {
			t.Errorf("%s, write %d: %v", op.name, i, err)
		}
	}})
	time.Sleep(time.Minute)
	watch, leaseless := guarded(sim, both.Owner)
	if !op.leased {
		watch = nil
	}
	err := op.do(t.Context(), patient(sim, watch))
	if edited == 0 {
		return false
	}
	if err == nil != op.leased || err != nil && !errors.Is(err, workstation.ErrStale) {
		t.Errorf("%s, write %d: %v", op.name, i, err)
	}
	if err := errors.Join(truthful(sim, err), leaseless(), sim.Check()); err != nil {
		t.Errorf("%s, write %d: %v", op.name, i, err)
	}
	state, _ := sim.VM(edited)
	if !strings.HasPrefix(state.Config["description"], theirs) || strings.Contains(state.Config["description"], "proxstation-lease") {
		t.Errorf("%s, write %d: the description is %q", op.name, i, state.Config["description"])
	}
	return true
}
