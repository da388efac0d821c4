package iommu

import (
	"slices"
	"strings"
)

// foreign is what others than us set for vfio-pci.
type foreign struct {
	ids  []string // models, "10de:2c05"
	seen []string // the lines
}

func (f Facts) foreign(k kept) foreign {
	var theirs foreign
	add := func(seen, ids string) {
		theirs.seen = append(theirs.seen, seen)
		for id := range strings.SplitSeq(ids, ",") {
			theirs.ids = append(theirs.ids, strings.ToLower(id))
		}
	}
	for _, file := range f.Modprobe {
		if f.vfioBuiltIn() {
			break // no options and no commands of modprobe.d are for it
		}
		for line := range strings.Lines(file.Text) {
			fields := strings.Fields(line)
			if file.Path == modprobeFile || len(fields) < 3 || !sameName(fields[1], vfioPCI) {
				continue
			}
			seen := "/" + file.Path + ": " + strings.TrimSpace(line)
			if fields[0] == "install" {
				add(seen, "")
			}
			for _, option := range fields[2:] {
				if ids, ok := strings.CutPrefix(option, "ids="); ok && fields[0] == "options" {
					add(seen, ids)
				}
			}
		}
	}
	if configured, err := f.Configured(); err == nil {
		for _, ids := range configured.Values("vfio-pci.ids") {
			if slices.Contains(k.args, idsArgument+ids) {
				continue
			}
			add("kernel arguments: vfio-pci.ids="+ids, ids)
		}
	}
	return theirs
}

// refuseForeign refuses where others set the ids of vfio-pci: of several
// settings the module would only see one.
func (f Facts) refuseForeign(k kept) error {
	theirs := f.foreign(k)
	if len(theirs.seen) == 0 {
		return nil
	}
	return &RefusedError{Findings: []Finding{{ID: "iommu.foreign-ids", Severity: Blocker, Subject: vfioPCI, Seen: strings.Join(theirs.seen, "; "),
		Why: "The module takes one list of ids: theirs and ours would push each other out.",
		Fix: "Keep the functions there (" + k.ids() + "), or remove it and prepare again."}}}
}
