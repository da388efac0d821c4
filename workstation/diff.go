package workstation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
)

// Diff compares the Spec with the facts and returns the necessary changes. It
// is pure: the same input gives the same plan. The findings of the plan hold
// what people should know before they apply it.
//
// If the Spec is impossible, the error joins all reasons. A reason is an
// [InvalidError], a [TakenError], a [storage.NoPlaceError] or a
// [gpu.UnsupportedError]. If the configuration of an existing VM was not read,
// the error matches [ErrUnread].
func Diff(spec Spec, facts Facts) (Plan, error) {
	d := &differ{spec: spec, facts: facts, plan: Plan{Node: facts.Node}, split: map[string]bool{}}
	return d.diff()
}

// Fit does the same as [Diff], but its plan has no findings about the devices
// of VMs that the Spec does not name. With many VMs it is much faster. It is
// for programs that look for a node on which the Spec fits.
func Fit(spec Spec, facts Facts) (Plan, error) {
	d := &differ{spec: spec, facts: facts, plan: Plan{Node: facts.Node}, split: map[string]bool{}}
	for _, vm := range spec.VMs {
		d.about = append(d.about, vm.ID)
	}
	return d.diff()
}

func (d *differ) diff() (Plan, error) {
	spec := d.spec
	if d.named(spec); len(d.problems) > 0 {
		return Plan{}, d.problems.err()
	}
	d.mappings()
	d.spec.VMs = slices.Clone(spec.VMs)
	for i, vm := range spec.VMs {
		d.spec.VMs[i] = d.meant(vm)
	}
	d.spec = d.spec.withPurposes()
	d.placeDisks()
	for _, vm := range d.spec.VMs {
		d.vm(vm)
	}
	d.settings()
	after := d.facts.applied(d.plan.Steps)
	for _, vm := range d.spec.VMs {
		if will := after.VMs[vm.ID]; will.Name == vm.Name {
			d.judge(vm, will)
		}
		if d.plans(vm.ID) {
			d.plan.Findings = append(d.plan.Findings, vm.Notes...)
		}
	}
	d.conflicts(after)
	d.macOS(after)
	d.privileges()
	if err := d.problems.err(); err != nil {
		return Plan{}, err
	}
	return d.plan, nil
}

// A differ holds the state of one call of Diff.
type differ struct {
	spec     Spec
	facts    Facts
	plan     Plan
	problems problems
	// These are the mappings after the plan.
	after  []gpu.Mapping
	chosen map[string]storage.DiskChoice // the storages chosen for disks, by VM and slot
	about  []int                         // only the devices of these VMs get findings; empty means all VMs
	split  map[string]bool               // each VMID and hostpci key whose card is spread over several keys
}

// This reports VMIDs and mappings that the Spec names twice with different
// meanings.
func (d *differ) named(spec Spec) {
	vms, cards := map[int]bool{}, map[string]iommu.Address{}
	for _, vm := range spec.VMs {
		if vms[vm.ID] {
			d.problems.add(vm, "vmid", fmt.Sprint(vm.ID), "two VMs of the Spec have it")
		}
		vms[vm.ID] = true
	}
	for _, m := range spec.Mappings {
		if card, twice := cards[m.ID]; twice && !card.SameSlot(m.Card) {
			d.problems = append(d.problems, &InvalidError{Field: "mapping", Value: m.ID, Why: fmt.Sprintf("it is for %s and for %s", card.Slot(), m.Card.Slot())})
		}
		cards[m.ID] = m.Card
	}
}

func (d *differ) find(f proxstation.Finding) { d.plan.Findings = append(d.plan.Findings, f) }

// This plans one VM: create it, or change what differs.
func (d *differ) vm(vm VM) {
	have, exists := d.facts.VMs[vm.ID]
	form := vm.checkForm()
	if exists && have.Name == vm.Name { // PVE shows a VM without a name as "VM 140"
		form = slices.DeleteFunc(form, func(err error) bool { return rule(err) == "name\n"+notDNS })
	}
	if len(form) > 0 {
		d.problems = append(d.problems, form...)
		return
	}
	other, taken := d.facts.Others[vm.ID]
	switch {
	case !exists && d.facts.isUnread(vm.ID):
		d.problems = append(d.problems, d.facts.missing(vm.ID))
	case !exists && taken:
		d.problems = append(d.problems, &TakenError{VMID: vm.ID, Want: vm.Name, Have: other})
	case !exists:
		d.create(vm)
	case have.Name != vm.Name:
		d.problems = append(d.problems, &TakenError{VMID: vm.ID, Want: vm.Name, Have: have.Name})
	default:
		d.checkLock(have)
		d.checkCards(vm, have.Config)
		d.checkImages(vm, have)
		d.change(vm, have)
	}
}

// This plans a new VM.
func (d *differ) create(vm VM) {
	d.checkCards(vm, nil)
	d.checkImages(vm, VMFacts{})
	d.checkSeen(vm)
	config, notes := d.wanted(vm, nil)
	config["name"] = vm.Name
	config, osk := d.checkOSK(vm, config, "")
	d.plan.Steps = append(d.plan.Steps, CreateVM{VMID: vm.ID, Name: vm.Name, Config: config, Notes: notes, Password: vm.Password, OSK: osk})
	d.growImported(vm, VMFacts{})
}

// This plans the changes of a VM that exists.
func (d *differ) change(vm VM, have VMFacts) {
	want, notes := d.wanted(vm, have.Config)
	want, osk := d.checkOSK(vm, want, have.Config["args"])
	want = revealOSK(want, osk)
	step := ChangeVM{VMID: vm.ID, Name: vm.Name, Digest: have.Digest, Set: map[string]string{}, Have: map[string]string{}, Notes: notes}
	if vm.Guest.IsMacOS() && have.Config["args"] != "" && vm.namesHostPCI() {
		want = withValue(want, "args", want["args"]) // with args among the keys, the loop below removes arguments that only the old card needed
	}
	for _, key := range slices.Sorted(maps.Keys(want)) {
		merged, same := qmconf.Merge(key, have.Config[key], want[key])
		if have.Config[key] == "" {
			merged, same = want[key], false
		}
		if same {
			continue
		}
		step.Set[key], step.Have[key] = merged, have.Config[key]
	}
	step.drop(vm.Absent, have.Config)
	if _, there := have.Config[passwordKey]; !there {
		step.Password = vm.Password
	}
	steps := step.unlessEmpty()
	if _, specified := vm.Config["boot"]; specified {
		steps = step.withBoot(cmp.Or(step.Set["boot"], have.Config["boot"]), have.Config["boot"])
	}
	d.grow(vm, have) // grow comes before the change, because PVE keeps the old size in a drive that waits for the next start
	d.changes(steps, have)
	d.growImported(vm, have)
}

func (d *differ) changes(steps []ChangeVM, have VMFacts) {
	for _, step := range steps {
		step = step.hideOSK()
		step.noteLater(have)
		d.plan.Steps = append(d.plan.Steps, step)
	}
}
