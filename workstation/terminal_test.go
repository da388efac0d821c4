package workstation_test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/slow"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/inventory"
	"github.com/proxstation/proxstation/workstation/pvetest"
	"github.com/proxstation/proxstation/workstation/reach"
)

// The text "evil" stands for a text that anybody may have written on a node. It
// clears the screen, sets the window's title, reverses letters, and pretends to
// be a line of our output. The text "forged" is the beginning of that false
// line.
const (
	evil   = "x\x1b[2J\x1b]0;t\x07\u009b31m\u202egpj\u2066\x7f\r\n" + forged + "\r\t"
	forged = "forged: all is well"
)

// screen checks the text that would be printed on a terminal.
type screen struct {
	t       *testing.T
	planted string // where on the node the text "evil" was put
	lines   int
}

// show fails the test if a value prints control characters or a forged line.
func (s *screen) show(values ...any) {
	for _, value := range values {
		text := fmt.Sprint(value)
		s.lines += strings.Count(text, "\n")
		stray := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) })
		if stray >= 0 || strings.HasPrefix(text, forged) || strings.Contains(text, "\n"+forged) {
			s.t.Errorf("%s: a %T prints %q", s.planted, value, text)
		}
	}
}

// This checks the text of an event.
func (s *screen) events(e workstation.Event) {
	s.show(e.Message, e.Phase)
	for _, warning := range e.Warnings {
		s.show(warning)
	}
}

// This checks all values that are observed on a node, and all judgements about
// them.
func (s *screen) all(node *workstation.Node) {
	ctx := s.t.Context()
	facts, err := node.Observe(ctx)
	if err != nil {
		s.show(err)
		return
	}
	s.findings(facts.Unknown)
	for _, id := range slices.Sorted(maps.Keys(facts.VMs)) {
		s.show(facts.VMs[id], facts.Snapshot(id))
		spec, err := workstation.Adopt(facts, id)
		s.show(err)
		s.plan(workstation.Diff(spec, facts))
		ways := reach.Ways(facts.VMs[id], nil)
		s.show(fmt.Sprintf("%v", ways))
	}
	for _, other := range facts.Others {
		s.show(other)
	}
	s.plan(workstation.Diff(dualBootSpec(), facts))
	named := dualBootSpec()
	for i := range named.VMs {
		named.VMs[i].Name += evil
	}
	s.plan(workstation.Diff(named, facts))
	changed := workstation.Spec{VMs: []workstation.VM{{ID: 140, Name: facts.VMs[140].Name, Config: map[string]string{"memory": "4096", "description": "new", "hostpci0": ""}},
		{ID: 200, Name: "new", Disks: []workstation.Disk{{Slot: "scsi0", Size: 4 * storage.TiB}}}}}
	s.plan(workstation.Diff(changed, facts))
	s.plan(workstation.DestroyPlan(facts, 140, 141))
	s.plan(workstation.RestorePlan(workstation.Snapshot{Node: "pve", Configs: map[int]map[string]string{140: {"name": "before", "scsi1": "local-lvm:vm-140-disk-9,size=1G"}}}, facts))
	s.findings(workstation.Preflight(both, 141, facts))
	s.findings(both.Advise(facts))
	s.show(inventory.Of("node "+facts.Node, facts.IOMMU, facts.Disks, facts.Pools, facts.Unknown...))
	for _, conflict := range facts.PCI().Conflicts(facts.Claims()) {
		s.show(conflict)
	}
	for _, card := range facts.Cards() {
		s.show(card)
	}
	status, err := node.Status(ctx, both)
	s.show(status.Lease, err)
	s.show(fmt.Sprintf("%+v", status))
}

func (s *screen) plan(plan workstation.Plan, err error) {
	s.show(plan, err)
	s.findings(plan.Findings)
	for _, change := range plan.Changes() {
		s.show(change)
		for _, need := range change.Needs {
			s.show(need)
		}
	}
}

func (s *screen) findings(findings []proxstation.Finding) {
	for _, f := range findings {
		s.show(f)
	}
}

