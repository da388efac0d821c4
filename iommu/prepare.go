package iommu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
)

// PrepareOptions are the choices of [Facts.Prepare].
type PrepareOptions struct {
	// Args are kernel arguments to have besides those that are needed, such
	// as "iommu=pt", without quotes and white space. Those of an earlier plan
	// stay until [Facts.GiveBack].
	Args []string
	// Allow lists the uses that the caller knows of and gives up.
	Allow []UseKind
}

// Prepare plans to keep functions for guests from the next start of the host
// on, besides those that are kept already: kernel arguments where the IOMMU is
// off and an argument helps, our own file in /etc/modprobe.d that makes
// vfio-pci come before the drivers that would take the functions, and our own
// in /etc/modules-load.d. It blacklists nothing. Where other functions have
// the same model, the functions are told by address instead. Where vfio-pci is
// built into the kernel, a kernel argument tells it the models.
//
// It refuses ([*RefusedError]) what [Facts.Bind] refuses except functions that
// have no group yet, an edit by someone else of our file, other files that set
// the ids of vfio-pci, a kernel argument that turns the IOMMU off or is none,
// and to leave the host no display together with what is kept already. Its
// errors match [ErrRefused] or, if the kernel's arguments must change and the
// boot loader is not known, or if dracut makes the initramfs, [ErrLoader].
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
	for _, a := range addresses {
		fn, ok := f.Function(a)
		if !ok {
			refused = append(refused, refusal("iommu.no-device", a, "no such PCI function", "There is nothing to keep.", "Choose a function that the host has."))
			continue
		}
		refused = append(refused, f.refuse(fn, opts.Allow)...)
		if fn.VirtualOf != nil {
			refused = append(refused, refusal("iommu.virtual-function", a, "physfn: "+fn.VirtualOf.String(),
				"It is not there when the host starts, but only after sriov_numvfs is written.", "Let PVE bind it when the VM starts, or bind it at run time."))
		}
		if slices.Contains(theirs.ids, fn.Model.String()) {
			continue // someone else keeps it already
		}
		k.keep(fn)
	}
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
	return f.planHost(k, args)
}

// Kept returns the functions that an applied [HostPlan] keeps for guests, from
// the host's next start on. What others keep is not among them.
func (f Facts) Kept() []Address {
	k, err := f.kept()
	if err != nil {
		return nil // somebody edited the file: planning refuses it
	}
	var addresses []Address
	for _, fn := range k.functions {
		addresses = append(addresses, fn.address)
	}
	return addresses
}

// GiveBack plans to no longer keep functions for guests. With the last one go
// our files and the kernel arguments that we added. Functions that are not
// kept are no error.
func (f Facts) GiveBack(addresses []Address) (HostPlan, error) {
	k, err := f.kept()
	if err != nil {
		return HostPlan{}, err
	}
	k.functions = slices.DeleteFunc(k.functions, func(fn keptFunction) bool { return slices.Contains(addresses, fn.address) })
	k.override = f.ambiguous(k.functions)
	return f.planHost(k, nil)
}

// kept reads what the host is prepared for from our own file.
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

// ambiguous reports whether functions that are not kept have the model of one
// that is.
func (f Facts) ambiguous(functions []keptFunction) bool {
	for _, fn := range f.Functions {
		same := slices.ContainsFunc(functions, func(k keptFunction) bool { return k.model == fn.Model })
		if same && !slices.ContainsFunc(functions, func(k keptFunction) bool { return k.address == fn.Address }) {
			return true
		}
	}
	return false
}

// needed returns the kernel arguments without which the IOMMU stays off.
func (f Facts) needed() []string {
	if state, _ := f.State(); state == Off && f.ACPI.DMAR == proxstation.Yes {
		return []string{"intel_iommu=on"}
	}
	return nil
}

