package install

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/firstboot"
)

// A Plan holds two things: the changes that make the VMs of the Spec, and the
// set-ups of their guests. Its String is the text that a person approves. It
// shows no secret.
type Plan struct {
	// First is applied before any guest starts.
	First workstation.Plan
	// SetUps holds the guests to set up after First, one after the other.
	SetUps []SetUp

	spec workstation.Spec
}

// A SetUp describes how one guest is set up.
type SetUp struct {
	VMID int
	Name string // the VM's name
	// Seed is the volume of the seed. SeedSlot is the drive that holds the seed
	// during the set-up. If Seed is empty, the guest exists, and only its own
	// set-up goes on, or runs again. SeedSlot is then the empty drive that an
	// earlier set-up left, or "".
	Seed, SeedSlot string
	// Size is the approximate size of the seed.
	Size storage.Size
	// Later holds the settings that the VM gets after the guest has reported.
	Later []workstation.StepLine
	// Needs holds the privileges that the set-up needs in addition to the
	// privileges for First.
	Needs []workstation.Privilege

	guest Guest
	vm    workstation.VM
	seed  firstboot.Seed
	stale bool // the guest's state may be from an earlier attempt
}

// Empty reports whether nothing has to be done.
func (p Plan) Empty() bool { return p.First.Empty() && len(p.SetUps) == 0 }

// Diff returns the work to do. It calls workstation.Diff, and plans the set-ups
// of guests. A guest is set up if its VM is new, if an earlier set-up of its VM
// has not ended, or if its Again is set.
//
// The error is an error of workstation.Diff, an error of package firstboot for
// its fields, or a [GuestError]. A GuestError also reports a storage that
// cannot take the seed. Diff sends no request to a node.
func Diff(spec workstation.Spec, guests []Guest, facts workstation.Facts) (Plan, error) {
	plan := Plan{spec: spec}
	plan.spec.VMs = slices.Clone(spec.VMs)
	first := plan.spec
	first.VMs = slices.Clone(spec.VMs)
	for _, g := range guests {
		i := slices.IndexFunc(spec.VMs, func(vm workstation.VM) bool { return vm.ID == g.VMID })
		switch {
		case i < 0:
			return Plan{}, g.problem("the Spec has no such VM")
		case (g.Linux == nil) == (g.Windows == nil):
			return Plan{}, g.problem("want one of Linux and Windows")
		}
		plan.spec.VMs[i] = g.last(spec.VMs[i])
		first.VMs[i] = plan.spec.VMs[i]
		if !g.due(facts) {
			continue
		}
		setup, err := g.plan(spec.VMs[i], &facts)
		if err != nil {
			return Plan{}, err
		}
		plan.SetUps = append(plan.SetUps, setup)
		first.VMs[i] = g.first(spec.VMs[i], setup.SeedSlot, setup.Seed)
	}
	return plan.complete(first, facts)
}

// This plans both stages of all VMs. The findings of the second stage are shown
// with the first, because nothing should begin if the second stage is blocked.
func (p Plan) complete(first workstation.Spec, facts workstation.Facts) (Plan, error) {
	last, err := workstation.Diff(p.spec, facts)
	if err != nil {
		return Plan{}, err
	}
	if p.First, err = workstation.Diff(first, facts); err != nil {
		return Plan{}, err
	}
	for _, f := range last.Findings {
		if !slices.Contains(p.First.Findings, f) {
			p.First.Findings = append(p.First.Findings, f)
		}
	}
	for i := range p.SetUps {
		s := &p.SetUps[i]
		s.Later = later(s.VMID, p.First, last)
		s.Needs = s.needs(p.First, last)
		if lacks := facts.Lacks(s.Needs...); len(lacks) > 0 {
			p.First.Findings = append(p.First.Findings, proxstation.Finding{ID: "install.privilege", Severity: proxstation.Blocker,
				Subject: fmt.Sprintf("VM %d %s", s.VMID, s.Name), Seen: "the login lacks " + list(lacks),
				Why: "PVE would refuse a step in the middle of the set-up, when the seed with the password is already on the node.", Fix: "Add these privileges to the login's role (PVE manual, User Management)."})
		}
	}
	return p, nil
}

// This reports whether the guest has to be set up: its VM is new, an earlier
// set-up left its seed or its empty drive in the VM, or Again is set.
func (g Guest) due(facts workstation.Facts) bool {
	have, exists := facts.VMs[g.VMID]
	slot, _ := seedIn(have.Config)
	return !exists || slot != "" || unfinishedIn(have.Config) != "" || g.Again
}

// This returns the guest's set-up. If the guest gets a seed, the seed is added
// to the images in facts.
func (g Guest) plan(vm workstation.VM, facts *workstation.Facts) (SetUp, error) {
	have, exists := facts.VMs[vm.ID]
	slot, _ := seedIn(have.Config)
	s := SetUp{VMID: vm.ID, Name: vm.Name, guest: g, vm: g.last(vm), stale: exists}
	s.SeedSlot = cmp.Or(slot, unfinishedIn(have.Config))
	if exists && slot == "" && have.Running {
		return s, nil // the guest runs and needs no seed
	}
	if err := g.check(vm); err != nil {
		return SetUp{}, err
	}
	if err := g.checkCloudInit(vm); err != nil {
		return SetUp{}, err
	}
	var err error
	if s.seed, err = g.seed(); err != nil {
		return SetUp{}, err
	}
	s.Seed, s.Size = g.storage()+":iso/"+s.seed.Name(), sizeOf(s.seed)
	if s.SeedSlot == "" {
		if s.SeedSlot, err = g.freeSlot(vm, have.Config); err != nil {
			return SetUp{}, err
		}
	}
	return s, s.addTo(facts)
}

