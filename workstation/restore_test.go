package workstation_test

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// This returns the snapshot after it was written to JSON and read back.
func kept(t *testing.T, s workstation.Snapshot) workstation.Snapshot {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back workstation.Snapshot
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(s, back) {
		t.Fatalf("a snapshot becomes %+v in JSON, %v", back, err)
	}
	return back
}

func restorePlan(t *testing.T, sim *pvetest.Node, before workstation.Snapshot) workstation.Plan {
	t.Helper()
	p, err := workstation.RestorePlan(before, observe(t, sim))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// This returns the host with the workstations. Its VM 140 has many keys, as VMs
// of real users do.
func busy() pvetest.Host {
	host := made()
	host.VMs = slices.Clone(host.VMs)
	for i := range host.VMs {
		config := maps.Clone(host.VMs[i].Config)
		if host.VMs[i].ID == 140 {
			config["description"], config["tags"], config["onboot"] = "by hand\nfor games", "games", "1"
			config["ide2"], config["boot"] = "local:iso/Win11_25H2_English_x64.iso,media=cdrom,size=7554810K", "order=scsi0"
			config["startup"], config["smbios1"], config["meta"] = "order=3", "uuid=8a3e1f0e-41ce-4a6e-9d26-1f2f1d8e7a01", "creation-qemu=10.1.2,ctime=1700000000"
			config["net0"] = "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1"
		}
		host.VMs[i].Config = config
	}
	return host
}

// meddled returns a Spec that changes every kind of key of VM 140 on the host
// that busy returns.
func meddled() workstation.Spec {
	spec := dualBootSpec()
	vm := &spec.VMs[0]
	maps.Copy(vm.Config, map[string]string{"memory": "20480", "cores": "4", "description": "by a plan", "tags": "new;plan", "vga": "std",
		"net0": "model=e1000e,bridge=vmbr0", "audio0": "device=ich9-intel-hda,driver=none", "boot": "order=scsi0;ide0"})
	vm.Absent = []string{"onboot", "startup"}
	vm.Disks[0].Size = 138 * storage.GiB
	vm.Disks[0].Options = map[string]string{"cache": "writeback"}
	vm.Disks = append(vm.Disks, workstation.Disk{Slot: "scsi2", Purpose: storage.Scratch, Size: 8 * storage.GiB},
		workstation.Disk{Slot: "ide0", Purpose: storage.Image, Volume: "local:iso/virtio-win-0.1.285.iso", Options: map[string]string{"media": "cdrom"}},
		workstation.Disk{Slot: "ide2", Purpose: storage.Image, Volume: "none", Options: map[string]string{"media": "cdrom"}})
	return spec
}

func TestRestoreBringsBackWhatAnApplyChanged(t *testing.T) {
	t.Parallel()
	for name, running := range map[string]bool{"off": false, "running": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sim := pvetest.New(busy(), nil)
				node := open(sim)
				if running {
					if err := sim.PowerOn(140); err != nil {
						t.Fatal(err)
					}
				}
				was, _ := sim.VM(140)
				before := kept(t, observe(t, sim).Snapshot(140, 141, 150))
				if err := node.Apply(t.Context(), plan(t, node, meddled()), nil); err != nil {
					t.Fatal(err)
				}
				if p := plan(t, node, meddled()); !p.Empty() {
					t.Errorf("a second plan is not empty:\n%s", p)
				}
				back := restorePlan(t, sim, before)
				if strings.Contains(back.String(), "at the next start") != running {
					t.Errorf("the plan of a VM that is %s:\n%s", name, back)
				}
				if err := node.Apply(t.Context(), back, nil); err != nil {
					t.Fatalf("%v\n%s", err, back)
				}
				is, _ := sim.VM(140)
				// Some changes stay, as documented: an added disk stays, and a
				// disk that grew keeps its size.
				want := maps.Clone(was.Config)
				want["scsi2"], want["scsi0"] = is.Config["scsi2"], "local-lvm:vm-140-disk-0,size=138G"
				if want["scsi2"] == "" || !maps.Equal(is.Config, want) || len(is.Pending) > 0 {
					t.Errorf("the configuration is\n%v, pending %v, was\n%v\nafter\n%s", is.Config, is.Pending, was.Config, back)
				}
				if again := restorePlan(t, sim, before); !again.Empty() || !hasFindings(again, "restore.disk-added", "restore.disk-grown") {
					t.Errorf("a second plan is not empty, or does not tell of the disks:\n%s", again)
				}
				writes := len(sim.Writes())
				if err := node.Apply(t.Context(), back, nil); err != nil || len(sim.Writes()) != writes {
					t.Errorf("the same plan again: %v, writes %v", err, sim.Writes()[writes:])
				}
				if err := sim.Check(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func hasFindings(p workstation.Plan, ids ...string) bool {
	for _, id := range ids {
		if !slices.ContainsFunc(p.Findings, func(f proxstation.Finding) bool { return f.ID == id }) {
			return false
		}
	}
	return true
}

// A property that was added since the snapshot is removed. A step of a restore
// counts as done only if the value is exactly the old value.
func TestRestoreIsExact(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(made(), nil)
		before := observe(t, sim).Snapshot(140)
		was, _ := sim.VM(140)
		if err := sim.Edit(140, "net0", was.Config["net0"]+",firewall=1"); err != nil {
			t.Fatal(err)
		}
		back := restorePlan(t, sim, before)
		if err := open(sim).Apply(t.Context(), back, nil); err != nil {
			t.Fatal(err)
		}
		if is, _ := sim.VM(140); !maps.Equal(is.Config, was.Config) {
			t.Errorf("net0 is %s, was %s; plan:\n%s", is.Config["net0"], was.Config["net0"], back)
		}
	})
}

func TestRestoreRefusesAStaleDigest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(busy(), nil)
		node := open(sim)
		before := observe(t, sim).Snapshot(140)
		if err := sim.Edit(140, "memory", "8192"); err != nil {
			t.Fatal(err)
		}
		back := restorePlan(t, sim, before)
		if err := sim.Edit(140, "cores", "2"); err != nil {
			t.Fatal(err)
		}
		was, _ := sim.VM(140)
		err := node.Apply(t.Context(), back, nil)
		if is, _ := sim.VM(140); !errors.Is(err, workstation.ErrStale) || !maps.Equal(is.Config, was.Config) {
			t.Errorf("error %v, configuration %v, want ErrStale and %v", err, is.Config, was.Config)
		}
	})
}

