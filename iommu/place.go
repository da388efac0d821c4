package iommu

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// A Place says where a host's kernel arguments are configured, and which
// command passes them to the boot loader.
type Place struct {
	Loader  Loader `json:"loader"`
	File    string `json:"file"`    // "/etc/default/grub"; empty if it is not known
	Edit    string `json:"edit"`    // what to change: "GRUB_CMDLINE_LINUX_DEFAULT in /etc/default/grub"
	Command string `json:"command"` // "update-grub"; empty if no command is needed or known
	Why     string `json:"why"`     // the evidence
}

// Place returns where this host's kernel arguments are configured. It also
// names boot loaders that PVE does not set up, if they left traces.
func (f Facts) Place() Place {
	loader, why := f.BootLoader()
	p := Place{Loader: loader, Why: why}
	switch {
	case loader == SystemdBoot:
		p.File, p.Command = "/"+cmdlineFile, "proxmox-boot-tool refresh"
		p.Edit = "the first line of /" + cmdlineFile
	case loader == GRUB, loader == SyncedGRUB:
		p.File, p.Command = "/etc/default/grub", "update-grub"
		if last := lastAnew(f.Loader.Defaults); last.file != "" {
			p.File = "/" + last.file
		}
		if loader == SyncedGRUB {
			p.Command = "proxmox-boot-tool refresh"
		}
		p.Edit = grubDefault + " in " + p.File
	case f.Loader.Stub != "":
		p.File, p.Edit = "/"+cmdlineFile, "/"+cmdlineFile
		p.Command = "the command that builds the unified kernel image (ukify, kernel-install or mkinitcpio -P)"
	case len(f.Loader.Entries) > 0:
		p.File = "/" + f.Loader.Entries[0].Path
		p.Edit = "the line options of the boot entry /" + f.Loader.Entries[0].Path
	default:
		p.Edit = "the kernel's arguments (for GRUB: " + grubDefault + " in /etc/default/grub, then update-grub; for systemd-boot on Proxmox VE: " +
			"the first line of /" + cmdlineFile + ", then proxmox-boot-tool refresh)"
	}
	if dashes, there := f.dashes(); there {
		p.Edit = dashes.where + ", before its \"--\""
	}
	return p
}

// The method "dashes" returns the line that contains "--", which ends the
// kernel's arguments.
func (f Facts) dashes() (line writing, there bool) {
	for _, line := range f.written() {
		if line.counts && slices.Contains(line.args, "--") {
			return line, true
		}
	}
	return writing{}, false
}

// The function "entries" returns the boot entries of a systemd-boot that
// proxmox-boot-tool does not manage (the Boot Loader Specification's type 1).
func entries(boot fs.FS) []HostFile {
	var files []HostFile
	for _, dir := range []string{"", "efi/"} {
		names, _ := fs.Glob(boot, dir+"loader/entries/*.conf")
		for _, name := range names {
			if data, err := fs.ReadFile(boot, name); err == nil {
				files = append(files, HostFile{Path: "boot/" + name, Text: string(data)})
			}
		}
	}
	return files
}

// Advise says how to set kernel arguments on this host: which file to edit and
// which command to run. It leaves out arguments in force. For arguments that
// are already configured, it asks for a restart only. It returns "" if all
// arguments are in force.
func (f Facts) Advise(args ...string) string {
	configured, err := f.Configured()
	var missing, waiting []string
	for _, arg := range args {
		switch {
		case f.Running != nil && f.Running.Has(arg):
		case err == nil && configured.Has(arg):
			waiting = append(waiting, arg)
		default:
			missing = append(missing, arg)
		}
	}
	p := f.Place()
	run := ""
	if p.Command != "" {
		run = ", run " + p.Command
	}
	switch {
	case len(missing) > 0:
		return fmt.Sprintf("add %s to %s%s, and restart", strings.Join(missing, " "), p.Edit, run)
	case len(waiting) > 0:
		return fmt.Sprintf("%s is configured in %s already%s, and restart", strings.Join(waiting, " "), p.File, run)
	}
	return ""
}

// Option returns the effective value of a module's option, and the line or
// kernel argument that sets the option. If the option is not set, this line is
// "".
func (f Facts) Option(module, option string) (value, where string) {
	values, lines := f.modconf(false).options(module, option)
	if len(values) == 0 {
		return "", ""
	}
	return values[len(values)-1], lines[len(lines)-1].where()
}

// AdviseWithout says how to remove a kernel argument on this host: from which
// line, and which command to run. It is the opposite of [Facts.Advise].
func (f Facts) AdviseWithout(arg string) string {
	p := f.Place()
	where := p.Edit
	for _, at := range f.written() {
		if at.counts && slices.ContainsFunc(at.args, func(have string) bool { return sameArg(have, arg) }) {
			where = at.where
		}
	}
	run := ""
	if p.Command != "" {
		run = ", run " + p.Command
	}
	return fmt.Sprintf("remove %s from %s%s, and restart", arg, where, run)
}

// A writing is a line with kernel arguments in a boot loader's configuration.
type writing struct {
	where  string // "/etc/default/grub line 4"
	args   []string
	counts bool   // the loader that starts this host reads the line
	why    string // the reason why the loader does not read the line
}

// The method "written" returns the lines of all loaders' files that hold kernel
// arguments, whether or not the loader that starts this host reads them.
func (f Facts) written() []writing {
	loader, why := f.BootLoader()
	isGRUB := loader == GRUB || loader == SyncedGRUB
	grubIdle := "GRUB does not start this host: " + why
	var lines []writing
	for _, a := range grubAssignments(f.Loader.Defaults) {
		right := a.name == grubLinux || a.name == grubDefault
		at := writing{where: a.where, counts: isGRUB && right && a.anew == "", why: grubIdle}
		near := nearest(a.name, []string{grubDefault, grubLinux}, 3)
		switch {
		case !right && (near == "" || a.name == grubLinux+"_RECOVERY"):
			continue
		case !right:
			at.why = "nothing reads the variable " + a.name + ", which is called " + near
		case isGRUB && a.anew != "":
			at.why = a.anew + " sets " + a.name + " anew"
		}
		if value, err := (shell{values: map[string]string{}, unknown: map[string]bool{}}).word(a.value); err == nil {
			at.args = ParseCmdline(value).Args()
			lines = append(lines, at)
		}
	}
	if f.Loader.KernelCmdline != nil {
		for i, line := range strings.Split(*f.Loader.KernelCmdline, "\n") {
			at := writing{where: fmt.Sprintf("/%s line %d", cmdlineFile, i+1), args: ParseCmdline(line).Args(), counts: loader == SystemdBoot && i == 0 || f.Loader.Stub != ""}
			switch {
			case loader == SystemdBoot:
				at.why = "proxmox-boot-tool reads only the first line of the file"
			default:
				at.why = "the boot loader that reads the file does not start this host: " + why
			}
			lines = append(lines, at)
		}
	}
	for _, file := range f.Loader.Entries {
		for i, line := range strings.Split(file.Text, "\n") {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "options"); ok {
				lines = append(lines, writing{fmt.Sprintf("/%s line %d", file.Path, i+1), ParseCmdline(rest).Args(), loader == LoaderUnknown, "this boot entry does not start this host: " + why})
			}
		}
	}
	return lines
}
