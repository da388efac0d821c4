package hosttree

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing/fstest"
)

var address = regexp.MustCompile(`^([0-9a-f]{4,8}):([0-9a-f]{2}):[01][0-9a-f]\.[0-7]$`)

// The method "function" makes the directory of a PCI function and the links to it
// (Documentation/ABI/testing/sysfs-bus-pci).
func (b *builder) function(l line) error {
	f, err := newFunction(l)
	if err != nil {
		return err
	}
	dir, err := b.place(f)
	if err != nil {
		return err
	}
	sub := f.pair("subsystem", "0000:0000")
	pairs := []string{
		"vendor", "0x" + f.vendor, "device", "0x" + f.device, "class", "0x" + f.class,
		"subsystem_vendor", "0x" + sub[0], "subsystem_device", "0x" + sub[1],
		"revision", "0x" + f.or("revision", "00"), "irq", f.or("irq", "0"), "enable", "1",
		"numa_node", f.or("numa", "-1"), "driver_override", f.or("override", "(null)"),
		"boot_vga", f.or("bootvga", ""), "label", f.or("label", ""),
		"reset_method", strings.ReplaceAll(f.or("reset", ""), ",", " "),
		"modalias", f.modalias(sub), "uevent", f.uevent(sub),
	}
	return errors.Join(b.texts(dir, pairs...), b.linkSpeed(dir, f), b.regions(dir, f), b.config(dir, f),
		b.link("sys/bus/pci/devices/"+f.address, dir), b.link(dir+"/subsystem", "sys/bus/pci"),
		b.join(dir, f), b.bound(dir, f))
}

// A function is a line with the verb function. It has the values that every
// function must have.
type function struct {
	line
	address, class, vendor, device string
}

func newFunction(l line) (function, error) {
	f := function{line: l, address: l.args[0]}
	if !address.MatchString(f.address) {
		return f, fmt.Errorf("bad address %q", f.address)
	}
	f.class = f.or("class", "")
	if n, err := strconv.ParseUint(f.class, 16, 24); err != nil || len(f.class) != 6 {
		return f, fmt.Errorf("bad class %q (%d)", f.class, n)
	}
	id := f.pair("id", "")
	f.vendor, f.device = id[0], id[1]
	sub := f.pair("subsystem", "0000:0000")
	for _, part := range []string{f.vendor, f.device, sub[0], sub[1]} {
		if _, err := strconv.ParseUint(part, 16, 16); err != nil || len(part) != 4 {
			return f, fmt.Errorf("bad id %q", part)
		}
	}
	if _, err := strconv.ParseUint(f.or("revision", "00"), 16, 8); err != nil {
		return f, err
	}
	return f, nil
}

// The method "or" returns the value of a key. If the line lacks the key, it
// returns the given default value.
func (f function) or(key, otherwise string) string {
	if value, ok := f.get(key); ok {
		return value
	}
	return otherwise
}

func (f function) pair(key, otherwise string) [2]string {
	first, second, _ := strings.Cut(f.or(key, otherwise), ":")
	return [2]string{first, second}
}

// modalias returns the text with which udev finds a driver for the function.
func (f function) modalias(sub [2]string) string {
	return fmt.Sprintf("pci:v0000%sd0000%ssv0000%ssd0000%sbc%ssc%si%s", strings.ToUpper(f.vendor), strings.ToUpper(f.device),
		strings.ToUpper(sub[0]), strings.ToUpper(sub[1]), strings.ToUpper(f.class[:2]), strings.ToUpper(f.class[2:4]), strings.ToUpper(f.class[4:]))
}

func (f function) uevent(sub [2]string) string {
	var driver string
	if name := f.or("driver", ""); name != "" {
		driver = "DRIVER=" + name + "\n"
	}
	ids := fmt.Sprintf("PCI_CLASS=%s\nPCI_ID=%s:%s\nPCI_SUBSYS_ID=%s:%s\n",
		strings.TrimLeft(f.class, "0"), f.vendor, f.device, sub[0], sub[1])
	return driver + strings.ToUpper(ids) + "PCI_SLOT_NAME=" + f.address + "\nMODALIAS=" + f.modalias(sub)
}