func TestRestoreKeepsALease(t *testing.T) {
	t.Parallel()
	const lease = "\n" + `<!-- proxstation-lease {"owner":"sofa","id":"X1","to":141,"phase":"stop","ttl":1} -->`
	facts := workstation.Facts{Node: "pve", VMs: map[int]workstation.VMFacts{140: {ID: 140, Config: map[string]string{"description": "mine" + lease}}}}
	before := facts.Snapshot(140)
	if before.Configs[140]["description"] != "mine" {
		t.Errorf("the snapshot holds a lease: %q", before.Configs[140])
	}
	if p, err := workstation.RestorePlan(before, facts); err != nil || !p.Empty() {
		t.Errorf("%v, %v, want an empty plan", p, err)
	}
	facts.VMs[140].Config["description"] = lease
	if p, err := workstation.RestorePlan(workstation.Snapshot{Node: "pve", Configs: map[int]map[string]string{140: {}}}, facts); err != nil || !p.Empty() {
		t.Errorf("a lease and nothing else: %v, %v, want an empty plan", p, err)
	}
	facts.VMs[140].Config["description"] = "yours" + lease
	p, err := workstation.RestorePlan(before, facts)
	if err != nil || len(p.Steps) != 1 || p.Steps[0].(workstation.ChangeVM).Set["description"] != "mine"+lease {
		t.Errorf("%v, %v, want the old text with the lease", p, err)
	}
}

func TestRestoreOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(busy(), nil)
		node := open(sim)
		facts := observe(t, sim)
		before := facts.Snapshot()
		if err := sim.DestroyVM(140); err != nil {
			t.Fatal(err)
		}
		gone := restorePlan(t, sim, before)
		if err := node.Apply(t.Context(), gone, nil); !errors.Is(err, workstation.ErrBlocked) || !hasFindings(gone, "restore.gone") {
			t.Errorf("apply: %v, want ErrBlocked\n%s", err, gone)
		}
		later := facts
		later.Node = "pve2"
		if p, err := workstation.RestorePlan(before, later); !errors.Is(err, workstation.ErrInvalid) || !p.Empty() {
			t.Errorf("another node: %v, %v", p, err)
		}
		made := workstation.Facts{Node: "pve", VMs: map[int]workstation.VMFacts{}}.Snapshot(141)
		if p := restorePlan(t, sim, made); !p.Empty() || !hasFindings(p, "restore.made") {
			t.Errorf("a VM that came: %s", p)
		}
	})
}
