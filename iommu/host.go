package iommu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/sysfs"
)

// ErrNothing means that a tree holds nothing that [Read] could read: it is
// not the root of a machine.
var ErrNothing = errors.New("iommu: nothing to read")

// A Host is a machine whose files can be read. The zero Host is the machine
// the program runs on.
type Host struct {
	Sys  fs.FS // sysfs; nil means /sys
	Proc fs.FS // procfs; nil means /proc
	Etc  fs.FS // configuration; nil means /etc
	Boot fs.FS // kernels; nil means /boot
	Run  fs.FS // state, with udev/data; nil means /run
}

// HostAt returns the machine whose root directory is given, with sys, proc,
// etc, boot and run below it. Those that are missing are only not known.
func HostAt(root fs.FS) Host {
	sub := func(dir string) fs.FS {
		fsys, err := fs.Sub(root, dir)
		if err != nil {
			panic(err) // dir is valid
		}
		return fsys
	}
	return Host{Sys: sub("sys"), Proc: sub("proc"), Etc: sub("etc"), Boot: sub("boot"), Run: sub("run")}
}

// complete returns the host with the running machine's files in place of nil.
func (h Host) complete() Host {
	for _, f := range []struct {
		fsys *fs.FS
		dir  string
	}{{&h.Sys, "/sys"}, {&h.Proc, "/proc"}, {&h.Etc, "/etc"}, {&h.Boot, "/boot"}, {&h.Run, "/run"}} {
		if *f.fsys == nil {
			*f.fsys = os.DirFS(f.dir)
		}
	}
	return h
}

// Read reads all facts of a machine. What cannot be read stays [proxstation.Unknown] and
// is a finding with the ID iommu.unread; it never costs the rest. The only
// error is [ErrNothing].
func Read(h Host) (Facts, error) {
	r := reader{Host: h.complete()}
	r.functions()
	r.groups()
	r.units()
	r.acpi()
	r.interrupts()
	r.kernel()
	r.virtual()
	r.modules()
	r.framebuffers()
	r.uses()
	if len(r.Functions) == 0 && r.Running == nil && r.GroupsKnown == proxstation.Unknown && r.UnitsKnown == proxstation.Unknown {
		return Facts{}, fmt.Errorf("%w: neither sys/bus/pci/devices nor proc/cmdline is there", ErrNothing)
	}
	r.Loader = readLoader(r.Host)
	r.Modprobe = r.configuration("modprobe.d/*.conf")
	r.ModulesLoad = r.configuration("modules", "modules-load.d/*.conf")
	for i, fn := range r.Functions {
		if fn.Parent != nil {
			if _, ok := r.Function(*fn.Parent); !ok {
				r.Functions[i].Parent = nil
			}
		}
	}
	return r.Facts, nil
}

// A reader reads into facts.
type reader struct {
	Host
	Facts
}

// unread notes that something could not be read. An err of nil or one that
// says the file is absent is told as absence.
func (r *reader) unread(file string, err error) {
	seen := file + ": not there"
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		seen = fmt.Sprintf("%s: %v", file, reason(err))
	}
	fix := "Read the whole tree of the machine."
	if errors.Is(err, fs.ErrPermission) {
		fix = "Run as root."
	}
	r.Findings = append(r.Findings, proxstation.Finding{
		ID: "iommu.unread", Severity: proxstation.Info, Subject: file, Seen: seen,
		Why: "What it says stays unknown; unknown is not taken for good.", Fix: fix,
	})
}

// reason returns the cause of a path's error without the path.
func reason(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

// procLines returns the lines of a file of procfs.
func (r *reader) procLines(name string) ([]string, error) {
	data, err := fs.ReadFile(r.Proc, name)
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimRight(string(data), "\n"), "\n"), nil
}

// configuration reads files below /etc, in the order of their names.
func (r *reader) configuration(patterns ...string) []File {
	var files []File
	for _, pattern := range patterns {
		names, _ := fs.Glob(r.Etc, pattern)
		slices.Sort(names)
		for _, name := range names {
			if strings.HasPrefix(path.Base(name), ".") {
				continue // kmod, systemd and grub-mkconfig pass over them
			}
			data, err := fs.ReadFile(r.Etc, name)
			if err != nil {
				r.unread("/etc/"+name, err)
				continue
			}
			files = append(files, File{Path: "etc/" + name, Text: string(data)})
		}
	}
	return files
}

// kernel reads the release, the processor's vendor and the command line.
func (r *reader) kernel() {
	r.Kernel, _, _ = sysfs.Optional(r.Proc, "sys/kernel/osrelease")
	r.Vendor, _ = r.processor("vendor_id")
	text, err := sysfs.Attr(r.Proc, "cmdline")
	if err != nil {
		r.unread("/proc/cmdline", err)
		return
	}
	cmdline := ParseCmdline(text)
	r.Running = &cmdline
}
