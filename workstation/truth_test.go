package workstation_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// waking is the same set as "both", but with Wake: a switch may wake guests
// that sleep.
var waking = workstation.DualBoot{Members: both.Members, Owner: both.Owner, Wake: true}

// If a VM's QEMU runs while its guest does not run, the VM has the card, but is
// not up.
func TestSwitchAroundPausedVMs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		host    func(*pvetest.Host)
		before  func(sim *pvetest.Node) error
		db      workstation.DualBoot
		to      int
		blocked string // the findings; "" for a switch that works
		running int
	}{
		"the holder is paused":                {before: func(sim *pvetest.Node) error { return sim.Suspend(140) }, db: both, to: 141, blocked: "switch.holder-paused", running: 140},
		"the holder is paused, and not woken": {before: func(sim *pvetest.Node) error { return sim.Suspend(140) }, db: waking, to: 141, blocked: "switch.holder-paused", running: 140},
		"the holder sleeps":                   {before: func(sim *pvetest.Node) error { return sim.Sleep(140) }, db: both, to: 141, blocked: "switch.holder-paused", running: 140},
		"the holder sleeps, wake is allowed":  {before: func(sim *pvetest.Node) error { return sim.Sleep(140) }, db: waking, to: 141, running: 141},
		"the holder sleeps, force is allowed": {before: func(sim *pvetest.Node) error { return sim.Sleep(140) }, db: workstation.DualBoot{Members: both.Members, Force: true}, to: 141, running: 141},
		"the target is paused":                {before: func(sim *pvetest.Node) error { return sim.Suspend(140) }, db: both, to: 140, blocked: "switch.paused", running: 140},
		"the target sleeps":                   {before: func(sim *pvetest.Node) error { return sim.Sleep(140) }, db: both, to: 140, blocked: "switch.paused", running: 140},
		"the target sleeps, wake is allowed":  {before: func(sim *pvetest.Node) error { return sim.Sleep(140) }, db: waking, to: 140, running: 140},
		"the target is hibernated":            {before: func(sim *pvetest.Node) error { return sim.Lock(141, "suspended") }, db: both, to: 141, running: 141},
		"the target is off and backed up": {host: func(h *pvetest.Host) { h.VMs[0].Running = false }, before: func(sim *pvetest.Node) error { return sim.BeginBackup(141) },
			db: workstation.DualBoot{Members: both.Members, NoLease: true}, to: 141, running: 141},
		"the holder is off and backed up": {host: func(h *pvetest.Host) { h.VMs[0].Running = false }, before: func(sim *pvetest.Node) error { return sim.BeginBackup(140) },
			db: both, to: 141, blocked: "switch.holder-locked", running: 140},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := pair()
			if test.host != nil {
				test.host(&host)
			}
			for i := range host.VMs {
				delete(host.VMs[i].Config, "agent") // without an agent, every running VM would count as up
			}
			scenario(t, host, func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
				time.Sleep(time.Minute)
				if err := test.before(sim); err != nil {
					t.Fatal(err)
				}
				err := node.Switch(t.Context(), test.db, test.to, nil)
				var blocked *workstation.BlockedError
				if errors.As(err, &blocked) != (test.blocked != "") || blocked != nil && ids(blocked.Findings) != test.blocked || test.blocked == "" && err != nil {
					t.Errorf("%v, want %q", err, test.blocked)
				}
				wantRunning(t, sim, test.running)
				if test.db.Wake {
					wantNoPlugPulled(t, sim)
				}
				if state, _ := sim.VM(test.running); test.blocked == "" && state.Config["lock"] == "backup" {
					if err := sim.EndBackup(test.running); err != nil {
						t.Fatal(err)
					}
					wantRunning(t, sim, test.running) // the guest has started and keeps running after the backup
				}
			})
		})
	}
}