// sizeOf returns the approximate size of a seed's image. The image itself is
// only made for its upload.
func sizeOf(seed firstboot.Seed) storage.Size {
	size := 64 * storage.KiB
	for _, name := range seed.Files() {
		data, _ := seed.ReadFile(name) // cannot fail: the name comes from Files
		size += storage.Size(len(data))
	}
	return size
}

// addTo adds the seed to the images that facts has for the seed's storage. The
// plan of the VM looks for the seed there.
func (s *SetUp) addTo(facts *workstation.Facts) error {
	name := s.guest.storage()
	i := slices.IndexFunc(facts.Pools, func(p storage.Pool) bool { return p.Name == name })
	switch {
	case i < 0:
		return s.guest.problem("the node has no storage %s for the seed, or the login may not see it", name)
	case !facts.Pools[i].Holds("iso"):
		return s.guest.problem("storage %s is not for ISO images: allow it, on the node: pvesm set %[1]s --content %[2]s,iso", name, strings.Join(facts.Pools[i].Content, ","))
	case facts.Pools[i].Available < s.Size:
		return s.guest.problem("the seed has %s, and storage %s has %s left", s.Size.Human(), name, facts.Pools[i].Available.Human())
	}
	facts.Pools = slices.Clone(facts.Pools)
	if images := facts.Pools[i].Images; images != nil {
		facts.Pools[i].Images = append(slices.Clone(images), storage.Volume{ID: s.Seed, Size: s.Size})
	}
	return nil
}

// This returns the privileges for the set-up and for its later changes of the
// VM. The source is PVE's API description. For the agent, PVE 8 wants
// VM.Monitor.
func (s *SetUp) needs(first, last workstation.Plan) []workstation.Privilege {
	vm, pool := fmt.Sprintf("/vms/%d", s.VMID), "/storage/"+s.guest.storage()
	needs := []workstation.Privilege{{Path: vm, Name: "VM.PowerMgmt"}, {Path: vm, Name: "VM.GuestAgent.Unrestricted|VM.Monitor"}}
	if s.SeedSlot != "" {
		needs = append(needs, workstation.Privilege{Path: vm, Name: "VM.Config.CDROM"})
	}
	if s.Seed != "" {
		needs = append(needs, workstation.Privilege{Path: pool, Name: "Datastore.AllocateTemplate"}, workstation.Privilege{Path: pool, Name: "Datastore.Allocate"})
	}
	if s.guest.Windows != nil && s.Seed != "" {
		needs = append(needs, workstation.Privilege{Path: vm, Name: "VM.Console"})
	}
	if slices.ContainsFunc(s.Later, func(line workstation.StepLine) bool { return qmconf.IsSlot(line.Key) }) {
		needs = append(needs, workstation.Privilege{Path: vm, Name: "VM.Config.Disk"})
	}
	before := privileges(s.VMID, first)
	for _, p := range privileges(s.VMID, last) {
		if !slices.Contains(before, p) && !slices.Contains(needs, p) {
			needs = append(needs, p)
		}
	}
	return needs
}

// privileges returns the privileges that a plan needs for a VM.
func privileges(vmid int, plan workstation.Plan) []workstation.Privilege {
	var needs []workstation.Privilege
	for i, change := range plan.Changes() {
		switch s := plan.Steps[i].(type) {
		case workstation.CreateVM:
			if s.VMID == vmid {
				needs = append(needs, change.Needs...)
			}
		case workstation.ChangeVM:
			if s.VMID == vmid {
				needs = append(needs, change.Needs...)
			}
		}
	}
	return needs
}

// This returns the settings that the VM gets only in the second stage.
func later(vmid int, first, last workstation.Plan) []workstation.StepLine {
	have := map[string]string{}
	maps.Copy(have, wanted(vmid, first))
	var lines []workstation.StepLine
	want := wanted(vmid, last)
	for _, key := range slices.Sorted(maps.Keys(want)) {
		switch {
		case want[key] == have[key] || key == "net0":
		case have[key] == "":
			lines = append(lines, workstation.StepLine{Sign: workstation.SignAdd, Key: key, Want: want[key]})
		default:
			lines = append(lines, workstation.StepLine{Sign: workstation.SignModify, Key: key, Have: have[key], Want: want[key]})
		}
	}
	return lines
}

// This returns the settings that a plan gives to a VM.
func wanted(vmid int, plan workstation.Plan) map[string]string {
	values := map[string]string{}
	for _, step := range plan.Steps {
		switch s := step.(type) {
		case workstation.CreateVM:
			if s.VMID == vmid {
				maps.Copy(values, s.Config)
			}
		case workstation.ChangeVM:
			if s.VMID == vmid {
				maps.Copy(values, s.Set)
			}
		}
	}
	return values
}
