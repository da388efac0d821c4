package devices

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

// hostPCI moves the wanted passed-through devices to the hostpci keys in which
// an existing VM already has them. A new card may replace a graphics card in
// its key. It does not replace another device, such as a disk controller from
// which the VM may start. Such a device keeps its key, and the new card gets a
// free key.
func (w *Wish) hostPCI() {
	for _, key := range slices.Sorted(maps.Keys(w.Config)) {
		if qmconf.Family(key) != "hostpci" {
			continue
		}
		h, err := gpu.ParseHostPCI(w.Config[key])
		wanted := w.functions(h)
		if err != nil || len(wanted) == 0 {
			continue
		}
		holders := w.holders(key, wanted)
		slot := key
		switch {
		case slices.Contains(holders, key):
		case len(holders) > 0:
			slot = holders[0]
		case w.Have[key] != "" && !(w.holdsCard(w.Have[key]) && w.holdsCard(w.Config[key])):
			slot = qmconf.FreeSlot(key, nil, w.Have, w.Config)
		case w.Have[key] != "":
			w.Absent = append(slices.Clone(w.Absent), otherProperties(key, w.Have[key], w.Config[key])...)
		}
		if slot != key && slot != "" {
			w.move(key, slot)
		}
		switch {
		case len(holders) > 1:
			w.keepSplit(slot, holders)
		case len(holders) == 0 || otherMode(w.Have[slot], w.Config[slot]):
			w.fitMachine(slot)
			w.Config[slot] = Completed(slot, w.Config[slot], w.Defaults[slot])
		}
	}
}

// otherMode reports whether a card changes its mode. An option ROM fits one
// mode only.
func otherMode(have, want string) bool {
	one, errOne := gpu.ParseHostPCI(have)
	two, errTwo := gpu.ParseHostPCI(want)
	return errOne == nil && errTwo == nil && one.LegacyIGD != two.LegacyIGD
}

// holders returns the keys in which the VM already has some of the wanted
// functions. The Spec wants these functions in the key "in". Keys that the Spec
// removes or gives to other devices are left out.
func (w *Wish) holders(in string, wanted []iommu.Address) []string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(w.Have)) {
		h, err := gpu.ParseHostPCI(w.Have[key])
		if other, named := w.Config[key]; named && key != in {
			h, err = gpu.ParseHostPCI(other)
		}
		if qmconf.Family(key) != "hostpci" || err != nil || h.MDev != "" || slices.Contains(w.Absent, key) {
			continue
		}
		has := w.functions(h)
		if slices.ContainsFunc(has, func(a iommu.Address) bool { return slices.Contains(wanted, a) }) {
			keys = append(keys, key)
		}
	}
	return keys
}

// holdsCard reports whether a hostpci value names a graphics card.
func (w *Wish) holdsCard(value string) bool {
	h, err := gpu.ParseHostPCI(value)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(w.functions(h), func(a iommu.Address) bool {
		_, card := gpu.CardAt(w.Host.Functions, a)
		return card
	})
}

// move moves a hostpci value to another key. It also
// changes the arguments that name the old key.
func (w *Wish) move(from, to string) {
	w.Config[to] = w.Config[from]
	delete(w.Config, from)
	w.Defaults = maps.Clone(w.Defaults)
	if value, there := w.Defaults[from]; there {
		w.Defaults[to] = value
		delete(w.Defaults, from)
	}
	w.Absent = slices.Clone(w.Absent)
	for i, name := range w.Absent {
		if property, of := strings.CutPrefix(name, from+"."); of {
			w.Absent[i] = to + "." + property
		}
	}
	if args, there := w.Config["args"]; there {
		w.Config["args"] = strings.ReplaceAll(args, "device."+from+".", "device."+to+".")
	}
}

// otherProperties returns the properties of an old hostpci value that the new
// card must not keep, such as an option ROM or a mode. These are all properties
// that the new value does not set, except the device and pcie. The names have
// the form of VM.Absent.
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

// keepSplit keeps the keys of a card if the VM has each function of the card in
// its own key. If one of these keys got a mapping of the whole card, PVE would
// find a function assigned twice.
func (w *Wish) keepSplit(slot string, holders []string) {
	properties, device := qmconf.Parse(slot, w.Config[slot]), w.Config[slot]
	for _, p := range qmconf.Parse(slot, w.Have[slot]) {
		if p.Key == "host" || p.Key == "mapping" {
			w.Config[slot] = properties.Drop("mapping").Drop("host").Set(p.Key, p.Value).Text(slot)
		}
	}
	w.Split = append(w.Split, slot)
	others := slices.DeleteFunc(slices.Clone(holders), func(key string) bool { return key == slot })
	var seen []string
	for _, key := range holders {
		seen = append(seen, key+": "+w.Have[key])
	}
	w.Findings = append(w.Findings, proxstation.Finding{ID: "workstation.card-split", Severity: proxstation.Warning, Subject: w.Title, Seen: strings.Join(seen, "; "),
		Why: fmt.Sprintf("The VM has this card already, with one function in each key. With %s in %s too, PVE would find a function assigned twice and not start the VM. So the keys stay as they are.", device, slot),
		Fix: fmt.Sprintf("To name the card as the Spec does, shut the VM down, run qm set %d --delete %s on the node, and plan again.", w.VM, strings.Join(others, ","))})
}

// fitMachine removes defaults that do not fit an existing VM. It removes pcie=1
// if the machine type has no PCIe, because PVE would not start the VM. It
// removes x-vga=1 if the VM should keep its emulated display. With x-vga=1, PVE
// takes the emulated display away from a VM without the key vga (qemu-server
// PVE/QemuServer/PCI.pm).
func (w *Wish) fitMachine(key string) {
	machine, display := cmp.Or(w.Config["machine"], w.Have["machine"]), cmp.Or(w.Config["vga"], w.Have["vga"])
	defaults, there := w.Defaults[key]
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
	w.Defaults[key] = properties.Text(key)
}
