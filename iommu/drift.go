package iommu

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
)

// checkDrift compares the arguments in force with the arguments for the next
// boot.
func (f Facts) checkDrift() []proxstation.Finding {
	if f.Running == nil {
		return nil
	}
	configured, err := f.Configured()
	if err != nil {
		severity := proxstation.Info
		if loader, _ := f.BootLoader(); loader != LoaderUnknown {
			severity = proxstation.Warning
		}
		return []proxstation.Finding{{ID: "iommu.loader-unknown", Severity: severity, Subject: "kernel arguments", Seen: strings.TrimPrefix(err.Error(), "iommu: "),
			Why: "It is not known whether the arguments in force will be there after a restart, and no argument can be added.", Fix: f.loaderFix(err)}}
	}
	missing, extra := argumentDrift(*f.Running, configured)
	missing = slices.DeleteFunc(missing, func(arg string) bool { why, _ := misspelt(arg); return why != "" }) // another finding reports these arguments
	var findings []proxstation.Finding
	restart := "Run " + f.refresh() + " and restart."
	if loader, _ := f.BootLoader(); loader == GRUB && f.Loader.Menu != nil {
		restart = "Restart."
		if stale, _ := argumentDrift(*f.Loader.Menu, configured); len(stale) > 0 {
			restart = "Run update-grub and restart."
			findings = append(findings, proxstation.Finding{ID: "iommu.not-refreshed", Severity: proxstation.Warning, Subject: "kernel arguments",
				Seen: "configured, but not in /boot/grub/grub.cfg: " + strings.Join(stale, " "),
				Why:  "These arguments will not be there after the next restart either.", Fix: "Run update-grub."})
		}
	}
	if len(missing) > 0 {
		findings = append(findings, proxstation.Finding{ID: "iommu.not-booted", Severity: proxstation.Warning, Subject: "kernel arguments",
			Seen: "configured, but not on /proc/cmdline: " + strings.Join(missing, " "),
			Why:  "They do nothing yet.", Fix: restart})
	}
	if len(extra) > 0 {
		findings = append(findings, proxstation.Finding{ID: "iommu.not-configured", Severity: proxstation.Warning, Subject: "kernel arguments",
			Seen: "on /proc/cmdline, but not configured: " + strings.Join(extra, " "),
			Why:  "These arguments are gone after the next restart.", Fix: "Configure them, or restart to see the machine without them."})
	}
	return findings
}

// A fileError reports that the file with the kernel arguments is not there or
// was not read. It matches [ErrLoader].
type fileError struct {
	file string // the file's path
	why  string // the evidence for the boot loader that reads the file
	read bool   // the file was looked for, and is not there
}

func (e *fileError) Error() string {
	state := " was not read ("
	if e.read {
		state = " is not there ("
	}
	return ErrLoader.Error() + ": " + e.file + state + e.why + ")"
}

func (e *fileError) Unwrap() error { return ErrLoader }

// The method "withoutFile" returns the error for a boot loader whose file of
// arguments is not among the facts.
func (f Facts) withoutFile(file, why string) error {
	unread := slices.ContainsFunc(f.Findings, func(found proxstation.Finding) bool { return found.ID == "iommu.unread" && found.Subject == file })
	return &fileError{file: file, why: why, read: !unread}
}

// The method "loaderFix" returns the fix for an error of [Facts.Configured].
func (f Facts) loaderFix(err error) string {
	const status = "Run proxmox-boot-tool status, which shows the boot loader of a Proxmox VE host. "
	loader, _ := f.BootLoader()
	var missing *fileError
	switch place := f.Place(); {
	case errors.As(err, &missing) && !missing.read:
		return "Run the program as root, so that it can read " + missing.file + "."
	case errors.As(err, &missing) && loader == SystemdBoot:
		return status + "If systemd-boot starts this host, run sed 's/initrd=[^ ]* *//g' /proc/cmdline > " + missing.file + ", and then " + place.Command + "."
	case errors.As(err, &missing):
		return status + "If GRUB starts this host, run apt install grub2-common, write " + grubDefault + "=\"quiet\" in " + missing.file +
			", and run " + place.Command + ". If something else starts the kernel, such as a hypervisor, set the kernel arguments there."
	case loader != LoaderUnknown:
		return "Correct the line: one assignment with plain double quotes around all arguments and no blanks beside the equals sign; then run " + place.Command + "."
	case f.Loader.Stub != "":
		return "Give the arguments to the program that builds the image (/etc/kernel/cmdline for kernel-install and ukify), and build the image anew."
	case len(f.Loader.Entries) > 0:
		return "To add arguments, write them in " + place.Edit + ", and restart."
	}
	return status + "See \"Determine which Bootloader is Used\" in the PVE Administration Guide."
}

// checkKept reports functions that a host plan keeps for guests but that still
// have a driver of the host.
func (f Facts) checkKept() []proxstation.Finding {
	var found []proxstation.Finding
	for _, a := range f.Kept() {
		if fn, ok := f.Function(a); ok && fn.DriverKnown == proxstation.Yes && fn.Driver != vfioPCI {
			found = append(found, proxstation.Finding{ID: "iommu.not-bound", Severity: proxstation.Info, Subject: a.String(),
				Seen: fmt.Sprintf("/%s keeps it for guests; its driver is %q", modprobeFile, fn.Driver),
				Why:  "Either the host has not been restarted since the host plan was applied, or a driver was faster than vfio-pci.",
				Fix:  "Restart the host. If this finding appears again after that: update-initramfs -u -k all, and restart."})
		}
	}
	return found
}

func (f Facts) refresh() string {
	if loader, _ := f.BootLoader(); loader == GRUB {
		return "update-grub"
	}
	return "proxmox-boot-tool refresh"
}

// argumentDrift returns the configured arguments that are not in force, and the
// arguments in force that are not configured. Arguments that the boot loader
// adds do not count.
func argumentDrift(running, configured Cmdline) (missing, extra []string) {
	for _, arg := range configured.kernels() {
		if !running.Has(arg) && !byLoader(arg) {
			missing = append(missing, arg)
		}
	}
	for _, arg := range running.kernels() {
		if !configured.Has(arg) && !byLoader(arg) {
			extra = append(extra, arg)
		}
	}
	return missing, extra
}

func byLoader(arg string) bool {
	key, _, _ := strings.Cut(arg, "=")
	return slices.Contains([]string{"BOOT_IMAGE", "initrd", "root", "ro", "rw", "recovery"}, key)
}
