package iommu

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// knownOptions holds the kernel arguments that matter for passthrough. For each
// argument it has the accepted options, or nil if every value is accepted
// (Documentation/admin-guide/kernel-parameters.txt of Linux 6.18,
// drivers/iommu; pcie_acs_override is a patch in PVE's kernels).
var knownOptions = map[string][]string{
	"intel_iommu": {"on", "off", "igfx_off", "forcedac", "strict", "nobounce", "sp_off", "sm_on", "sm_off", "tboot_noforce", "relax_rmrr"},
	"amd_iommu": {"on", "fullflush", "off", "force_isolation", "force_enable", "pgtbl_v1", "pgtbl_v2", "irtcachedis", "nohugepages",
		"v2_pgsizes_only", "nohaft"},
	"iommu": {"pt", "on", "off", "force", "noforce", "biomerge", "panic", "nopanic", "merge", "nomerge", "forcesac", "allowdac", "nodac", "usedac",
		"soft", "nopt", "fullflush", "group_mf"},
	"intremap":          {"on", "off", "nosid", "no_x2apic_optout", "nopost", "posted_msi"},
	"pcie_acs_override": {"downstream", "multifunction"}, "iommu.passthrough": nil, "iommu.strict": nil,
	"initcall_blacklist": nil, "module_blacklist": nil, "modprobe.blacklist": nil, "nomodeset": nil, "pci-stub.ids": nil,
}

// knownParameters holds the parameters of VFIO's modules (drivers/vfio of Linux
// 6.18; disable_vga only exists with CONFIG_VFIO_PCI_VGA).
var knownParameters = map[string][]string{
	"vfio_pci":         {"ids", "nointxmask", "disable_vga", "disable_idle_d3", "enable_sriov", "disable_denylist"},
	"vfio_iommu_type1": {"allow_unsafe_interrupts", "disable_hugepages", "dma_entry_limit"},
	"vfio":             {"enable_unsafe_noiommu_mode"},
	"vfio_pci_core":    {},
}

// The function "relevant" reports whether an argument concerns passthrough.
func relevant(arg string) bool {
	name, _, _ := strings.Cut(arg, "=")
	plain := strings.ReplaceAll(name, "-", "_")
	for known := range knownOptions {
		if sameName(known, name) {
			return true
		}
	}
	return slices.ContainsFunc([]string{"vfio", "i915.", "xe.", "kvm", "pci_stub", "nouveau.", "amdgpu.", "nvidia"}, func(prefix string) bool { return strings.HasPrefix(plain, prefix) }) ||
		name == "video" && strings.Contains(arg, "fb") || name == "pcie_aspm" || name == "pcie_port_pm"
}

// The function "misspelt" looks for an argument that the kernel does not know
// but that resembles an argument of VFIO, the IOMMU or a framebuffer. The
// result "why" explains the mistake. The result "right" is the argument to
// write instead.
func misspelt(arg string) (why, right string) {
	name, value, hasValue := strings.Cut(arg, "=")
	with := func(name string) string {
		if hasValue {
			return name + "=" + value
		}
		return name
	}
	if strings.ContainsFunc(name, isSpace) {
		return "the quotes turn several arguments into one argument", strings.TrimSpace(arg)
	}
	plain := strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	if module, parameter, dotted := strings.Cut(plain, "."); dotted && knownParameters[module] != nil {
		if slices.Contains(knownParameters[module], parameter) && strings.ToLower(name) == name {
			return "", ""
		}
	}
	for known, options := range knownOptions {
		if sameName(known, name) {
			return wrongOption(known, options, value, hasValue)
		}
	}
	names := knownNames()
	if right := bare(plain, value); right != "" {
		return "no part of the kernel has this argument", right
	}
	limit := 2
	if len(plain) < 8 {
		limit = 1
	}
	near := nearest(plain, names, limit)
	switch squashed := marks.Replace(plain); {
	case near == "" && plain == "blacklist" || plain == "modprobe.d.blacklist":
		near = "modprobe.blacklist"
	case near == "" && strings.HasPrefix(squashed, "vfio") && strings.HasPrefix(value, "ids="):
		return "no part of the kernel has this argument", spelt("vfio_pci.ids") + "=" + strings.TrimPrefix(value, "ids=")
	case near == "" && (strings.HasPrefix(squashed, "vfio") || strings.HasPrefix(squashed, "vifo")) && !builtinName(plain):
		near = nearestSquashed(squashed, names)
	}
	if near == "" || near == plain && strings.ToLower(name) == name {
		return "", ""
	}
	return "no part of the kernel has this argument", with(spelt(near))
}