// A node's answers hold text that somebody else wrote. Wherever such text is,
// it never reaches a terminal unescaped.
func TestNoTextOfANodeReachesTheTerminal(t *testing.T) {
	t.Parallel()
	sim := pvetest.New(terminalHost(), nil)
	connect := func(w *twisted) *workstation.Node {
		node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: "https://pve.test:8006", Token: tokenID + "=" + tokenSecret, Transport: w}, "pve", nil)
		if err != nil {
			t.Fatal(err)
		}
		return node
	}
	var mu sync.Mutex
	values := map[string]int{}
	count := connect(&twisted{base: sim.Transport(), nth: -1, seen: func(path string, n int) {
		mu.Lock()
		defer mu.Unlock()
		values[path] = n
	}})
	s := &screen{t: t}
	s.all(count)
	if s.lines < 200 || len(values) < 15 {
		t.Fatalf("%d paths make %d lines", len(values), s.lines)
	}
	tried := 0
	for path, n := range values {
		if path == "/access/permissions" {
			n = min(n, 20) // later values are like the first 20
		}
		for i := range n {
			s.planted = fmt.Sprintf("value %d of %s", i, path)
			if !slow.Drawn(s.planted, 8) {
				continue
			}
			s.all(connect(&twisted{base: sim.Transport(), path: path, nth: i, value: func(old any) any {
				if text, ok := old.(string); ok {
					return text + evil
				}
				return old
			}}))
			tried++
		}
	}
	t.Logf("%d values, %d lines", tried, s.lines)
}

// terminalHost returns a node with an object of each kind.
func terminalHost() pvetest.Host {
	host := pair()
	host.Containers = map[int]string{150: "proxy"}
	host.ContainerConfigs = map[int]map[string]string{150: {"dev0": "/dev/dri/renderD128"}}
	host.Backups = []pvetest.BackupJob{{ID: "b", Schedule: "daily", VMIDs: "140,141", Mode: "stop", Enabled: true, Storage: "local"}}
	host.HA = []int{141}
	host.Pools = map[string][]int{"desk": {140}}
	host.VMs[0].Config["args"] = "-device vfio-pci,host=0000:01:00.0 -smbios type=2"
	host.VMs[0].Config["tags"] = "a;b"
	host.VMs[0].Config["net0"] = "virtio=BC:24:11:00:00:01,bridge=vmbr0"
	host.VMs[1].Config["onboot"] = "1"
	host.VMs[1].Config["lock"] = "backup"
	host.VMs[1].Config["description"] = "made by hand\n<!-- proxstation-lease {\"owner\":\"else\",\"id\":\"x\",\"to\":140,\"phase\":\"stop\",\"ttl\":60000000000} -->"
	host.VMs[1].Config["hostpci0"] = "0000:01:00,pcie=1"
	return host
}

// Texts in names, descriptions and a lease do not reach the terminal unescaped
// while a person switches, even if the switch fails.
func TestNoNameReachesTheTerminalOfASwitch(t *testing.T) {
	t.Parallel()
	faults := []pvetest.Fault{{}}
	for _, task := range []string{"qmstart", "qmshutdown", "qmstop"} {
		for _, kind := range []pvetest.FaultKind{pvetest.TaskFails, pvetest.TaskFailsLate, pvetest.TaskWarns} {
			faults = append(faults, pvetest.Fault{Task: task, Kind: kind, Times: -1, Message: "kvm: " + evil})
		}
	}
	for _, path := range []string{".*/config", ".*/status/start", ".*/status/shutdown", ".*/status/current", "/nodes/pve/qemu", ".*/tasks/.*", ".*/pending"} {
		for _, kind := range []pvetest.FaultKind{pvetest.Refuse, pvetest.Forbid, pvetest.ErrorAfter, pvetest.ProxyTimeout} {
			faults = append(faults, pvetest.Fault{Path: path, Kind: kind, Times: 3, Message: evil})
		}
	}
	lines := 0
	for _, fault := range faults {
		synctest.Test(t, func(t *testing.T) {
			host := pair()
			for i := range host.VMs {
				host.VMs[i].Config["name"] += evil
				host.VMs[i].Config["description"] = evil + "\n<!-- proxstation-lease {\"owner\":\"\\u001b[2Jevil\\n" + forged + "\",\"id\":\"x\",\"to\":140,\"phase\":\"\\u001b[31m\\u202e\",\"ttl\":30000000000} -->"
			}
			sim := pvetest.New(host, nil)
			time.Sleep(time.Minute)
			if fault.Kind != "" {
				sim.Inject(fault)
			}
			s := &screen{t: t, planted: fmt.Sprintf("%s%s: %s", fault.Path, fault.Task, fault.Kind)}
			node := patient(sim, nil)
			for _, db := range []workstation.DualBoot{both, {Members: both.Members, Owner: evil, TakeOver: "x", ReturnIfNotUp: true}} {
				err := node.Switch(t.Context(), db, 141, s.events)
				s.shown(err)
			}
			s.all(node)
			lines += s.lines
		})
	}
	if lines < 1000 {
		t.Errorf("%d faults make %d lines", len(faults), lines)
	}
}

