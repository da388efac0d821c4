package iommu

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
)

// planHost plans the files that keep the functions.
func (f Facts) planHost(k kept, args []string) (HostPlan, error) {
	var p HostPlan
	k.builtIn = f.vfioBuiltIn() && len(k.functions) > 0
	if k.builtIn && k.override {
		return HostPlan{}, &RefusedError{Findings: []proxstation.Finding{f.refuseBuiltIn()}}
	}
	theirs := f.foreign(k)
	told := func(fn keptFunction) bool { return slices.Contains(theirs.ids, fn.model.String()) }
	untold := slices.ContainsFunc(k.functions, func(fn keptFunction) bool { return !told(fn) })
	k.idsIn = ""
	switch {
	case untold:
		if err := f.refuseForeign(k); err != nil {
			return HostPlan{}, err
		}
	case len(k.functions) > 0 && !k.builtIn:
		k.idsIn, k.override = cmp.Or(theirs.file, "proc/cmdline"), false
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
		return HostPlan{}, fmt.Errorf("%w: dracut makes this host's initramfs (/etc/dracut.conf.d), and plans know only initramfs-tools", ErrLoader)
	}
	if len(p.Changes) > 0 {
		p.Commands = append(p.Commands, makeInitramfs)
	}
	if loaderChange != nil {
		p.Changes = append(p.Changes, *loaderChange)
		p.Commands = append(p.Commands, strings.Fields(f.refresh()))
	}
	p.Reboot = f.rebootFor(p, k)
	return p, nil
}

// rebootFor returns why the host must be restarted, or "" if no restart is
// needed. Kernel arguments and the order of drivers take effect only at the
// next start.
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

// planArgs plans the change of the kernel's arguments: it adds args, and the
// ids if vfio-pci is built in. Arguments that we added before and that are not
// in args are removed together with the last kept function. The ids are
// replaced when the kept functions change. planArgs also returns the arguments
// that are ours after the plan.
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
