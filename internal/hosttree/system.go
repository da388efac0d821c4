package hosttree

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing/fstest"
)

func (b *builder) iommu(l line) error {
	name := l.args[0]
	dir, attrs := "sys/devices/virtual/iommu/"+name, "intel-iommu"
	if strings.HasPrefix(name, "ivhd") {
		attrs = "amd-iommu"
	}
	if at, ok := l.get("at"); ok {
		place, ok := b.places[at]
		if !ok {
			return fmt.Errorf("no function %s above", at)
		}
		dir = place + "/iommu/" + name
	}
	if err := errors.Join(b.dir(dir+"/devices"), b.link("sys/class/iommu/"+name, dir), b.link(dir+"/subsystem", "sys/class/iommu")); err != nil {
		return err
	}
	for _, a := range l.attrs {
		if a.key == "at" {
			continue
		}
		if err := b.text(dir+"/"+attrs+"/"+a.key, strings.TrimPrefix(a.value, "0x")); err != nil {
			return err
		}
	}
	return nil
}

// acpi makes the head of an ACPI table: signature, length, revision and OEM
// (ACPI specification 5.2.6). For DMAR it adds the address width and the flags.
func (b *builder) acpi(l line) error {
	for _, name := range l.args {
		table := make([]byte, 48)
		copy(table, fmt.Sprintf("%-4.4s", name))
		table[4], table[8], table[36] = byte(len(table)), 1, 38
		copy(table[10:], "HOSTTRTREE    ")
		if flags, ok := l.get("flags"); ok {
			n, err := strconv.ParseUint(flags, 0, 8)
			if err != nil {
				return err
			}
			table[37] = byte(n)
		}
		if err := b.put("sys/firmware/acpi/tables/"+name, &fstest.MapFile{Data: table, Mode: 0o400}); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) cmdline(l line) error { return b.text("proc/cmdline", l.rest) }

func (b *builder) module(l line) error {
	for _, name := range l.args {
		dir := "sys/module/" + name
		if err := errors.Join(b.text(dir+"/initstate", "live"), b.text(dir+"/refcnt", "0")); err != nil {
			return err
		}
		if !slices.Contains(b.moduli, name) {
			b.moduli = append(b.moduli, name)
		}
		for _, a := range l.attrs {
			if err := b.text(dir+"/parameters/"+a.key, a.value); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *builder) listModules() error {
	if len(b.moduli) == 0 || b.files["proc/modules"] != nil || !b.dirs["proc"] {
		return nil
	}
	var list strings.Builder
	for _, name := range slices.Backward(b.moduli) {
		fmt.Fprintf(&list, "%s 16384 0 - Live 0x0000000000000000\n", name)
	}
	return b.put("proc/modules", &fstest.MapFile{Data: []byte(list.String()), Mode: 0o444})
}

func (b *builder) driver(l line) error {
	for _, name := range l.args {
		dir := "sys/bus/pci/drivers/" + name
		for _, file := range []string{"bind", "unbind", "new_id", "remove_id"} {
			if err := b.put(dir+"/"+file, &fstest.MapFile{Mode: 0o200}); err != nil {
				return err
			}
		}
	}
	return nil
}
