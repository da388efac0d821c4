package workstation

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/boot"
	"github.com/proxstation/proxstation/internal/devices"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/internal/rules"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
)

// This completes a VM of the Spec for this node. A new VM gets the defaults. An
// existing VM keeps the values that the Spec does not mention, and its disks
// and cards keep their slots.
func (d *differ) meant(vm VM) VM {
	have, exists := d.facts.VMs[vm.ID]
	switch {
	case !exists:
		return vm.AsNew()
	case have.Name != vm.Name:
		return vm // the VM belongs to somebody else and is refused
	}
	vm.Config, vm.Defaults = cloned(vm.Config), cloned(vm.Defaults)
	vm = d.inItsSlots(vm, have)
	wish := devices.Wish{VM: vm.ID, Title: have.String(), Have: have.Config, Host: d.node(), Config: vm.Config, Defaults: vm.Defaults, Absent: vm.Absent}
	wish.Fit()
	vm.Config, vm.Absent = wish.Config, wish.Absent
	for _, key := range wish.Split {
		d.split[fmt.Sprint(vm.ID, key)] = true
	}
	d.problems.addFaults(vm, wish.Faults)
	d.plan.Findings = append(d.plan.Findings, wish.Findings...)
	vm.Defaults = nil
	if vm.Guest == gpu.Windows11 && cmp.Or(vm.Config["ostype"], have.Config["ostype"]) == "win10" {
		vm.Guest = gpu.Windows10 // a VM with Windows 10 is judged by what Windows 10 needs
	}
	return vm
}

// AsNew returns the VM as a new VM would be made: the defaults are filled into
// Config and into the sizes of the disks.
func (vm VM) AsNew() VM {
	config := cloned(vm.Defaults)
	for key, value := range vm.Config {
		if key == "args" {
			config[key], _ = qmconf.MergeArgs(config[key], value)
			continue
		}
		config[key] = devices.Completed(key, value, config[key])
	}
	for _, name := range vm.Absent {
		if key, property := qmconf.CutAbsent(name); property == "" && vm.Config[key] == "" {
			delete(config, key)
		}
	}
	vm.Config, vm.Defaults = config, nil
	vm.Disks = slices.Clone(vm.Disks)
	for i, disk := range vm.Disks {
		if vm.Disks[i].NewSize = 0; disk.Purpose != storage.Firmware { // PVE sets the size of firmware volumes
			vm.Disks[i].Size = cmp.Or(disk.Size, disk.NewSize)
		}
	}
	return vm
}

func cloned(values map[string]string) map[string]string {
	if values == nil {
		return map[string]string{}
	}
	return maps.Clone(values)
}

// This returns the configuration of a new VM, with a value for every drive.
func (vm VM) whole() map[string]string {
	config := maps.Clone(vm.Config)
	for _, disk := range vm.Disks {
		drive := storage.Drive{Volume: disk.Volume}
		switch {
		case disk.cloudInit():
			drive = storage.Drive{Volume: "storage:" + qmconf.CloudInitDrive}.With("media", "cdrom")
		case disk.allocates():
			drive = storage.NewDrive("storage", disk.Size)
		case disk.isCD():
			drive = drive.With("media", "cdrom")
		}
		config[disk.Slot] = drive.String()
	}
	return config
}

// judge reports settings with which the VM could not exist after the plan. A
// fault that an existing VM already has does not block the plan, but becomes a
// warning.
func (d *differ) judge(vm VM, will VMFacts) {
	host := rules.Host{Cores: d.facts.Cores, Memory: d.facts.MemoryTotal}
	d.plan.Findings = append(d.plan.Findings, host.Advise(vm.ID, will.Config)...)
	have, exists := d.facts.VMs[vm.ID]
	d.checkDevices(vm, have.Config, will.Config)
	broken := vm.checkRules(will.Config, host.Check(will.Config))
	if !exists {
		d.problems = append(d.problems, broken...)
		return
	}
	if d.plans(vm.ID) {
		d.checkTemplate(have)
		d.plan.Findings = append(d.plan.Findings, d.boots(vm, have, will.Config).Check()...)
	}
	before := map[string]bool{}
	for _, p := range vm.checkRules(have.Config, host.Check(have.Config)) {
		before[rule(p)] = true
	}
	for _, p := range broken {
		if !before[rule(p)] {
			d.problems = append(d.problems, p)
			continue
		}
		invalid, ok := errors.AsType[*InvalidError](p)
		if !ok { // checkRules adds errors of this type only
			d.problems = append(d.problems, p)
			continue
		}
		seen := invalid.Field + ": " + shown(invalid.Field, invalid.Value)
		if invalid.Value == "" {
			seen = invalid.Field + " has a wrong setting"
		}
		d.find(proxstation.Finding{ID: "workstation.rule", Severity: proxstation.Warning, Subject: have.String(), Seen: seen,
			Why: "The VM has this fault today, and the plan does not change it: " + invalid.Why + ".", Fix: fmt.Sprintf("Name the key in the Spec, or change it on the node while the VM is off: qm set %d.", vm.ID)})
	}
}

// This describes the planned change of a VM in the form that package boot
// judges.
func (d *differ) boots(vm VM, have VMFacts, will map[string]string) boot.Change {
	c := boot.Change{VM: vm.ID, Name: have.Name, Guest: vm.Guest, Now: have.Config, Will: will, Functions: func(h gpu.HostPCI) []iommu.Address { return devices.Functions(d.node(), h) }}
	for _, disk := range vm.Disks {
		if disk.allocates() && disk.Import == "" {
			c.Empty = append(c.Empty, disk.Slot)
		}
	}
	return c
}

// quotedHostPCI matches the hostpci value that errors of package gpu quote.
var quotedHostPCI = regexp.MustCompile(`hostpci "[^"]*"`)

// rule returns the same text for any two problems that break the same rule.
func rule(problem error) string {
	invalid, ok := errors.AsType[*InvalidError](problem)
	if !ok {
		return problem.Error()
	}
	return invalid.Field + "\n" + quotedHostPCI.ReplaceAllString(invalid.Why, "")
}

// This reports whether the steps planned so far make or change a VM.
func (d *differ) plans(vmid int) bool {
	return slices.ContainsFunc(d.plan.Steps, func(s Step) bool {
		switch step := s.(type) {
		case CreateVM:
			return step.VMID == vmid
		case ChangeVM:
			return step.VMID == vmid
		}
		return false
	})
}

// namesHostPCI reports whether the Spec mentions passed-through devices of the
// VM.
func (vm VM) namesHostPCI() bool {
	hostpci := func(key string) bool { return qmconf.Family(key) == "hostpci" }
	return slices.ContainsFunc(vm.Absent, hostpci) || slices.ContainsFunc(slices.Collect(maps.Keys(vm.Config)), hostpci)
}

// node returns the node's PCI devices, with the mappings after the plan.
func (d *differ) node() gpu.Node {
	return gpu.Node{Name: d.facts.Node, Functions: d.facts.IOMMU.Functions, Mappings: d.after}
}