// This checks the text of an error and of everything that it was made from.
func (s *screen) shown(err error) {
	s.show(err)
	var failed *workstation.SwitchError
	if errors.As(err, &failed) {
		s.findings(failed.Advice)
		s.show(failed.Cause, failed.Return)
	}
	var task *workstation.TaskError
	if errors.As(err, &task) {
		s.show(task.Exit)
		for _, line := range task.Log {
			s.show(line)
		}
	}
	var refused *workstation.RequestError
	if errors.As(err, &refused) {
		s.show(refused.Message)
	}
}

// If a plan, an upload, a download or a guest fails, the node's message does
// not reach the terminal unescaped.
func TestNoRefusalReachesTheTerminal(t *testing.T) {
	t.Parallel()
	for _, fault := range []pvetest.Fault{
		{Path: ".*", Method: http.MethodPost, Kind: pvetest.Refuse}, {Path: ".*", Method: http.MethodPut, Kind: pvetest.Refuse}, {Path: ".*", Method: http.MethodDelete, Kind: pvetest.Refuse},
		{Path: ".*", Method: http.MethodGet, Kind: pvetest.Refuse}, {Path: ".*", Kind: pvetest.Forbid}, {Path: ".*", Kind: pvetest.ErrorAfter},
		{Task: "qmcreate", Kind: pvetest.TaskFails}, {Task: "qmconfig", Kind: pvetest.TaskFails}, {Task: "qmdestroy", Kind: pvetest.TaskFailsLate}, {Task: "qmcreate", Kind: pvetest.TaskWarns},
		{Task: "imgcopy", Kind: pvetest.TaskFails}, {Task: "download", Kind: pvetest.TaskFails}, {Task: "resize", Kind: pvetest.TaskFails},
	} {
		synctest.Test(t, func(t *testing.T) {
			host := pair()
			host.Downloads = map[string]int64{"https://example.org/a.iso": 1 << 20}
			sim := pvetest.New(host, nil)
			node := patient(sim, nil)
			facts, err := node.Observe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			fault.Times, fault.Message = -1, "kvm: "+evil
			sim.Inject(fault)
			s := &screen{t: t, planted: fmt.Sprintf("%s %s%s: %s", fault.Method, fault.Path, fault.Task, fault.Kind)}
			spec := workstation.Spec{VMs: []workstation.VM{{ID: 141, Name: "linux-ai", Config: map[string]string{"memory": "4096"}, Disks: []workstation.Disk{{Slot: "scsi0", Size: 65 * storage.GiB}}},
				{ID: 200, Name: "new", Disks: []workstation.Disk{{Slot: "scsi0", Size: 4 * storage.GiB}}}}}
			made, err := workstation.Diff(spec, facts)
			if err != nil {
				t.Fatal(err)
			}
			s.shown(node.Apply(t.Context(), made, &workstation.ApplyOptions{Progress: s.events}))
			destroy, err := workstation.DestroyPlan(facts, 141)
			if err != nil {
				t.Fatal(err)
			}
			s.shown(node.Apply(t.Context(), destroy, &workstation.ApplyOptions{AllowDestroy: true, Progress: s.events}))
			s.shown(node.Upload(t.Context(), "local:iso/a.iso", strings.NewReader("an image"), s.events))
			s.shown(node.Upload(t.Context(), "local:iso/"+evil, strings.NewReader("an image"), s.events))
			s.shown(node.Download(t.Context(), workstation.ImageDownload{URL: "https://example.org/a.iso", Volume: "local:iso/b.iso"}, s.events))
			s.shown(node.Start(t.Context(), 141))
			s.shown(node.Shutdown(t.Context(), 140, time.Minute))
			agent := node.Agent(140)
			_, err = agent.Run(t.Context(), proxstation.GuestCommand{Argv: []string{"no-" + evil}})
			s.shown(err)
			_, err = agent.ReadFile(t.Context(), "/"+evil)
			s.shown(err)
			_, err = agent.OS(t.Context())
			s.shown(err)
			s.shown(agent.WriteFile(t.Context(), "/"+evil, nil))
			_, err = agent.Addresses(t.Context())
			s.shown(err)
		})
	}
}