// place returns the function's directory, which is below its parent or on a
// root bus.
func (b *builder) place(f function) (string, error) {
	parts := address.FindStringSubmatch(f.address)
	root := "pci" + parts[1] + ":" + parts[2]
	above := "sys/devices/" + root
	if parent, ok := f.get("parent"); ok {
		dir, known := b.places[parent]
		if !known {
			return "", fmt.Errorf("no function %q above", parent)
		}
		above = dir
		if !strings.HasPrefix(parent, parts[1]+":") {
			above = dir + "/" + root
		} else if err := b.dir(dir + "/pci_bus/" + parts[1] + ":" + parts[2]); err != nil {
			return "", err // PVE recognises a bridge by the directory pci_bus
		}
	}
	b.places[f.address] = above + "/" + f.address
	return b.places[f.address], nil
}

// join makes the function a member of its IOMMU group.
func (b *builder) join(dir string, f function) error {
	group, ok := f.get("group")
	if !ok || group == "" {
		return nil
	}
	if _, err := strconv.ParseUint(group, 10, 31); err != nil {
		return err
	}
	home := "sys/kernel/iommu_groups/" + group
	if b.files[home+"/type"] == nil {
		if err := b.group(line{args: []string{group}}); err != nil {
			return err
		}
	}
	return errors.Join(b.link(dir+"/iommu_group", home), b.link(home+"/devices/"+f.address, dir))
}

func (b *builder) group(l line) error {
	kind, ok := l.get("type")
	if !ok {
		kind = "DMA-FQ"
	}
	home := "sys/kernel/iommu_groups/" + l.args[0]
	err := errors.Join(b.dir(home+"/devices"), b.text(home+"/type", kind))
	return errors.Join(err, b.put(home+"/reserved_regions", &fstest.MapFile{Mode: 0o444,
		Data: []byte("0x00000000fee00000 0x00000000feefffff msi\n")}))
}

// bound binds the function to its driver.
func (b *builder) bound(dir string, f function) error {
	name := f.or("driver", "")
	if name == "" {
		return nil
	}
	home := "sys/bus/pci/drivers/" + name
	if b.files[home+"/bind"] == nil {
		if err := b.driver(line{args: []string{name}}); err != nil {
			return err
		}
	}
	return errors.Join(b.link(dir+"/driver", home), b.link(home+"/"+f.address, dir))
}

// linkSpeed makes the files with the state of a PCIe link. "16x8" stands for 16
// GT/s on 8 lanes.
func (b *builder) linkSpeed(dir string, f function) error {
	for _, which := range []struct{ key, prefix string }{{"link", "current"}, {"max", "max"}} {
		value, ok := f.get(which.key)
		if !ok {
			continue
		}
		speed, width, found := strings.Cut(value, "x")
		if !found {
			return fmt.Errorf("%s %q: want a speed in GT/s, x and lanes", which.key, value)
		}
		if !strings.Contains(speed, ".") {
			speed += ".0"
		}
		err := b.texts(dir, which.prefix+"_link_speed", speed+" GT/s PCIe", which.prefix+"_link_width", width)
		if err != nil {
			return err
		}
	}
	return nil
}

// config makes the 64 bytes of configuration space that every user may read.
func (b *builder) config(dir string, f function) error {
	space := make([]byte, 64)
	number := func(s string) uint64 { n, _ := strconv.ParseUint(s, 16, 32); return n } // ignores errors, because newFunction has checked the number
	vendor, device, class := number(f.vendor), number(f.device), number(f.class)
	space[0], space[1], space[2], space[3] = byte(vendor), byte(vendor>>8), byte(device), byte(device>>8)
	space[8] = byte(number(f.or("revision", "00")))
	space[9], space[10], space[11] = byte(class), byte(class>>8), byte(class>>16)
	if strings.HasPrefix(f.class, "0604") {
		space[14] = 1
	}
	if _, lost := f.get("lost"); lost {
		for i := range space {
			space[i] = 0xff
		}
	}
	return b.put(path.Join(dir, "config"), &fstest.MapFile{Data: space, Mode: fs.FileMode(0o644)})
}
