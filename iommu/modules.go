package iommu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
)

// checkModules looks for a module that old guides name: vfio_virqfd became
// part of vfio in Linux 6.2.
func (f Facts) checkModules() []proxstation.Finding {
	var major, minor int
	if n, _ := fmt.Sscanf(f.Kernel, "%d.%d", &major, &minor); n < 2 || major < 6 || major == 6 && minor < 2 {
		return nil
	}
	for _, file := range f.ModulesLoad {
		if slices.Contains(modprobeLines(file), "vfio_virqfd") {
			return []proxstation.Finding{{ID: "iommu.virqfd-gone", Severity: proxstation.Info, Subject: "/" + file.Path, Seen: "/" + file.Path + ": vfio_virqfd",
				Why: "The module is gone since Linux 6.2; loading it fails at each start, without harm.", Fix: "Remove the line."}}
		}
	}
	return nil
}

// modprobeLines returns the lines of a file as modprobe.d(5) has them: one that
// ends in a backslash goes on in the next, and comments are none.
func modprobeLines(file HostFile) []string {
	var lines []string
	for line := range strings.Lines(strings.ReplaceAll(file.Text, "\\\n", "")) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines
}

// A command is a line of modprobe.d about a module: options, install, softdep.
type command struct {
	line  string   // with its file, as it is told of
	name  string   // "options"
	words []string // after the module's name
}

// commands returns what others than us wrote in modprobe.d about a module.
func (f Facts) commands(module string) []command {
	var commands []command
	for _, file := range f.Modprobe {
		for _, line := range modprobeLines(file) {
			fields := strings.Fields(line)
			if file.Path != modprobeFile && len(fields) > 2 && sameName(fields[1], module) {
				commands = append(commands, command{"/" + file.Path + ": " + line, fields[0], fields[2:]})
			}
		}
	}
	return commands
}

// vfioBuiltIn reports whether vfio-pci is part of the kernel.
func (f Facts) vfioBuiltIn() bool {
	m, _ := f.Module("vfio_pci")
	return m.BuiltIn
}

// checkOptions looks for options in /etc/modprobe.d of modules that are built
// into the kernel, which modprobe never loads.
func (f Facts) checkOptions() []proxstation.Finding {
	var findings []proxstation.Finding
	for _, file := range f.Modprobe {
		for _, line := range modprobeLines(file) {
			fields := strings.Fields(line)
			if len(fields) < 3 || fields[0] != "options" || !slices.ContainsFunc(f.Modules, func(m Module) bool { return m.BuiltIn && sameName(m.Name, fields[1]) }) {
				continue
			}
			var args []string
			for _, option := range fields[2:] {
				args = append(args, fields[1]+"."+option)
			}
			findings = append(findings, proxstation.Finding{ID: "iommu.options-unread", Severity: proxstation.Warning, Subject: "/" + file.Path,
				Seen: fmt.Sprintf("%s; %s is built into the kernel (/sys/module/%s has no initstate)", strings.TrimSpace(line), fields[1], strings.ReplaceAll(fields[1], "-", "_")),
				Why:  "The options do nothing: they are read when a module is loaded.",
				Fix:  "Give them as kernel arguments: " + strings.Join(args, " ") + "."})
		}
	}
	return findings
}

// refuseBuiltIn says why a card cannot be kept by address: nothing runs before
// a driver that is part of the kernel.
func (f Facts) refuseBuiltIn() proxstation.Finding {
	return proxstation.Finding{ID: "iommu.vfio-built-in", Severity: proxstation.Blocker, Subject: vfioPCI, Seen: "/sys/module/vfio_pci has no initstate: it is built into the kernel; " +
		"other functions have the same model",
		Why: "A built-in vfio-pci is told models only: it would take the others too.",
		Fix: "Keep all functions of the model, or bind this one at run time (driver_override), or use a kernel with vfio-pci as a module, such as PVE's own."}
}
