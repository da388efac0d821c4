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

// functions reads every PCI function (Documentation/ABI/testing/sysfs-bus-pci).
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
	// Since Linux 5.15 a function without reset_method has no way to be reset.
	// That the kernel is not older is seen by the others.
	if slices.ContainsFunc(r.Functions, func(fn Function) bool { return fn.ResetMethods != nil }) {
		for i := range r.Functions {
			if r.Functions[i].ResetMethods == nil {
				r.Functions[i].ResetMethods = []string{}
			}
		}
	}
}

func (r *reader) function(address Address) Function {
	dir := device{sys: r.Sys, dir: pciDevices + "/" + address.String()}
	fn := Function{Address: address, Parent: dir.parent(), Lost: dir.lost(), MDev: dir.mdev(), Power: dir.power(), SRIOV: dir.sriov(),
		ResetMethods: dir.resetMethods(), Link: dir.link(), BARs: dir.bars(), BootVGA: proxstation.Unknown}
	id := func(name string) ID { return ID(r.number(dir, name, 16)) }
	fn.Class = Class(r.number(dir, "class", 24))
	fn.Model = Model{Vendor: id("vendor"), Device: id("device")}
	fn.Subsystem = Model{Vendor: id("subsystem_vendor"), Device: id("subsystem_device")}
	if n, err := sysfs.Uint(r.Sys, dir.file("revision"), 8); err == nil {
		revision := uint8(n)
		fn.Revision = &revision
	}
	if name, _, err := sysfs.Link(r.Sys, dir.file("driver")); err == nil {
		fn.Driver, fn.DriverKnown = name, proxstation.Yes
		fn.Module, _, _ = sysfs.Link(r.Sys, dir.file("driver/module"))
	} else {
		r.unread("/sys/"+dir.file("driver"), err)
	}
	if override := dir.text("driver_override"); override != "(null)" {
		fn.Override = override
	}
	if physical, ok, err := sysfs.Link(r.Sys, dir.file("physfn")); err == nil && ok {
		if address, err := ParseAddress(physical); err == nil {
			fn.VirtualOf = &address
		}
	}
	// Documentation/ABI/testing/sysfs-devices-removable
	if text := dir.text("removable"); text == "removable" || text == "fixed" {
		fn.Removable = proxstation.AnswerOf(text == "removable")
	}
	if text := dir.text("boot_vga"); text != "" {
		fn.BootVGA = proxstation.AnswerOf(text == "1")
	}
	if node, err := strconv.Atoi(dir.text("numa_node")); err == nil && node >= 0 {
		fn.NUMANode = &node
	}
	if group, ok, err := sysfs.Link(r.Sys, dir.file("iommu_group")); err == nil && ok {
		if n, err := strconv.Atoi(group); err == nil {
			fn.Group = Group(n)
		}
	}
	if fn.Class.IsBridge() {
		fn.ACS = dir.acs()
	}
	if fn.Lost == proxstation.Yes {
		fn.Link = nil // its registers read ff too: 63 lanes
	}
	return fn
}

// number reads a number that every function has.
func (r *reader) number(d device, name string, bits int) uint64 {
	n, err := sysfs.Uint(r.Sys, d.file(name), bits)
	if err != nil {
		r.unread("/sys/"+d.file(name), err)
	}
	return n
}

// A device is a function's directory.
type device struct {
	sys fs.FS
	dir string
}

func (d device) file(name string) string { return d.dir + "/" + name }

// text returns an attribute that functions may lack, or nothing.
func (d device) text(name string) string {
	text, _, _ := sysfs.Optional(d.sys, d.file(name))
	return text
}

// parent returns the function above: the directory of the device in.
func (d device) parent() *Address {
	place, err := sysfs.Real(d.sys, d.dir)
	if err != nil {
		return nil
	}
	parent, err := ParseAddress(path.Base(path.Dir(place)))
	if err != nil {
		return nil
	}
	return &parent
}

// lost looks at the head of the configuration space.
func (d device) lost() proxstation.Answer {
	head := d.config(lostBytes)
	if len(head) < lostBytes {
		return proxstation.Unknown
	}
	return proxstation.AnswerOf(isLost(head))
}

// lostBytes is what tells a device that does not answer, which reads as all
// ones (PCI Local Bus specification 6.1): vendor, device, command and status.
// The first two are all ones in virtual functions that are well (PCI Express
// Base specification, SR-IOV, Configuration Space Header).
const lostBytes = 8

// isLost reports whether the configuration space begins with ones only.
func isLost(config []byte) bool {
	return len(config) >= lostBytes && string(config[:lostBytes]) == "\xff\xff\xff\xff\xff\xff\xff\xff"
}

// config returns at most n bytes of the configuration space. All may read 64
// of them, root all.
func (d device) config(n int) []byte {
	f, err := d.sys.Open(d.file("config"))
	if err != nil {
		return nil
	}
	defer f.Close()
	space := make([]byte, n)
	got := 0
	for got < n {
		k, err := f.Read(space[got:])
		got += k
		if err != nil || k == 0 {
			break
		}
	}
	return space[:got]
}

// mdev looks for mediated devices where PVE does (PVE::SysFSTools): types, or
// NVIDIA's own directory since kernel 6.8.
func (d device) mdev() proxstation.Answer {
	for _, name := range []string{"mdev_supported_types", "nvidia"} {
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

// resetMethods reads reset_method; the file is absent if there is none, and
// before Linux 5.15.
func (d device) resetMethods() []string {
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

// acs looks for Access Control Services in the extended configuration space
// (PCI Express Base specification 7.7.11) and says whether those are on that
// the kernel wants for separate groups: source validation, request and
// completion redirect, upstream forwarding (REQ_ACS_FLAGS in drivers/iommu).
func (d device) acs() proxstation.Answer {
	const want = 1<<0 | 1<<2 | 1<<3 | 1<<4
	space := d.config(4096)
	if len(space) < 4096 {
		return proxstation.Unknown
	}
	for at, hops := 0x100, 0; at >= 0x100 && at+8 <= len(space) && hops < 480; hops++ {
		id := uint16(space[at]) | uint16(space[at+1])<<8
		if id == 0x000d {
			return proxstation.AnswerOf(space[at+6]&want == want)
		}
		at = int(uint16(space[at+2])|uint16(space[at+3])<<8) >> 4
	}
	return proxstation.No
}
