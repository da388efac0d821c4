package iommu

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
)

// The type "foreign" holds the settings of vfio-pci that other authors wrote.
type foreign struct {
	ids   []string // the effective models, such as "10de:2c05"
	file  string   // the file with these ids; "" for the kernel's arguments
	seen  []string // all lines with such settings
	order []string // lines that order vfio-pci and therefore disable its install commands
}

func (f Facts) foreign(k kept) foreign {
	var theirs foreign
	c := f.modconf(true)
	models, line := c.effectiveIDs(f.vfioBuiltIn())
	for _, m := range models {
		if !slices.ContainsFunc(k.args, func(arg string) bool { return sameArg(arg, line.text) }) {
			theirs.ids, theirs.file = append(theirs.ids, m.String()), line.file
		}
	}
	for _, d := range c.directives {
		if f.vfioBuiltIn() || d.file == "" || d.module != "vfio_pci" {
			continue // modprobe.d does not apply to a built-in module
		}
		switch d.verb {
		case "install":
			theirs.seen = append(theirs.seen, d.where())
		case "softdep":
			theirs.order = append(theirs.order, d.where())
		case "options":
			for _, option := range strings.Fields(d.rest) {
				if strings.HasPrefix(option, "ids=") || option == "ids" {
					theirs.seen = append(theirs.seen, d.where())
				}
			}
		}
	}
	configured, err := f.Configured()
	if err != nil && f.Running != nil {
		configured = *f.Running
	}
	if err == nil || f.Running != nil {
		for _, ids := range configured.Values("vfio-pci.ids") {
			if slices.Contains(k.args, idsArgument+ids) {
				continue
			}
			theirs.seen = append(theirs.seen, "kernel arguments: vfio-pci.ids="+ids)
			for id := range strings.SplitSeq(ids, ",") {
				theirs.ids = append(theirs.ids, strings.ToLower(id))
			}
		}
	}
	return theirs
}

// The method "ordered" returns softdeps that make kmod load vfio-pci before the
// given modules. kmod uses only the first softdep of a module. Our softdep is
// the first, because of our file's name. It therefore repeats the modules that
// softdeps of other authors name.
//
// A softdep disables an install command for its module (modprobe.d(5)). The
// install command may load another module instead, such as Debian's "install
// nvidia modprobe -i nvidia-current". The softdep is then written for that
// other module. If the command loads no module, such as "install nouveau
// /bin/false", no softdep is needed.
func (f Facts) ordered(modules []string) []string {
	var lines []string
	c := f.modconf(true)
	for _, module := range modules {
		name, rest := module, ""
		if order := c.of("softdep", module); len(order) > 0 {
			rest = " " + strings.Join(strings.Fields(order[0].rest), " ")
		}
		if install := c.of("install", module); len(install) > 0 {
			name = loads(strings.Fields(install[len(install)-1].rest), module)
		}
		if name == "" {
			continue
		}
		if before, more, found := strings.Cut(rest, "pre:"); found {
			lines = append(lines, "softdep "+name+strings.TrimRight(before, " ")+" pre: vfio-pci"+more)
		} else {
			lines = append(lines, "softdep "+name+" pre: vfio-pci"+rest)
		}
	}
	return unique(lines)
}

var moduleName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]*$`)

// The function "loads" returns the module that an install command loads in place
// of its own module, or "".
func loads(command []string, module string) string {
	for i, word := range command {
		if path.Base(word) != "modprobe" {
			continue
		}
		for _, next := range command[i+1:] {
			name := strings.TrimRight(next, ";&|")
			if moduleName.MatchString(name) && !sameName(name, module) {
				return strings.ReplaceAll(name, "-", "_")
			}
			if name != next || strings.ContainsAny(next, ";&|<>") {
				return "" // the effect of any other command is unknown
			}
		}
	}
	return ""
}

// refuseForeign refuses a plan if other files set the ids of vfio-pci, because
// the module uses only one of several settings.
func (f Facts) refuseForeign(k kept) error {
	theirs := f.foreign(k)
	if k.override && len(theirs.order) > 0 {
		return &RefusedError{Findings: []proxstation.Finding{{ID: "iommu.foreign-order", Severity: proxstation.Blocker, Subject: vfioPCI, Seen: strings.Join(theirs.order, "; "),
			Why: "Other functions have the same model, so a command has to set the addresses before the module is loaded. A softdep disables such commands (modprobe.d(5)).",
			Fix: "Remove the line, and prepare again."}}}
	}
	if len(theirs.seen) == 0 {
		return nil
	}
	fix := "Add the functions there (" + k.ids() + "), or remove the line and prepare again."
	if _, line := f.modconf(true).effectiveIDs(f.vfioBuiltIn()); line.text != "" {
		all, _ := parseIDs(strings.Join(append(slices.Clone(theirs.ids), k.ids()), ","))
		fix = f.rewrite(line, line.idsLine(all)) + " Or remove the line and prepare again."
	}
	return &RefusedError{Findings: []proxstation.Finding{{ID: "iommu.foreign-ids", Severity: proxstation.Blocker, Subject: vfioPCI, Seen: strings.Join(theirs.seen, "; "),
		Why: "The module takes only one list of ids, so only one of the two lists would have an effect.", Fix: fix}}}
}
