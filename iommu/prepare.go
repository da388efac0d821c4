package iommu

import (
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
)

// PrepareOptions holds the options of [Facts.Prepare].
type PrepareOptions struct {
	// Args holds further kernel arguments, such as "iommu=pt", without quotes
	// and white space. The arguments of an earlier plan stay until
	// [Facts.GiveBack].
	Args []string
	// The field Allow lists the uses that the caller agrees to lose.
	Allow []UseKind
}

// Prepare makes a plan that keeps functions for guests from the next start of
// the host on, in addition to functions that are already kept. The plan writes
// our own file in /etc/modprobe.d, which makes vfio-pci come before the drivers
// that would take the functions. It also writes our own file in
// /etc/modules-load.d. If the IOMMU is off and a kernel argument helps, the
// plan adds the argument. Nothing is blacklisted. The file in /etc/modprobe.d
// gives vfio-pci the models, or the addresses if other functions have the same
// model. If vfio-pci is built into the kernel, a kernel argument gives it the
// models.
//
// Prepare refuses ([*RefusedError]) everything that [Facts.Bind] refuses,
// except functions that have no group yet. It also refuses if somebody else
// edited our file, if other files set the ids of vfio-pci, if a kernel argument
// turns the IOMMU off or is not valid, and if the host would be left without a
// display. The errors match [ErrRefused]. They match [ErrLoader] if the
// kernel's arguments must change and the boot loader is not known, or if dracut
// makes the initramfs.
func (f Facts) Prepare(addresses []Address, opts *PrepareOptions) (HostPlan, error) {
	if opts == nil {
		opts = &PrepareOptions{}
	}
	k, err := f.kept()
	if err != nil {
		return HostPlan{}, err
	}
	theirs := f.foreign(k)
	refused := refuseArgs(opts.Args)
	taken := append(f.Kept(), addresses...)
	for _, fn := range f.Functions {
		if slices.Contains(theirs.ids, fn.Model.String()) {
			taken = append(taken, fn.Address)
		}
	}
	refused = append(refused, f.refuseConsole(addresses, taken, opts.Allow)...)
	more, waiting := f.keepEach(&k, theirs, addresses, opts.Allow)
	refused = append(refused, more...)
	refused = append(refused, f.refuseOff()...)
	if len(refused) > 0 {
		return HostPlan{}, &RefusedError{Findings: refused}
	}
	slices.SortFunc(k.functions, func(a, b keptFunction) int { return a.address.Compare(b.address) })
	k.override = f.ambiguous(k.functions)
	args := append(f.needed(), opts.Args...)
	for _, arg := range k.args {
		if !strings.HasPrefix(arg, idsArgument) {
			args = append(args, arg)
		}
	}
	p, err := f.planHost(k, args)
	if err != nil {
		return HostPlan{}, err
	}
	if waiting && len(p.Commands) == 0 {
		p.Commands, p.Reboot = [][]string{makeInitramfs}, "lines of modprobe.d are not in force yet"
	}
	p.Findings = f.along(addresses)
	return p, nil
}

// keepEach adds functions to the kept functions. It leaves out functions that
// files of other authors keep. The result "refused" says why some functions
// must stay with the host. The result "waiting" is set if a file of another
// author keeps a function only from the next start on.
func (f Facts) keepEach(k *kept, theirs foreign, addresses []Address, allow []UseKind) (refused []proxstation.Finding, waiting bool) {
	for _, a := range addresses {
		fn, ok := f.Function(a)
		if !ok {
			refused = append(refused, refusal("iommu.no-device", a, "no such PCI function", "There is nothing to keep.", "Choose a function that the host has."))
			continue
		}
		refused = append(refused, f.refuse(fn, allow)...)
		if fn.VirtualOf != nil {
			refused = append(refused, refusal("iommu.virtual-function", a, "physfn: "+fn.VirtualOf.String(),
				"It does not exist when the host starts, but only after sriov_numvfs has been written.", "Let PVE bind it when the VM starts, or bind it at run time."))
		}
		switch theirs := slices.Contains(theirs.ids, fn.Model.String()); {
		case theirs && fn.Driver == vfioPCI: // somebody else's file already keeps the function
			refused = append(refused, f.refuseIdentical(fn, allow)...)
		case theirs && f.ordersFirst(fn):
			waiting = true
		default:
			k.keep(fn)
		}
	}
	return refused, waiting
}

