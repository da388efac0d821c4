package iommu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/sysfs"
)

// uses finds what the machine itself lives on: the controllers of mounted
// file systems and swap, the network card of the default route, the only
// display.
func (r *reader) uses() {
	r.UsesKnown = Yes
	r.storageUses()
	r.networkUses()
	r.consoleUses()
	slices.SortStableFunc(r.Uses, func(a, b Use) int { return a.Address.Compare(b.Address) })
}

// unsure notes that uses may be missing, once for each subject.
func (r *reader) unsure(subject, seen, fix string) {
	r.UsesKnown = Unknown
	if slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.ID == "iommu.uses-unknown" && f.Subject == subject }) {
		return
	}
	r.Findings = append(r.Findings, Finding{ID: "iommu.uses-unknown", Severity: Warning, Subject: subject, Seen: seen,
		Why: "A controller or network card that the machine lives on could be taken from it without warning.", Fix: fix})
}

// use notes that the machine uses a PCI device, and all between it and the
// processor that a driver could be taken from (an Intel VMD above an NVMe).
func (r *reader) use(kind UseKind, sysfile, seen string) bool {
	path := pciPath(r.Sys, sysfile)
	for _, address := range path {
		fn, ok := r.Function(address)
		if ok && fn.Class.Sub() == classPCIBridge {
			continue
		}
		use := Use{Address: address, Kind: kind, Seen: seen}
		if !slices.Contains(r.Uses, use) {
			r.Uses = append(r.Uses, use)
		}
	}
	return len(path) > 0
}

func (r *reader) networkUses() {
	lines, err := r.procLines("net/route")
	if err != nil {
		r.unsure("default route", fmt.Sprintf("/proc/net/route: %v", reason(err)), "Check by hand which network card carries the management address.")
		return
	}
	found := false
	for _, line := range lines[min(1, len(lines)):] {
		fields := strings.Fields(line)
		if len(fields) < 8 || fields[1] != "00000000" || fields[7] != "00000000" {
			continue
		}
		found = r.interfaceUses(fields[0], "default route on "+fields[0], 0) || found
	}
	if !found {
		r.unsure("default route", "/proc/net/route has no default route that leads to a PCI device",
			"Check by hand which network card carries the management address.")
	}
}

// interfaceUses follows a bridge, bond or VLAN down to network cards. The
// kernel links each to what is below it as lower_NAME; at most eight deep.
func (r *reader) interfaceUses(name, seen string, depth int) bool {
	dir := "class/net/" + name
	found := r.use(UseNetwork, dir+"/device", seen)
	entries, err := sysfs.Names(r.Sys, dir)
	if err != nil || depth > 8 {
		return found
	}
	for _, entry := range entries {
		if lower, ok := strings.CutPrefix(entry, "lower_"); ok {
			found = r.interfaceUses(lower, seen+" over "+lower, depth+1) || found
		}
	}
	return found
}
