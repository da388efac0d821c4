package iommu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// checkDrivers judges all devices for [Facts.Check].
func (f Facts) checkDrivers() []proxstation.Finding {
	var found []proxstation.Finding
	c := f.modconf(false)
	for _, fn := range f.Functions {
		if slot := f.Slot(fn.Address); len(slot) > 0 && slot[0].Address == fn.Address {
			var all []Address
			for _, o := range slot {
				all = append(all, o.Address)
			}
			found = append(found, f.checkDriverFirst(c, all)...)
		}
	}
	return found
}

// checkDriverFirst reports functions that another driver holds although
// vfio-pci's ids name them. The finding says why the other driver came first.
func (f Facts) checkDriverFirst(c modconf, functions []Address) []proxstation.Finding {
	models, d := c.effectiveIDs(f.vfioBuiltIn())
	var held, drivers []string
	var first Function
	if len(models) == 0 {
		return nil
	}
	kept := f.Kept() // iommu.not-bound reports the kept functions
	for _, a := range functions {
		fn, _ := f.Function(a)
		if !slices.Contains(models, fn.Model) || fn.Driver == "" || fn.Driver == vfioPCI || fn.DriverKnown != proxstation.Yes || slices.Contains(kept, a) {
			continue
		}
		held = append(held, fn.Address.String()+" has the driver "+fn.Driver)
		if len(drivers) == 0 {
			first = fn
		}
		drivers = append(drivers, fn.holder())
	}
	if len(held) == 0 {
		return nil
	}
	why, fix := f.faster(c, d, unique(drivers))
	return []proxstation.Finding{{ID: "iommu.driver-first", Severity: proxstation.Warning, Subject: first.Address.String(),
		Seen: d.where() + "; " + list(held), Why: why, Fix: fix + " Or let a plan do it: " + keepCommand(first.Address) + "."}}
}

// The method "holder" returns the module of the driver to which a function is
// bound.
func (fn Function) holder() string {
	if fn.Module != "" {
		return fn.Module
	}
	module := strings.ReplaceAll(fn.Driver, "-", "_")
	if renamed, ok := map[string]string{"xhci_hcd": "xhci_pci", "nvidia_gpu": "i2c_nvidia_gpu"}[module]; ok {
		return renamed
	}
	return module
}

// The method "faster" says how vfio-pci can come first. It also says why drivers
// took functions before vfio-pci, although the ids name the functions' models.
func (f Facts) faster(c modconf, ids directive, drivers []string) (why, fix string) {
	var lines, held []string
	for _, driver := range drivers {
		switch order, named := c.firstSoftdep(driver); {
		case order.verb != "" && slices.Contains(order.softdep(), "vfio_pci"):
			held = append(held, order.where())
		case named.verb != "":
			lines = append(lines, fmt.Sprintf("remove %q from /%s, because kmod takes the first softdep of a module and ignores %q", order.text, order.file, named.text))
		case order.verb != "" && order.file != "":
			lines = append(lines, fmt.Sprintf("write line %d of /%s as %q", order.number, order.file, "softdep "+driver+" pre: vfio-pci "+strings.TrimSpace(strings.Replace(order.rest, "pre:", "", 1))))
		default:
			if black := c.of("blacklist", driver); len(black) > 0 {
				held = append(held, black[0].where())
				continue
			}
			lines = append(lines, fmt.Sprintf("add %q", "softdep "+driver+" pre: vfio-pci"))
		}
	}
	file := "/etc/modprobe.d/vfio.conf"
	if ids.file != "" {
		file = "/" + ids.file
	}
	for i, line := range lines {
		if strings.HasPrefix(line, "add ") {
			lines[i] += " to " + file
		}
	}
	switch builtIn := slices.ContainsFunc(drivers, func(d string) bool { m, _ := f.Module(d); return m.BuiltIn }); {
	case builtIn:
		return "The driver is built into the kernel, so it comes before every module.",
			"Use a kernel that has the driver as a module, or a kernel with vfio-pci built in and " + idsArgument + " among its arguments."
	case f.vfioBuiltIn():
		return "vfio-pci is built in, and the driver was bound to the function after it.", "Find what binds the driver, such as a hook script or a line of udev's rules."
	case len(lines) == 0 && len(c.of("blacklist", drivers[0])) > 0 && len(held) > 0:
		return "The driver is blacklisted (" + list(held) + "), which only prevents loading it for the device. Something loads the driver by its name, or the initramfs still has the old files.",
			"Run update-initramfs -u -k all, and restart. If the driver has the function again after that, write \"install " + drivers[0] + " /bin/false\" for the blacklist line."
	case len(lines) == 0:
		return "The files are right (" + list(held) + "), but they are not in force yet.", "Run update-initramfs -u -k all, and restart."
	}
	return "The driver was loaded before vfio-pci, because ids alone do not decide which of two modules comes first.",
		printable.Sentence(strings.Join(lines, "; ") + "; run update-initramfs -u -k all, and restart")
}

// firstSoftdep returns the first softdep of a module. kmod ignores all later
// softdeps. The result "late" is an ignored softdep that names vfio-pci.
func (c modconf) firstSoftdep(module string) (first, late directive) {
	for i, d := range c.of("softdep", module) {
		switch {
		case i == 0:
			first = d
		case !slices.Contains(first.softdep(), "vfio_pci") && slices.Contains(d.softdep(), "vfio_pci"):
			return first, d
		}
	}
	return first, late
}