// makeInitramfs is the command that puts /etc/modprobe.d into the initramfs of
// all kernels.
var makeInitramfs = []string{"update-initramfs", "-u", "-k", "all"}

// The method "along" reports devices that go to a guest because they share a
// group with the functions. It also reports network cards whose names do not
// match the network configuration. A person should know of both before the host
// changes.
func (f Facts) along(addresses []Address) []proxstation.Finding {
	var found []proxstation.Finding
	for _, finding := range f.checkIsolation(addresses) {
		if finding.ID == "iommu.shared-group" {
			found = append(found, finding)
		}
	}
	return append(found, f.checkNetwork()...)
}

// ordersFirst reports whether files of other authors let vfio-pci come before
// the driver that a function has now.
func (f Facts) ordersFirst(fn Function) bool {
	first, _ := f.modconf(true).firstSoftdep(fn.holder())
	return fn.Driver != "" && slices.Contains(first.softdep(), "vfio_pci")
}

// refuseIdentical refuses to keep one card for guests if ids of other authors
// take every card of its model and leave the host without a display.
func (f Facts) refuseIdentical(fn Function, allow []UseKind) []proxstation.Finding {
	if !fn.Class.IsDisplay() || slices.Contains(allow, UseConsole) {
		return nil
	}
	found := slices.DeleteFunc(f.checkIdentical([]Model{fn.Model}, f.idsLine()), func(finding proxstation.Finding) bool { return finding.Severity < proxstation.Warning })
	for i := range found {
		found[i].Severity = proxstation.Blocker
	}
	return found
}

// idsLine returns the line that sets the effective ids of vfio-pci.
func (f Facts) idsLine() directive {
	_, line := f.modconf(true).effectiveIDs(f.vfioBuiltIn())
	return line
}

// Kept returns the functions that an applied [HostPlan] keeps for guests from
// the host's next start on. Functions that files of other authors keep are not
// included.
func (f Facts) Kept() []Address {
	k, err := f.kept()
	if err != nil {
		return nil // somebody edited the file; plans refuse such a file
	}
	var addresses []Address
	for _, fn := range k.functions {
		addresses = append(addresses, fn.address)
	}
	return addresses
}

// GiveBack makes a plan that gives functions back to the host. When the last
// function is given back, our files and the kernel arguments that we added are
// removed. Functions that are not kept are ignored.
func (f Facts) GiveBack(addresses []Address) (HostPlan, error) {
	k, err := f.kept()
	if err != nil {
		return HostPlan{}, err
	}
	k.functions = slices.DeleteFunc(k.functions, func(fn keptFunction) bool { return slices.Contains(addresses, fn.address) })
	k.override = f.ambiguous(k.functions)
	return f.planHost(k, nil)
}

// The method "kept" reads our own file, which names the functions that are kept
// for guests.
func (f Facts) kept() (kept, error) {
	text := content(f.Modprobe, modprobeFile)
	if text == nil {
		return kept{}, nil
	}
	k, err := parseKept(*text)
	if err != nil {
		return kept{}, &RefusedError{Findings: []proxstation.Finding{{ID: "iommu.foreign-edit", Severity: proxstation.Blocker, Subject: "/" + modprobeFile,
			Seen: strings.TrimPrefix(err.Error(), "iommu: "), Why: "The edit would be lost.", Fix: "Move the edit to a file of its own and restore ours, or remove ours."}}}
	}
	return k, nil
}

func content(files []HostFile, path string) *string {
	for _, file := range files {
		if file.Path == path {
			return &file.Text
		}
	}
	return nil
}

// The method "ambiguous" reports whether another function, which is not kept,
// has the same model as a kept function.
func (f Facts) ambiguous(functions []keptFunction) bool {
	for _, fn := range f.Functions {
		same := slices.ContainsFunc(functions, func(k keptFunction) bool { return k.model == fn.Model })
		if same && !slices.ContainsFunc(functions, func(k keptFunction) bool { return k.address == fn.Address }) {
			return true
		}
	}
	return false
}

// The method "needed" returns the kernel arguments without which the IOMMU stays
// off.
func (f Facts) needed() []string {
	if state, _ := f.State(); state == Off && f.ACPI.DMAR == proxstation.Yes {
		return []string{"intel_iommu=on"}
	}
	return nil
}