// Preflight judges a running VM by the configuration in force, not by the
// configuration of its next start.
func TestPreflightSeesWhatIsInForce(t *testing.T) {
	t.Parallel()
	host := pair()
	host.VMs[0].Config["memory"], host.VMs[1].Config["memory"] = "8192", "49152"
	host.VMs[0].Running = false
	host.VMs = append(host.VMs, pvetest.VM{ID: 150, Running: true, Config: map[string]string{"name": "has-it", "memory": "16384", "machine": "q35", "hostpci0": "0000:01:00,pcie=1"}},
		pvetest.VM{ID: 151, Running: true, Config: map[string]string{"name": "wants-it", "memory": "512", "machine": "q35"}})
	sim := pvetest.New(host, nil)
	edit := func(id int, key, value string) {
		if err := sim.Edit(id, key, value); err != nil {
			t.Fatal(err)
		}
	}
	edit(150, "hostpci0", "")
	edit(151, "hostpci0", "0000:01:00,pcie=1")
	outsiders := map[string]bool{}
	for _, f := range workstation.Preflight(both, 141, observe(t, sim)) {
		if f.ID == "switch.outsider" {
			outsiders[f.Subject] = true
		}
	}
	if len(outsiders) != 1 || !outsiders["VM 150 has-it"] {
		t.Errorf("outsiders %v", outsiders)
	}
	three := workstation.DualBoot{Members: []int{140, 141, 150}}
	if got := ids(workstation.Preflight(three, 141, observe(t, sim))); got != "" {
		t.Errorf("with 16 GiB given back: %s", got)
	}
	edit(150, "memory", "2048") // when it stops, it still gives back its present 16 GiB
	if got := ids(workstation.Preflight(three, 141, observe(t, sim))); got != "" {
		t.Errorf("with 2 GiB from the next start on: %s", got)
	}
}

// A console that somebody has open does not stop any work.
func TestAnOpenConsoleIsInNobodysWay(t *testing.T) {
	t.Parallel()
	scenario(t, pair(), func(t *testing.T, sim *pvetest.Node, node *workstation.Node) {
		time.Sleep(time.Minute)
		if err := errors.Join(sim.OpenConsole(140), sim.OpenConsole(141)); err != nil {
			t.Fatal(err)
		}
		facts, err := node.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		plan, err := both.StartWithHost(facts, 140)
		if err == nil {
			err = node.Apply(t.Context(), plan, nil)
		}
		if err != nil {
			t.Error(err)
		}
		sim.SetGuest(141, pvetest.Guest{NoAgent: true})
		began := time.Now()
		var failed *workstation.SwitchError
		if err := node.Switch(t.Context(), returning, 141, nil); !errors.As(err, &failed) || !failed.Returned || time.Since(began) > 8*time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		wantRunning(t, sim, 140)
	})
}

