//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// These tests run inside the kernels that internal/lab boots. They work on the
// machine's own files and bind functions to other drivers.

func inLab(t *testing.T) string {
	t.Helper()
	machine := os.Getenv("PROXSTATION_IN_LAB")
	if machine == "" {
		t.Skip("not inside the lab; see internal/lab")
	}
	return machine
}

// driverOf returns the name of the kernel driver that a function is bound to.
func driverOf(address string) string {
	target, _ := os.Readlink("/sys/bus/pci/devices/" + address + "/driver")
	return strings.TrimSuffix(filepath.Base(target), ".")
}

// displays returns functions of two cards: all functions of the card that has
// its own IOMMU group, and the display function of the card that shares a
// group. In the lab these cards are below the first and the second root port.
func displays(t *testing.T) (alone []string, shared string) {
	t.Helper()
	classes, err := filepath.Glob("/sys/bus/pci/devices/*/class")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range classes {
		class, _ := os.ReadFile(file)
		address := filepath.Base(filepath.Dir(file))
		audio := strings.TrimSuffix(address, "0") + "1"
		if !strings.HasPrefix(string(class), "0x03") {
			continue
		}
		if _, err := os.Stat("/sys/bus/pci/devices/" + audio); err == nil {
			alone = []string{address, audio}
		} else {
			shared = address
		}
	}
	if len(alone) != 2 || shared == "" {
		t.Fatalf("cards %v and %q", alone, shared)
	}
	return alone, shared
}

// The program binds a card to vfio-pci on a running kernel and gives it back to
// its old drivers. Without -apply it changes nothing, and a second call with
// -apply changes nothing either.
func TestInLabBindAndRelease(t *testing.T) { //nolint:paralleltest // the machine is shared
	if inLab(t) == "none" {
		t.Skip("VFIO needs an IOMMU")
	}
	card, shared := displays(t)
	var before []string
	for _, a := range card {
		before = append(before, driverOf(a))
	}
	want := func(what string, drivers ...string) {
		t.Helper()
		for i, a := range card {
			if got := driverOf(a); got != drivers[i] {
				t.Errorf("%s: %s has the driver %q, want %q", what, a, got, drivers[i])
			}
		}
	}
	call := func(says string, args ...string) {
		t.Helper()
		out, err := host(t, args...)
		if err != nil || !strings.Contains(out, says) {
			t.Fatalf("host %v: %v\n%s", args, err, out)
		}
	}
	call("Nothing was changed", "-bind", card[0], "-allow", "console")
	want("planned", before...)
	call("Done.", "-bind", card[0], "-allow", "console", "-apply")
	want("bound", "vfio-pci", "vfio-pci")
	call("Done.", "-bind", card[0], "-allow", "console", "-apply")
	want("bound again", "vfio-pci", "vfio-pci")
	call("Nothing was changed", "-release")
	want("release planned", "vfio-pci", "vfio-pci")
	call("Done.", "-release", "-apply")
	want("released", before...)
	if _, err := os.Stat("/" + boundFile); err == nil {
		t.Errorf("/%s is left", boundFile)
	}
	if out, err := host(t, "-release", "-apply"); err == nil {
		t.Errorf("nothing is bound, and is released: %s", out)
	}
	if out, err := host(t, "-bind", shared, "-allow", "console"); !strings.Contains(out, "shares its IOMMU group") {
		t.Errorf("a shared group is not told: %v\n%s", err, out)
	}
}

// The program prepares the machine on which it runs, and undoes its changes.
// The commands run, the files are written, and undo restores every byte.
func TestInKmodKeepAndUndo(t *testing.T) { //nolint:paralleltest // the machine is shared
	if inLab(t) != "kmod" {
		t.Skip("needs the machine without modules")
	}
	for name, text := range map[string]string{
		"/etc/default/grub": "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n", "/etc/modprobe.d/theirs.conf": "options snd_hda_intel power_save=1",
		"/bin/update-grub": "#!/bin/sh\necho grub >>/tmp/commands\n", "/bin/update-initramfs": "#!/bin/sh\necho initramfs $* >>/tmp/commands\n",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	before := everything(t, "/etc")
	card, _ := displays(t)
	keep := []string{"-keep", card[0], "-allow", "console", "-arg", "iommu.strict=0"}
	planned, err := host(t, keep...)
	if err != nil || !strings.Contains(planned, "Nothing was changed") {
		t.Fatalf("%v\n%s", err, planned)
	}
	done, err := host(t, append(keep, "-apply")...)
	if err != nil || !strings.Contains(done, "Done.") || !strings.Contains(done, "-> driver vfio-pci") {
		t.Fatalf("%v\n%s", err, done)
	}
	ran, _ := os.ReadFile("/tmp/commands")
	if text := string(ran); !strings.Contains(text, "initramfs -u -k all\n") || !strings.Contains(text, "grub\n") {
		t.Errorf("the commands that ran: %q", text)
	}
	if again, err := host(t, append(keep, "-apply")...); err != nil || !strings.Contains(again, "Nothing has to change.") {
		t.Errorf("applied again: %v\n%s", err, again)
	}
	if out, err := host(t, "-undo", "-apply"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	after := everything(t, "/etc")
	for name := range after {
		if after[name] != before[name] {
			t.Errorf("%s is %q, was %q", name, after[name], before[name])
		}
	}
	if len(after) != len(before) {
		t.Errorf("/etc has %d entries, had %d", len(after), len(before))
	}
}
