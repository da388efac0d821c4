package iommu

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/sysfs"
)

const pciDevices = "bus/pci/devices"

// The method "functions" reads every PCI function
// (Documentation/ABI/testing/sysfs-bus-pci).
func (r *reader) functions() {
	names, err := sysfs.Names(r.Sys, pciDevices)
	if err != nil {
		r.unread("/sys/"+pciDevices, err)
		return
	}
	for _, name := range names {
		address, err := ParseAddress(name)
		if err != nil {
			r.unread("/sys/"+pciDevices+"/"+name, err)
			continue
		}
		r.Functions = append(r.Functions, r.function(address))
	}
	slices.SortFunc(r.Functions, func(a, b Function) int { return a.Address.Compare(b.Address) })
	// If any function has reset_method, the kernel is Linux 5.15 or newer. A
	// function without this file then cannot be reset.
	if slices.ContainsFunc(r.Functions, func(fn Function) bool { return fn.ResetMethods != nil }) {
		for i := range r.Functions {
			if r.Functions[i].ResetMethods == nil {
				r.Functions[i].ResetMethods = []string{}
			}
		}
	}
}

func (r *reader) function(address Address) Function {
	dir := newDevice(r.Sys, address)
	fn := Function{Address: address, Parent: dir.parent(), Lost: dir.lost(), MDev: dir.mdev(), Power: dir.power(), SRIOV: dir.sriov(),
		ResetMethods: dir.resetMethods(), Link: dir.link(), BARs: dir.bars(), BootVGA: proxstation.Unknown}
	id := func(name string) ID { return ID(r.number(dir, name, 16)) }
	fn.Class = Class(r.number(dir, "class", 24))
	fn.Model = Model{Vendor: id("vendor"), Device: id("device")}
	fn.Subsystem = Model{Vendor: id("subsystem_vendor"), Device: id("subsystem_device")}
	if n, err := strconv.ParseUint(dir.text("revision"), 0, 8); err == nil {
		revision := uint8(n)
		fn.Revision = &revision
	}
	if name, err := dir.target("driver"); err == nil {
		fn.Driver, fn.DriverKnown = name, proxstation.Yes
		fn.Module = r.moduleOf(dir, name)
	} else {
		r.unread("/sys/"+dir.dir+"/driver", err)
	}
	if override := dir.text("driver_override"); override != "(null)" {
		fn.Override = override
	}
	if physical, _ := dir.target("physfn"); physical != "" {
		if address, err := ParseAddress(physical); err == nil {
			fn.VirtualOf = &address
		}
	}
	// The file is described in
	// Documentation/ABI/testing/sysfs-devices-removable.
	if text := dir.text("removable"); text == "removable" || text == "fixed" {
		fn.Removable = proxstation.AnswerOf(text == "removable")
	}
	if text := dir.text("boot_vga"); text != "" {
		fn.BootVGA = proxstation.AnswerOf(text == "1")
	}
	if node, err := strconv.Atoi(dir.text("numa_node")); err == nil && node >= 0 {
		fn.NUMANode = &node
	}
	group, _ := dir.target("iommu_group")
	if n, err := strconv.Atoi(group); err == nil {
		fn.Group = Group(n)
	}
	if fn.Class.IsBridge() {
		fn.ACS = dir.acs()
	}
	if fn.Lost == proxstation.Yes {
		fn.Link = nil // the registers of a lost device read ff, which would mean 63 lanes
	}
	return fn
}

// The method "number" reads an attribute that every function has and that is a
// number.
func (r *reader) number(d device, name string, bits int) uint64 {
	n, err := sysfs.Uint(r.Sys, d.file(name), bits)
	if err != nil {
		r.unread("/sys/"+d.dir+"/"+name, err)
	}
	return n
}

// moduleOf returns the module of a function's driver, or "". It reads each
// driver's module once.
func (r *reader) moduleOf(d device, driver string) string {
	if driver == "" {
		return ""
	}
	module, known := r.drivers[driver]
	if !known {
		module, _, _ = sysfs.Link(r.Sys, d.file("driver/module"))
		if r.drivers == nil {
			r.drivers = map[string]string{}
		}
		r.drivers[driver] = module
	}
	return module
}

// A device is the sysfs directory of a PCI function.
type device struct {
	sys fs.FS
	dir string
	// The field "place" is the directory to which the link dir leads.
	place string
	// entries holds the names in the directory, or nil if they could not be
	// listed. An attribute that is not in entries need not be opened.
	entries map[string]bool
}

func newDevice(sys fs.FS, address Address) device {
	d := device{sys: sys, dir: pciDevices + "/" + address.String()}
	d.place = d.dir
	if target, err := fs.ReadLink(sys, d.dir); err == nil && fs.ValidPath(path.Join(pciDevices, target)) {
		d.place = path.Join(pciDevices, target)
	}
	if entries, err := fs.ReadDir(sys, d.place); err == nil {
		d.entries = make(map[string]bool, len(entries))
		for _, entry := range entries {
			d.entries[entry.Name()] = true
		}
	}
	return d
}

// The method "file" returns the path of an attribute.
func (d device) file(name string) string { return d.place + "/" + name }

// The method "has" reports whether the function may have an attribute.
func (d device) has(name string) bool {
	name, _, _ = strings.Cut(name, "/")
	return d.entries == nil || d.entries[name]
}

// The method "text" returns an attribute that functions may lack, or "".
func (d device) text(name string) string {
	if !d.has(name) {
		return ""
	}
	text, _, _ := sysfs.Optional(d.sys, d.file(name))
	return text
}

// The method "target" returns the last element of a link's target, or "" if the
// function has no such link.
func (d device) target(name string) (string, error) {
	if !d.has(name) {
		return "", nil
	}
	target, _, err := sysfs.Link(d.sys, d.file(name))
	return target, err
}

// The method "parent" returns the function above this function. Its directory
// contains the directory of this function.
func (d device) parent() *Address {
	place := d.place
	if place == d.dir { // dir is not a link, or could not be read
		var err error
		if place, err = sysfs.Real(d.sys, d.dir); err != nil {
			return nil
		}
	}
	parent, err := ParseAddress(path.Base(path.Dir(place)))
	if err != nil {
		return nil
	}
	return &parent
}

// mdev looks for mediated devices in the places where PVE looks
// (PVE::SysFSTools): the directory of their types, or NVIDIA's own directory
// since kernel 6.8.
func (d device) mdev() proxstation.Answer {
	for _, name := range []string{"mdev_supported_types", "nvidia"} {
		if !d.has(name) {
			continue
		}
		info, err := fs.Stat(d.sys, d.file(name))
		if err == nil && info.IsDir() {
			return proxstation.Yes
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return proxstation.Unknown
		}
	}
	return proxstation.No
}

// resetMethods reads reset_method. The file is missing if the function has no
// method, and before Linux 5.15.
func (d device) resetMethods() []string {
	if !d.has("reset_method") {
		return nil
	}
	text, ok, err := sysfs.Optional(d.sys, d.file("reset_method"))
	if err != nil || !ok {
		return nil
	}
	return strings.Fields(text)
}

func (d device) link() *PCIeLink {
	l := PCIeLink{Speed: d.text("current_link_speed"), MaxSpeed: d.text("max_link_speed")}
	l.Width, _ = strconv.Atoi(d.text("current_link_width"))
	l.MaxWidth, _ = strconv.Atoi(d.text("max_link_width"))
	if l == (PCIeLink{}) {
		return nil
	}
	return &l
}
