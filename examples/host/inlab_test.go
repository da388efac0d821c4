//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// These tests run inside the booted kernels of internal/lab, on the machine's
// own files: they change what drivers hold.

func inLab(t *testing.T) string {
	t.Helper()
	machine := os.Getenv("PROXSTATION_IN_LAB")
	if machine == "" {
		t.Skip("not inside the lab; see internal/lab")
	}
	return machine
}

// displays returns the functions of the card that shares no group, and the
// display of the card that does: in the lab they are below the first and the
// second root port.
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

// The program prepares the machine that it runs on and takes that back: the
// commands run, the files are there, and undo returns every byte.
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
