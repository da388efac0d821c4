package iommu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// atLeast reports whether the running kernel has at least this version. It
// returns false if the version is not known.
func (f Facts) atLeast(major, minor int) bool {
	var haveMajor, haveMinor int
	if n, _ := fmt.Sscanf(f.Kernel, "%d.%d", &haveMajor, &haveMinor); n < 2 {
		return false
	}
	return haveMajor > major || haveMajor == major && haveMinor >= minor
}

// vfioModules holds the modules of VFIO that /etc/modules may name.
var vfioModules = []string{"vfio", "vfio_pci", "vfio_pci_core", "vfio_iommu_type1", "vfio_virqfd", "vfio_mdev"}

// checkModules judges the modules that are loaded by name. vfio_virqfd became
// part of vfio in Linux 6.2. A line of /etc/modules must consist of a name
// alone (systemd's modules-load.c), but the initramfs accepts options after the
// name.
func (f Facts) checkModules() []proxstation.Finding {
	var found []proxstation.Finding
	for _, file := range slices.Concat(f.ModulesLoad, f.Initramfs) {
		for i, line := range strings.Split(file.Text, "\n") {
			line = strings.TrimSpace(line)
			words := strings.Fields(line)
			if len(words) == 0 || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
				continue
			}
			name := strings.ReplaceAll(words[0], "-", "_")
			finding := proxstation.Finding{ID: "iommu.modules-load", Severity: proxstation.Warning, Subject: "/" + file.Path,
				Seen: fmt.Sprintf("/%s line %d: %s", file.Path, i+1, line)}
			early := strings.Contains(file.Path, "initramfs")
			near := nearModule(strings.TrimRight(name, ",;"), vfioModules, 2)
			switch known := slices.Contains(vfioModules, name); {
			case name == "vfio_virqfd" && f.atLeast(6, 2):
				finding.ID, finding.Severity = "iommu.virqfd-gone", proxstation.Info
				finding.Why, finding.Fix = "The module is gone since Linux 6.2; loading it fails at each start, without harm.", "Remove the line."
			case known && len(words) > 1 && !early && !strings.HasPrefix(words[1], "#"):
				finding.Why = "Nothing is loaded: each line of this file is read as the name of a module, and with options it is not the name of a module."
				finding.Fix = fmt.Sprintf("Write the line as %q, and %q in /etc/modprobe.d/vfio.conf; then run update-initramfs -u -k all, and restart.", words[0], "options "+strings.Join(words, " "))
			case !known && near != "":
				finding.Why, finding.Fix = "Nothing is loaded: no module is called "+words[0]+".", fmt.Sprintf("Write the line as %q.", dashed(near))
			default:
				continue
			}
			found = append(found, finding)
		}
	}
	return found
}

// vfioBuiltIn reports whether vfio-pci is part of the kernel.
func (f Facts) vfioBuiltIn() bool {
	m, _ := f.Module("vfio_pci")
	return m.BuiltIn
}

// checkOptions compares the options in modprobe.d with the modules' real
// parameters. An option of a built-in module has no effect, because modprobe
// never loads the module. An option that was changed after the initramfs was
// made has no effect either.
func (f Facts) checkOptions() []proxstation.Finding {
	var findings []proxstation.Finding
	c := f.modconf(false)
	for _, d := range c.directives {
		m, loaded := f.Module(d.module)
		if d.verb != "options" || d.file == "" || !loaded {
			continue
		}
		if m.BuiltIn {
			var args []string
			for _, option := range strings.Fields(d.rest) {
				args = append(args, dashed(d.module)+"."+option)
			}
			findings = append(findings, proxstation.Finding{ID: "iommu.options-unread", Severity: proxstation.Warning, Subject: "/" + d.file,
				Seen: fmt.Sprintf("%s; %s is built into the kernel (/sys/module/%s has no initstate)", d.where(), dashed(d.module), d.module),
				Why:  "The options have no effect: options are only read when a module is loaded.",
				Fix:  printable.Sentence(f.Advise(args...))})
			continue
		}
		for _, word := range strings.Fields(d.rest) {
			option, _, _ := strings.Cut(word, "=")
			values, lines := c.options(d.module, option)
			have, known := m.Parameters[option]
			if len(values) == 0 || lines[len(lines)-1] != d || !known || option == "ids" || sameValue(values[len(values)-1], have) {
				continue
			}
			findings = append(findings, proxstation.Finding{ID: "iommu.options-not-applied", Severity: proxstation.Warning, Subject: "/" + d.file,
				Seen: fmt.Sprintf("%s; /sys/module/%s/parameters/%s: %s", d.where(), d.module, option, have),
				Why:  "The option is not in force: the module was loaded before the line was there, or from an initramfs that was made before.",
				Fix:  "Run update-initramfs -u -k all, and restart."})
		}
	}
	return append(findings, f.checkInitramfs(c)...)
}

// sameValue reports whether an option equals the value that sysfs shows. Truth
// values have many forms (kstrtobool in lib/kstrtox.c).
func sameValue(want, have string) bool {
	truth := map[string]string{"1": "Y", "y": "Y", "Y": "Y", "on": "Y", "0": "N", "n": "N", "N": "N", "off": "N"}
	if have == "Y" || have == "N" {
		return truth[want] == have
	}
	return want == have
}

// checkInitramfs finds files that were changed after the running kernel's
// initramfs was made.
func (f Facts) checkInitramfs(c modconf) []proxstation.Finding {
	var files []string
	for _, name := range f.NewerThanInitramfs {
		if slices.ContainsFunc(c.directives, func(d directive) bool { return "/"+d.file == name && ours(d) }) || strings.Contains(name, "initramfs-tools") {
			files = append(files, name)
		}
	}
	if len(files) == 0 {
		return nil
	}
	return []proxstation.Finding{{ID: "iommu.initramfs-old", Severity: proxstation.Warning, Subject: "/boot/initrd.img-" + f.Kernel,
		Seen: list(files) + " changed after /boot/initrd.img-" + f.Kernel + " was made",
		Why:  "Drivers that the initramfs loads follow the old files.", Fix: "Run update-initramfs -u -k all, and restart."}}
}

// refuseBuiltIn returns the finding that a card cannot be kept by address,
// because nothing can run before a built-in driver.
func (f Facts) refuseBuiltIn() proxstation.Finding {
	return proxstation.Finding{ID: "iommu.vfio-built-in", Severity: proxstation.Blocker, Subject: vfioPCI, Seen: "/sys/module/vfio_pci has no initstate: it is built into the kernel; " +
		"other functions have the same model",
		Why: "A built-in vfio-pci gets models only, so it would take the other functions of the model too.",
		Fix: "Keep all functions of the model, or bind this function at run time (driver_override), or use a kernel with vfio-pci as a module, such as PVE's own."}
}