// knownNames returns the names of all arguments that this package knows, with
// underscores. Callers must not change the list.
var knownNames = sync.OnceValue(func() []string {
	var names []string
	for known := range knownOptions {
		names = append(names, strings.ReplaceAll(known, "-", "_"))
	}
	for module, parameters := range knownParameters {
		for _, parameter := range parameters {
			names = append(names, module+"."+parameter)
		}
	}
	slices.Sort(names)
	return names
})

// The function "bare" completes a fragment of an argument: a value of iommu= or
// video=, or a parameter of vfio-pci without the module's name. It returns the
// whole argument, or "" if it does not know the fragment.
func bare(name, value string) string {
	models, wrong := parseIDs(strings.Trim(name, ","))
	switch {
	case len(models) > 0 && len(wrong) == 0 && strings.Contains(name, ":"): // the text begins with a blank
		return idsArgument + "ID,ID with all ids in one list without blanks"
	case name == "pt":
		return "iommu=pt"
	case name == "efifb:off" || name == "vesafb:off" || name == "simplefb:off":
		return "video=" + name
	case name == "video" && strings.Contains(value, "fb:eek:ff"): // a forum turned ":o" into a smiley
		return "video=" + strings.ReplaceAll(value, ":eek:ff", ":off")
	case name == "ids" || slices.Contains([]string{"disable_vga", "disable_idle_d3"}, name):
		return "vfio-pci." + name + "=" + value
	case name == "allow_unsafe_interrupts":
		return "vfio_iommu_type1." + name + "=" + value
	}
	return ""
}

// builtinName reports whether a name is a parameter of a module of VFIO whose
// parameters this package does not know.
func builtinName(name string) bool {
	module, _, dotted := strings.Cut(name, ".")
	_, ours := knownParameters[module]
	return dotted && !ours && (strings.HasPrefix(module, "vfio_") && module != "vfio_pci_ids")
}

// marks is a replacer that removes dots and underscores from a name.
var marks = strings.NewReplacer("_", "", ".", "")

// nearestSquashed finds the name of VFIO that is nearest to a text without dots
// and underscores, such as "vfiopciids".
func nearestSquashed(squashed string, names []string) string {
	best, least := "", 6
	for _, name := range names {
		d := distance(squashed, marks.Replace(name))
		if strings.HasPrefix(name, "vfio") && d < least {
			best, least = name, d
		}
	}
	return best
}

// The function "spelt" writes a name as people do: vfio-pci.ids.
func spelt(name string) string { return strings.Replace(name, "vfio_pci.", "vfio-pci.", 1) }

// wrongOption looks for the first option in an argument's value that the kernel
// does not know. The result "why" names this option. The result "right" is the
// argument to write instead.
func wrongOption(name string, options []string, value string, hasValue bool) (why, right string) {
	if options == nil {
		return "", ""
	}
	if !hasValue || value == "" {
		return "it has no value", name + "=" + options[0]
	}
	for option := range strings.SplitSeq(value, ",") {
		known := slices.Contains(options, option) || strings.HasPrefix(option, "id:") || name == "intel_iommu" && strings.HasPrefix(option, "on_")
		if known {
			continue
		}
		why = fmt.Sprintf("%s has no option %q", name, option)
		if near := nearest(strings.ToLower(option), options, 2); near != "" {
			return why, name + "=" + strings.Replace(value, option, near, 1)
		}
		if at := strings.IndexAny(value, ",;"); at > 0 && strings.Contains(value[at:], "=") {
			return why, name + "=" + value[:at] + " " + strings.TrimSpace(value[at+1:])
		}
		return why, name + "=" + options[0]
	}
	return "", ""
}