// A value that PVE stores in another form counts as equal, and a second plan is
// empty.
func TestWhatPVEWritesOtherwise(t *testing.T) {
	t.Parallel()
	sim := pvetest.New(pvetest.Reference(), nil)
	node := open(sim)
	vm := workstation.VM{ID: 300, Name: "odd", Disks: []workstation.Disk{{Slot: "scsi0", Size: storage.GiB}, {Slot: "ide2", Volume: "none"}, {Slot: "ide0", Volume: "local:iso/virtio-win-0.1.285.iso"}},
		Config: map[string]string{"tags": "lab, AI;b lab", "description": "two lines\n\n", "scsihw": "virtio-scsi-single", "balloon": "0"}}
	for i := range 2 {
		plan, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, observe(t, sim))
		if err != nil || plan.Empty() != (i == 1) {
			t.Fatalf("%d: %v, %s", i, err, plan)
		}
		if err := node.Apply(t.Context(), plan, nil); err != nil {
			t.Fatal(err)
		}
	}
	state, _ := sim.VM(300)
	for key, want := range map[string]string{"ide2": "none,media=cdrom", "ide0": "local:iso/virtio-win-0.1.285.iso,media=cdrom"} {
		if !strings.HasPrefix(state.Config[key], want) {
			t.Errorf("%s: %s", key, state.Config[key])
		}
	}
	// A value 0 that will be deleted at the next start counts as deleted,
	// although PVE still shows the value.
	if err := sim.PowerOn(300); err != nil {
		t.Fatal(err)
	}
	delete(vm.Config, "balloon")
	vm.Absent = []string{"balloon"}
	for i := range 2 {
		plan, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, observe(t, sim))
		if err != nil || plan.Empty() != (i == 1) {
			t.Fatalf("absent, %d: %v, %s", i, err, plan)
		}
		if err := node.Apply(t.Context(), plan, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDiffRefusesWhatContradictsItself(t *testing.T) {
	t.Parallel()
	host := pvetest.Reference()
	host.Containers = map[int]string{200: "proxy"}
	sim := pvetest.New(host, nil)
	facts := observe(t, sim)
	vm := func(change func(*workstation.VM)) workstation.VM {
		vm := workstation.VM{ID: 300, Name: "odd", Config: map[string]string{"memory": "1024"}, Disks: []workstation.Disk{{Slot: "scsi0", Size: storage.GiB}}}
		change(&vm)
		return vm
	}
	config := func(key, value string) workstation.VM { return vm(func(vm *workstation.VM) { vm.Config[key] = value }) }
	disk := func(disk workstation.Disk) workstation.VM {
		return vm(func(vm *workstation.VM) { vm.Disks = append(vm.Disks, disk) })
	}
	plain := vm(func(*workstation.VM) {})
	igpuCard := iommu.Address{}
	for _, card := range facts.Cards() {
		if card.Integrated() {
			igpuCard = card.Address()
		}
	}
	for name, test := range map[string]struct {
		spec workstation.Spec
		is   error
		says string
	}{
		"a VMID twice":                 {workstation.Spec{VMs: []workstation.VM{plain, plain}}, workstation.ErrInvalid, "two VMs of the Spec"},
		"a mapping of two cards":       {workstation.Spec{Mappings: []workstation.CardMapping{{ID: "gpu", Card: rtx}, {ID: "gpu", Card: igpuCard}}}, workstation.ErrInvalid, "0000:01:00 and for 0000:00:02"},
		"a container's VMID":           {workstation.Spec{VMs: []workstation.VM{vm(func(vm *workstation.VM) { vm.ID = 200 })}}, workstation.ErrTaken, "container proxy on node pve"},
		"a parameter of the API":       {workstation.Spec{VMs: []workstation.VM{config("delete", "scsi1")}}, workstation.ErrInvalid, `delete "scsi1"`},
		"a lock":                       {workstation.Spec{VMs: []workstation.VM{config("lock", "backup")}}, workstation.ErrInvalid, "not a setting"},
		"a name among the settings":    {workstation.Spec{VMs: []workstation.VM{config("name", "b")}}, workstation.ErrInvalid, "belongs in Name"},
		"a name that goes":             {workstation.Spec{VMs: []workstation.VM{vm(func(vm *workstation.VM) { vm.Absent = []string{"name"} })}}, workstation.ErrInvalid, "not a setting that can be removed"},
		"an empty value":               {workstation.Spec{VMs: []workstation.VM{config("tags", "")}}, workstation.ErrInvalid, "Absent"},
		"a number with a sign":         {workstation.Spec{VMs: []workstation.VM{config("cores", "+2")}}, workstation.ErrInvalid, "whole number"},
		"an unknown guest":             {workstation.Spec{VMs: []workstation.VM{vm(func(vm *workstation.VM) { vm.Guest = gpu.Guest(99) })}}, workstation.ErrInvalid, "no such guest"},
		"an unknown purpose":           {workstation.Spec{VMs: []workstation.VM{disk(workstation.Disk{Slot: "scsi1", Purpose: "speed", Size: storage.GiB})}}, workstation.ErrInvalid, "no such purpose"},
		"options in a volume":          {workstation.Spec{VMs: []workstation.VM{disk(workstation.Disk{Slot: "ide2", Volume: "none,media=disk"})}}, workstation.ErrInvalid, "belong in Options"},
		"an ISO that is a disk":        {workstation.Spec{VMs: []workstation.VM{disk(workstation.Disk{Slot: "ide2", Volume: "local:iso/a.iso", Options: map[string]string{"media": "disk"}})}}, workstation.ErrInvalid, "the volume can only be a CD"},
		"a volume and an import":       {workstation.Spec{VMs: []workstation.VM{disk(workstation.Disk{Slot: "scsi1", Volume: "local-lvm:vm-300-disk-7", Import: "local:import/a.raw"})}}, workstation.ErrInvalid, "set only one of them"},
		"a USB port twice":             {workstation.Spec{VMs: []workstation.VM{vm(func(vm *workstation.VM) { vm.Config["usb0"], vm.Config["usb1"] = "host=1-2.3", "host=1-2.3" })}}, workstation.ErrInvalid, "1-2.3"},
		"storages filled by nothing":   {workstation.Spec{VMs: []workstation.VM{plain}, Place: &storage.PlaceOptions{Overcommit: -1}}, storage.ErrOvercommit, "-1"},
		"storages filled by no number": {workstation.Spec{VMs: []workstation.VM{plain}, Place: &storage.PlaceOptions{Overcommit: nan()}}, storage.ErrOvercommit, "NaN"},
	} {
		plan, err := workstation.Diff(test.spec, facts)
		if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) || !plan.Empty() {
			t.Errorf("%s: %v, want %v and %q", name, err, test.is, test.says)
		}
	}
}

func nan() float64 {
	zero := 0.0
	return zero / zero
}

// Config refuses every parameter of PVE that is not a setting of a VM.
func TestNoParameterPassesForASetting(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../shared/pve/apidoc.json")
	if err != nil {
		t.Skip("without PVE's API description: ", err)
	}
	var api map[string]struct {
		Parameters struct{ Properties map[string]json.RawMessage }
		Returns    struct{ Properties map[string]json.RawMessage }
	}
	if err := json.Unmarshal(text, &api); err != nil {
		t.Fatal(err)
	}
	const path = "/nodes/{node}/qemu/{vmid}/config"
	tried := 0
	for _, method := range []string{"POST /nodes/{node}/qemu", "POST " + path, "PUT " + path} {
		for name := range api[method].Parameters.Properties {
			if _, isSetting := api["GET "+path].Returns.Properties[name]; isSetting && name != "digest" {
				continue
			}
			tried++
			vm := workstation.VM{ID: 300, Name: "odd", Config: map[string]string{name: "1"}}
			if err := vm.Validate(); !errors.Is(err, workstation.ErrInvalid) {
				t.Errorf("%s of %s: %v", name, method, err)
			}
		}
	}
	if tried < 15 {
		t.Errorf("only %d parameters", tried)
	}
}