// planHost plans the files for what is to be kept.
func (f Facts) planHost(k kept, args []string) (HostPlan, error) {
	var p HostPlan
	k.builtIn = f.vfioBuiltIn() && len(k.functions) > 0
	if k.builtIn && k.override {
		return HostPlan{}, &RefusedError{Findings: []proxstation.Finding{f.refuseBuiltIn()}}
	}
	if len(k.functions) > 0 {
		if err := f.refuseForeign(k); err != nil {
			return HostPlan{}, err
		}
	}
	loaderChange, added, err := f.planArgs(k, args)
	if err != nil {
		return HostPlan{}, err
	}
	k.args = added
	if k.order = nil; !k.builtIn {
		k.order = f.ordered(k.modules())
	}
	p.change(modprobeFile, content(f.Modprobe, modprobeFile), k.String())
	modules := ""
	if len(k.functions) > 0 {
		modules = "# Written by proxstation.\nvfio-pci\nvfio_iommu_type1\n"
	}
	if k.builtIn {
		modules = "# Written by proxstation.\nvfio_iommu_type1\n"
	}
	p.change(modulesFile, content(f.ModulesLoad, modulesFile), modules)
	if len(p.Changes) > 0 && f.Loader.Dracut {
		return HostPlan{}, fmt.Errorf("%w: dracut makes the initramfs (/etc/dracut.conf.d), and a plan here is for initramfs-tools", ErrLoader)
	}
	if len(p.Changes) > 0 {
		p.Commands = append(p.Commands, []string{"update-initramfs", "-u", "-k", "all"})
	}
	if loaderChange != nil {
		p.Changes = append(p.Changes, *loaderChange)
		p.Commands = append(p.Commands, strings.Fields(f.refresh()))
	}
	p.Reboot = f.rebootFor(p, k)
	return p, nil
}

// rebootFor says why a restart is needed, or nothing: kernel arguments only
// count from then on, and so does which driver is first.
func (f Facts) rebootFor(p HostPlan, k kept) string {
	for _, change := range p.Changes {
		if change.Path == grubFile || change.Path == cmdlineFile {
			return "kernel arguments change"
		}
	}
	for _, want := range k.functions {
		if fn, _ := f.Function(want.address); fn.Driver != vfioPCI {
			return fmt.Sprintf("%s is not on vfio-pci yet", want.address)
		}
	}
	if len(k.functions) == 0 && len(p.Changes) > 0 {
		return "the functions are given back to their drivers"
	}
	return ""
}

// planArgs plans the change of the kernel's arguments: args are added, and the
// ids if vfio-pci is built in. Those that we added before and that are not
// among args are removed with the last function, or, if they are ids, when the
// functions change. It returns the arguments that are ours from then on.
func (f Facts) planArgs(k kept, args []string) (*FileChange, []string, error) {
	var missing, ours, gone []string
	if k.builtIn {
		args = append(args[:len(args):len(args)], idsArgument+k.ids())
	}
	for _, arg := range k.args {
		if !slices.Contains(args, arg) && (len(k.functions) == 0 || strings.HasPrefix(arg, idsArgument)) {
			gone = append(gone, arg)
		} else {
			ours = append(ours, arg)
		}
	}
	configured, err := f.Configured()
	for _, arg := range append(ours[:len(ours):len(ours)], args...) {
		inForce := err != nil && f.Running != nil && f.Running.Has(arg)
		if configured.Has(arg) || inForce {
			continue
		}
		missing = append(missing, arg)
		if !slices.Contains(ours, arg) {
			ours = append(ours, arg)
		}
	}
	if len(missing) == 0 && slices.Equal(ours, k.args) {
		return nil, ours, nil
	}
	if err != nil {
		return nil, nil, err
	}
	var p HostPlan
	if loader, _ := f.BootLoader(); loader == SystemdBoot {
		after, err := editCmdline(*f.Loader.KernelCmdline, gone, missing)
		if err != nil {
			return nil, nil, err
		}
		p.change(cmdlineFile, f.Loader.KernelCmdline, after)
	} else {
		p.change(grubFile, content(f.Loader.Defaults, grubFile), grubSnippet(ours))
		if err := f.effective(ours); err != nil {
			return nil, nil, err
		}
	}
	if len(p.Changes) == 0 {
		return nil, ours, nil
	}
	return &p.Changes[0], ours, nil
}