// A misspelling is an argument that has no effect because it is misspelt.
type misspelling struct {
	seen, why, fix string
	right          string // the argument to write instead
}

// misspelt returns the arguments that the kernel does not know although they
// resemble arguments for passthrough. It looks at the arguments in force and at
// the configured arguments.
func (f Facts) misspelt() []misspelling {
	var args []string
	if f.Running != nil {
		args = f.Running.Args()
	}
	at := map[string]string{}
	for _, line := range f.written() {
		for _, arg := range line.args {
			if line.counts {
				args = append(args, arg)
			}
			if line.counts || at[arg] == "" {
				at[arg] = line.where
			}
		}
	}
	var found []misspelling
	for i, arg := range args {
		why, right := misspelt(arg)
		if why == "" || slices.Contains(args[:i], arg) {
			continue
		}
		seen := "/proc/cmdline: " + arg
		if at[arg] != "" {
			seen = at[arg] + ": " + arg
		}
		place := f.Place()
		fix := fmt.Sprintf("Write %s for %s in %s", right, arg, place.Edit)
		if right == arg { // the argument stands in quotes
			fix = fmt.Sprintf("Remove the quotes around %q in %s", arg, place.Edit)
		}
		if place.Command != "" {
			fix += ", run " + place.Command
		}
		found = append(found, misspelling{seen: seen, why: why, fix: fix + ", and restart.", right: right})
	}
	return found
}

// checkArguments reports arguments that the kernel does not know.
func (f Facts) checkArguments() []proxstation.Finding {
	told := f.checkState() // the fix of this finding may already name the argument that turns the IOMMU on
	var found []proxstation.Finding
	for _, wrong := range f.misspelt() {
		if len(told) > 0 && strings.Contains(told[0].Seen, wrong.seen) {
			continue
		}
		found = append(found, proxstation.Finding{ID: "iommu.unknown-argument", Severity: proxstation.Warning, Subject: "kernel arguments",
			Seen: wrong.seen, Why: "The argument does nothing: " + wrong.why + ".", Fix: wrong.fix})
	}
	return found
}

// The method "elsewhere" returns the arguments for passthrough that have no
// effect because of the place where they are written, with their lines.
// Arguments in force are left out.
func (f Facts) elsewhere() []writing {
	configured, err := f.Configured()
	var found []writing
	for _, line := range f.written() {
		lost := slices.DeleteFunc(slices.Clone(line.args), func(arg string) bool {
			why, _ := misspelt(arg)
			return !relevant(arg) || why != "" || f.Running != nil && f.Running.Has(arg) || err == nil && configured.Has(arg)
		})
		if line.counts && err == nil && len(lost) > 0 {
			line.counts, line.why = false, "a later line or file sets the variable anew"
			if dashes, there := f.dashes(); there {
				line.why = "the kernel ignores all arguments after the \"--\" in " + dashes.where
			}
		}
		if loader, _ := f.BootLoader(); len(lost) > 0 && !line.counts && loader != LoaderUnknown {
			line.args = lost
			found = append(found, line)
		}
	}
	return found
}

// checkElsewhere reports arguments that have no effect because of the place
// where they are written.
func (f Facts) checkElsewhere() []proxstation.Finding {
	told := f.checkState() // the fix of this finding may already name the arguments that turn the IOMMU on
	var found []proxstation.Finding
	for _, line := range f.elsewhere() {
		if len(told) > 0 && strings.Contains(told[0].Seen, line.where) {
			continue
		}
		found = append(found, proxstation.Finding{ID: "iommu.other-loader", Severity: proxstation.Warning, Subject: "kernel arguments",
			Seen: line.where + ": " + strings.Join(line.args, " "), Why: "They do nothing: " + line.why + ".", Fix: printable.Sentence(f.Advise(line.args...))})
	}
	return found
}
