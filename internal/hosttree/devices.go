package hosttree

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// block makes a disk below the controller that the key "at" names, or else a
// virtual disk. Other keys become files in the disk's directory.
func (b *builder) block(l line) error {
	name := l.args[0]
	dir := "sys/devices/virtual/block/" + name
	if at, ok := l.get("at"); ok {
		above, err := b.below(at)
		if err != nil {
			return err
		}
		dir = above + "/block/" + name
		if strings.HasPrefix(name, "nvme") {
			dir = above + "/" + name
		}
		if err := b.link(dir+"/device", above); err != nil {
			return err
		}
	}
	return b.disk(name, dir, l)
}

func (b *builder) part(l line) error {
	name := l.args[0]
	of, _ := l.get("of")
	above, ok := b.places[of]
	if !ok {
		return fmt.Errorf("no disk %q above", of)
	}
	dir := above + "/" + name
	if err := b.text(dir+"/partition", strings.TrimLeft(name[len(name)-1:], "p")); err != nil {
		return err
	}
	return b.disk(name, dir, l)
}

func (b *builder) disk(name, dir string, l line) error {
	b.places[name] = dir
	err := errors.Join(b.link("sys/class/block/"+name, dir), b.link(dir+"/subsystem", "sys/class/block"))
	if l.verb == "block" {
		err = errors.Join(err, b.link("sys/block/"+name, dir), b.dir(dir+"/slaves"))
	}
	err = errors.Join(err, b.dir(dir+"/holders"))
	for _, a := range l.attrs {
		switch a.key {
		case "at", "of":
		case "slaves":
			err = errors.Join(err, b.hold(name, strings.Split(a.value, ",")))
		default:
			err = errors.Join(err, b.text(dir+"/"+a.key, a.value))
		}
	}
	return err
}

// hold makes a disk, such as a volume of LVM, the holder of the devices on
// which it lies. sysfs has links in both directions.
func (b *builder) hold(name string, slaves []string) error {
	for _, slave := range slaves {
		dir, ok := b.places[slave]
		if !ok {
			return fmt.Errorf("no disk %q above", slave)
		}
		err := errors.Join(b.link(b.places[name]+"/slaves/"+slave, dir), b.link(dir+"/holders/"+name, b.places[name]))
		if err != nil {
			return err
		}
	}
	return nil
}

// The method "below" returns the directory for "ADDRESS/more". It makes the
// directory "more" below the function's directory.
func (b *builder) below(at string) (string, error) {
	first, more, _ := strings.Cut(at, "/")
	place, ok := b.places[first]
	if !ok {
		return "", fmt.Errorf("no function %q above", first)
	}
	dir := path.Join(place, more)
	return dir, b.dir(dir)
}

// net makes a network interface: a port of the function that the key "at"
// names, a bridge with "ports", or a virtual interface.
func (b *builder) net(l line) error {
	name := l.args[0]
	dir := "sys/devices/virtual/net/" + name
	if at, ok := l.get("at"); ok {
		above, err := b.below(at)
		if err != nil {
			return err
		}
		dir = above + "/net/" + name
		if err := b.link(dir+"/device", above); err != nil {
			return err
		}
	}
	err := errors.Join(b.link("sys/class/net/"+name, dir), b.link(dir+"/subsystem", "sys/class/net"),
		b.text(dir+"/ifindex", strconv.Itoa(len(b.places)+1)))
	b.places[name] = dir
	for _, a := range l.attrs {
		switch a.key {
		case "at":
		case "ports":
			err = errors.Join(err, b.enslave(dir, strings.Split(a.value, ",")))
		default:
			err = errors.Join(err, b.text(dir+"/"+a.key, a.value))
		}
	}
	return err
}

// enslave makes interfaces the ports of a bridge.
func (b *builder) enslave(bridge string, ports []string) error {
	if err := b.text(bridge+"/bridge/bridge_id", "8000.001122334455"); err != nil {
		return err
	}
	for _, port := range ports {
		dir, ok := b.places[port]
		if !ok {
			return fmt.Errorf("no interface %q above", port)
		}
		err := errors.Join(b.link(bridge+"/brif/"+port, dir+"/brport"), b.text(dir+"/brport/state", "3"),
			b.link(bridge+"/lower_"+port, dir), b.link(dir+"/master", bridge), b.link(dir+"/upper_"+path.Base(bridge), bridge))
		if err != nil {
			return err
		}
	}
	return nil
}
