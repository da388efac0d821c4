package iommu

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Our own files, from the root of the machine.
const (
	modprobeFile = "etc/modprobe.d/00-proxstation.conf" // comes first, because kmod uses a module's first softdep
	modulesFile  = "etc/modules-load.d/proxstation.conf"
	grubFile     = "etc/default/grub.d/proxstation.cfg"
	cmdlineFile  = "etc/kernel/cmdline"
)

const keptHead = "# Written by proxstation: keeps these PCI functions for guests. Do not edit.\n"

// The type "kept" holds the functions that the host keeps for guests, as our
// file in /etc/modprobe.d records them.
type kept struct {
	functions []keptFunction // in order
	args      []string       // kernel arguments that we added
	override  bool           // keeps functions by address, because other functions have the same model
	builtIn   bool           // keeps functions by kernel argument, because vfio-pci is not a module
	idsIn     string         // the file of others with vfio-pci's ids; "" if our file has them
	order     []string       // the lines that let vfio-pci come first
}

// idsArgument is the kernel argument with vfio-pci's models.
const idsArgument = "vfio-pci.ids="

// builtInNote is the line in our file that explains why there are no options.
const builtInNote = "# vfio-pci is built into the kernel, which is told the ids by an argument\n"

// idsNote begins the line that names the file with vfio-pci's ids.
const idsNote = "# the ids are in /"

// The method "ids" returns the models in the form of vfio-pci's option ids.
func (k kept) ids() string {
	var ids []string
	for _, fn := range k.functions {
		ids = append(ids, fn.model.String())
	}
	return strings.Join(unique(ids), ",")
}

// A keptFunction is a function that is kept for guests.
type keptFunction struct {
	address Address
	model   Model
	drivers []string // modules that must not come before vfio-pci
}

// String returns our file in /etc/modprobe.d (modprobe.d(5)). The file gives
// vfio-pci the models. If other functions have the same models, the file gives
// the kernel the addresses instead, immediately before vfio-pci is loaded. If
// vfio-pci is built in, the file needs neither options nor an order, because
// vfio-pci comes before all modules.
func (k kept) String() string {
	if len(k.functions) == 0 && len(k.args) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(keptHead)
	for _, fn := range k.functions {
		fmt.Fprintf(&b, "# function %s %s %s\n", fn.address, fn.model, strings.Join(fn.drivers, ","))
	}
	for _, arg := range k.args {
		fmt.Fprintf(&b, "# argument %s\n", arg)
	}
	switch {
	case len(k.functions) == 0:
	case k.builtIn:
		b.WriteString(builtInNote)
		return b.String()
	case k.idsIn != "":
		b.WriteString(idsNote + k.idsIn + "\n")
	case k.override:
		b.WriteString("install vfio-pci ")
		for _, fn := range k.functions {
			dir := "/sys/bus/pci/devices/" + fn.address.String()
			fmt.Fprintf(&b, "if grep -qs PCI_ID=%s %s/uevent; then echo vfio-pci > %s/driver_override; fi; ",
				strings.ToUpper(fn.model.String()), dir, dir)
		}
		b.WriteString("/sbin/modprobe --ignore-install vfio-pci $CMDLINE_OPTS\n")
	default:
		fmt.Fprintf(&b, "options vfio-pci ids=%s\n", k.ids())
	}
	for _, line := range k.order {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// The method "keep" adds a function. If the function is kept already, its
// recorded modules stay, because its driver may be vfio-pci by now.
func (k *kept) keep(fn Function) {
	drivers := fn.drivers()
	k.functions = slices.DeleteFunc(k.functions, func(have keptFunction) bool {
		if have.address == fn.Address && have.model == fn.Model {
			drivers = append(drivers, have.drivers...)
		}
		return have.address == fn.Address
	})
	k.functions = append(k.functions, keptFunction{address: fn.Address, model: fn.Model, drivers: unique(drivers)})
}

// The method "modules" returns the modules that must not come before vfio-pci.
func (k kept) modules() []string {
	var modules []string
	for _, fn := range k.functions {
		modules = append(modules, fn.drivers...)
	}
	return unique(modules)
}

// The function "unique" returns the strings without repetitions, in order.
func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// parseKept reads our file back. It returns an error if somebody else edited
// the file.
func parseKept(text string) (kept, error) {
	var k kept
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if arg, ok := strings.CutPrefix(line, "# argument "); ok {
			k.args = append(k.args, arg)
		}
		if file, ok := strings.CutPrefix(line, idsNote); ok {
			k.idsIn = file
		}
		k.builtIn = k.builtIn || line+"\n" == builtInNote
		k.override = k.override || strings.HasPrefix(line, "install ")
		if strings.HasPrefix(line, "softdep ") {
			k.order = append(k.order, line)
		}
		rest, ok := strings.CutPrefix(line, "# function ")
		if !ok {
			continue
		}
		fn, err := parseKeptFunction(rest)
		if err != nil {
			return kept{}, err
		}
		k.functions = append(k.functions, fn)
	}
	if k.String() != text {
		return kept{}, fmt.Errorf("/%s was edited by someone else", modprobeFile)
	}
	return k, nil
}

func parseKeptFunction(s string) (keptFunction, error) {
	fields := strings.Split(s, " ")
	if len(fields) != 3 {
		return keptFunction{}, fmt.Errorf("/%s: function %q", modprobeFile, s)
	}
	address, err := ParseAddress(fields[0])
	if err != nil {
		return keptFunction{}, err
	}
	vendor, device, _ := strings.Cut(fields[1], ":")
	fn := keptFunction{address: address}
	if fn.model.Vendor, err = ParseID(vendor); err != nil {
		return keptFunction{}, err
	}
	if fn.model.Device, err = ParseID(device); err != nil {
		return keptFunction{}, err
	}
	if fields[2] != "" {
		fn.drivers = strings.Split(fields[2], ",")
	}
	return fn, nil
}

// The method "drivers" returns the modules that would take a function if they
// were loaded before vfio-pci. These are the module of the function's current
// driver, and the drivers for cards of the function's vendor.
func (fn Function) drivers() []string {
	var modules []string
	if fn.Driver != "" && fn.Driver != vfioPCI {
		modules = append(modules, cmp.Or(fn.Module, strings.ReplaceAll(fn.Driver, "-", "_")))
	}
	switch {
	case fn.Class == 0x0c0330: // an xHCI controller
		modules = append(modules, "xhci_pci")
	case fn.Class.Sub() == 0x0c80 && fn.Model.Vendor == 0x10de: // a card's USB-C port
		modules = append(modules, "i2c_nvidia_gpu")
	case fn.Class.Sub() == 0x0403: // an HD audio controller
		modules = append(modules, "snd_hda_intel")
	case fn.Class.Sub() == 0x0108:
		modules = append(modules, "nvme")
	case fn.Class == 0x010601:
		modules = append(modules, "ahci")
	case !fn.Class.IsDisplay():
	case fn.Model.Vendor == 0x10de:
		modules = append(modules, "nouveau", "nova_core", "nvidia", "nvidia_drm")
	case fn.Model.Vendor == 0x1002:
		modules = append(modules, "amdgpu", "radeon")
	case fn.Model.Vendor == 0x8086:
		modules = append(modules, "i915", "xe")
	}
	return unique(modules)
}
