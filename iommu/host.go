package iommu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/sysfs"
)

// ErrNothing reports a tree in which [Read] finds nothing to read, because it
// is not the root of a machine.
var ErrNothing = errors.New("iommu: nothing to read")

// A tree is a machine whose files can be read.
type tree struct {
	Sys, Proc fs.FS
	Etc       fs.FS // the configuration
	Boot      fs.FS // the kernels
	Run       fs.FS // the state, with udev/data
	Usr       fs.FS // the system's own files, with lib/modprobe.d
}

// treeAt returns the machine with the given root directory. For nil it returns
// the machine that the program runs on.
func treeAt(root fs.FS) tree {
	if root == nil {
		return tree{Sys: os.DirFS("/sys"), Proc: os.DirFS("/proc"), Etc: os.DirFS("/etc"), Boot: os.DirFS("/boot"), Run: os.DirFS("/run"), Usr: os.DirFS("/usr")}
	}
	return tree{Sys: sysfs.Sub(root, "sys"), Proc: sysfs.Sub(root, "proc"), Etc: sysfs.Sub(root, "etc"), Boot: sysfs.Sub(root, "boot"), Run: sysfs.Sub(root, "run"), Usr: sysfs.Sub(root, "usr")}
}

// Read reads all facts of a machine from its root directory, with sys, proc,
// etc, boot, run and usr below it. If root is nil, it reads the machine that
// the program runs on. Parts that cannot be read stay [proxstation.Unknown] and
// get a finding with the ID iommu.unread; the other parts are still read. The
// only error is [ErrNothing].
//
// Below a given root, Read opens no devices or pipes, and no files of more than
// 16 MiB. Links do not lead out of the tree if root comes from [os.Root.FS].
func Read(root fs.FS) (Facts, error) {
	r := reader{tree: treeAt(root)}
	r.functions()
	r.groups()
	r.units()
	r.acpi()
	r.interrupts()
	r.kernel()
	r.virtual()
	r.kvm()
	r.modules()
	r.framebuffers()
	r.uses()
	if len(r.Functions) == 0 && r.Running == nil && r.GroupsKnown == proxstation.Unknown && r.UnitsKnown == proxstation.Unknown {
		return Facts{}, fmt.Errorf("%w: neither sys/bus/pci/devices nor proc/cmdline is there", ErrNothing)
	}
	r.index = newIndex(r.Functions)
	r.Loader = r.readLoader()
	r.configurations()
	r.network()
	for i, fn := range r.Functions {
		if fn.Parent != nil {
			if _, ok := r.Function(*fn.Parent); !ok {
				r.Functions[i].Parent = nil
			}
		}
	}
	return r.Facts, nil
}

// A reader collects facts from a machine's files.
type reader struct {
	tree
	Facts

	strays  []Function        // members of groups that are not among Functions
	drivers map[string]string // the module of each driver
}

// The method "unread" adds a finding about a file that could not be read. If err
// is nil or means that the file does not exist, the finding says that the file
// does not exist.
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
		Why: "The facts in it stay unknown, and an unknown fact does not count as good.", Fix: fix,
	})
}

// The function "reason" returns the cause of a file's error, without the file's
// path.
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

// The method "kernel" reads the release, the processor's vendor and the command
// line.
func (r *reader) kernel() {
	r.Kernel, _, _ = sysfs.Optional(r.Proc, "sys/kernel/osrelease")
	r.Vendor, _ = r.processor("vendor_id")
	sizes, _ := r.processor("address sizes")
	_, _ = fmt.Sscanf(sizes, "%d bits physical", &r.AddressBits)
	if installed, err := fs.ReadDir(r.Usr, "lib/modules"); err == nil && len(installed) > 0 && r.Kernel != "" {
		_, err := fs.Stat(r.Usr, "lib/modules/"+r.Kernel)
		r.KernelModules = proxstation.AnswerOf(err == nil)
	}
	text, err := sysfs.Attr(r.Proc, "cmdline")
	if err != nil {
		r.unread("/proc/cmdline", err)
		return
	}
	cmdline := ParseCmdline(text)
	r.Running = &cmdline
}
