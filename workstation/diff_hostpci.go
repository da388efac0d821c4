package workstation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/iommu"
)

// onItsCard moves the Spec's passed-through devices to the hostpci keys in
// which an existing VM already has them. A new card may replace a graphics card
// in its key. It does not replace another device, such as a disk controller
// that the VM may start from: such a device keeps its key, and the card gets a
// free key.
func (d *differ) onItsCard(vm VM, have VMFacts) VM {
	for _, key := range slices.Sorted(maps.Keys(vm.Config)) {
		if qmconf.Family(key) != "hostpci" {
			continue
		}
		h, err := gpu.ParseHostPCI(vm.Config[key])
		wanted := d.functions(h)
		if err != nil || len(wanted) == 0 {
			continue
		}
		holders := d.holders(vm, have, key, wanted)
		slot := key
		switch {
		case slices.Contains(holders, key):
		case len(holders) > 0:
			slot = holders[0]
		case have.Config[key] != "" && !(d.holdsCard(have.Config[key]) && d.holdsCard(vm.Config[key])):
			slot = qmconf.FreeSlot(key, nil, have.Config, vm.Config)
		case have.Config[key] != "":
			vm.Absent = append(slices.Clone(vm.Absent), otherProperties(key, have.Config[key], vm.Config[key])...)
		}
		if slot != key && slot != "" {
			vm = vm.moveHostPCI(key, slot)
		}
		switch {
		case len(holders) > 1:
			d.keepSplit(vm, have, slot, holders)
		case len(holders) == 0 || otherMode(have.Config[slot], vm.Config[slot]):
			d.fitMachine(vm, have, slot)
			vm.Config[slot] = completed(slot, vm.Config[slot], vm.Defaults[slot])
		}
	}
	return vm
}

// namesHostPCI reports whether the Spec mentions passed-through devices of the
// VM.
func (vm VM) namesHostPCI() bool {
	hostpci := func(key string) bool { return qmconf.Family(key) == "hostpci" }
	return slices.ContainsFunc(vm.Absent, hostpci) || slices.ContainsFunc(slices.Collect(maps.Keys(vm.Config)), hostpci)
}

// otherMode reports whether a card changes its mode. An option ROM fits one
// mode only.
func otherMode(have, want string) bool {
	one, errOne := gpu.ParseHostPCI(have)
	two, errTwo := gpu.ParseHostPCI(want)
	return errOne == nil && errTwo == nil && one.LegacyIGD != two.LegacyIGD
}

// This returns the PCI functions of the node that PVE tries first for a hostpci
// value.
func (d *differ) functions(h gpu.HostPCI) []iommu.Address {
	node := gpu.Node{Name: d.facts.Node, Functions: d.facts.IOMMU.Functions, Mappings: d.after}
	if sets := node.Resolve(h); len(sets) > 0 {
		return sets[0]
	}
	return nil
}

// This returns the keys in which a VM has some of the functions that the Spec
// wants in one key. It leaves out keys that the Spec removes or gives to other
// devices.
func (d *differ) holders(vm VM, have VMFacts, in string, wanted []iommu.Address) []string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(have.Config)) {
		h, err := gpu.ParseHostPCI(have.Config[key])
		if other, named := vm.Config[key]; named && key != in {
			h, err = gpu.ParseHostPCI(other)
		}
		if qmconf.Family(key) != "hostpci" || err != nil || h.MDev != "" || slices.Contains(vm.Absent, key) {
			continue
		}
		has := d.functions(h)
		if slices.ContainsFunc(has, func(a iommu.Address) bool { return slices.Contains(wanted, a) }) {
			keys = append(keys, key)
		}
	}
	return keys
}

// holdsCard reports whether a hostpci value names a graphics card.
func (d *differ) holdsCard(value string) bool {
	h, err := gpu.ParseHostPCI(value)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(d.functions(h), func(a iommu.Address) bool {
		_, card := gpu.CardAt(d.facts.IOMMU.Functions, a)
		return card
	})
}

// moveHostPCI returns the VM with a hostpci value moved to another key. It also
// changes the arguments that name the old key.
func (vm VM) moveHostPCI(from, to string) VM {
	vm.Config[to] = vm.Config[from]
	delete(vm.Config, from)
	vm.Defaults = maps.Clone(vm.Defaults)
	if value, there := vm.Defaults[from]; there {
		vm.Defaults[to] = value
		delete(vm.Defaults, from)
	}
	vm.Absent = slices.Clone(vm.Absent)
	for i, name := range vm.Absent {
		if property, of := strings.CutPrefix(name, from+"."); of {
			vm.Absent[i] = to + "." + property
		}
	}
	if args, there := vm.Config["args"]; there {
		vm.Config["args"] = strings.ReplaceAll(args, "device."+from+".", "device."+to+".")
	}
	return vm
}

// otherProperties returns the names of all properties of an old value except
// its device, in the form of VM.Absent. An option ROM or a mode belongs to the
// old card.
func otherProperties(key, have, want string) []string {
	wanted := qmconf.Parse(key, want)
	var names []string
	for _, p := range qmconf.Parse(key, have) {
		if _, there := wanted.Get(p.Key); !there && p.Key != "host" && p.Key != "mapping" && p.Key != "pcie" {
			names = append(names, key+"."+p.Key)
		}
	}
	return names
}

// keepSplit keeps a card that the VM has in several keys, with one function in
// each key. If one of these keys named a mapping of the whole card, PVE would
// find a function assigned twice.
func (d *differ) keepSplit(vm VM, have VMFacts, slot string, holders []string) {
	properties, device := qmconf.Parse(slot, vm.Config[slot]), vm.Config[slot]
	for _, p := range qmconf.Parse(slot, have.Config[slot]) {
		if p.Key == "host" || p.Key == "mapping" {
			vm.Config[slot] = properties.Drop("mapping").Drop("host").Set(p.Key, p.Value).Text(slot)
		}
	}
	d.split[fmt.Sprint(vm.ID, slot)] = true
	others := slices.DeleteFunc(slices.Clone(holders), func(key string) bool { return key == slot })
	var seen []string
	for _, key := range holders {
		seen = append(seen, key+": "+have.Config[key])
	}
	d.find(proxstation.Finding{ID: "workstation.card-split", Severity: proxstation.Warning, Subject: have.String(), Seen: strings.Join(seen, "; "),
		Why: fmt.Sprintf("The VM has this card already, with one function in each key. With %s in %s too, PVE would find a function assigned twice and not start the VM. So the keys stay as they are.", device, slot),
		Fix: fmt.Sprintf("To name the card as the Spec does, shut the VM down, run qm set %d --delete %s on the node, and plan again.", vm.ID, strings.Join(others, ","))})
}

// fitMachine removes defaults that do not fit an existing VM. It removes pcie=1
// if the machine type has no PCIe, because PVE would not start the VM. It
// removes x-vga=1 if the VM keeps its emulated display, because PVE takes that
// display away from a VM without the key vga (qemu-server
// PVE/QemuServer/PCI.pm).
func (d *differ) fitMachine(vm VM, have VMFacts, key string) {
	machine, display := cmp.Or(vm.Config["machine"], have.Config["machine"]), cmp.Or(vm.Config["vga"], have.Config["vga"])
	defaults, there := vm.Defaults[key]
	if !there {
		return
	}
	properties := qmconf.Parse(key, defaults)
	if !strings.Contains(machine, "q35") {
		properties = properties.Drop("pcie")
	}
	if kind, _, _ := strings.Cut(display, ","); kind != "none" {
		properties = properties.Drop("x-vga")
	}
	vm.Defaults[key] = properties.Text(key)
}