// If a new disk would take the place of a detached disk, the plan reports the
// detached disk.
func TestADetachedDiskIsToldOf(t *testing.T) {
	t.Parallel()
	host := pvetest.Reference()
	host.VMs = []pvetest.VM{{ID: 300, Config: map[string]string{"name": "odd", "memory": "1024", "scsi0": "local-lvm:vm-300-disk-0,size=1G", "scsi1": "service-pool:vm-300-disk-0,size=1G"}}}
	sim := pvetest.New(host, nil)
	if err := sim.Edit(300, "scsi1", ""); err != nil {
		t.Fatal(err)
	}
	vm := workstation.VM{ID: 300, Name: "odd", Disks: []workstation.Disk{{Slot: "scsi0", Size: storage.GiB}, {Slot: "scsi1", Size: storage.GiB, Storage: "service-pool"}}}
	plan, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, observe(t, sim))
	if err != nil || !strings.Contains(ids(plan.Findings), "workstation.unused") || !strings.Contains(plan.String(), "service-pool:vm-300-disk-0") {
		t.Errorf("%v, %s", err, plan)
	}
}

func TestDestroyPlanNamesWhatPVERefuses(t *testing.T) {
	t.Parallel()
	host := pair()
	host.VMs[0].Config["protection"] = "1"
	host.HAIgnored = []int{141}
	plan, err := workstation.DestroyPlan(observe(t, pvetest.New(host, nil)), 141, 140, 141)
	if err != nil || len(plan.Steps) != 2 || ids(plan.Findings) != "workstation.ha workstation.protected workstation.running" {
		t.Errorf("%v, %s", err, plan)
	}
}

// If a login does not see every disk, the committed sizes of the storages are
// unknown.
func TestWhatIsPromisedIsNotGuessed(t *testing.T) {
	t.Parallel()
	host := pair()
	all := []string{"Sys.Audit", "Datastore.Audit", "VM.Audit", "Mapping.Audit"}
	host.Users = []pvetest.User{
		{ID: "look@pve", Privileges: map[string][]string{"/": all}, Tokens: []pvetest.Token{{ID: "t", Secret: "s"}}},
		{ID: "make@pve", Privileges: map[string][]string{"/": append(slices.Clone(all), "VM.Config.Disk")}, Tokens: []pvetest.Token{{ID: "t", Secret: "s"}}},
		{ID: "most@pve", Privileges: map[string][]string{"/": append(slices.Clone(all), "VM.Config.Disk"), "/vms/140": all}, Tokens: []pvetest.Token{{ID: "t", Secret: "s"}}},
		{ID: "own@pve", Privileges: map[string][]string{"/": all, "/vms/140": append(slices.Clone(all), "VM.Config.Disk")}, Tokens: []pvetest.Token{{ID: "t", Secret: "s"}}},
	}
	sim := pvetest.New(host, nil)
	for user, known := range map[string]bool{"look": false, "make": true, "most": false, "own": false} {
		node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: sim.URL(), Token: user + "@pve!t=s", Transport: sim.Transport()}, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		facts, err := node.Observe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		unread, err := node.ObserveFor(t.Context(), func(workstation.Facts) []int { return nil })
		if err != nil {
			t.Fatal(err)
		}
		for _, facts := range []workstation.Facts{facts, unread} {
			for _, pool := range facts.Pools {
				if pool.Type == "lvmthin" && (pool.Committed != nil) != known {
					t.Errorf("%s: %s has promised %v", user, pool.Name, pool.Committed)
				}
			}
			if strings.Contains(ids(facts.Unknown), "storage.committed-unknown") == known {
				t.Errorf("%s: %v", user, facts.Unknown)
			}
		}
	}
}

func TestFactsPrintNoConfiguration(t *testing.T) {
	t.Parallel()
	host := pair()
	host.VMs[0].Config["args"] = "-device isa-applesmc,osk=hush"
	facts := observe(t, pvetest.New(host, nil))
	if shown := fmt.Sprintf("%v %+v %#v %s", facts, facts, facts, facts.VMs[140]); strings.Contains(shown, "hush") {
		t.Error(shown)
	}
}
